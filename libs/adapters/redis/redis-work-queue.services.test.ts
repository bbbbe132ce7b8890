import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { afterAll, afterEach, describe, expect, it, onTestFinished } from 'vitest';
import type { FunctionLimits } from '#core/flow/flow.js';
import { FlowModel } from '#core/flow/flow.model.js';
import type { Clock } from '#ports/clock.port.js';
import type { Lease, QueueChange } from '#ports/work-queue.port.js';
import { LEASE_MS, workQueueContract } from '#testkit/contracts/work-queue.contract.js';
import { ManualClock, settle } from '#testkit/manual-clock.js';
import { SeededIds } from '#testkit/seeded-ids.js';
import { RedisServer } from '#testkit/services/redis.service.js';
import { services } from '#testkit/services/services.js';
import { aWorkItem } from '#testkit/work-item.js';
import { RedisConnection } from './redis-connection.js';
import { RedisWorkQueue } from './redis-work-queue.js';

const NO_CHANGE: QueueChange = { withdraw: [], vacate: [], occupy: [], throttled: [], enqueue: [] };
const never = new AbortController().signal;

const open: { close(): unknown }[] = [];
const closeAll = async () => {
  for (const one of open.splice(0)) await one.close();
};
afterAll(closeAll);
afterEach(closeAll);

interface Opened {
  readonly url?: string;
  readonly prefix?: string;
  readonly partitions?: number;
  /** Of several processes: each makes ids of its own. */
  readonly seed?: number;
}

/** One process that shares the queue. */
async function opened(clock: Clock, { url, prefix = `${randomUUID()}:`, partitions = 0, seed = 1 }: Opened = {}) {
  const connection = new RedisConnection(url ?? services().redisUrl, prefix);
  const queue = new RedisWorkQueue(connection, clock, new SeededIds(seed), { leaseMs: LEASE_MS, partitions });
  open.push(queue, connection);
  const quiet = async () => {
    await settle();
    await queue.rest();
    await settle();
  };
  /** The item that may be had at this moment. */
  const now = async (): Promise<Lease | undefined> => {
    const stop = new AbortController();
    const claim = queue.claim(stop.signal);
    await quiet();
    stop.abort();
    return claim;
  };
  /** Keys of what is kept, without what stands before them all. */
  const keys = () =>
    connection.use(async ({ client }) => {
      const found = await client.keys(`{${prefix}queue}*`);
      return found.map((key) => key.slice(`{${prefix}queue}`.length)).sort();
    });
  await quiet();
  return { queue, connection, quiet, now, keys, prefix };
}

workQueueContract('RedisWorkQueue', { volatile: false, histories: 150 }, async (clock, partitions) => {
  await closeAll();
  const { queue, quiet, keys, connection, prefix } = await opened(clock, { partitions });
  const size = async () => {
    const all = await keys();
    const count = (kind: string) => {
      const key = all.find((one) => one.endsWith(`:${kind}`));
      return key === undefined ? 0 : connection.use(({ client }) => client.hlen(`{${prefix}queue}${key}`));
    };
    const [fns, lines, groups] = [await count('fns'), await count('lines'), await count('groups')];
    return { fns, lines, groups, buckets: await count('buckets'), throttles: await count('throttles') };
  };
  return { queue, quiet, size };
});

function limitsOf(limits: Partial<FunctionLimits>): FunctionLimits {
  return { concurrency: 1_000, declared: false, ...limits };
}

function many(count: number, more: (n: number) => Parameters<typeof aWorkItem>[1] = () => ({})) {
  return Array.from({ length: count }, (_, n) => aWorkItem(`i${n}`, { rank: n, ...more(n) }));
}

function putOut(...ids: string[]): QueueChange {
  return { ...NO_CHANGE, enqueue: ids.map((id) => aWorkItem(id)) };
}

function customer(n: number) {
  return { step: [{ scope: 'fn', expression: 'customer', value: `c${n}`, limit: 1 }] } as const;
}

/** A Redis that may be lost. */
async function server(appendOnly = false): Promise<RedisServer> {
  const redis = await RedisServer.launch({ appendOnly });
  onTestFinished(async () => {
    await closeAll();
    await redis[Symbol.asyncDispose]();
  });
  return redis;
}

