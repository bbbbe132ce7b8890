import { Redis } from 'ioredis';
import type { ServiceUrls } from '#testkit/services/all.services.js';
import type { Part } from './installation.ts';
import { childrenOf } from './process.meter.ts';
import '../../scripts/source.hooks.mjs';

export type ClusterUrls = Omit<ServiceUrls, 'schemaRegistryUrl'>;

/** What a cluster is on. */
export interface ClusterServices {
  readonly urls: ClusterUrls;
  /** Nobody else is on them. */
  readonly areOwn: boolean;
  /** Their processes; none where they are not ours. */
  parts(): readonly Part[];
  emptyRedis(): Promise<void>;
  close(): Promise<void>;
}

/** Services that others have started: what they cost is not known here. */
export function givenServices(urls: ClusterUrls): ClusterServices {
  return {
    urls,
    areOwn: false,
    parts: () => [],
    emptyRedis: () => Promise.reject(new Error('others may be on this Redis')),
    close: () => Promise.resolve(),
  };
}

/** Starts one of each, for this process alone. */
export async function ownServices(): Promise<ClusterServices> {
  const folder = '../../libs/testkit/src/services';
  const [{ RedisServer }, { KafkaCluster }, { PostgresServer }, { ClickHouseServer }] = await Promise.all([
    import(`${folder}/redis.service.ts`) as Promise<typeof import('#testkit/services/redis.service.js')>,
    import(`${folder}/kafka.service.ts`) as Promise<typeof import('#testkit/services/kafka.service.js')>,
    import(`${folder}/postgres.service.ts`) as Promise<typeof import('#testkit/services/postgres.service.js')>,
    import(`${folder}/clickhouse.service.ts`) as Promise<typeof import('#testkit/services/clickhouse.service.js')>,
  ]);
  const started = new AsyncDisposableStack();
  try {
    const redis = started.use(await RedisServer.launch());
    const kafka = started.use(await KafkaCluster.launch());
    const postgres = started.use(await PostgresServer.launch());
    const clickhouse = started.use(await ClickHouseServer.launch());
    const processes = { kafka: kafka.node(1), redis, postgres, clickhouse };
    return {
      urls: {
        redisUrl: redis.url,
        kafkaBrokers: kafka.brokers,
        postgresUrl: postgres.url,
        clickhouseUrl: clickhouse.url,
      },
      areOwn: true,
      parts: () =>
        Object.entries(processes).map(([name, { pid }]) => {
          return { name, pids: [pid, ...childrenOf(pid)], isOwn: false };
        }),
      emptyRedis: async () => {
        const client = new Redis(redis.url);
        await client.flushall();
        await client.quit();
      },
      close: () => started.disposeAsync(),
    };
  } catch (error) {
    await started.disposeAsync();
    throw error;
  }
}
