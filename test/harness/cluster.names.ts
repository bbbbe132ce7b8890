import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import pg from 'pg';
import type { ServiceUrls } from '#testkit/services/all.services.js';
import { kafkaAt, recordsOn } from './kafka.log.js';
import type { Flags } from './server.process.js';
import { SERVICES } from './until.js';

type Urls = Omit<ServiceUrls, 'schemaRegistryUrl'>;

export const PARTITIONS = 4;

export interface Kept {
  /** A file, topic, key or table. */
  readonly name: string;
  readonly bytes: Buffer;
}

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
  readonly database: string;
  private readonly urls: Urls;

  private constructor(urls: Urls) {
    this.urls = urls;
    this.database = `t${randomBytes(6).toString('hex')}`;
    this.prefix = `${this.database}.`;
  }

  static async make(urls: Urls): Promise<ClusterNames> {
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
    return { MILLRACE_TOPIC_PREFIX: this.prefix, MILLRACE_PARTITIONS: String(PARTITIONS) };
  }

  /** Everything that the cluster keeps on its services, by where it stands. */
  async kept(): Promise<readonly Kept[]> {
    return (await Promise.all([this.keptOnTopics(), this.keptInRedis(), this.keptInDatabases()])).flat();
  }

  private async keptOnTopics(): Promise<readonly Kept[]> {
    const { kafkaBrokers } = this.urls;
    const records = await recordsOn(kafkaBrokers, await this.topics());
    return records.map(({ topic, key, value, headers }) => ({
      name: topic,
      bytes: Buffer.concat([Buffer.from(`${key} ${JSON.stringify(headers)} `), value ?? Buffer.alloc(0)]),
    }));
  }

  private async topics(): Promise<string[]> {
    const admin = kafkaAt(this.urls.kafkaBrokers).admin();
    await admin.connect();
    const topics = (await admin.listTopics()).filter((topic) => topic.startsWith(this.prefix));
    await admin.disconnect();
    return topics;
  }

  private async keptInRedis(): Promise<readonly Kept[]> {
    const redis = new Redis(this.urls.redisUrl);
    const readers: Record<string, (key: string) => Promise<unknown>> = {
      string: (key) => redis.get(key),
      hash: (key) => redis.hgetall(key),
      list: (key) => redis.lrange(key, 0, -1),
      set: (key) => redis.smembers(key),
      zset: (key) => redis.zrange(key, 0, -1),
      stream: (key) => redis.xrange(key, '-', '+'),
    };
    const kept: Kept[] = [];
    for await (const keys of this.keys(redis)) {
      for (const key of keys) {
        const type = await redis.type(key);
        if (type === 'none') continue;
        const read = readers[type];
        if (!read) throw new Error(`${key} is a ${type}, which is not read here`);
        kept.push({ name: key, bytes: Buffer.from(JSON.stringify(await read(key))) });
      }
    }
    await redis.quit();
    return kept;
  }

  private keys(redis: Redis): AsyncIterable<string[]> {
    return redis.scanStream({ match: `*${this.prefix}*`, count: 1_000 }) as AsyncIterable<string[]>;
  }

  private async keptInDatabases(): Promise<readonly Kept[]> {
    const { database } = this;
    const client = new pg.Client({ connectionString: withPath(this.urls.postgresUrl, database) });
    await client.connect();
    const { rows: tables } = await client.query<{ name: string }>(
      `SELECT quote_ident(tablename) AS name FROM pg_tables WHERE schemaname = 'public'`,
    );
    const kept: Kept[] = [];
    for (const { name } of tables)
      kept.push({ name, bytes: Buffer.from(JSON.stringify((await client.query(`SELECT * FROM ${name}`)).rows)) });
    await client.end();

    const ask = async (body: string) => (await fetch(this.urls.clickhouseUrl, { method: 'POST', body })).text();
    for (const name of (await ask(`SHOW TABLES FROM ${database}`)).split('\n').filter((line) => line !== ''))
      kept.push({ name, bytes: Buffer.from(await ask(`SELECT * FROM ${database}.\`${name}\` FORMAT JSONEachRow`)) });
    return kept;
  }

  /** What a test has used is gone when it ends, or the services would fill up. */
  async remove(): Promise<void> {
    await Promise.all([this.removeTopics(), this.removeKeys(), this.removeDatabases()]);
  }

  private async removeTopics(): Promise<void> {
    const admin = kafkaAt(this.urls.kafkaBrokers).admin();
    await admin.connect();
    await admin.deleteTopics({ topics: await this.topics() });
    await admin.disconnect();
  }

  async removeKeys(): Promise<void> {
    const redis = new Redis(this.urls.redisUrl);
    for await (const keys of this.keys(redis)) if (keys.length > 0) await redis.unlink(...keys);
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