/** Waits for a fact that no call tells. */
async function until(fact: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await fact())) await new Promise((resolve) => setImmediate(resolve));
}

describe('RedisWorkQueue of several processes', () => {
  it('hands out every item once, however many ask', async () => {
    const clock = new ManualClock();
    const a = await opened(clock);
    const [b, c] = [
      await opened(clock, { prefix: a.prefix, seed: 2 }),
      await opened(clock, { prefix: a.prefix, seed: 3 }),
    ];
    const got: string[] = [];
    const claimers = [a, b].flatMap(({ queue }) =>
      Array.from({ length: 20 }, async () => {
        while (got.length < 300) {
          const lease = await Promise.race([queue.claim(never), until(() => got.length >= 300)]);
          if (!lease) return;
          got.push(lease.item.id);
          await queue.complete(lease);
        }
      }),
    );
    for (let n = 0; n < 300; n += 10) await c.queue.enqueue(many(300).slice(n, n + 10));
    await Promise.all(claimers);
    expect(new Set(got).size).toBe(300);
    expect(got).toHaveLength(300);
    expect(await c.queue.counts()).toEqual({ running: 0, ready: 0, later: 0 });
  });

  it('wakes who waits in another process, and each of as many as there are items', async () => {
    const clock = new ManualClock();
    const a = await opened(clock);
    const b = await opened(clock, { prefix: a.prefix, seed: 2 });
    const claims = [a.queue.claim(never), a.queue.claim(never), b.queue.claim(never)];
    await Promise.all([a.quiet(), b.quiet()]);
    const c = await opened(clock, { prefix: a.prefix, seed: 3 });
    await c.queue.enqueue(many(3));
    const ids = (await Promise.all(claims)).map((lease) => lease?.item.id);
    expect(ids.sort()).toEqual(['i0', 'i1', 'i2']);
  });

  it('wakes another where one who was told has no more use for an item', async () => {
    const clock = new ManualClock();
    const a = await opened(clock);
    const b = await opened(clock, { prefix: a.prefix, seed: 2 });
    const stop = new AbortController();
    const given = a.queue.claim(stop.signal);
    await a.quiet();
    const claim = b.queue.claim(never);
    await b.quiet();
    stop.abort();
    expect(await given).toBeUndefined();
    await b.queue.enqueue(many(1));
    expect((await claim)?.item.id).toBe('i0');
  });

  it('wakes another where one has left without a word', async () => {
    const clock = new ManualClock();
    const a = await opened(clock);
    const b = await opened(clock, { prefix: a.prefix, seed: 2 });
    void a.queue.claim(never);
    await a.quiet();
    const claim = b.queue.claim(never);
    await b.quiet();
    await a.queue.close();
    await until(async () => {
      const listeners = await b.connection.use(({ client }) => client.pubsub('NUMSUB', `{${a.prefix}queue}`));
      return listeners[1] === 1;
    });
    await b.queue.enqueue(many(1));
    expect((await claim)?.item.id).toBe('i0');
  });

  it('lets the others ask after a while where the one who was told does not', async () => {
    const clock = new ManualClock();
    const a = await opened(new ManualClock());
    const b = await opened(clock, { prefix: a.prefix, seed: 2 });
    void a.queue.claim(never);
    await a.quiet();
    const claim = b.queue.claim(never);
    await b.quiet();
    // It hears, and can ask nothing.
    await a.connection.close();
    await b.queue.enqueue(many(1));
    await until(() => clock.next() !== undefined);
    await clock.turnTo(clock.next() ?? 0);
    expect((await claim)?.item.id).toBe('i0');
  });

  it('sets the alarm of who waits when something is put out that falls due earlier', async () => {
    const clock = new ManualClock();
    const a = await opened(clock);
    const b = await opened(clock, { prefix: a.prefix, seed: 2 });
    await b.queue.enqueue([aWorkItem('late', { dueAt: clock.now() + 10_000 })]);
    const claim = a.queue.claim(never);
    await a.quiet();
    await b.queue.enqueue([aWorkItem('early', { dueAt: clock.now() + 100 })]);
    await until(() => clock.next() === clock.now() + 100);
    await clock.turn(100);
    expect((await claim)?.item.id).toBe('early');
  });

  it('keeps to the latest time that any of them has told', async () => {
    const [slow, fast] = [new ManualClock(1_000), new ManualClock(5_000)];
    const a = await opened(slow);
    const b = await opened(fast, { prefix: a.prefix, seed: 2 });
    await b.queue.enqueue([aWorkItem('a', { dueAt: 4_000 })]);
    expect((await a.now())?.until).toBe(5_000 + LEASE_MS);
  });

  it('takes the numbers of functions from whoever knows the latest', async () => {
    const clock = new ManualClock();
    const a = await opened(clock);
    const b = await opened(clock, { prefix: a.prefix, seed: 2 });
    await a.queue.limits('f', limitsOf({ concurrency: 1 }), 5);
    await b.queue.limits('f', limitsOf({ concurrency: 9 }), 4);
    await a.queue.enqueue(many(2));
    expect([(await b.now())?.item.id, await b.now()]).toEqual(['i0', undefined]);
  });
});

