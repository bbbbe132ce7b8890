import { afterEach, describe, expect, it } from 'vitest';
import type { AggregateStore, StoredAggregate } from '#ports/aggregate-store.port.js';
import { aggregateStoreContract } from '#testkit/contracts/aggregate-store.contract.js';
import { RedisWorld } from '#testkit/redis.world.js';
import { RedisServer } from '#testkit/services/redis.service.js';
import { services } from '#testkit/services/services.js';
import { RedisAggregateStore } from './redis-aggregate-store.js';

aggregateStoreContract('RedisAggregateStore', () => {
  const world = new RedisWorld(services().redisUrl);
  return Promise.resolve({
    store: new RedisAggregateStore(world.connect()),
    reopen: () => Promise.resolve(new RedisAggregateStore(world.connect())),
    dispose: () => world[Symbol.asyncDispose](),
  });
});

const at = (offset: number, partition = 0) => ({ partition, offset });
const RUNS = { space: 'run', partition: 0 };

/** As many runs as do not go into one script, all in the same state. */
const runs = (state: string | null, count = 5_000) =>
  Array.from({ length: count }, (_, n) => ({ id: `run ${String(n).padStart(6, '0')}`, state }));

async function active(store: AggregateStore): Promise<readonly StoredAggregate[]> {
  const found: StoredAggregate[] = [];
  for await (const one of store.active(RUNS)) found.push(one);
  return found;
}

