import { describe, expect, it } from 'vitest';
import type { Pause } from '#ports/pause-index.port.js';
import { aCandidate, aPause, matched, pauseIndexContract } from '#testkit/contracts/pause-index.contract.js';
import { MemoryPauseIndex } from './memory-pause-index.js';

pauseIndexContract('MemoryPauseIndex', async () => {
  const index = new MemoryPauseIndex();
  await index.restored(0);
  return { index, restore: () => index.restored(0), dispose: () => Promise.resolve() };
});

describe('MemoryPauseIndex', () => {
  /** Pauses that tell how often a match looks at one. */
  function counted(count: number, over: (i: number) => Partial<Pause> & { readonly data?: unknown }) {
    const seen = { looks: 0 };
    const pauses = Array.from({ length: count }, (_, i) => {
      const pause = aPause(`p${i}`, over(i));
      return Object.defineProperty({ ...pause }, 'since', {
        get: () => {
          seen.looks++;
          return pause.since;
        },
      });
    });
    return { pauses, seen };
  }

  it.each<[string, number, (i: number) => Partial<Pause> & { readonly data?: unknown }]>([
    ['their trigger has', 100_000, (i) => ({ expression: 'async.data.id == event.data.id', data: { id: `id-${i}` } })],
    ['their expression names', 10_000, (i) => ({ expression: `async.data.id == "id-${i}"` })],
    [
      'only the second equality tells apart',
      10_000,
      (i) => ({ expression: 'async.data.kind == "paid" && async.data.id == event.data.id', data: { id: `id-${i}` } }),
    ],
    [
      'one equality of a longer condition demands',
      10_000,
      (i) => ({ expression: 'async.data.n > 3 && event.data.id == async.data.id', data: { id: `id-${i}` } }),
    ],
  ])('looks at about one wait for the value that %s, of %d', async (_, count, over) => {
    const index = new MemoryPauseIndex();
    const { pauses, seen } = counted(count, over);
    await index.add(pauses);
    seen.looks = 0;
    const event = { id: 'id-7777', kind: 'paid', n: 5 };
    expect((await matched(index, aCandidate(event))).map(({ id }) => id)).toEqual(['p7777']);
    expect(await matched(index, aCandidate({ ...event, id: 'other' }))).toEqual([]);
    expect(seen.looks).toBeLessThanOrEqual(3);
  });

  it('does not look at waits that nothing can resolve', async () => {
    const index = new MemoryPauseIndex();
    const { pauses, seen } = counted(1_000, (i) => ({
      expression: i % 2 ? 'event.data.plan == "pro" && async.data.n > 1' : 'async.data.n >',
      data: { plan: 'free' },
    }));
    await index.add(pauses);
    seen.looks = 0;
    expect(await matched(index, aCandidate({ n: 5 }))).toEqual([]);
    expect(seen.looks).toBe(0);
    expect(await index.size()).toBe(1_000);
  });

  it('leaves the event unparsed when no wait asks for it', async () => {
    const index = new MemoryPauseIndex();
    await index.add([aPause('a')]);
    expect(await matched(index, aCandidate({}, { payload: 'no JSON' }))).toHaveLength(1);
  });

  it('says which record it cannot read, and is as it was', async () => {
    const index = new MemoryPauseIndex();
    const broken = aPause('b', { expression: 'async.data.id == event.data.id', trigger: 'no JSON' });
    await expect(index.add([aPause('a'), broken])).rejects.toMatchObject({
      code: 'record_unreadable',
      data: { pause: 'b' },
    });
    expect(await index.size()).toBe(0);
    await index.add([aPause('a', { expression: 'async.data.id == 1' })]);
    await expect(matched(index, aCandidate({}, { payload: 'no JSON' }))).rejects.toMatchObject({
      code: 'record_unreadable',
      data: { event: '01KE-CANDIDATE' },
    });
  });

  it('evaluates the whole at each event where the part over the trigger alone costs too much', async () => {
    const index = new MemoryPauseIndex();
    const list = Array.from({ length: 2_000 }, (_, i) => i);
    const expression = 'async.data.n == 1 || event.data.list.exists(i, event.data.list.exists(j, i + j < 0))';
    await index.add([aPause('a', { expression, data: { list } })]);
    expect(await matched(index, aCandidate({ n: 1 }))).toHaveLength(1);
    expect(await matched(index, aCandidate({ n: 2 }))).toHaveLength(0);
  });

  it('keeps nothing of what is gone', async () => {
    const index = new MemoryPauseIndex();
    const pauses = Array.from({ length: 100 }, (_, i) =>
      aPause(`p${i}`, { event: `e${i % 7}`, expression: `async.data.f${i} == ${i}` }),
    );
    await index.add(pauses);
    await index.remove(pauses.map(({ id }) => id));
    expect(index).toEqual(new MemoryPauseIndex());
  });
});
