import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { throttleKey, type FunctionLimits, type RunFlow } from '#core/flow/flow.js';
import { FlowModel } from '#core/flow/flow.model.js';
import { DEFAULT_ENV } from '#core/words.js';
import type { Clock } from '#ports/clock.port.js';
import type { Lease, QueueChange, RunSlot, WorkItem, WorkQueue } from '#ports/work-queue.port.js';
import { anyPlan, ANYTHING, FlowPlayer, functionId, type FlowMove } from '../flow.history.js';
import { FlowReference } from '../flow.reference.js';
import { ManualClock } from '../manual-clock.js';
import { aWorkItem } from '../work-item.js';

/** Leases of the queue under test last this long. */
export const LEASE_MS = 30_000;

const PLAN = { scope: 'fn', expression: 'plan', value: 'x', limit: 1 } as const;
const USER = { expression: 'user', value: 'u' } as const;

function limitsOf(limits: Partial<FunctionLimits>): FunctionLimits {
  return { concurrency: 1_000, declared: false, ...limits };
}

function customer(value: string): RunFlow {
  return { step: [{ scope: 'fn', expression: 'customer', value, limit: 100 }] };
}

const TWO_KEYS = limitsOf({
  step: [
    { scope: 'fn', expression: 'customer', limit: 1 },
    { scope: 'fn', expression: 'model', limit: 1 },
  ],
});

function twoKeys(customer: string, model: string): RunFlow {
  return {
    step: [
      { scope: 'fn', expression: 'customer', value: customer, limit: 1 },
      { scope: 'fn', expression: 'model', value: model, limit: 1 },
    ],
  };
}

function slotOf({ item: { runId, env, functionId } }: Lease): RunSlot {
  return { runId, env, functionId, key: PLAN };
}

async function ids(now: () => Promise<Lease | undefined>, count: number): Promise<(string | undefined)[]> {
  const got: (string | undefined)[] = [];
  for (let n = 0; n < count; n++) got.push((await now())?.item.id);
  return got;
}

const NO_CHANGE: QueueChange = { withdraw: [], vacate: [], occupy: [], throttled: [], enqueue: [] };

/** What the contract needs of a queue beside the queue. */
export interface OpenQueue {
  /** New, and its leases last `LEASE_MS`. */
  readonly queue: WorkQueue;
  /** Resolves once it has nothing under way: it has answered what it was asked, and those who wait sleep. */
  readonly quiet: () => Promise<void>;
  /** How much it remembers, where that can be told. */
  readonly size?: () => Promise<FlowModel['size']>;
}

export interface WorkQueueKind {
  /** It ends with its process, so that it reflects no partition and cannot lose what it holds. */
  readonly volatile: boolean;
  /** How many random histories it is compared with the model over. */
  readonly histories: number;
}

