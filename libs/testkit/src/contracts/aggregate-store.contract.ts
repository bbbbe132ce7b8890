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

const at = (offset: number, partition = 0) => ({ partition, offset });
const on = (space: string, partition = 0) => ({ space, partition });

async function active(store: AggregateStore, space: string, partition = 0): Promise<Map<string, string | null>> {
  const found: StoredAggregate[] = [];
  for await (const one of store.active(on(space, partition))) found.push(one);
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
      expect(await store.load(on('run'), 'a')).toBeUndefined();
      expect(await active(store, 'run')).toEqual(new Map());
      expect(await store.count(on('run'))).toBe(0);
      expect(await store.position('desk', 0)).toBeUndefined();
      expect(await store.prune(0, 1)).toBe(0);
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
      expect(await again.load(on('run'), 'a')).toEqual({ id: 'a', state: '{"n":2} 🌍' });
      expect(await again.load(on('run'), 'b')).toEqual({ id: 'b', state: '' });
      expect(await again.load(on('signal'), 'a')).toEqual({ id: 'a', state: 'other' });
      expect(await again.load(on('signal'), 'b')).toBeUndefined();
      expect(await again.count(on('run'))).toBe(2);
      expect(await again.position('desk', 0)).toEqual(at(5));
      expect(await again.position('intake', 0)).toBeUndefined();
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
      expect(await store.load(on('run'), 'a')).toEqual({ id: 'a', state: null });
      expect(await store.load(on('run'), 'never')).toEqual({ id: 'never', state: null });
      expect(await active(store, 'run')).toEqual(new Map([['c', 'z']]));
      expect(await store.count(on('run'))).toBe(1);

      expect(await store.prune(0, 30)).toBe(1);
      expect(await store.load(on('run'), 'a')).toBeUndefined();
      expect(await store.load(on('run'), 'b')).toEqual({ id: 'b', state: null });
      expect(await store.load(on('run'), 'c')).toEqual({ id: 'c', state: 'z' });
      expect(await store.prune(0, 31)).toBe(2);
      expect(await store.prune(0, 31)).toBe(0);
    });

    it('takes up again what had ended', async () => {
      const { store } = await fresh();
      await store.commit('desk', at(1), { signal: [{ id: 'a', state: 'x' }] }, 10);
      await store.commit('desk', at(2), { signal: [{ id: 'a', state: null }] }, 20);
      await store.commit('desk', at(3), { signal: [{ id: 'a', state: 'again' }] }, 30);
      expect(await store.prune(0, 100)).toBe(0);
      expect(await store.load(on('signal'), 'a')).toEqual({ id: 'a', state: 'again' });
      expect(await store.count(on('signal'))).toBe(1);
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
      expect(await store.load(on('run'), 'a')).toEqual({ id: 'a', state: 'newer' });
      expect(await store.load(on('other'), 'b')).toBeUndefined();
      expect(await store.position('desk', 0)).toEqual(at(5));
      await store.commit('desk', at(5), { run: [{ id: 'a', state: 'same position' }] }, 20);
      await store.commit('intake', at(1), {}, 20);
      expect(await store.load(on('run'), 'a')).toEqual({ id: 'a', state: 'same position' });
      expect(await store.position('intake', 0)).toEqual(at(1));
    });

    it('keeps partitions apart', async () => {
      const { store, reopen } = await fresh();
      await store.commit('desk', at(5, 0), { run: [{ id: 'a', state: 'of 0' }] }, 10);
      await store.commit('desk', at(3, 1), { run: [{ id: 'a', state: 'of 1' }] }, 10);
      await store.commit('desk', at(9, 12), { run: [{ id: 'b', state: 'of 12' }] }, 10);
      await store.commit('desk', at(4, 1), { run: [{ id: 'c', state: null }] }, 10);
      const again = await reopen();
      expect(await active(again, 'run', 0)).toEqual(new Map([['a', 'of 0']]));
      expect(await active(again, 'run', 1)).toEqual(new Map([['a', 'of 1']]));
      expect(await active(again, 'run', 12)).toEqual(new Map([['b', 'of 12']]));
      expect(await active(again, 'run', 2)).toEqual(new Map());
      expect(await again.load(on('run', 1), 'a')).toEqual({ id: 'a', state: 'of 1' });
      expect(await again.load(on('run', 1), 'c')).toEqual({ id: 'c', state: null });
      expect(await again.load(on('run', 0), 'c')).toBeUndefined();
      expect(await again.load(on('run', 2), 'a')).toBeUndefined();
      expect(await Promise.all([0, 1, 2, 12].map((partition) => again.count(on('run', partition))))).toEqual([
        1, 1, 0, 1,
      ]);
      expect(await again.position('desk', 0)).toEqual(at(5, 0));
      expect(await again.position('desk', 1)).toEqual(at(4, 1));
      expect(await again.position('desk', 12)).toEqual(at(9, 12));
      expect(await again.position('desk', 2)).toBeUndefined();
      expect(await again.prune(1, 11)).toBe(1);
    });

    it('takes what goes to many in one commit, and the last of two for one', async () => {
      const { store } = await fresh();
      await store.commit('desk', at(1), { run: [{ id: 'old', state: 'x' }], signal: [{ id: 's', state: 'x' }] }, 10);
      const many = (space: string) =>
        Array.from({ length: 2_500 }, (_, n) => ({ id: `${space} ${n}`, state: n % 3 === 0 ? null : `${n}` }));
      const writes = {
        run: [
          ...many('run'),
          { id: 'old', state: null },
          { id: 'run 1', state: null },
          { id: 'run 0', state: 'again' },
        ],
        signal: many('signal'),
      };
      await store.commit('desk', at(2), writes, 20);
      const expected = (space: string) => many(space).flatMap(({ id, state }) => (state === null ? [] : [[id, state]]));
      const run = new Map(expected('run') as [string, string][]).set('run 0', 'again');
      run.delete('run 1');
      expect(await active(store, 'run')).toEqual(run);
      expect(await store.count(on('run'))).toBe(run.size);
      expect(await active(store, 'signal')).toEqual(
        new Map([['s', 'x'], ...(expected('signal') as [string, string][])]),
      );
      expect(await store.load(on('run'), 'run 3')).toEqual({ id: 'run 3', state: null });
      expect(await store.load(on('run'), 'old')).toEqual({ id: 'old', state: null });
      expect(await store.prune(0, 20)).toBe(0);
      expect(await store.prune(0, 21)).toBe(834 + 834 - 1 + 2);
    });

    it('keeps large states whole', async () => {
      const { store } = await fresh();
      const large = ['é🌍', 'b', 'c'].map((text, n) => ({ id: `${n}`, state: text.repeat(1_200_000) }));
      await store.commit('desk', at(1), { run: large }, 10);
      for (const one of large) expect(await store.load(on('run'), one.id)).toEqual(one);
      const found = await active(store, 'run');
      expect([...found.values()].map((state) => state?.length)).toEqual(large.map(({ state }) => state.length));
    });

    it('takes commits in the order of their calls', async () => {
      const { store } = await fresh();
      // Some of them large: they must not be overtaken.
      const others = Array.from({ length: 2_500 }, (_, n) => ({ id: `b ${n}`, state: 'x' }));
      const commits = Array.from({ length: 50 }, (_, n) => {
        const writes = [{ id: 'a', state: String(n) }, ...(n % 20 === 0 ? others : [])];
        return store.commit('desk', at(n), { [`space ${n >> 1}`]: writes }, n);
      });
      await Promise.all(commits);
      expect(await store.position('desk', 0)).toEqual(at(49));
      expect(await store.load(on('space 24'), 'a')).toEqual({ id: 'a', state: '49' });
      expect(await store.count(on('space 3'))).toBe(1);
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
            await store.prune(0, now);
            for (const space of Object.values(model)) {
              for (const [id, { state, at }] of space) if (state === null && at < now) space.delete(id);
            }
          }
          for (const [space, kept] of Object.entries(model)) {
            const live = [...kept]
              .filter(([, { state }]) => state !== null)
              .map(([id, { state }]) => [id, state] as const);
            expect(await active(store, space)).toEqual(new Map(live));
            expect(await store.count(on(space))).toBe(live.length);
            for (const id of ['a', 'b', 'c', 'd', 'e']) {
              const one = kept.get(id);
              expect(await store.load(on(space), id)).toEqual(one && { id, state: one.state });
            }
          }
        }),
        { numRuns: 100 },
      );
    });
  });
}
