import { setTimeout as rest } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Pause, PauseIndex } from '#ports/pause-index.port.js';
import { aCandidate, aPause, matched, pauseIndexContract } from '#testkit/contracts/pause-index.contract.js';
import { RedisWorld } from '#testkit/redis.world.js';
import { RedisServer } from '#testkit/services/redis.service.js';
import { services } from '#testkit/services/services.js';
import type { RedisConnection } from './redis-connection.js';
import { RedisPauseIndex } from './redis-pause-index.js';

/** What the owner of a partition does when it takes it, and when it may have been lost. */
async function restore(index: PauseIndex, partition: number, pauses: readonly Pause[] = []): Promise<void> {
  if (await index.intact(partition)) return;
  await index.add(pauses);
  await index.restored(partition);
}

pauseIndexContract('RedisPauseIndex', async () => {
  const world = new RedisWorld(services().redisUrl);
  const index = new RedisPauseIndex(world.connect(), 1);
  await restore(index, 0);
  return { index, restore: () => restore(index, 0), dispose: () => world[Symbol.asyncDispose]() };
});

const ids = (pauses: readonly Pause[]) => pauses.map(({ id }) => id).sort();

describe('RedisPauseIndex', () => {
  const worlds: AsyncDisposable[] = [];
  let redis: RedisServer;
  let world: RedisWorld;
  let connection: RedisConnection;
  let index: RedisPauseIndex;

  const use = async (partitions: number, options = {}): Promise<void> => {
    redis = await RedisServer.launch(options);
    world = new RedisWorld(redis.url);
    worlds.push(redis, world);
    connection = world.connect();
    index = new RedisPauseIndex(connection, partitions);
  };
  beforeEach(() => use(3));
  afterEach(async () => {
    for (const one of worlds.splice(0).reverse()) await one[Symbol.asyncDispose]();
  });

  const flushall = () => connection.use(({ client }) => client.flushall());
  const keys = () => connection.use(({ client }) => client.keys('*'));
  /** How often Redis has carried out a command since it started, also within scripts. */
  const calls = async (command: string): Promise<number> => {
    const stats = await connection.use(({ client }) => client.info('commandstats'));
    return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(stats)?.[1] ?? 0);
  };
  /** Whether the match still waits after it has asked several times. */
  const waits = async (match: Promise<unknown>): Promise<boolean> => {
    const scripts = async () => (await calls('evalsha')) + (await calls('eval'));
    const before = await scripts();
    let isOver = false;
    void match.catch(() => undefined).then(() => (isOver = true));
    while (!isOver && (await scripts()) < before + 3) await rest(10);
    return !isOver;
  };

  it('matches nothing before every partition has been restored, and then everything', async () => {
    const other = new RedisPauseIndex(world.connect(), 3);
    await restore(index, 0, [aPause('a')]);
    await restore(index, 1);
    const match = matched(other, aCandidate({}));
    expect(await waits(match)).toBe(true);
    await restore(other, 2, [aPause('c')]);
    expect(ids(await match)).toEqual(['a', 'c']);
    expect(await Promise.all([0, 1, 2].map((partition) => index.intact(partition)))).toEqual([true, true, true]);
  });

  it('refuses a match that would wait too long', async () => {
    const impatient = new RedisPauseIndex(world.connect(), 3, { patienceMs: 30, askAgainMs: 10 });
    await restore(impatient, 0, [aPause('a')]);
    await expect(matched(impatient, aCandidate({}))).rejects.toMatchObject({ code: 'state_unavailable' });
  });

  it.each<[string, () => Promise<unknown>]>([
    ['Redis is emptied', () => flushall()],
    ['it has restarted empty', () => redis.kill().then(() => redis.start())],
    [
      'it has come back with an older copy',
      async () => {
        await connection.use(({ client }) => client.save());
        await index.remove(['stale']);
        await index.add([aPause('newest')]);
        await redis.kill();
        await redis.start();
      },
    ],
  ])('lets no event pass when %s', async (_, lose) => {
    for (const partition of [0, 1, 2]) await restore(index, partition, [aPause(`of ${partition}`)]);
    await index.add([aPause('stale')]);
    await lose();
    const match = matched(index, aCandidate({}));
    expect(await waits(match)).toBe(true);
    // What is put in as ever is not all of it.
    await index.add([aPause('new')]);
    const owner = new RedisPauseIndex(world.connect(), 3);
    expect(await owner.intact(0)).toBe(false);
    for (const partition of [0, 1, 2]) await restore(owner, partition, [aPause(`of ${partition}`)]);
    expect(ids(await match)).toEqual(['new', 'of 0', 'of 1', 'of 2']);
    expect(await index.size()).toBe(4);
  });

  it('begins again also when a restart has lost nothing', async () => {
    await use(1, { appendOnly: true });
    await restore(index, 0, [aPause('a')]);
    await redis.kill();
    await redis.start();
    expect(await index.intact(0)).toBe(false);
    expect(await index.size()).toBe(0);
    await restore(index, 0, [aPause('b')]);
    expect(ids(await matched(index, aCandidate({})))).toEqual(['b']);
    // What the former era has left is gone.
    expect((await keys()).filter((key) => /:(on|bodies|places)/.test(key))).toHaveLength(3);
  });

  it('tells who restores that what it had added is lost, however often it asks', async () => {
    expect(await index.intact(0)).toBe(false);
    await index.add([aPause('a')]);
    await flushall();
    await index.add([aPause('b')]);
    expect(await index.intact(0)).toBe(false);
    await expect(index.restored(0)).rejects.toMatchObject({ code: 'state_lost', data: { partition: 0 } });
    expect(await index.intact(0)).toBe(false);
    await index.add([aPause('a'), aPause('b')]);
    await index.restored(0);
    expect(await index.intact(0)).toBe(true);
    expect(await index.size()).toBe(2);
  });

  it('takes nothing for restored that was not asked about', async () => {
    await index.add([aPause('a')]);
    await expect(index.restored(0)).rejects.toMatchObject({ code: 'state_lost' });
    expect(await index.intact(0)).toBe(false);
  });

  it('is one index for all processes, also for fields that another has not heard of', async () => {
    await use(1);
    const other = new RedisPauseIndex(world.connect(), 1);
    await restore(index, 0);
    for (let i = 0; i < 5; i++) {
      await index.add([aPause(`p${i}`, { expression: `async.data.f${i} == event.data.id`, data: { id: 'x' } })]);
      expect(ids(await matched(other, aCandidate({ [`f${i}`]: 'x' })))).toEqual([`p${i}`]);
      await other.remove([`p${i - 1}`]);
      expect(ids(await matched(index, aCandidate({ [`f${i - 1}`]: 'x' })))).toEqual([]);
    }
  });

  it('asks once for events of which nothing is new', async () => {
    await use(1);
    await restore(index, 0);
    const expression = 'async.data.id == event.data.id';
    await index.add(Array.from({ length: 50 }, (_, i) => aPause(`p${i}`, { expression, data: { id: i } })));
    await matched(index, aCandidate({ id: 1 }));
    const before = await calls('evalsha');
    const candidates = Array.from({ length: 60 }, (_, i) =>
      aCandidate({ id: i }, i % 2 ? {} : { name: 'of no interest' }),
    );
    const resolved = await index.match(candidates);
    expect(resolved.map((pauses) => pauses.length)).toEqual(candidates.map((_, i) => (i % 2 && i < 50 ? 1 : 0)));
    expect((await calls('evalsha')) - before).toBe(1);
  });

  it('looks at the waits for the value that the event has, of 100,000 for events of one name', async () => {
    await use(1);
    await restore(index, 0);
    const expression = 'async.data.kind == "paid" && async.data.id == event.data.id';
    const pauses = Array.from({ length: 100_000 }, (_, i) => aPause(`p${i}`, { expression, data: { id: `id-${i}` } }));
    await index.add(pauses);
    await matched(index, aCandidate({ id: '', kind: '' }));
    const before = await calls('hget');
    expect(ids(await matched(index, aCandidate({ id: 'id-77777', kind: 'paid' })))).toEqual(['p77777']);
    expect(await matched(index, aCandidate({ id: 'other', kind: 'paid' }))).toEqual([]);
    // A body each for the one that is found, and for the first of all, which had no other to tell it from; and the fields.
    expect((await calls('hget')) - before).toBeLessThanOrEqual(6);
    await index.remove(pauses.map(({ id }) => id));
    expect(await index.size()).toBe(0);
    expect((await keys()).map((key) => key.split(':').at(-1)).sort()).toEqual(['meta', 'restored']);
  });

  it('resolves by one event everything that waits for it, in pages, while others come and go', async () => {
    await use(1);
    await restore(index, 0);
    const expression = 'async.data.a == 1 && async.data.b == 1';
    const stay = Array.from({ length: 3_000 }, (_, i) => aPause(`p${String(i).padStart(5, '0')}`, { expression }));
    const other = new RedisPauseIndex(world.connect(), 1);
    await index.add(stay);
    let matching = true;
    const changes = (async () => {
      for (let i = 0; matching; i++) {
        await other.add([aPause(`q${i}`), aPause(`r${i}`, { expression: `async.data.f${i} == 1` })]);
        await other.remove([`q${i - 1}`, `r${i - 1}`]);
        await other.add(stay.filter((_, n) => n % 97 === i % 97));
      }
    })();
    for (let round = 0; round < 10; round++) {
      const found = ids(await matched(index, aCandidate({ a: 1, b: 1 })));
      expect(found.filter((id) => id.startsWith('p'))).toEqual(stay.map(({ id }) => id));
      expect(new Set(found).size).toBe(found.length);
    }
    matching = false;
    await changes;
  });

  describe('when what stands by one field is found by another before the second page of a match', () => {
    const expression = 'async.data.a == 1 && async.data.b == 1';
    const sought = aPause('sought', { expression });
    const crowd = Array.from({ length: 300 }, (_, i) => aPause(`m${String(i).padStart(5, '0')}`));
    const beside = aPause('beside', { expression: 'async.data.a == 1' });

    it.each<[string, (other: RedisPauseIndex) => Promise<void>]>([
      [
        'for the index was made again',
        async (other) => {
          await other.clear();
          await restore(other, 0, [beside, sought, ...crowd]);
        },
      ],
      [
        'for another owner has put it in again',
        async (other) => {
          await other.add([beside]);
          await other.add([sought]);
        },
      ],
    ])('the match finds it, %s', async (_, change) => {
      await use(1);
      await restore(index, 0, [sought, ...crowd]);
      const other = new RedisPauseIndex(world.connect(), 1);
      let changeAt = Infinity;
      let calls = 0;
      const hooked = world.connectHooked(async () => {
        if (++calls === changeAt) await change(other);
      });
      const matching = new RedisPauseIndex(hooked, 1);
      expect(await matched(matching, aCandidate({ a: 1, b: 1 }))).toHaveLength(301);
      // It has learnt the fields now, and asks for two pages.
      changeAt = calls + 2;
      const found = ids(await matched(matching, aCandidate({ a: 1, b: 1 })));
      expect(calls).toBeGreaterThanOrEqual(changeAt);
      expect(found).toContain('sought');
      expect(found.filter((id) => id.startsWith('m'))).toHaveLength(300);
    });
  });

  it('is not available while Redis is not', async () => {
    await restore(index, 0);
    await redis.kill();
    await expect(index.add([aPause('a')])).rejects.toMatchObject({ code: 'state_unavailable' });
    await expect(matched(index, aCandidate({}))).rejects.toMatchObject({ code: 'state_unavailable' });
    await redis.start();
    expect(await index.intact(0)).toBe(false);
  });
});
