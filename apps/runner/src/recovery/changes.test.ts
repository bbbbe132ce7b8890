import { describe, expect, it } from 'vitest';
import { Changes } from './changes.js';

const born = { isNew: true, isOver: false };
const moved = { isNew: false, isOver: false };
const over = { isNew: false, isOver: true };

function idsOf(changes: Changes): readonly string[] {
  return changes.take().map(({ id, isNew }) => (isNew ? `${id} (new)` : id));
}

describe('changes since the last snapshot', () => {
  it('count from the checkpoint on that reflects them, and what comes meanwhile from the next', async () => {
    const changes = new Changes();
    changes.note('run', 'a', born);
    expect(idsOf(changes)).toEqual([]);
    await changes.with(() => Promise.resolve(changes.note('run', 'b', born)));
    expect(idsOf(changes)).toEqual(['a (new)']);
    await changes.with(() => Promise.resolve());
    expect(idsOf(changes)).toEqual(['b (new)']);
  });

  it('stay when a checkpoint fails, or a snapshot', async () => {
    const changes = new Changes();
    changes.note('run', 'a', born);
    await expect(changes.with(() => Promise.reject(new Error('no store')))).rejects.toThrow('no store');
    expect(idsOf(changes)).toEqual([]);
    await changes.with(() => Promise.resolve());
    const taken = changes.take();
    changes.giveBack(taken);
    expect(changes.take()).toEqual(taken);
  });

  it('leave out what came and went in between, over any number of checkpoints', async () => {
    const changes = new Changes();
    changes.note('run', 'short', born);
    changes.note('run', 'old', moved);
    await changes.with(() => Promise.resolve());
    changes.note('run', 'short', over);
    changes.note('run', 'old', over);
    await changes.with(() => Promise.resolve());
    expect(idsOf(changes)).toEqual(['old']);
  });
});