/** What a queue promises. @param open with so many partitions that must be there before anything is handed out; 0: none */
export function workQueueContract(
  name: string,
  { volatile, histories }: WorkQueueKind,
  open: (clock: Clock, partitions: number) => Promise<OpenQueue>,
): void {
  const never = new AbortController().signal;

  async function opened(partitions = 0) {
    const clock = new ManualClock(1_000_000);
    const { queue, quiet, size } = await open(clock, partitions);
    /** The item that may be had at this moment. */
    const now = async (): Promise<Lease | undefined> => {
      const stop = new AbortController();
      const claim = queue.claim(stop.signal);
      await quiet();
      stop.abort();
      return claim;
    };
    /** Turns the clock, so that whatever an alarm sets off has come to rest before the next one rings. */
    const turn = async (ms: number): Promise<void> => {
      const until = clock.now() + ms;
      await quiet();
      for (let next = clock.next(); next !== undefined && next < until; next = clock.next()) {
        await clock.turnTo(next);
        await quiet();
      }
      await clock.turnTo(until);
      await quiet();
    };
    return { clock, queue, now, turn, quiet, ...(size ? { size } : {}) };
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
      const { queue, quiet } = await opened();
      const claim = queue.claim(never);
      await quiet();
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
      const { clock, queue, now, turn } = await opened();
      await queue.enqueue([aWorkItem('a', { dueAt: clock.now() + 500 }), aWorkItem('b', { dueAt: clock.now() + 200 })]);
      const claims: string[] = [];
      const wait = queue.claim(never).then((lease) => claims.push(`${lease?.item.id} ${clock.now()}`));
      await turn(199);
      expect(claims).toEqual([]);
      await turn(1);
      await wait;
      expect(claims).toEqual([`b ${1_000_200}`]);
      expect(await now()).toBeUndefined();
      await turn(300);
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

    it('serves the lines of a function in turn: many items of one key do not delay another', async () => {
      const { queue, now } = await opened();
      await queue.enqueue(Array.from({ length: 100 }, (_, n) => aWorkItem(`many-${n}`, { flow: customer('many') })));
      await queue.enqueue([aWorkItem('one', { flow: customer('few'), rank: 1e12 })]);
      expect(await ids(now, 2)).toContain('one');
    });

    it('keeps to the number of a function, and fills a slot as soon as it is free', async () => {
      const { queue, now } = await opened();
      await queue.limits('f', limitsOf({ concurrency: 2 }));
      await queue.enqueue([1, 2, 3].map((n) => aWorkItem(`i${n}`, { rank: n })));
      const [first, second] = [await now(), await now()];
      expect(await now()).toBeUndefined();
      const third = queue.claim(never);
      await queue.complete(second as Lease);
      expect((await third)?.item.id).toBe('i3');
      expect(first?.item.id).toBe('i1');
    });

    it('applies changed numbers to what waits already', async () => {
      const { queue, now, quiet } = await opened();
      await queue.limits('f', limitsOf({ concurrency: 1 }));
      await queue.enqueue([1, 2, 3].map((n) => aWorkItem(`i${n}`)));
      await now();
      const second = queue.claim(never);
      await quiet();
      await queue.limits('f', limitsOf({ concurrency: 2 }));
      expect((await second)?.item.id).toBe('i2');
      await queue.limits('f', undefined);
      expect((await now())?.item.id).toBe('i3');
    });

    it('hands out nothing of a function that is paused, and wakes who waits when it goes on', async () => {
      const { queue, now } = await opened();
      await queue.limits('f', limitsOf({ paused: true }));
      await queue.enqueue([aWorkItem('a')]);
      expect(await now()).toBeUndefined();
      const claim = queue.claim(never);
      await queue.limits('f', limitsOf({}));
      expect((await claim)?.item.id).toBe('a');
    });

    it('keeps to the number of a key, across the functions that share its bucket', async () => {
      const { queue, now } = await opened();
      const key = { scope: 'account', expression: 'model', value: 'm', limit: 1 } as const;
      const step = [{ scope: 'account', expression: 'model', limit: 1 }] as const;
      for (const functionId of ['f', 'g']) {
        await queue.limits(functionId, limitsOf({ step }));
        await queue.enqueue([aWorkItem(`of ${functionId}`, { functionId, flow: { step: [key] } })]);
      }
      const first = await now();
      expect([first?.item.id, await now()]).toEqual(['of f', undefined]);
      const second = queue.claim(never);
      await queue.complete(first as Lease);
      expect((await second)?.item.id).toBe('of g');
    });

    it('keeps whole runs to their number: a slot is held from the first request until the run is vacated', async () => {
      const { queue, now } = await opened();
      await queue.limits('f', limitsOf({ run: { expression: 'plan', limit: 1 } }));
      await queue.enqueue(['a', 'b'].map((id) => aWorkItem(id, { starts: true, flow: { run: PLAN } })));
      const first = (await now()) as Lease;
      await queue.occupy([slotOf(first), slotOf(first)]);
      await queue.complete(first);
      expect(await now()).toBeUndefined();
      const second = queue.claim(never);
      await queue.vacate([first.item.runId, 'unknown']);
      expect((await second)?.item.id).toBe('b');
    });

    it('gives the slot of a run back when its first request ends and the run does not hold it by then', async () => {
      const { queue, now, turn } = await opened();
      await queue.limits('f', limitsOf({ run: { expression: 'plan', limit: 1 } }));
      await queue.enqueue(['a', 'b', 'c'].map((id) => aWorkItem(id, { starts: true, flow: { run: PLAN } })));
      await queue.complete((await now()) as Lease);
      expect(await ids(now, 2)).toEqual(['b', undefined]);
      await turn(LEASE_MS);
      expect(await ids(now, 2)).toEqual(['b', undefined]);
    });

    it('lets so many runs start at once, and then wakes who waits for each one that may', async () => {
      const { clock, queue, now, turn } = await opened();
      await queue.limits('f', limitsOf({ throttle: { limit: 1, periodMs: 1_000, burst: 1 } }));
      await queue.enqueue(['a', 'b', 'c'].map((id) => aWorkItem(id, { starts: true, flow: { throttle: USER } })));
      await queue.enqueue([aWorkItem('step', { flow: { throttle: USER }, rank: 9 })]);
      expect(await ids(now, 4)).toEqual(['a', 'b', 'step', undefined]);
      const woken: number[] = [];
      const claim = queue.claim(never).then((lease) => (woken.push(clock.now()), lease));
      await turn(1_500);
      expect((await claim)?.grant?.throttle?.tat).toBe(1_003_000);
      expect(woken).toEqual([1_001_000]);
    });

    it('takes what is told of throttles, and never back', async () => {
      const { clock, queue, now, turn } = await opened();
      await queue.limits('f', limitsOf({ throttle: { limit: 1, periodMs: 1_000, burst: 0 } }));
      const key = throttleKey(DEFAULT_ENV, 'f', USER);
      await queue.throttled([{ key, tat: clock.now() + 500 }]);
      await queue.throttled([{ key, tat: clock.now() + 100 }]);
      await queue.enqueue([aWorkItem('a', { starts: true, flow: { throttle: USER } })]);
      await turn(499);
      expect(await now()).toBeUndefined();
      await turn(1);
      expect((await now())?.grant?.throttle).toEqual({ key, tat: clock.now() + 1_000 });
    });

    it('says what must be on the log before the call is made: that a limit counts it, and how it waited', async () => {
      const { queue, now, turn } = await opened();
      await queue.enqueue([aWorkItem('free')]);
      expect((await now())?.grant).toBeUndefined();
      await queue.limits('f', limitsOf({ concurrency: 2, declared: true }));
      await queue.enqueue([aWorkItem('a'), aWorkItem('b')]);
      const lease = await now();
      expect(lease?.grant).toEqual({});
      const waits = queue.claim(never);
      await turn(70);
      await queue.complete(lease as Lease);
      expect((await waits)?.grant).toEqual({ waited: { ms: 70, cause: 'concurrency', limit: 2, inUse: 2 } });
    });

    it('counts what was under way when the queue was lost for one lease, then hands it out again', async () => {
      const { queue, now, turn } = await opened();
      await queue.limits('f', limitsOf({ concurrency: 1 }));
      await queue.enqueue([aWorkItem('lost', { underWay: true }), aWorkItem('b', { rank: 1 })]);
      expect(await queue.counts('f')).toEqual({ running: 1, ready: 1, later: 0 });
      await queue.enqueue([aWorkItem('b', { rank: 1, underWay: true })]);
      await turn(LEASE_MS - 1);
      expect(await now()).toBeUndefined();
      await turn(1);
      expect(await ids(now, 2)).toEqual(['lost', undefined]);
    });

    it('takes back what is no longer owed, unless it is under way', async () => {
      const { clock, queue, now, turn } = await opened();
      await queue.enqueue([
        aWorkItem('ready'),
        aWorkItem('later', { dueAt: clock.now() + 10 }),
        aWorkItem('last', { rank: 1 }),
      ]);
      await queue.withdraw(['ready', 'later', 'unknown']);
      const lease = await now();
      expect(lease?.item.id).toBe('last');
      await queue.withdraw(['last']);
      await turn(20);
      expect(await now()).toBeUndefined();
      await queue.complete(lease as Lease);
      expect(await queue.counts()).toEqual({ running: 0, ready: 0, later: 0 });
    });

    it('hands an item out again when its lease has ended, and gives its slot back', async () => {
      const { queue, now, turn } = await opened();
      await queue.limits('f', limitsOf({ concurrency: 1 }));
      await queue.enqueue([aWorkItem('a')]);
      const lost = await now();
      await turn(LEASE_MS - 1);
      expect(await now()).toBeUndefined();
      await turn(1);
      const again = await now();
      expect(again?.item.id).toBe('a');
      await expect(queue.extend(lost as Lease)).rejects.toMatchObject({ code: 'lease_lost' });
      await queue.complete(lost as Lease);
      expect((await queue.counts('f')).running).toBe(1);
      await queue.complete(again as Lease);
    });

    it('keeps a lease that is extended', async () => {
      const { clock, queue, now, turn } = await opened();
      await queue.enqueue([aWorkItem('a')]);
      let lease = (await now()) as Lease;
      for (let i = 0; i < 5; i++) {
        await turn(LEASE_MS / 2);
        lease = await queue.extend(lease);
      }
      expect(await now()).toBeUndefined();
      expect(lease.until).toBe(clock.now() + LEASE_MS);
    });

    it('ends a lease whose item was withdrawn for good, unless the item is owed again', async () => {
      const { queue, now, turn } = await opened();
      await queue.enqueue([aWorkItem('a'), aWorkItem('b')]);
      await ids(now, 2);
      await queue.withdraw(['a', 'b']);
      await queue.enqueue([aWorkItem('b')]);
      await turn(LEASE_MS);
      expect(await ids(now, 2)).toEqual(['b', undefined]);
    });

    it('tells what is out for a run, and what it waits for', async () => {
      const { clock, queue, now } = await opened();
      await queue.limits('f', limitsOf({ concurrency: 1 }));
      await queue.enqueue([
        aWorkItem('a', { runId: 'r' }),
        aWorkItem('b', { runId: 'r', dueAt: clock.now() + 5 }),
        aWorkItem('c', { runId: 'r', rank: 1 }),
        aWorkItem('d'),
      ]);
      await now();
      const held = { cause: 'concurrency', scope: 'fn', key: '', limit: 1, inUse: 1, holders: ['r'] };
      expect((await queue.ofRun('r')).map(({ id, leased, wait }) => [id, leased, wait])).toEqual([
        ['a', true, undefined],
        ['b', false, undefined],
        ['c', false, { ...held, place: 2 }],
      ]);
      expect(await queue.ofRun('nobody')).toEqual([]);
    });

    it('tells the lines of a function, the longest first', async () => {
      const { clock, queue, now } = await opened();
      const items = ['a', 'b', 'b', 'b', 'c'].map((key, n) => aWorkItem(`i${n}`, { flow: customer(key) }));
      await queue.enqueue([...items, aWorkItem('later', { dueAt: clock.now() + 5 })]);
      await now();
      const { lines, ...rest } = await queue.backlog('f', 1);
      expect(rest).toEqual({ running: 1, ready: 4, later: 1, lineCount: 3, nextAt: clock.now() + 5 });
      const keys = [{ limit: 'step', expression: 'customer', value: 'b' }];
      expect(lines).toEqual([{ keys, ready: 3, running: 0, wait: { cause: 'turn', place: 1 } }]);
    });

    it('lets the next go where the first that waits for a slot that is free has another way blocked', async () => {
      const { queue, now } = await opened();
      await queue.limits('f', TWO_KEYS);
      await queue.enqueue([aWorkItem('a', { flow: twoKeys('x', 'k') }), aWorkItem('b', { flow: twoKeys('y', 'm') })]);
      const [a] = [(await now()) as Lease, await now()];
      await queue.enqueue([aWorkItem('c', { flow: twoKeys('x', 'm') }), aWorkItem('d', { flow: twoKeys('x', 'n') })]);
      expect(await now()).toBeUndefined();
      await queue.complete(a);
      expect(await ids(now, 2)).toEqual(['d', undefined]);
    });

    it('keeps to the turns of those who wait for a slot, also where the one that was let out has lost his', async () => {
      const { queue, now } = await opened();
      await queue.limits('f', TWO_KEYS);
      await queue.enqueue([aWorkItem('a', { flow: twoKeys('x', 'k') })]);
      const a = (await now()) as Lease;
      // Those of `b` and `d` stand in two lines and before the same buckets.
      await queue.enqueue([
        aWorkItem('b', { flow: twoKeys('x', 'm') }),
        aWorkItem('c', { flow: twoKeys('x', 'n') }),
        aWorkItem('d', { flow: { ...twoKeys('x', 'm'), throttle: USER } }),
      ]);
      expect(await now()).toBeUndefined();
      await queue.complete(a);
      await queue.withdraw(['b']);
      expect(await ids(now, 2)).toEqual(['c', undefined]);
    });

    it('keeps to the turns of those who wait for a throttle, also where the line of the first has had another', async () => {
      const { queue, now, turn } = await opened();
      await queue.limits('f', limitsOf({ throttle: { limit: 1, periodMs: 1_000, burst: 0 } }));
      const flow = (value: string): RunFlow => ({ ...customer(value), throttle: USER });
      await queue.enqueue([
        aWorkItem('a', { starts: true, flow: flow('0') }),
        aWorkItem('b', { starts: true, flow: flow('1'), rank: 5 }),
        aWorkItem('c', { starts: true, flow: flow('2'), rank: 5 }),
      ]);
      expect(await ids(now, 2)).toEqual(['a', undefined]);
      await queue.enqueue([aWorkItem('d', { flow: flow('1'), rank: 1 })]);
      await turn(1_000);
      expect(await ids(now, 3)).toEqual(['d', 'c', undefined]);
    });

    it('puts an item out in the moment in which the last other one with its keys goes', async () => {
      const { queue, now, turn } = await opened();
      await queue.enqueue([aWorkItem('a', { flow: customer('x') })]);
      expect(await ids(now, 1)).toEqual(['a']);
      await queue.withdraw(['a']);
      await turn(LEASE_MS);
      await queue.enqueue([aWorkItem('b', { flow: customer('x') })]);
      expect(await ids(now, 2)).toEqual(['b', undefined]);
      expect((await queue.backlog('f', 1)).lines).toHaveLength(1);
    });

    it('leaves out numbers that are older than those in force', async () => {
      const { queue, now } = await opened();
      await queue.limits('f', limitsOf({ concurrency: 1 }), 7);
      await queue.limits('f', limitsOf({ concurrency: 2 }), 6);
      await queue.enqueue(['a', 'b', 'c'].map((id) => aWorkItem(id)));
      expect(await ids(now, 2)).toEqual(['a', undefined]);
      await queue.limits('f', undefined, 8);
      await queue.limits('f', limitsOf({ concurrency: 1 }), 7);
      expect(await ids(now, 2)).toEqual(['b', 'c']);
    });

    it('settles what changes at once, in its order', async () => {
      const { queue, now } = await opened();
      await queue.restored(0, 10);
      await queue.limits('f', limitsOf({ run: { expression: 'plan', limit: 1 } }));
      const [a, b] = ['a', 'b'].map((id) => aWorkItem(id, { starts: true, flow: { run: PLAN } }));
      await queue.settle({ ...NO_CHANGE, enqueue: [a, b] as WorkItem[] }, { partition: 0, from: 10, next: 11 });
      const first = (await now()) as Lease;
      await queue.settle({ ...NO_CHANGE, occupy: [slotOf(first)] }, { partition: 0, from: 11, next: 12 });
      await queue.complete(first);
      expect(await now()).toBeUndefined();
      const again = aWorkItem('b', { seq: 1 });
      const change = { ...NO_CHANGE, withdraw: ['b'], vacate: [first.item.runId], enqueue: [again] };
      const claim = queue.claim(never);
      await queue.settle(change, { partition: 0, from: 12, next: 15 });
      expect((await claim)?.item).toEqual(again);
    });

    it('forgets everything when it is told to, also the numbers of functions', async () => {
      const { queue, now } = await opened();
      await queue.limits('f', limitsOf({ concurrency: 1 }), 5);
      await queue.enqueue(['a', 'b'].map((id) => aWorkItem(id)));
      const lease = (await now()) as Lease;
      await queue.clear();
      expect(await queue.counts()).toEqual({ running: 0, ready: 0, later: 0 });
      expect(await now()).toBeUndefined();
      await expect(queue.extend(lease)).rejects.toMatchObject({ code: 'lease_lost' });
      await queue.complete(lease);
      await queue.limits('f', limitsOf({ concurrency: 2 }), 1);
      await queue.enqueue(['a', 'b', 'c'].map((id) => aWorkItem(id)));
      expect(await ids(now, 3)).toEqual(['a', 'b', undefined]);
    });

    it('wakes who waits when it has forgotten everything and is filled again', async () => {
      const { queue, quiet } = await opened();
      const claim = queue.claim(never);
      await quiet();
      await queue.clear();
      await queue.enqueue([aWorkItem('a')]);
      expect((await claim)?.item.id).toBe('a');
    });

    // A queue that ends with its process reflects no partition: whoever settles has put out everything before.
    describe.skipIf(volatile)('which outlives its processes', () => {
      const enqueue = (...items: string[]): QueueChange => ({
        ...NO_CHANGE,
        enqueue: items.map((id) => aWorkItem(id)),
      });

      it('reflects a partition as far as it was restored and settled', async () => {
        const { queue, now } = await opened();
        expect(await queue.reflects(3)).toBeUndefined();
        await queue.restore(3, enqueue('a'));
        expect(await queue.reflects(3)).toBeUndefined();
        await queue.restored(3, 100);
        await queue.settle(enqueue('b'), { partition: 3, from: 100, next: 120 });
        expect(await queue.reflects(3)).toBe(120);
        expect(await queue.reflects(4)).toBeUndefined();
        expect(await ids(now, 3)).toEqual(['a', 'b', undefined]);
      });

      it('refuses a stretch that does not follow on what it reflects, and applies nothing of it', async () => {
        const { queue, now } = await opened();
        await expect(queue.settle(enqueue('a'), { partition: 0, from: 0, next: 1 })).rejects.toMatchObject({
          code: 'state_lost',
        });
        await queue.restored(0, 5);
        await expect(queue.settle(enqueue('a'), { partition: 0, from: 6, next: 7 })).rejects.toMatchObject({
          code: 'state_lost',
        });
        expect(await now()).toBeUndefined();
        expect(await queue.reflects(0)).toBe(5);
      });

      it('leaves out a stretch that it reflects, and takes one that goes on beyond', async () => {
        const { queue, now } = await opened();
        await queue.restored(0, 5);
        await queue.settle(enqueue('late'), { partition: 0, from: 2, next: 5 });
        expect([await now(), await queue.reflects(0)]).toEqual([undefined, 5]);
        await queue.settle(enqueue('a'), { partition: 0, from: 2, next: 6 });
        expect([(await now())?.item.id, await queue.reflects(0)]).toEqual(['a', 6]);
      });

      it('hands out nothing until all partitions are there, then wakes who waits', async () => {
        const { queue, now, turn, quiet } = await opened(2);
        await queue.restore(0, enqueue('a'));
        await queue.restored(0, 1);
        await queue.restore(1, enqueue('b'));
        await turn(LEASE_MS);
        expect(await now()).toBeUndefined();
        const claim = queue.claim(never);
        await quiet();
        await queue.restored(1, 1);
        expect((await claim)?.item.id).toBe('a');
        expect(await ids(now, 2)).toEqual(['b', undefined]);
      });

      it('reflects nothing once it has forgotten everything, and hands out nothing until it is restored', async () => {
        const { queue, now } = await opened(1);
        await queue.restored(0, 5);
        await queue.enqueue([aWorkItem('a')]);
        await queue.clear();
        expect(await queue.reflects(0)).toBeUndefined();
        const lost = queue.settle(enqueue('b'), { partition: 0, from: 5, next: 6 });
        await expect(lost).rejects.toMatchObject({ code: 'state_lost' });
        await queue.restore(0, enqueue('a', 'b'));
        expect(await now()).toBeUndefined();
        await queue.restored(0, 6);
        expect(await ids(now, 3)).toEqual(['a', 'b', undefined]);
      });

      it('is not restored by parts of which some were forgotten', async () => {
        const { queue } = await opened(1);
        await queue.restore(0, enqueue('a'));
        await queue.clear();
        await queue.restore(0, enqueue('b'));
        await queue.restored(0, 1);
        expect(await queue.reflects(0)).toBe(1);
      });
    });

    for (const way of ['one by one', 'in stretches of commands'] as const) {
      it(`does what the model does, step by step, whatever comes ${way}`, () =>
        fc.assert(
          fc.asyncProperty(anyPlan(ANYTHING), async (plan) => {
            const world = await opened();
            const twin = new Twin(world, way === 'in stretches of commands');
            await world.queue.restored(0, 0);
            for (const [n, limits] of plan.limits.entries()) {
              await twin.play({ type: 'limits', functionId: functionId(n), limits });
            }
            const player = new FlowPlayer(plan, twin.reference, plan.limits);
            for (const choice of plan.choices) {
              const move = player.move(choice);
              if (move) await twin.play(move);
            }
            await twin.compare();
          }),
          { numRuns: histories },
        ));
    }
  });
}

