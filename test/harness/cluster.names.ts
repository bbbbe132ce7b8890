import { randomBytes } from 'node:crypto';
import { Kafka, logLevel } from 'kafkajs';
import { Redis } from 'ioredis';
import pg from 'pg';
import type { ServiceUrls } from '#testkit/services/all.services.js';
import type { Flags } from './server.process.js';

const SERVICES = 'MILLRACE_TEST_SERVICES';

/** From now on servers of this process, and of those it starts, are clusters on these services. */
export function useServices(urls: ServiceUrls): void {
  process.env[SERVICES] = JSON.stringify(urls);
}

/** Where servers are to be clusters: the services that they share. */
export function sharedServices(): ServiceUrls | undefined {
  const given = process.env[SERVICES];
  return given === undefined ? undefined : (JSON.parse(given) as ServiceUrls);
}

/** What a cluster of its own has on services that others use as well: topics, keys and databases under one name. */
export class ClusterNames {
  readonly prefix: string;
  private readonly database: string;

  private constructor(private readonly urls: ServiceUrls) {
    this.database = `t${randomBytes(6).toString('hex')}`;
    this.prefix = `${this.database}.`;
  }

  static async make(urls: ServiceUrls): Promise<ClusterNames> {
    const names = new ClusterNames(urls);
    await names.inPostgres(`CREATE DATABASE ${names.database}`);
    return names;
  }

  /** What every process of the cluster is told. */
  get flags(): Flags {
    const { redisUrl, kafkaBrokers, postgresUrl, clickhouseUrl } = this.urls;
    return {
      'kafka-brokers': kafkaBrokers,
      'redis-url': redisUrl,
      'database-url': withPath(postgresUrl, this.database),
      'clickhouse-url': withPath(clickhouseUrl, this.database),
    };
  }

  /** What has no flag. Few partitions, so that many clusters fit on one broker. */
  get env(): Readonly<Record<string, string>> {
    return { MILLRACE_TOPIC_PREFIX: this.prefix, MILLRACE_PARTITIONS: '4' };
  }

  /** What a test has used is gone when it ends, or the services would fill up. */
  async remove(): Promise<void> {
    await Promise.all([this.removeTopics(), this.removeKeys(), this.removeDatabases()]);
  }

  private async removeTopics(): Promise<void> {
    const kafka = new Kafka({ brokers: [...this.urls.kafkaBrokers], logLevel: logLevel.NOTHING });
    const admin = kafka.admin();
    await admin.connect();
    const topics = (await admin.listTopics()).filter((topic) => topic.startsWith(this.prefix));
    await admin.deleteTopics({ topics });
    await admin.disconnect();
  }

  private async removeKeys(): Promise<void> {
    const redis = new Redis(this.urls.redisUrl);
    const pattern = `{${this.prefix}*`;
    for await (const keys of redis.scanStream({ match: pattern, count: 1_000 }) as AsyncIterable<string[]>) {
      if (keys.length > 0) await redis.unlink(...keys);
    }
    await redis.quit();
  }

  private async removeDatabases(): Promise<void> {
    await this.inPostgres(`DROP DATABASE IF EXISTS ${this.database} WITH (FORCE)`);
    await fetch(this.urls.clickhouseUrl, { method: 'POST', body: `DROP DATABASE IF EXISTS ${this.database}` });
  }

  private async inPostgres(statement: string): Promise<void> {
    const client = new pg.Client({ connectionString: this.urls.postgresUrl });
    await client.connect();
    await client.query(statement);
    await client.end();
  }
}

function withPath(url: string, path: string): string {
  const changed = new URL(url);
  changed.pathname = `/${path}`;
  return changed.href;
}
