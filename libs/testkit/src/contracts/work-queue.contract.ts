import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DEFAULT_ENV } from '#core/words.js';
import type { Clock } from '#ports/clock.port.js';
import type { Lease, WorkItem, WorkQueue } from '#ports/work-queue.port.js';
import { ManualClock, settle } from '../manual-clock.js';

/** Leases of the queue under test last this long. */
export const LEASE_MS = 30_000;

export function aWorkItem(id: string, more: Partial<WorkItem> = {}): WorkItem {
  return {
    id,
    env: DEFAULT_ENV,
    runId: `run-${id}`,
    functionId: 'f',
    kind: 'call',
    target: 'step',
    seq: 0,
    generation: 1,
    attempt: 0,
    dueAt: 0,
    rank: 0,
    ...more,
  };
}

/** What a queue promises. @param open a new queue, whose leases last `LEASE_MS` */
export function workQueueContract(name: string, open: (clock: Clock) => Promise<WorkQueue>): void {
  const never = new AbortController().signal;

  async function opened(): Promise<{ clock: ManualClock; queue: WorkQueue; now: () => Promise<Lease | undefined> }> {
    const clock = new ManualClock(1_000_000);
    const queue = await open(clock);
    /** The item that may be had at this moment. */
    const now = async () => {
      const stop = new AbortController();
      const claim = queue.claim(stop.signal);
      await settle();
      stop.abort();
      return claim;
    };
    return { clock, queue, now };
  }

  describe(`${name} is a WorkQueue`, () => {
    it('hands out an item once, under a lease, and forgets it when it is complete', async () => {
      const { clock, queue, now } = await opened();
      await queue.enqueue([aWorkItem('a')]);
      const lease = await now();
      expect(lease?.item.id).toBe('a');
      expect(lease?.until).toBe(clock.now() + LEASE_MS);
      expect(await now()).toBeUndefined();
      await queue.complete(lease as Lease);
      expect(await queue.counts()).toEqual({ running: 0, ready: 0, later: 0 });
    });

    it('leaves an item that is put out twice as it is, also while it is leased', async () => {
      const { queue, now } = await opened();
      await queue.enqueue([aWorkItem('a')]);
      await queue.enqueue([aWorkItem('a')]);
      const lease = await now();
      await queue.enqueue([aWorkItem('a')]);
      expect(await now()).toBeUndefined();
      await queue.complete(lease as Lease);
      expect(await now()).toBeUndefined();
    });

    it('wakes who waits for an item', async () => {
      const { queue } = await opened();
      const claim = queue.claim(never);
      await settle();
      await queue.enqueue([aWorkItem('a')]);
      expect((await claim)?.item.id).toBe('a');
    });

    it('gives up waiting when it is told to, and the item goes to another', async () => {
      const { queue, now } = await opened();
      const stop = new AbortController();
      const claim = queue.claim(stop.signal);
      stop.abort();
      expect(await claim).toBeUndefined();
      expect(await queue.claim(stop.signal)).toBeUndefined();
      await queue.enqueue([aWorkItem('a')]);
      expect((await now())?.item.id).toBe('a');
    });

    it('holds an item back until it is due, and not longer', async () => {
      const { clock, queue, now } = await opened();
      await queue.enqueue([aWorkItem('a', { dueAt: clock.now() + 500 }), aWorkItem('b', { dueAt: clock.now() + 200 })]);
      const claims: string[] = [];
      const wait = queue.claim(never).then((lease) => claims.push(`${lease?.item.id} ${clock.now()}`));
      await clock.turn(199);
      expect(claims).toEqual([]);
      await clock.turn(1);
      await wait;
      expect(claims).toEqual([`b ${1_000_200}`]);
      expect(await now()).toBeUndefined();
      await clock.turn(300);
      expect((await now())?.item.id).toBe('a');
    });

    it('serves a function by rank, and among equals by arrival', async () => {
      const { queue, now } = await opened();
      await queue.enqueue([
        aWorkItem('young', { rank: 9 }),
        aWorkItem('old', { rank: 1 }),
        aWorkItem('old too', { rank: 1 }),
      ]);
      const order = [await now(), await now(), await now()].map((lease) => lease?.item.id);
      expect(order).toEqual(['old', 'old too', 'young']);
    });

    it('serves functions in turn: a long line does not delay another function', async () => {
      const { queue, now } = await opened();
      await queue.enqueue(Array.from({ length: 100 }, (_, n) => aWorkItem(`many-${n}`, { functionId: 'many' })));
      await queue.enqueue([aWorkItem('one', { functionId: 'few', rank: 1e12 })]);
      const first = [await now(), await now()].map((lease) => lease?.item.id);
      expect(first).toContain('one');
    });

    it('keeps to the limit of a function, and fills a slot as soon as it is free', async () => {
      const { queue, now } = await opened();
      await queue.limit('f', 2);
      await queue.enqueue([1, 2, 3].map((n) => aWorkItem(`i${n}`, { rank: n })));
      const [first, second] = [await now(), await now()];
      expect(await now()).toBeUndefined();
      const third = queue.claim(never);
      await queue.complete(second as Lease);
      expect((await third)?.item.id).toBe('i3');
      expect(first?.item.id).toBe('i1');
    });

    it('applies a changed limit to what waits already', async () => {
      const { queue, now } = await opened();
      await queue.limit('f', 1);
      await queue.enqueue([1, 2, 3].map((n) => aWorkItem(`i${n}`)));
      await now();
      const second = queue.claim(never);
      await settle();
      await queue.limit('f', 2);
      expect((await second)?.item.id).toBe('i2');
      await queue.limit('f', undefined);
      expect((await now())?.item.id).toBe('i3');
    });

    it('takes back what is no longer owed, unless it is under way', async () => {
      const { clock, queue, now } = await opened();
      await queue.enqueue([
        aWorkItem('ready'),
        aWorkItem('later', { dueAt: clock.now() + 10 }),
        aWorkItem('last', { rank: 1 }),
      ]);
      await queue.withdraw(['ready', 'later', 'unknown']);
      const lease = await now();
      expect(lease?.item.id).toBe('last');
      await queue.withdraw(['last']);
      await clock.turn(20);
      expect(await now()).toBeUndefined();
      await queue.complete(lease as Lease);
      expect(await queue.counts()).toEqual({ running: 0, ready: 0, later: 0 });
    });

    it('hands an item out again when its lease has ended, and gives its slot back', async () => {
      const { clock, queue, now } = await opened();
      await queue.limit('f', 1);
      await queue.enqueue([aWorkItem('a')]);
      const lost = await now();
      await clock.turn(LEASE_MS - 1);
      expect(await now()).toBeUndefined();
      await clock.turn(1);
      const again = await now();
      expect(again?.item.id).toBe('a');
      await expect(queue.extend(lost as Lease)).rejects.toMatchObject({ code: 'lease_lost' });
      await queue.complete(lost as Lease);
      expect((await queue.counts('f')).running).toBe(1);
      await queue.complete(again as Lease);
    });

    it('keeps a lease that is extended', async () => {
      const { clock, queue, now } = await opened();
      await queue.enqueue([aWorkItem('a')]);
      let lease = (await now()) as Lease;
      for (let i = 0; i < 5; i++) {
        await clock.turn(LEASE_MS / 2);
        lease = await queue.extend(lease);
      }
      expect(await now()).toBeUndefined();
      expect(lease.until).toBe(clock.now() + LEASE_MS);
    });

    it('tells what is out for a run', async () => {
      const { clock, queue, now } = await opened();
      await queue.enqueue([
        aWorkItem('a', { runId: 'r' }),
        aWorkItem('b', { runId: 'r', dueAt: clock.now() + 5 }),
        aWorkItem('c'),
      ]);
      await now();
      expect((await queue.ofRun('r')).map(({ id, leased }) => [id, leased])).toEqual([
        ['a', true],
        ['b', false],
      ]);
      expect(await queue.ofRun('nobody')).toEqual([]);
    });

    it('never exceeds a limit, loses nothing and hands out nothing twice, whatever comes', () =>
      fc.assert(
        fc.asyncProperty(fc.array(anyMove, { maxLength: 80 }), async (moves) => {
          const { clock, queue, now } = await opened();
          const limits = new Map<string, number>();
          const out = new Map<string, WorkItem>();
          const leased = new Map<string, Lease>();
          let made = 0;
          for (const move of moves) {
            const functionId = `f${move.fn}`;
            if (move.kind === 'limit') {
              limits.set(functionId, move.n + 1);
              await queue.limit(functionId, move.n + 1);
            } else if (move.kind === 'enqueue') {
              const item = aWorkItem(`i${made++}`, { functionId, rank: move.n, dueAt: clock.now() + move.n * 10 });
              out.set(item.id, item);
              await queue.enqueue([item]);
            } else if (move.kind === 'turn') {
              await clock.turn(move.n * 7);
              for (const [id, lease] of leased) if (lease.until <= clock.now()) leased.delete(id);
            } else if (move.kind === 'withdraw') {
              const [id] = [...out.keys()].filter((key) => !leased.has(key));
              if (id !== undefined) {
                out.delete(id);
                await queue.withdraw([id]);
              }
            } else if (move.kind === 'complete') {
              const [lease] = leased.values();
              if (lease) {
                leased.delete(lease.item.id);
                out.delete(lease.item.id);
                await queue.complete(lease);
              }
            } else {
              const running = [...leased.values()].filter(({ item }) => item.functionId === functionId).length;
              const lease = await now();
              if (lease) {
                expect(out.has(lease.item.id)).toBe(true);
                expect(leased.has(lease.item.id)).toBe(false);
                expect(lease.item.dueAt).toBeLessThanOrEqual(clock.now());
                leased.set(lease.item.id, lease);
              } else {
                const free = [...out.values()].filter(
                  ({ id, dueAt, functionId: fn }) =>
                    !leased.has(id) &&
                    dueAt <= clock.now() &&
                    [...leased.values()].filter(({ item }) => item.functionId === fn).length <
                      (limits.get(fn) ?? 1_000),
                );
                expect(free).toEqual([]);
              }
              expect(running).toBeLessThanOrEqual(1_000);
            }
            for (const [fn] of limits) {
              // A limit that was lowered lets what is under way finish.
              const running = [...leased.values()].filter(({ item }) => item.functionId === fn).length;
              expect((await queue.counts(fn)).running).toBe(running);
            }
          }
        }),
        { numRuns: 150 },
      ));
  });
}

const anyMove = fc.record({
  kind: fc.constantFrom(
    'enqueue' as const,
    'enqueue' as const,
    'claim' as const,
    'claim' as const,
    'complete' as const,
    'withdraw' as const,
    'turn' as const,
    'limit' as const,
  ),
  fn: fc.nat(2),
  n: fc.nat(3),
});
