import { ClickHouseServer, clickhouseAnswers } from './clickhouse.service.js';
import { KafkaCluster, kafkaAnswers } from './kafka.service.js';
import { PostgresServer, postgresAnswers } from './postgres.service.js';
import { RedisServer, redisAnswers } from './redis.service.js';
import { SchemaRegistryServer, schemaRegistryAnswers } from './schema-registry.service.js';
import type { ServiceOptions, ServiceProcess } from './service.process.js';

/** Where the services are that the tests share. */
export interface ServiceUrls {
  readonly redisUrl: string;
  /** `host:port` each. */
  readonly kafkaBrokers: readonly string[];
  /** Its user may make databases. */
  readonly postgresUrl: string;
  readonly clickhouseUrl: string;
  readonly schemaRegistryUrl: string;
}

export interface AllServices {
  readonly urls: ServiceUrls;
  readonly redis: RedisServer;
  readonly kafka: KafkaCluster;
  readonly postgres: PostgresServer;
  readonly clickhouse: ClickHouseServer;
  readonly processes: readonly ServiceProcess[];
  /** Ends them and removes their data. */
  readonly end: () => Promise<void>;
}

/** Starts one of each. @throws the first thing that went wrong, when all that did start has been ended */
export async function launchAll(options: ServiceOptions = {}): Promise<AllServices> {
  const launches = [
    RedisServer.launch(options),
    KafkaCluster.launch(options),
    PostgresServer.launch(options),
    ClickHouseServer.launch(options),
    SchemaRegistryServer.launch(options),
  ] as const;
  const started = (await Promise.allSettled(launches)).flatMap((outcome) =>
    outcome.status === 'fulfilled' ? [outcome.value] : [],
  );
  const end = async (): Promise<void> => {
    await Promise.all(started.map((service) => service[Symbol.asyncDispose]()));
  };
  try {
    const [redis, kafka, postgres, clickhouse, schemaRegistry] = await Promise.all(launches);
    const urls = {
      redisUrl: redis.url,
      kafkaBrokers: kafka.brokers,
      postgresUrl: postgres.url,
      clickhouseUrl: clickhouse.url,
      schemaRegistryUrl: schemaRegistry.url,
    };
    const processes = [redis, ...kafka.nodes, postgres, clickhouse, schemaRegistry];
    return { urls, redis, kafka, postgres, clickhouse, processes, end };
  } catch (error) {
    await end();
    throw error;
  }
}

/** Whether there is somebody behind every URL who answers. */
export async function allAnswer(urls: ServiceUrls): Promise<boolean> {
  const answers = await Promise.allSettled([
    redisAnswers(urls.redisUrl),
    kafkaAnswers(urls.kafkaBrokers, 1),
    postgresAnswers(urls.postgresUrl),
    clickhouseAnswers(urls.clickhouseUrl),
    schemaRegistryAnswers(urls.schemaRegistryUrl),
  ]);
  return answers.every(({ status }) => status === 'fulfilled');
}