describe('RedisAggregateStore', () => {
  const worlds: AsyncDisposable[] = [];
  afterEach(async () => {
    for (const world of worlds.splice(0).reverse()) await world[Symbol.asyncDispose]();
  });
  const world = (url = services().redisUrl): RedisWorld => {
    const made = new RedisWorld(url);
    worlds.push(made);
    return made;
  };
  const server = async (options = {}): Promise<RedisServer> => {
    const made = await RedisServer.launch(options);
    worlds.push(made);
    return made;
  };

  it('lists the others where somebody took the state of one away', async () => {
    const processes = world();
    const connection = processes.connect();
    const store = new RedisAggregateStore(connection);
    await store.commit('desk', at(10), { run: runs('old', 3) }, 1);
    const before = await active(store);
    const key = `{${connection.prefix}p0}aggregates:states:run`;
    expect(await connection.use(({ client }) => client.hdel(key, before[1]!.id))).toBe(1);
    expect(await active(store)).toEqual([before[0], before[2]]);
  });

  it.each([
    ['a few', 3],
    ['very many', 5_000],
  ])('refuses an owner that is behind, with all of %s states that it writes', async (_, count) => {
    const processes = world();
    const [owner, zombie] = [
      new RedisAggregateStore(processes.connect()),
      new RedisAggregateStore(processes.connect()),
    ];
    await zombie.commit('desk', at(10), { run: runs('old', count) }, 1);
    await owner.position('desk', 0);
    await owner.commit('desk', at(20), { run: runs('new', count) }, 2);
    const late = zombie.commit('desk', at(15), { run: [...runs('late', count), { id: 'z', state: 'late' }] }, 3);
    await expect(late).rejects.toMatchObject({ code: 'position_stale', data: { kept: 20 } });
    expect(new Set((await active(owner)).map(({ state }) => state))).toEqual(new Set(['new']));
    expect(await owner.count(RUNS)).toBe(count);
    await zombie.commit('desk', at(20), { run: runs('same', count) }, 3);
    await owner.commit('desk', at(21), { run: runs(null, count) }, 4);
    expect(await zombie.count(RUNS)).toBe(0);
  });

  it('shows a large commit whole or not at all, wherever the one who writes it ends', async () => {
    const processes = world();
    const other = processes.connect();
    const reader = new RedisAggregateStore(other);
    await reader.commit('desk', at(0), { run: runs('of 0') }, 0);
    /** At each call the commit was: not in force yet; in force, and not all in its place; all in its place. */
    const cuts: string[] = [];
    let isWhole = false;
    for (let round = 1; !isWhole; round++) {
      let calls = 0;
      const connection = processes.connectHooked(() =>
        ++calls > round ? Promise.reject(new Error('the process has ended')) : Promise.resolve(),
      );
      const commit = new RedisAggregateStore(connection).commit('desk', at(round), { run: runs(`of ${round}`) }, round);
      isWhole = await commit.then(
        () => true,
        () => false,
      );
      const [pending, staysMs] = await other.use(async ({ client }) => {
        const key = `{${processes.prefix}p0}aggregates:pending`;
        return [await client.exists(key), await client.pttl(key)];
      });
      // What counts stays until it is in its place.
      if (pending === 1) expect(staysMs).toBe(-1);
      const { offset } = (await reader.position('desk', 0)) ?? { offset: -1 };
      cuts.push(offset < round ? 'before' : pending === 1 ? 'between' : 'after');
      const states = (await active(reader)).map(({ state }) => state);
      expect(states).toHaveLength(5_000);
      expect(new Set(states)).toEqual(new Set([offset < round ? `of ${offset}` : `of ${round}`]));
    }
    expect(cuts.at(-1)).toBe('after');
    expect(cuts.filter((cut) => cut === 'before').length).toBeGreaterThanOrEqual(5);
    expect(cuts.filter((cut) => cut === 'between').length).toBeGreaterThanOrEqual(4);
  });

  it('puts what counts into its place before anything newer', async () => {
    const processes = world();
    let calls = 0;
    const ends = (): Promise<unknown> => (++calls > 7 ? Promise.reject(new Error('ended')) : Promise.resolve());
    const writer = new RedisAggregateStore(processes.connectHooked(ends));
    await expect(writer.commit('desk', at(1), { run: runs('large') }, 1)).rejects.toThrow('ended');
    const next = new RedisAggregateStore(processes.connect());
    await next.commit('desk', at(2), { run: [{ id: 'run 004999', state: 'newer' }] }, 2);
    expect(await next.load(RUNS, 'run 004999')).toEqual({ id: 'run 004999', state: 'newer' });
    expect(await next.load(RUNS, 'run 000000')).toEqual({ id: 'run 000000', state: 'large' });
  });

  it('never shows a state without its position, nor a position without its states, whoever writes', async () => {
    const processes = world();
    const [owner, zombie, reader] = [1, 2, 3].map(() => new RedisAggregateStore(processes.connect())) as [
      RedisAggregateStore,
      RedisAggregateStore,
      RedisAggregateStore,
    ];
    const ids = ['run 000000', 'run 002500', 'run 004999'];
    await owner.commit('desk', at(0), { run: runs('0') }, 0);
    let looks = 0;
    let refused = 0;
    let writing = true;
    const reads = (async () => {
      for (; writing; looks++) {
        const before = (await reader.position('desk', 0))?.offset ?? 0;
        const loading = ids.map(async (id) => Number((await reader.load(RUNS, id))?.state));
        const loaded = await Promise.allSettled(loading);
        // Where others have gone on meanwhile it is not told what is there.
        for (const one of loaded)
          if (one.status === 'rejected') expect(one.reason).toMatchObject({ code: 'position_stale' });
        const states = loaded.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
        const after = (await reader.position('desk', 0))?.offset ?? 0;
        for (const state of states) expect(state).toBeGreaterThanOrEqual(before);
        for (const state of states) expect(state).toBeLessThanOrEqual(after);
      }
    })();
    const zombieWrites = (async () => {
      for (let n = 1; writing; n += 3) {
        // It jumps ahead at times, and is behind at others.
        const offset = Math.round(((await zombie.position('desk', 0))?.offset ?? 0) + 4 * Math.random() - 1);
        const size = n % 2 ? 5_000 : 500;
        const all = [
          ...runs(`${offset}`, size),
          ...(size < 5_000 ? ids.map((id) => ({ id, state: `${offset}` })) : []),
        ];
        await zombie.commit('desk', at(offset), { run: all }, n).catch((error: { code: string }) => {
          expect(error.code).toBe('position_stale');
          refused++;
        });
      }
    })();
    let hasFailed = false;
    Promise.all([reads, zombieWrites]).catch(() => (hasFailed = true));
    for (let n = 1; !hasFailed && (n <= 20 || looks < 50 || refused < 3); n++) {
      const offset = ((await owner.position('desk', 0))?.offset ?? 0) + 1;
      await owner.commit('desk', at(offset), { run: runs(`${offset}`) }, n).catch((error: { code: string }) => {
        expect(error.code).toBe('position_stale');
        refused++;
      });
    }
    writing = false;
    await Promise.all([reads, zombieWrites]);
  });

  it('tells one who was overtaken nothing, and takes nothing of his, until he has asked where it stands', async () => {
    const processes = world();
    const [owner, zombie] = [
      new RedisAggregateStore(processes.connect()),
      new RedisAggregateStore(processes.connect()),
    ];
    await zombie.commit('desk', at(10), { run: runs('old') }, 1);
    expect(await zombie.load(RUNS, 'run 000000')).toMatchObject({ state: 'old' });
    await owner.position('desk', 0);
    await owner.commit('desk', at(20), { run: runs('new') }, 2);
    await expect(zombie.load(RUNS, 'run 000000')).rejects.toMatchObject({ code: 'position_stale', data: { kept: 20 } });
    // Also where his own position is further on: what he has decided up to there may build on what he has read too early.
    await expect(zombie.commit('desk', at(30), { run: runs('wrong') }, 3)).rejects.toMatchObject({
      code: 'position_stale',
    });
    expect(await zombie.position('desk', 0)).toEqual(at(20));
    expect(await zombie.load(RUNS, 'run 000000')).toMatchObject({ state: 'new' });
    await zombie.commit('desk', at(30), { run: runs('right') }, 4);
    await expect(owner.commit('desk', at(40), {}, 5)).rejects.toMatchObject({ code: 'position_stale' });
  });

  it('lists what is active from beginning to end, once each, while others come, change and go', async () => {
    const processes = world();
    const [writer, reader] = [
      new RedisAggregateStore(processes.connect()),
      new RedisAggregateStore(processes.connect()),
    ];
    const stay = runs('0', 3_000);
    await writer.commit('desk', at(0), { run: stay, other: runs('0', 100) }, 0);
    let reading = true;
    const writes = (async () => {
      let n = 1;
      for (; reading; n++) {
        const [come, go] = [n * 10, (n - 1) * 10].map((from) =>
          Array.from({ length: 10 }, (_, i) => ({
            id: `run ${String((from + i) * 37).padStart(6, '0')} x`,
            state: '',
          })),
        ) as [{ id: string; state: string }[], { id: string; state: string }[]];
        const gone = go.map(({ id }) => ({ id, state: null }));
        const changed = stay.slice(n % 3_000, (n % 3_000) + 50).map(({ id }) => ({ id, state: `${n}` }));
        await writer.commit('desk', at(n), { run: [...come, ...gone, ...changed] }, n);
      }
      return n;
    })();
    for (let round = 0; round < 20; round++) {
      const found = (await active(reader)).map(({ id }) => id);
      expect(new Set(found).size).toBe(found.length);
      expect(found.filter((id) => !id.endsWith('x'))).toEqual(stay.map(({ id }) => id));
    }
    reading = false;
    expect(await writes).toBeGreaterThan(20);
  });

  it('divides what is large, so that no command takes long, however much is written and read', async () => {
    const redis = await server();
    const connection = world(redis.url).connect();
    const store = new RedisAggregateStore(connection);
    await connection.use(({ client }) =>
      client.config('SET', 'slowlog-log-slower-than', '0', 'slowlog-max-len', '100000'),
    );
    const scriptsOf = async (work: () => Promise<unknown>): Promise<number> => {
      const count = async (): Promise<number> => {
        const stats = await connection.use(({ client }) => client.info('commandstats'));
        return Number(/cmdstat_evalsha:calls=(\d+)/.exec(stats)?.[1] ?? 0);
      };
      const before = await count();
      await work();
      return (await count()) - before;
    };
    const writes = { run: runs('x'.repeat(2_000), 20_000), large: runs('y'.repeat(3_000_000), 10) };
    // Each page is put aside, and then into its place.
    expect(await scriptsOf(() => store.commit('desk', at(1), writes, 1))).toBeGreaterThan(
      2 * (40_000_000 / 1_048_576 + 9),
    );
    expect(await scriptsOf(() => store.commit('desk', at(2), { run: runs(null, 20_000) }, 2))).toBeGreaterThan(2 * 19);
    const list = async (): Promise<void> => {
      const large = { space: 'large', partition: 0 };
      for await (const { state } of store.active(large)) expect(state).toHaveLength(3_000_000);
    };
    expect(await scriptsOf(list)).toBeGreaterThanOrEqual(10);
    expect(await scriptsOf(() => store.prune(0, 3))).toBeGreaterThanOrEqual(20);
    const commands = await connection.use(
      ({ client }) => client.slowlog('GET', 100_000) as Promise<[number, number, number, string[]][]>,
    );
    const argumentsOf = (args: readonly string[]): number =>
      args.length + Number(/\((\d+) more arguments\)/.exec(args.at(-1) ?? '')?.[1] ?? 0);
    expect(Math.max(...commands.map(([, , , args]) => argumentsOf(args)))).toBeLessThan(2_100);
  });

  it('says that it has lost what it held when Redis is emptied, and goes on from nothing', async () => {
    const redis = await server();
    const connection = world(redis.url).connect();
    const store = new RedisAggregateStore(connection);
    await store.commit('desk', at(5), { run: runs('x') }, 1);
    await store.commit('desk', at(5, 1), { run: runs('x', 1) }, 1);
    await connection.use(({ client }) => client.flushall());
    const lost = { code: 'state_lost', data: { partition: 0 } };
    await expect(store.load(RUNS, 'run 000000')).rejects.toMatchObject(lost);
    await expect(store.count(RUNS)).rejects.toMatchObject(lost);
    await expect(active(store)).rejects.toMatchObject(lost);
    await expect(store.commit('desk', at(6), { run: runs('y', 1) }, 2)).rejects.toMatchObject(lost);
    await expect(store.commit('desk', at(6), { run: runs('y') }, 2)).rejects.toMatchObject(lost);
    expect(await store.position('desk', 0)).toBeUndefined();
    expect(await active(store)).toEqual([]);
    await store.commit('desk', at(3), { run: runs('again', 2) }, 3);
    expect(await store.load(RUNS, 'run 000001')).toEqual({ id: 'run 000001', state: 'again' });
    // The other partition has yet to notice.
    await expect(store.commit('desk', at(6, 1), {}, 2)).rejects.toMatchObject({ code: 'state_lost' });
    expect(await store.position('desk', 1)).toBeUndefined();
  });

  it('says so in the midst of a listing, and in the midst of a large commit', async () => {
    const redis = await server();
    const connection = world(redis.url).connect();
    const store = new RedisAggregateStore(connection);
    await store.commit('desk', at(5), { run: runs('x') }, 1);
    const list = store.active(RUNS)[Symbol.asyncIterator]();
    await list.next();
    await connection.use(({ client }) => client.flushall());
    const rest = (async () => {
      while (!(await list.next()).done);
    })();
    await expect(rest).rejects.toMatchObject({ code: 'state_lost' });

    // The first commit of all builds on nothing; but what was put aside of it must be there.
    const fresh = new RedisAggregateStore(connection);
    const commit = fresh.commit('desk', at(1), { run: runs('x'.repeat(1_000), 20_000) }, 1);
    const outcome = commit.then(
      () => 'committed',
      (error: { code: string }) => error.code,
    );
    while ((await connection.use(({ client }) => client.keys('*stage*'))).length === 0);
    await connection.use(({ client }) => client.flushall());
    expect(await outcome).toBe('state_unavailable');
    expect(await fresh.position('desk', 0)).toBeUndefined();
    expect(await fresh.count(RUNS)).toBe(0);
  });

  it('notices an older copy, and goes on from there', async () => {
    const redis = await server();
    const connection = world(redis.url).connect();
    const store = new RedisAggregateStore(connection);
    await store.commit('desk', at(5), { run: [{ id: 'a', state: 'at 5' }] }, 1);
    await connection.use(({ client }) => client.save());
    await store.commit('desk', at(6), { run: [{ id: 'a', state: 'at 6' }] }, 1);
    await redis.kill();
    await redis.start();
    await expect(store.load(RUNS, 'a')).rejects.toMatchObject({ code: 'state_lost' });
    await expect(store.commit('desk', at(7), { run: [] }, 1)).rejects.toMatchObject({ code: 'state_lost' });
    expect(await store.position('desk', 0)).toEqual(at(5));
    expect(await store.load(RUNS, 'a')).toEqual({ id: 'a', state: 'at 5' });
    await store.commit('desk', at(7), { run: [{ id: 'a', state: 'at 7' }] }, 1);
  });

  it('goes on over a restart that loses nothing, and is not available in between', async () => {
    const redis = await server({ appendOnly: true });
    const store = new RedisAggregateStore(world(redis.url).connect());
    await store.commit('desk', at(5), { run: runs('x') }, 1);
    await redis.kill();
    await expect(store.load(RUNS, 'run 000000')).rejects.toMatchObject({ code: 'state_unavailable' });
    await expect(store.commit('desk', at(6), {}, 1)).rejects.toMatchObject({ code: 'state_unavailable' });
    await redis.start();
    expect(await store.load(RUNS, 'run 000000')).toEqual({ id: 'run 000000', state: 'x' });
    await store.commit('desk', at(6), {}, 1);
  });

  it('leaves nothing behind of a commit that was refused or cut, once its time is over', async () => {
    const processes = world();
    const connection = processes.connect();
    const store = new RedisAggregateStore(connection);
    await store.commit('desk', at(5), { run: runs('x') }, 1);
    await store.commit('desk', at(6), { run: runs(null) }, 2);
    await store.prune(0, 3);
    const keys = await connection.use(({ client }) => client.keys(`*${processes.prefix}*`));
    expect(keys.map((key) => key.split('}aggregates:')[1]).sort()).toEqual(['positions', 'spaces']);
  });
});
