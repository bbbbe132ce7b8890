import { afterEach, describe, expect, it } from 'vitest';
import { DEFAULT_ENV } from '#core/words.js';
import type { SeenEvent, SeenEvents } from '#ports/seen-events.port.js';

/** A store of its own for one test. */
export interface SeenUnderTest {
  readonly store: SeenEvents;
  /** Closes the store and opens what it has kept. */
  readonly reopen: () => Promise<SeenEvents>;
  /** Closes the store and takes away what it has kept. */
  readonly dispose: () => Promise<void>;
}

const at = (offset: number, partition = 0) => ({ partition, offset });

export function seen(functionId: string, eventId: string, offset: number, more: Partial<SeenEvent> = {}): SeenEvent {
  return { env: DEFAULT_ENV, functionId, eventId, internalId: `internal ${offset}`, position: at(offset), ...more };
}

/** The promises of `SeenEvents`, held against an adapter. */
export function seenEventsContract(name: string, open: () => Promise<SeenUnderTest>): void {
  describe(`${name} keeps the promises of SeenEvents`, () => {
    const opened: SeenUnderTest[] = [];
    const fresh = async (): Promise<SeenUnderTest> => {
      const store = await open();
      opened.push(store);
      return store;
    };
    afterEach(async () => {
      for (const store of opened.splice(0)) await store.dispose();
    });

    it('knows nothing at first', async () => {
      const { store } = await fresh();
      expect(await store.first(0, DEFAULT_ENV, 'f', 'e')).toBeUndefined();
      expect(await store.position(0)).toBeUndefined();
      expect(await store.prune(0, 1)).toBe(0);
    });

    it('keeps the first of an id, by function and environment, also over a restart', async () => {
      const { store, reopen } = await fresh();
      const first = seen('f', 'e', 1);
      const ofOther = seen('g', 'e', 2);
      const elsewhere = seen('f', 'e', 3, { env: 'another' });
      const same = seen('f', 'internal 4', 4, { internalId: 'internal 4' });
      await store.commit([first, ofOther], at(3), 10);
      await store.commit([seen('f', 'e', 3), elsewhere, same], at(5), 20);
      const again = await reopen();
      expect(await again.first(0, DEFAULT_ENV, 'f', 'e')).toEqual({ ...first, at: 10 });
      expect(await again.first(0, DEFAULT_ENV, 'g', 'e')).toEqual({ ...ofOther, at: 10 });
      expect(await again.first(0, 'another', 'f', 'e')).toEqual({ ...elsewhere, at: 20 });
      expect(await again.first(0, DEFAULT_ENV, 'f', 'internal 4')).toEqual({ ...same, at: 20 });
      expect(await again.first(0, 'another', 'g', 'e')).toBeUndefined();
      expect(await again.position(0)).toEqual(at(5));
    });

    it('tells ids apart that differ in anything', async () => {
      const { store } = await fresh();
      const ids = [
        'e',
        'E',
        'e ',
        '',
        '\u0000',
        'é',
        'e\u0301',
        '\ud800',
        '\ud801',
        '\ufffd',
        '"\\ud800"',
        '\u0000"\\ud800"',
      ];
      await store.commit(
        ids.map((id, n) => seen('f', id, n)),
        at(ids.length),
        10,
      );
      for (const [n, id] of ids.entries()) {
        expect(await store.first(0, DEFAULT_ENV, 'f', id)).toEqual({ ...seen('f', id, n), at: 10 });
      }
    });

    it('keeps the first of two of the same commit', async () => {
      const { store } = await fresh();
      await store.commit([seen('f', 'e', 1), seen('f', 'e', 2)], at(3), 10);
      expect(await store.first(0, DEFAULT_ENV, 'f', 'e')).toEqual({ ...seen('f', 'e', 1), at: 10 });
    });

    it('forgets what was committed before a time; the id may come again', async () => {
      const { store } = await fresh();
      await store.commit([seen('f', 'old', 1)], at(2), 10);
      await store.commit([seen('f', 'new', 2)], at(3), 20);
      expect(await store.prune(0, 20)).toBe(1);
      expect(await store.first(0, DEFAULT_ENV, 'f', 'old')).toBeUndefined();
      expect(await store.first(0, DEFAULT_ENV, 'f', 'new')).toEqual({ ...seen('f', 'new', 2), at: 20 });
      await store.commit([seen('f', 'old', 3)], at(4), 30);
      expect(await store.first(0, DEFAULT_ENV, 'f', 'old')).toEqual({ ...seen('f', 'old', 3), at: 30 });
    });

    it('refuses an older position, with all that comes with it', async () => {
      const { store } = await fresh();
      await store.commit([], at(5), 10);
      await expect(store.commit([seen('f', 'e', 3)], at(4), 20)).rejects.toMatchObject({ code: 'position_stale' });
      expect(await store.first(0, DEFAULT_ENV, 'f', 'e')).toBeUndefined();
      expect(await store.position(0)).toEqual(at(5));
      await store.commit([seen('f', 'e', 4)], at(5), 20);
      expect(await store.first(0, DEFAULT_ENV, 'f', 'e')).toEqual({ ...seen('f', 'e', 4), at: 20 });
    });

    it('keeps partitions apart', async () => {
      const { store, reopen } = await fresh();
      const here = seen('f', 'here', 7);
      const there = seen('f', 'there', 2, { position: at(2, 3) });
      await store.commit([here], at(8), 10);
      await store.commit([there], at(3, 3), 20);
      const again = await reopen();
      expect(await again.first(0, DEFAULT_ENV, 'f', 'here')).toEqual({ ...here, at: 10 });
      expect(await again.first(3, DEFAULT_ENV, 'f', 'there')).toEqual({ ...there, at: 20 });
      expect(await again.position(0)).toEqual(at(8));
      expect(await again.position(3)).toEqual(at(3, 3));
      expect(await again.position(1)).toBeUndefined();
      await expect(again.commit([], at(2, 3), 30)).rejects.toMatchObject({ code: 'position_stale' });
      expect(await again.prune(3, 21)).toBeGreaterThanOrEqual(1);
      expect(await again.first(3, DEFAULT_ENV, 'f', 'there')).toBeUndefined();
    });

    it('takes many entries in one commit', async () => {
      const { store } = await fresh();
      const many = Array.from({ length: 3_500 }, (_, n) => seen(`f ${n % 3}`, `e ${n}`, n));
      await store.commit([...many, seen('f 0', 'e 0', 9_999)], at(10_000), 10);
      for (const n of [0, 1, 999, 1_000, 2_000, 3_499]) {
        expect(await store.first(0, DEFAULT_ENV, `f ${n % 3}`, `e ${n}`)).toEqual({ ...many[n], at: 10 });
      }
      expect(await store.position(0)).toEqual(at(10_000));
      expect(await store.prune(0, 11)).toBe(3_500);
    });

    it('takes commits in the order of their calls', async () => {
      const { store } = await fresh();
      const commits = Array.from({ length: 50 }, (_, n) => store.commit([seen(`f ${n >> 1}`, 'e', n)], at(n + 1), n));
      await Promise.all(commits);
      expect(await store.position(0)).toEqual(at(50));
      expect(await store.first(0, DEFAULT_ENV, 'f 24', 'e')).toEqual({ ...seen('f 24', 'e', 48), at: 48 });
    });
  });
}
