import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RedisServer } from '#testkit/services/redis.service.js';
import { services } from '#testkit/services/services.js';
import { RedisConnection } from './redis-connection.js';

describe('a connection to Redis', () => {
  let server: RedisServer;
  let admin: Redis;
  let connection: RedisConnection;
  beforeEach(async () => {
    server = await RedisServer.launch();
    admin = new Redis(server.url);
    admin.on('error', () => undefined);
  });
  afterEach(async () => {
    await connection.close();
    admin.disconnect();
    await server[Symbol.asyncDispose]();
  });
  const ping = () => connection.use(({ client }) => client.ping());

  it.each(['allkeys-lru', 'volatile-ttl'])(
    'is not used where keys may go by themselves (%s), until that is changed',
    async (policy) => {
      await admin.config('SET', 'maxmemory-policy', policy);
      connection = new RedisConnection(server.url, 'millrace.');
      await expect(connection.check()).rejects.toMatchObject({ code: 'state_evicts', data: { policy } });
      const reason = expect.stringContaining('noeviction') as unknown;
      await expect(ping()).rejects.toMatchObject({ code: 'state_unavailable', data: { reason } });

      await admin.config('SET', 'maxmemory-policy', 'noeviction');
      await expect.poll(() => ping().catch(() => undefined), { timeout: 30_000 }).toBe('PONG');
      await connection.check();
    },
  );

  it('that does not come about is no reason to give up', async () => {
    connection = new RedisConnection(server.url, 'millrace.');
    await server.kill();
    await connection.check();
    await expect(ping()).rejects.toMatchObject({ code: 'state_unavailable' });
  });
});

it('wipes what is of its installation, and nothing else', async () => {
  const [prefix, other] = [`${randomUUID()}[?]*.`, `${randomUUID()}.`];
  const own = ['{$queue}x', '{$p1}aggregates:positions', '$view:1', '{$jobs}:apps:meta'];
  const all = [prefix, other].flatMap((name) => own.map((key) => key.replace('$', name)));
  const connection = new RedisConnection(services().redisUrl, prefix);
  await connection.use(({ client }) => client.mset(...all.flatMap((key) => [key, '1'])));
  expect(await connection.wipe()).toBe(own.length);
  const left = await connection.use(({ client }) => client.mget(...all));
  expect(left).toEqual([...own.map(() => null), ...own.map(() => '1')]);
  await connection.use(({ client }) => client.del(...all));
  await connection.close();
});