describe('RedisWorkQueue and who is no longer there', () => {
  it('gives an item that nobody waits for any more to the next, at once and in its place', async () => {
    const { queue, quiet, now } = await opened(new ManualClock());
    await queue.limits('f', limitsOf({ throttle: { limit: 1, periodMs: 1_000, burst: 0 }, declared: true }));
    const flow = { throttle: { expression: 'user', value: 'u' } };
    await queue.enqueue(many(2, () => ({ starts: true, flow })));
    const stop = new AbortController();
    const claim = queue.claim(stop.signal);
    stop.abort();
    expect(await claim).toBeUndefined();
    await quiet();
    expect(await queue.counts()).toEqual({ running: 0, ready: 2, later: 0 });
    // The first of its line again, and what it took of the throttle has come back.
    expect((await now())?.item.id).toBe('i0');
    expect(await now()).toBeUndefined();
  });

  it('has an item again whose answer was lost with the connection', async () => {
    const redis = await server();
    const { queue, connection } = await opened(new ManualClock(), { url: redis.url });
    await queue.enqueue(many(1));
    redis.suspend();
    const claim = queue.claim(never);
    await settle();
    // The call is on its way, and its answer will come to nobody.
    await connection.use(({ client }) => Promise.resolve(client.stream.destroy()));
    redis.resume();
    expect((await claim)?.item.id).toBe('i0');
    expect(await queue.counts()).toEqual({ running: 1, ready: 0, later: 0 });
  });
});

