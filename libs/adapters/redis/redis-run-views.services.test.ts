import { expect, it } from 'vitest';
import { aRun } from '#testkit/a-run.js';
import { runViewsContract } from '#testkit/contracts/run-views.contract.js';
import { RedisWorld } from '#testkit/redis.world.js';
import { services } from '#testkit/services/services.js';
import { RedisRunViews } from './redis-run-views.js';

runViewsContract('RedisRunViews', () => {
  const world = new RedisWorld(services().redisUrl);
  return Promise.resolve({
    views: new RedisRunViews(world.connect()),
    elsewhere: new RedisRunViews(world.connect()),
    dispose: () => world[Symbol.asyncDispose](),
  });
});

it('RedisRunViews lets go of a run after its time, of one that has ended sooner', async () => {
  await using world = new RedisWorld(services().redisUrl);
  const connection = world.connect();
  const views = new RedisRunViews(connection);
  const ended = { state: 'completed', endedAt: 1 } as const;
  const at = { partition: 0, offset: 1 };
  await views.show([
    { run: aRun('a'), at },
    { run: aRun('b', ended), at },
    { run: aRun('c'), at },
    { run: aRun('c', ended), at },
  ]);
  const left = (id: string) => connection.use(({ client }) => client.pttl(`${world.prefix}view:${id}`));
  const hour = 3_600_000;
  for (const id of ['b', 'c']) {
    expect(await left(id)).toBeGreaterThan(0.9 * hour);
    expect(await left(id)).toBeLessThanOrEqual(hour);
  }
  expect(await left('a')).toBeGreaterThan(23 * hour);
});
