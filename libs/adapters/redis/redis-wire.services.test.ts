import { afterEach, describe, expect, it, vi } from 'vitest';
import { wireContract } from '#testkit/contracts/wire.contract.js';
import { RedisWorld } from '#testkit/redis.world.js';
import { RedisServer } from '#testkit/services/redis.service.js';
import { services } from '#testkit/services/services.js';
import { RedisWire } from './redis-wire.js';

wireContract('RedisWire', () => {
  const world = new RedisWorld(services().redisUrl);
  const [wire, elsewhere] = [new RedisWire(world.connect()), new RedisWire(world.connect())];
  return Promise.resolve({
    wire,
    elsewhere,
    dispose: async () => {
      wire.close();
      elsewhere.close();
      await world[Symbol.asyncDispose]();
    },
  });
});

describe('RedisWire', () => {
  const opened: AsyncDisposable[] = [];
  const wires: RedisWire[] = [];
  afterEach(async () => {
    for (const wire of wires.splice(0)) wire.close();
    for (const one of opened.splice(0).reverse()) await one[Symbol.asyncDispose]();
  });
  const open = async () => {
    const redis = await RedisServer.launch();
    const world = new RedisWorld(redis.url);
    opened.push(redis, world);
    const connect = () => {
      const wire = new RedisWire(world.connect());
      wires.push(wire);
      return wire;
    };
    return { redis, world, connect };
  };
  /** Says it until it is heard: before there is a connection again, what is said is lost. */
  const sayUntilHeard = (wire: RedisWire, channel: string, heard: readonly string[], message: string) =>
    vi.waitFor(
      async () => {
        await wire.say(channel, message);
        expect(heard).toContain(message);
      },
      { timeout: 20_000, interval: 20 },
    );

  it('hears again after its connection was cut, and after a restart', async () => {
    const { redis, world, connect } = await open();
    const [wire, elsewhere] = [connect(), connect()];
    const heard: string[] = [];
    const alsoHeard: string[] = [];
    await elsewhere.listen('a', (message) => heard.push(message));
    await elsewhere.listen('b', (message) => alsoHeard.push(message));
    await wire.say('a', '1');
    await vi.waitFor(() => expect(heard).toEqual(['1']));
    await world.connect().use(({ client }) => client.client('KILL', 'TYPE', 'pubsub'));
    await sayUntilHeard(wire, 'a', heard, '2');
    await redis.kill();
    await redis.start();
    await sayUntilHeard(wire, 'a', heard, '3');
    await sayUntilHeard(wire, 'b', alsoHeard, '4');
  });

  it('loses what is said while there is no server, and hears who began to listen then', async () => {
    const { redis, connect } = await open();
    const [wire, elsewhere] = [connect(), connect()];
    await wire.say('a', 'nobody listens yet');
    await redis.kill();
    const heard: string[] = [];
    const stop = await elsewhere.listen('a', (message) => heard.push(message));
    await wire.say('a', 'lost');
    await redis.start();
    await sayUntilHeard(wire, 'a', heard, 'heard');
    stop();
  });

  it('is silent once it is closed', async () => {
    const { world, connect } = await open();
    const [wire, elsewhere] = [connect(), connect()];
    await elsewhere.listen('a', () => expect.unreachable());
    elsewhere.close();
    await wire.say('a', '1');
    const connection = world.connect();
    await vi.waitFor(async () => {
      const [, listening] = await connection.use(({ client }) => client.pubsub('NUMSUB', `${world.prefix}wire:a`));
      expect(listening).toBe(0);
    });
  });
});