describe('RedisWorkQueue and much at once', () => {
  it('deals with more that falls due at one moment than one call may', async () => {
    const clock = new ManualClock();
    const { queue, now } = await opened(clock);
    const dueAt = clock.now() + 100;
    const functions = (n: number) => ({ dueAt, functionId: `f${n % 3}` });
    await queue.enqueue(many(1_700, functions));
    await clock.turn(100);
    expect(await queue.counts()).toEqual({ running: 0, ready: 1_700, later: 0 });
    const model = new FlowModel();
    model.enqueue(many(1_700, functions), dueAt - 100, LEASE_MS);
    for (let n = 0; n < 10; n++) expect((await now())?.item.id).toBe(model.claim(dueAt, `t${n}`, LEASE_MS)?.item.id);
  });

  it('deals with more throttles that open at one moment than one call may', async () => {
    const clock = new ManualClock();
    const { queue, now, quiet } = await opened(clock);
    await queue.limits('f', limitsOf({ concurrency: 2_000, throttle: { limit: 1, periodMs: 1_000, burst: 0 } }));
    const flow = (n: number) => ({ starts: true, flow: { throttle: { expression: 'user', value: `u${n % 600}` } } });
    await queue.enqueue(many(1_200, flow));
    const claims = Array.from({ length: 1_200 }, () => queue.claim(never).then(() => clock.now()));
    await until(async () => (await queue.counts()).running === 600);
    await quiet();
    expect(await queue.counts()).toEqual({ running: 600, ready: 600, later: 0 });
    await clock.turn(1_000);
    const at = await Promise.all(claims);
    expect(new Set(at).size).toBe(2);
    expect(await now()).toBeUndefined();
  });

  it('finds the one that may go behind more that may not than one call may look at', async () => {
    const { queue, now } = await opened(new ManualClock());
    const shared = (n: number) => [
      { scope: 'fn', expression: 'customer', value: `c${n}`, limit: 1 } as const,
      { scope: 'account', expression: 'model', value: 'm', limit: 1 } as const,
    ];
    const step = [
      { scope: 'fn' as const, expression: 'customer', limit: 1 },
      { scope: 'account' as const, expression: 'model', limit: 1 },
    ];
    await queue.limits('f', limitsOf({ step }));
    await queue.enqueue(many(1_300, (n) => ({ flow: { step: shared(n) } })));
    await queue.enqueue([aWorkItem('free', { rank: 1e6 })]);
    expect((await now())?.item.id).toBe('i0');
    expect((await now())?.item.id).toBe('free');
    expect(await now()).toBeUndefined();
  });

  it('asks all that waits when numbers change, also more than one call may', async () => {
    const { queue, quiet } = await opened(new ManualClock());
    const numbers = (limit: number) =>
      limitsOf({ concurrency: 2_000, step: [{ scope: 'fn', expression: 'customer', limit }] });
    await queue.limits('f', numbers(1));
    await queue.enqueue(many(1_400, (n) => ({ flow: customer(n % 700) })));
    const claims = Array.from({ length: 1_400 }, () => queue.claim(never));
    await until(async () => (await queue.counts()).running === 700);
    await quiet();
    expect(await queue.counts()).toEqual({ running: 700, ready: 700, later: 0 });
    await queue.limits('f', numbers(2));
    expect(new Set((await Promise.all(claims)).map((lease) => lease?.item.id)).size).toBe(1_400);
  });

  it('keeps nothing of what is done', async () => {
    const clock = new ManualClock();
    const { queue, now, keys } = await opened(clock);
    await queue.limits('f', limitsOf({ concurrency: 5 }));
    await queue.limits('f', undefined);
    const flow = (n: number) => ({
      starts: true,
      functionId: `f${n % 2}`,
      flow: { ...customer(n % 3), throttle: { expression: 'user', value: `u${n}` } },
    });
    await queue.enqueue(many(20, flow));
    for (let lease = await now(); lease; lease = await now()) await queue.complete(lease);
    await clock.turn(LEASE_MS);
    expect(await queue.counts()).toEqual({ running: 0, ready: 0, later: 0 });
    // The state, which numbers are in force, and who has waited last.
    expect((await keys()).map((key) => key.replace(/\d+/, 'n'))).toEqual(['', ':n:revisions', ':asleep']);
  });

  it('takes away what it held before it forgot everything', async () => {
    const { queue, now, keys } = await opened(new ManualClock());
    await queue.limits('f', limitsOf({ throttle: { limit: 1, periodMs: 1_000, burst: 0 } }));
    const flow = (n: number) => ({ starts: true, flow: { ...customer(n), throttle: { value: `${n % 2}` } } });
    await queue.enqueue(many(300, flow));
    for (let n = 0; n < 4; n++) await now();
    expect((await keys()).length).toBeGreaterThan(300);
    await queue.clear();
    expect(await now()).toBeUndefined();
    await until(async () => (await keys()).every((key) => key === '' || key === ':asleep'));
  });
});

