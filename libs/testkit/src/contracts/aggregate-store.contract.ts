import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import type { AggregateStore, AggregateWrite, StoredAggregate } from '#ports/aggregate-store.port.js';

/** A store of its own for one test. */
export interface AggregatesUnderTest {
  readonly store: AggregateStore;
  /** Closes the store and opens what it has kept. */
  readonly reopen: () => Promise<AggregateStore>;
  /** Closes the store and takes away what it has kept. */
  readonly dispose: () => Promise<void>;
}

const at = (offset: number) => ({ partition: 0, offset });

async function active(store: AggregateStore, space: string): Promise<Map<string, string | null>> {
  const found: StoredAggregate[] = [];
  for await (const one of store.active(space)) found.push(one);
  expect(new Set(found.map(({ id }) => id)).size).toBe(found.length);
  return new Map(found.map(({ id, state }) => [id, state]));
}

/** The promises of `AggregateStore`, held against an adapter. */
export function aggregateStoreContract(name: string, open: () => Promise<AggregatesUnderTest>): void {
  describe(`${name} keeps the promises of AggregateStore`, () => {
    const opened: AggregatesUnderTest[] = [];
    const fresh = async (): Promise<AggregatesUnderTest> => {
      const store = await open();
      opened.push(store);
      return store;
    };
    afterEach(async () => {
      for (const store of opened.splice(0)) await store.dispose();
    });

    it('knows nothing at first', async () => {
      const { store } = await fresh();
      expect(await store.load('run', 'a')).toBeUndefined();
      expect(await active(store, 'run')).toEqual(new Map());
      expect(await store.count('run')).toBe(0);
      expect(await store.position('desk')).toBeUndefined();
      expect(await store.prune(1)).toBe(0);
    });

    it('keeps states and the position that they reflect, also over a restart', async () => {
      const { store, reopen } = await fresh();
      await store.commit(
        'desk',
        at(3),
        { run: [{ id: 'a', state: '{"n":1}' }], signal: [{ id: 'a', state: 'other' }] },
        10,
      );
      await store.commit(
        'desk',
        at(5),
        {
          run: [
            { id: 'a', state: '{"n":2} 🌍' },
            { id: 'b', state: '' },
          ],
        },
        20,
      );
      const again = await reopen();
      expect(await again.load('run', 'a')).toEqual({ id: 'a', state: '{"n":2} 🌍' });
      expect(await again.load('run', 'b')).toEqual({ id: 'b', state: '' });
      expect(await again.load('signal', 'a')).toEqual({ id: 'a', state: 'other' });
      expect(await again.load('signal', 'b')).toBeUndefined();
      expect(await again.count('run')).toBe(2);
      expect(await again.position('desk')).toEqual(at(5));
      expect(await again.position('intake')).toBeUndefined();
    });

    it('keeps what has ended as a tombstone, until it is pruned', async () => {
      const { store } = await fresh();
      await store.commit(
        'desk',
        at(1),
        {
          run: [
            { id: 'a', state: 'x' },
            { id: 'b', state: 'y' },
            { id: 'c', state: 'z' },
          ],
        },
        10,
      );
      await store.commit('desk', at(2), { run: [{ id: 'a', state: null }] }, 20);
      await store.commit(
        'desk',
        at(3),
        {
          run: [
            { id: 'b', state: null },
            { id: 'never', state: null },
          ],
        },
        30,
      );
      expect(await store.load('run', 'a')).toEqual({ id: 'a', state: null });
      expect(await store.load('run', 'never')).toEqual({ id: 'never', state: null });
      expect(await active(store, 'run')).toEqual(new Map([['c', 'z']]));
      expect(await store.count('run')).toBe(1);

      expect(await store.prune(30)).toBe(1);
      expect(await store.load('run', 'a')).toBeUndefined();
      expect(await store.load('run', 'b')).toEqual({ id: 'b', state: null });
      expect(await store.load('run', 'c')).toEqual({ id: 'c', state: 'z' });
      expect(await store.prune(31)).toBe(2);
      expect(await store.prune(31)).toBe(0);
    });

    it('takes up again what had ended', async () => {
      const { store } = await fresh();
      await store.commit('desk', at(1), { signal: [{ id: 'a', state: 'x' }] }, 10);
      await store.commit('desk', at(2), { signal: [{ id: 'a', state: null }] }, 20);
      await store.commit('desk', at(3), { signal: [{ id: 'a', state: 'again' }] }, 30);
      expect(await store.prune(100)).toBe(0);
      expect(await store.load('signal', 'a')).toEqual({ id: 'a', state: 'again' });
      expect(await store.count('signal')).toBe(1);
    });

    it('refuses an older position of the same reader, with all that comes with it', async () => {
      const { store } = await fresh();
      await store.commit('desk', at(5), { run: [{ id: 'a', state: 'newer' }] }, 10);
      const late = store.commit(
        'desk',
        at(4),
        { run: [{ id: 'a', state: 'older' }], other: [{ id: 'b', state: 'x' }] },
        20,
      );
      await expect(late).rejects.toMatchObject({ code: 'position_stale' });
      expect(await store.load('run', 'a')).toEqual({ id: 'a', state: 'newer' });
      expect(await store.load('other', 'b')).toBeUndefined();
      expect(await store.position('desk')).toEqual(at(5));
      await store.commit('desk', at(5), { run: [{ id: 'a', state: 'same position' }] }, 20);
      await store.commit('intake', at(1), {}, 20);
      expect(await store.load('run', 'a')).toEqual({ id: 'a', state: 'same position' });
      expect(await store.position('intake')).toEqual(at(1));
    });

    it('takes commits in the order of their calls', async () => {
      const { store } = await fresh();
      const commits = Array.from({ length: 50 }, (_, n) =>
        store.commit('desk', at(n), { [`space ${n >> 1}`]: [{ id: 'a', state: String(n) }] }, n),
      );
      await Promise.all(commits);
      expect(await store.position('desk')).toEqual(at(49));
      expect(await store.load('space 24', 'a')).toEqual({ id: 'a', state: '49' });
      expect(await store.count('space 3')).toBe(1);
    });

    it('gives all that are active, however many, once each', async () => {
      const { store } = await fresh();
      const ids = Array.from({ length: 1_234 }, (_, n) => `run ${String(n * 7919).padStart(8, '0')}`);
      await store.commit('desk', at(1), { run: ids.map((id) => ({ id, state: `of ${id}` })) }, 10);
      expect(await active(store, 'run')).toEqual(new Map(ids.map((id) => [id, `of ${id}`])));
    });

    it('says what a map would say', async () => {
      const { store } = await fresh();
      const write = fc.record({
        id: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
        state: fc.option(fc.string({ maxLength: 5, unit: 'grapheme' }), { nil: null }),
      });
      const step = fc.record({
        run: fc.array(write, { maxLength: 5 }),
        signal: fc.array(write, { maxLength: 3 }),
        prune: fc.boolean(),
      });
      const model: Record<string, Map<string, { state: string | null; at: number }>> = {
        run: new Map(),
        signal: new Map(),
      };
      let now = 0;
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 6 }), async (steps) => {
          for (const { prune, ...writes } of steps) {
            now++;
            await store.commit('desk', at(now), writes, now);
            for (const [space, list] of Object.entries(writes) as [string, AggregateWrite[]][]) {
              for (const { id, state } of list) model[space]?.set(id, { state, at: now });
            }
            if (!prune) continue;
            await store.prune(now);
            for (const space of Object.values(model)) {
              for (const [id, { state, at }] of space) if (state === null && at < now) space.delete(id);
            }
          }
          for (const [space, kept] of Object.entries(model)) {
            const live = [...kept]
              .filter(([, { state }]) => state !== null)
              .map(([id, { state }]) => [id, state] as const);
            expect(await active(store, space)).toEqual(new Map(live));
            expect(await store.count(space)).toBe(live.length);
            for (const id of ['a', 'b', 'c', 'd', 'e']) {
              const one = kept.get(id);
              expect(await store.load(space, id)).toEqual(one && { id, state: one.state });
            }
          }
        }),
        { numRuns: 100 },
      );
    });
  });
}
