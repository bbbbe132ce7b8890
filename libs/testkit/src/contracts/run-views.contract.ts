import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Run } from '#core/run/run.state.js';
import type { RunViews } from '#ports/run-views.port.js';
import { aRun } from '../a-run.js';

export interface RunViewsUnderTest {
  readonly views: RunViews;
  /** The same views as another process has them. */
  readonly elsewhere: RunViews;
  dispose(): Promise<void>;
}

const view = (run: Run, offset: number, partition = 0) => ({ run, at: { partition, offset } });

/** What RunViews promises, whatever it is made of. `open` gives an empty one. */
export function runViewsContract(name: string, open: () => Promise<RunViewsUnderTest>): void {
  describe(`${name} as RunViews`, () => {
    let under: RunViewsUnderTest;
    beforeEach(async () => {
      under = await open();
    });
    afterEach(() => under.dispose());

    it('shows to others a run as it was shown last', async () => {
      const { views, elsewhere } = under;
      expect(await elsewhere.see('a')).toBeUndefined();
      await views.show([view(aRun('a'), 1), view(aRun('b', { output: '"🌍"' }), 2, 7)]);
      expect(await elsewhere.see('a')).toEqual(aRun('a'));
      await views.show([view(aRun('a', { state: 'running' }), 3)]);
      expect(await elsewhere.see('a')).toEqual(aRun('a', { state: 'running' }));
      expect(await elsewhere.see('b')).toEqual(aRun('b', { output: '"🌍"' }));
      expect(await elsewhere.see('c')).toBeUndefined();
      await views.show([]);
    });

    it('leaves out what stands before the view that is shown', async () => {
      const { views, elsewhere } = under;
      await views.show([view(aRun('a', { state: 'running' }), 10)]);
      await elsewhere.show([view(aRun('a'), 9), view(aRun('b'), 9)]);
      expect(await views.see('a')).toEqual(aRun('a', { state: 'running' }));
      expect(await views.see('b')).toEqual(aRun('b'));
      await elsewhere.show([view(aRun('a', { state: 'completed' }), 100)]);
      await views.show([view(aRun('a', { state: 'running' }), 11)]);
      expect(await views.see('a')).toEqual(aRun('a', { state: 'completed' }));
    });

    it('still shows a run that has ended', async () => {
      const { views, elsewhere } = under;
      await views.show([view(aRun('a', { state: 'completed', endedAt: 5, output: '1' }), 10)]);
      expect(await elsewhere.see('a')).toMatchObject({ state: 'completed', output: '1' });
    });

    it('takes the last of two views of a run, and very many at once', async () => {
      const { views, elsewhere } = under;
      const many = Array.from({ length: 1_000 }, (_, n) => view(aRun(`run ${n % 500}`, { seqNext: n }), n));
      await views.show(many);
      expect(await elsewhere.see('run 0')).toMatchObject({ seqNext: 500 });
      expect(await elsewhere.see('run 499')).toMatchObject({ seqNext: 999 });
    });

    it('shows large runs', async () => {
      const { views, elsewhere } = under;
      const large = aRun('a', { events: ['x'.repeat(4_000_000)] });
      await views.show([view(large, 1)]);
      expect(await elsewhere.see('a')).toEqual(large);
    });
  });
}
