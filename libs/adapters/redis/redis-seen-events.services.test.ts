import { afterEach, describe, expect, it } from 'vitest';
import { DEFAULT_ENV } from '#core/words.js';
import { seen, seenEventsContract } from '#testkit/contracts/seen-events.contract.js';
import { RedisWorld } from '#testkit/redis.world.js';
import { RedisServer } from '#testkit/services/redis.service.js';
import { services } from '#testkit/services/services.js';
import { RedisSeenEvents } from './redis-seen-events.js';

seenEventsContract('RedisSeenEvents', () => {
  const world = new RedisWorld(services().redisUrl);
  return Promise.resolve({
    store: new RedisSeenEvents(world.connect()),
    reopen: () => Promise.resolve(new RedisSeenEvents(world.connect())),
    dispose: () => world[Symbol.asyncDispose](),
  });
});

const at = (offset: number, partition = 0) => ({ partition, offset });

describe('RedisSeenEvents', () => {
  const worlds: AsyncDisposable[] = [];
  afterEach(async () => {
    for (const world of worlds.splice(0).reverse()) await world[Symbol.asyncDispose]();
  });
  const world = (url = services().redisUrl): RedisWorld => {
    const made = new RedisWorld(url);
    worlds.push(made);
    return made;
  };

  it('refuses an owner that is behind, with all that it writes', async () => {
    const processes = world();
    const [owner, zombie] = [new RedisSeenEvents(processes.connect()), new RedisSeenEvents(processes.connect())];
    await zombie.commit([seen('f', 'a', 1)], at(2), 1);
    await owner.position(0);
    await owner.commit([seen('f', 'b', 5)], at(6), 2);
    const many = Array.from({ length: 2_500 }, (_, n) => seen('f', `late ${n}`, 3));
    await expect(zombie.commit(many, at(4), 3)).rejects.toMatchObject({ code: 'position_stale', data: { kept: 6 } });
    expect(await owner.first(0, DEFAULT_ENV, 'f', 'late 0')).toBeUndefined();
    await expect(zombie.commit([], at(9), 3)).rejects.toMatchObject({ code: 'position_stale', data: { kept: 6 } });
    expect(await zombie.position(0)).toEqual(at(6));
    await zombie.commit([], at(9), 4);
    expect(await owner.prune(0, 10)).toBe(2);
  });

  it('says that it has lost what it held: an id that started a run must not look new', async () => {
    const redis = await RedisServer.launch();
    worlds.push(redis);
    const connection = world(redis.url).connect();
    const store = new RedisSeenEvents(connection);
    await store.commit([seen('f', 'a', 1)], at(2), 1);
    await connection.use(({ client }) => client.save());
    await store.commit([seen('f', 'b', 2)], at(3), 1);

    await redis.kill();
    await redis.start();
    await expect(store.first(0, DEFAULT_ENV, 'f', 'b')).rejects.toMatchObject({ code: 'state_lost' });
    await expect(store.commit([seen('f', 'b', 3)], at(4), 1)).rejects.toMatchObject({ code: 'state_lost' });
    expect(await store.position(0)).toEqual(at(2));
    expect(await store.first(0, DEFAULT_ENV, 'f', 'a')).toMatchObject({ at: 1 });
    await store.commit([seen('f', 'b', 2)], at(3), 2);

    await connection.use(({ client }) => client.flushall());
    await expect(store.first(0, DEFAULT_ENV, 'f', 'a')).rejects.toMatchObject({ code: 'state_lost' });
    expect(await store.position(0)).toBeUndefined();
    expect(await store.first(0, DEFAULT_ENV, 'f', 'a')).toBeUndefined();
    await store.commit([seen('g', 'c', 1)], at(2), 3);
    expect(await store.first(0, DEFAULT_ENV, 'g', 'c')).toEqual({ ...seen('g', 'c', 1), at: 3 });
  });
});