interface World extends Pick<OpenQueue, 'queue' | 'size'> {
  readonly clock: ManualClock;
  readonly now: () => Promise<Lease | undefined>;
  readonly turn: (ms: number) => Promise<void>;
}

/** A queue beside the model of it: both are told the same. */
class Twin {
  /** Knows what there is to choose among. */
  readonly reference = new FlowReference();
  private readonly model = new FlowModel();
  private readonly leases = new Map<string, Lease>();
  private settled = 0;

  /** @param settles what changes is settled, not told one by one */
  constructor(
    private readonly world: World,
    private readonly settles: boolean,
  ) {
    this.reference.now = world.clock.now();
  }

  async play(move: FlowMove): Promise<void> {
    const { reference, model, leases, settles } = this;
    const { queue, turn } = this.world;
    const now = this.world.clock.now();
    switch (move.type) {
      case 'enqueue':
        reference.enqueue(move.items, LEASE_MS);
        if (settles) return this.settle({ ...NO_CHANGE, enqueue: move.items });
        model.enqueue(move.items, now, LEASE_MS);
        return queue.enqueue(move.items);
      case 'withdraw':
        reference.withdraw(move.id);
        if (settles) return this.settle({ ...NO_CHANGE, withdraw: [move.id] });
        model.withdraw([move.id]);
        return queue.withdraw([move.id]);
      case 'claim': {
        const [lease, expected] = [await this.world.now(), model.claim(now, move.token, LEASE_MS)];
        expect({ ...lease, token: move.token }).toEqual({ ...expected, token: move.token });
        const kept = reference.kept.find(({ item }) => item.id === lease?.item.id);
        if (lease && kept) {
          reference.take(kept, move.token, LEASE_MS);
          leases.set(move.token, lease);
        }
        return;
      }
      case 'extend': {
        const until = model.extend(move.token, now, LEASE_MS);
        const lease = leases.get(move.token);
        if (!lease) return;
        reference.extend(move.token, LEASE_MS);
        if (until === undefined) await expect(queue.extend(lease)).rejects.toMatchObject({ code: 'lease_lost' });
        else expect(await queue.extend(lease)).toEqual({ ...lease, until });
        return;
      }
      case 'complete': {
        model.complete(move.token, now);
        reference.complete(move.token);
        const lease = leases.get(move.token);
        return lease && queue.complete(lease);
      }
      case 'turn': {
        // Some of what happens is a matter of a few ms, and some of leases.
        const ms = move.ms < 4 ? move.ms : move.ms * (LEASE_MS / 30);
        reference.turn(ms);
        return turn(ms);
      }
      case 'limits':
        if (move.limits) reference.limits.set(move.functionId, move.limits);
        model.limits(move.functionId, move.limits, now);
        return queue.limits(move.functionId, move.limits);
      case 'occupy':
        reference.occupy(move.slot);
        if (settles) return this.settle({ ...NO_CHANGE, occupy: [move.slot] });
        model.occupy([move.slot]);
        return queue.occupy([move.slot]);
      case 'vacate':
        reference.vacate(move.runId);
        if (settles) return this.settle({ ...NO_CHANGE, vacate: [move.runId] });
        model.vacate([move.runId]);
        return queue.vacate([move.runId]);
      case 'throttled':
        reference.tell(move.key, move.tat);
        if (settles) return this.settle({ ...NO_CHANGE, throttled: [move] });
        model.throttled([move]);
        return queue.throttled([move]);
      case 'crash':
        return this.compare();
    }
  }

  private settle(change: QueueChange): Promise<void> {
    const { model } = this;
    model.withdraw(change.withdraw);
    model.vacate(change.vacate);
    model.occupy(change.occupy);
    model.throttled(change.throttled);
    model.enqueue(change.enqueue, this.world.clock.now(), LEASE_MS);
    const from = this.settled++;
    return this.world.queue.settle(change, { partition: 0, from, next: this.settled });
  }

  async compare(): Promise<void> {
    const { model } = this;
    const { queue, clock, size } = this.world;
    const now = clock.now();
    for (const fn of ['fn0', 'fn1']) {
      expect(await queue.backlog(fn, 3)).toEqual(model.backlog(fn, 3, now));
      expect(await queue.counts(fn)).toEqual(model.counts(fn));
    }
    for (const runId of ['run0', 'run1']) expect(await queue.ofRun(runId)).toEqual(model.ofRun(runId, now));
    if (size) expect(await size()).toEqual(model.size);
  }
}