describe('RedisWorkQueue when Redis loses what it held', () => {
  for (const kept of [false, true]) {
    it(`notices that it has started anew, ${kept ? 'with what was on its disk' : 'empty'}, and goes on once it is restored`, async () => {
      const redis = await server(kept);
      const clock = new ManualClock();
      const { queue, now, keys } = await opened(clock, { url: redis.url, partitions: 1 });
      await queue.limits('f', limitsOf({ concurrency: 1 }), 3);
      await queue.restored(0, 10);
      await queue.settle(putOut('a', 'b'), { partition: 0, from: 10, next: 12 });
      const lease = (await now()) as Lease;
      const claim = queue.claim(never);
      await redis.kill();
      await expect(queue.counts()).rejects.toMatchObject({ code: 'state_unavailable' });
      await redis.start();
      await until(async () => {
        try {
          return (await queue.reflects(0)) === undefined;
        } catch {
          return false;
        }
      });
      const late = queue.settle(putOut('c'), { partition: 0, from: 12, next: 13 });
      await expect(late).rejects.toMatchObject({ code: 'state_lost' });
      await queue.complete(lease);
      await expect(queue.extend(lease)).rejects.toMatchObject({ code: 'lease_lost' });
      expect(await queue.counts()).toEqual({ running: 0, ready: 0, later: 0 });

      await queue.limits('f', limitsOf({ concurrency: 2 }), 3);
      const owed = [aWorkItem('a', { underWay: true }), aWorkItem('b'), aWorkItem('c')];
      await queue.restore(0, { ...NO_CHANGE, enqueue: owed });
      await queue.restored(0, 13);
      expect((await claim)?.item.id).toBe('b');
      expect(await now()).toBeUndefined();
      expect(await queue.counts('f')).toEqual({ running: 2, ready: 1, later: 0 });
      // What was on the disk is taken away.
      await until(async () => {
        await now();
        return new Set((await keys()).map((key) => /^:(\d+)/.exec(key)?.[1] ?? '')).size === 2;
      });
    });
  }

  it('notices that it was emptied, and lets who waits go on', async () => {
    const redis = await server();
    const { queue, connection, quiet } = await opened(new ManualClock(), { url: redis.url, partitions: 1 });
    await queue.restored(0, 1);
    const claim = queue.claim(never);
    await quiet();
    await connection.use(({ client }) => client.flushall());
    const lost = queue.settle(putOut('a'), { partition: 0, from: 1, next: 2 });
    await expect(lost).rejects.toMatchObject({ code: 'state_lost' });
    await queue.restore(0, putOut('a'));
    await queue.restored(0, 2);
    expect((await claim)?.item.id).toBe('a');
  });

  it('is not restored by parts of which some were lost', async () => {
    const redis = await server();
    const { queue, connection } = await opened(new ManualClock(), { url: redis.url, partitions: 1 });
    await queue.restore(0, putOut('a'));
    await connection.use(({ client }) => client.flushall());
    await expect(queue.restore(0, putOut('b'))).rejects.toMatchObject({ code: 'state_lost' });
    await queue.restore(0, putOut('a', 'b'));
    await connection.use(({ client }) => client.flushall());
    await expect(queue.restored(0, 1)).rejects.toMatchObject({ code: 'state_lost' });
    expect(await queue.reflects(0)).toBeUndefined();
  });

  it('keeps a claim waiting while there is no Redis, and answers it once there is', async () => {
    const redis = await server();
    const { queue } = await opened(new ManualClock(), { url: redis.url });
    await redis.kill();
    const claim = queue.claim(never);
    await expect(queue.enqueue(many(1))).rejects.toMatchObject({ code: 'state_unavailable' });
    await redis.start();
    await until(async () => {
      try {
        await queue.enqueue(many(1));
        return true;
      } catch {
        return false;
      }
    });
    expect((await claim)?.item.id).toBe('i0');
  });

  it('knows its function again where the server has forgotten it', async () => {
    const redis = await server();
    const { queue, connection } = await opened(new ManualClock(), { url: redis.url });
    await queue.enqueue(many(2));
    await connection.use(({ client }) => client.function('FLUSH'));
    expect(await queue.counts()).toEqual({ running: 0, ready: 2, later: 0 });
  });

  it('forgets everything where it finds what cannot be, and says that it is lost', async () => {
    const redis = await server();
    const { queue, connection, keys, prefix, now } = await opened(new ManualClock(), { url: redis.url, partitions: 1 });
    await queue.restored(0, 1);
    await queue.enqueue(many(2));
    const entries = (await keys()).find((key) => key.endsWith(':entries'));
    await connection.use(({ client }) => client.del(`{${prefix}queue}${entries}`));
    const lease = await now().catch((error: unknown) => error);
    expect(lease).toBeUndefined();
    expect(await queue.reflects(0)).toBeUndefined();
    await queue.restore(0, { ...NO_CHANGE, enqueue: many(2) });
    await queue.restored(0, 2);
    expect((await now())?.item.id).toBe('i0');
  });

  it('changes nothing where Redis has no memory left, and says that it cannot', async () => {
    const redis = await server();
    const { queue } = await opened(new ManualClock(), { url: redis.url });
    const client = new Redis(redis.url);
    await queue.enqueue(many(2));
    await client.config('SET', 'maxmemory', '1');
    await expect(queue.enqueue(many(5))).rejects.toMatchObject({ code: 'state_unavailable' });
    await client.config('SET', 'maxmemory', '0');
    expect(await queue.counts()).toEqual({ running: 0, ready: 2, later: 0 });
    client.disconnect();
  });
});
