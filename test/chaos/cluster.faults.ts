import { setTimeout as pause } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { expect } from 'vitest';
import type { AllServices } from '#testkit/services/all.services.js';
import { type ClusterNames, PARTITIONS } from '../harness/cluster.names.js';
import type { Member } from '../harness/member.process.js';
import type { Server } from '../harness/server.process.js';

/** A cluster and all that it stands on. */
export interface Victim {
  readonly server: Server;
  readonly names: ClusterNames;
  readonly services: AllServices;
  /** From 0 to 1. */
  readonly roll: () => number;
}

/** Something goes wrong, for a while. Resolves when every process is up again, however far behind. */
type ClusterFault = (victim: Victim) => Promise<void>;

const FRONT = 'event-api,api';
/** A member that is not heard of for so long has lost its partitions. */
const SESSION_MS = 6_000;

/** By kind. */
export const FAULTS: Readonly<Record<string, ClusterFault>> = {
  'event-api and api killed': killed(FRONT),
  'runner killed': killed('runner'),
  'executor killed': killed('executor'),
  'projector killed': killed('projector'),
  'all killed': async ({ server }) => {
    await server.kill();
    await server.start();
  },
  'event-api and api restarted': restarted(FRONT),
  'runner restarted': restarted('runner'),
  'executor restarted': restarted('executor'),
  'projector restarted': restarted('projector'),
  'runner suspended past its session': async ({ server, roll }) => {
    const runner = oneOf(server.of('runner'), roll);
    runner.suspend();
    await pause(SESSION_MS + between(roll, 1_000, 5_000));
    runner.resume();
  },
  'runners come and go': comesAndGoes,
  'broker killed': async ({ services, roll }) => {
    const [broker] = services.kafka.nodes;
    await broker?.kill();
    await pause(between(roll, 0, 3_000));
    await broker?.start();
  },
  'Redis flushed': ({ services }) => inRedis(services, (redis) => redis.flushall()),
  'Redis restarted empty': async ({ services: { redis }, roll }) => {
    await redis.kill();
    await pause(between(roll, 0, 4_000));
    await redis.start();
  },
  'Redis suspended': async ({ services: { redis }, roll }) => {
    redis.suspend();
    await pause(between(roll, 500, 6_000));
    redis.resume();
  },
  'ClickHouse down': async ({ services: { clickhouse }, roll }) => {
    await clickhouse.kill();
    await pause(between(roll, 1_000, 8_000));
    await clickhouse.start();
  },
  'Postgres down': async ({ services: { postgres }, roll }) => {
    await postgres.kill();
    await pause(between(roll, 1_000, 8_000));
    await postgres.start();
  },
  'state of a partition lost': async ({ services, names, roll }) => {
    await inRedis(services, (redis) => redis.eval(REMOVE, 0, `${tagOf(names, roll)}*`));
  },
  'state and position of a partition set back': async ({ services, names, roll }) => {
    const tag = tagOf(names, roll);
    await inRedis(services, async (redis) => {
      await redis.eval(COPY, 0, tag);
      await pause(between(roll, 1_000, 5_000));
      await redis.eval(RESTORE, 0, tag);
    });
  },
  'position and state set back before a takeover': async ({ server, services, names, roll }) => {
    const tag = tagOf(names, roll);
    await inRedis(services, async (redis) => {
      await redis.eval(COPY, 0, tag);
      await pause(between(roll, 1_000, 5_000));
      const runners = server.of('runner');
      await Promise.all(runners.map((runner) => runner.kill()));
      await redis.eval(RESTORE, 0, tag);
      await Promise.all(runners.map((runner) => runner.start()));
    });
  },
  'projector sought back': async ({ server, services, names, roll }) => {
    const projectors = server.of('projector');
    await Promise.all(projectors.map((projector) => projector.kill()));
    await seekBack(`${services.clickhouse.url}/?database=${names.database}`, roll());
    await Promise.all(projectors.map((projector) => projector.start()));
  },
};

/** All keys of a partition, which share a hash tag: gone, put aside, or as they were put aside. */
const REMOVE = `for _, key in ipairs(redis.call('KEYS', ARGV[1])) do redis.call('DEL', key) end`;
const COPY = `for _, key in ipairs(redis.call('KEYS', ARGV[1] .. '*')) do redis.call('COPY', key, 'aside:' .. key, 'REPLACE') end`;
const RESTORE = `
for _, key in ipairs(redis.call('KEYS', ARGV[1] .. '*')) do redis.call('DEL', key) end
for _, key in ipairs(redis.call('KEYS', 'aside:' .. ARGV[1] .. '*')) do redis.call('RENAME', key, string.sub(key, 7)) end`;

function killed(roles: string): ClusterFault {
  return async ({ server, roll }) => {
    const member = oneOf(server.of(roles), roll);
    await member.kill();
    // Long enough, at times, for others to take what it had.
    await pause(between(roll, 0, SESSION_MS + 3_000) * roll());
    await member.start();
  };
}

function restarted(roles: string): ClusterFault {
  return async ({ server, roll }) => {
    const member = oneOf(server.of(roles), roll);
    expect(await member.stop(), `exit code of ${roles}`).toBe(0);
    await member.start();
  };
}

/** The partitions are shared out anew each time. */
async function comesAndGoes({ server, roll }: Victim): Promise<void> {
  for (let times = 0; times < 3; times++) {
    const third = await server.add('runner');
    await pause(between(roll, 500, 3_000));
    if (roll() < 0.3) await third.kill();
    await server.remove(third);
    await pause(between(roll, 500, 2_000));
  }
}

async function seekBack(url: string, share: number): Promise<void> {
  const sql = async (body: string) => {
    const response = await fetch(url, { method: 'POST', body });
    const text = await response.text();
    if (!response.ok) throw new Error(text);
    return text;
  };
  const rows = await sql(
    'SELECT reader, log_partition, max(log_offset) AS at FROM positions_by_partition GROUP BY ALL FORMAT JSONCompactStrings',
  );
  const { data } = JSON.parse(rows) as { data: [string, string, string][] };
  const back = data.map(([reader, partition, at]) => `('${reader}', ${partition}, ${Math.floor(Number(at) * share)})`);
  await sql('TRUNCATE TABLE positions_by_partition');
  if (back.length > 0) await sql(`INSERT INTO positions_by_partition VALUES ${back.join(', ')}`);
}

async function inRedis<T>({ redis }: AllServices, does: (client: Redis) => Promise<T>): Promise<void> {
  const client = new Redis(redis.url);
  try {
    await does(client);
  } finally {
    client.disconnect();
  }
}

function tagOf({ prefix }: ClusterNames, roll: () => number): string {
  return `{${prefix}p${Math.floor(roll() * PARTITIONS)}}`;
}

function oneOf(members: readonly Member[], roll: () => number): Member {
  const member = members[Math.floor(roll() * members.length)];
  if (!member) throw new Error('there is no such process');
  return member;
}

function between(roll: () => number, min: number, max: number): number {
  return min + roll() * (max - min);
}
