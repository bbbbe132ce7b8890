import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { ClickHouseLogLevel, createClient, type ClickHouseClient } from '@clickhouse/client';
import { SchemaRegistry, SchemaType } from '@kafkajs/confluent-schema-registry';
import { Redis } from 'ioredis';
import { Client } from 'pg';
import { describe, expect, it, vi } from 'vitest';
import { Kafka, logLevel, type EachMessagePayload } from 'kafkajs';
import { ClickHouseServer } from './clickhouse.service.js';
import { KafkaCluster } from './kafka.service.js';
import { PostgresServer } from './postgres.service.js';
import { RedisServer } from './redis.service.js';
import { SchemaRegistryServer } from './schema-registry.service.js';
import { services } from './services.js';

describe('Redis', () => {
  it('answers', async () => {
    const client = new Redis(services().redisUrl);
    expect(await client.ping()).toBe('PONG');
    client.disconnect();
  });

  it('forgets everything when it is killed, and is there again at the same port', async () => {
    await using server = await RedisServer.launch();
    const client = new Redis(server.url);
    await client.set('key', 'value');
    await server.kill();
    await server.start();
    expect(await client.get('key')).toBeNull();
    client.disconnect();
  });

  it('keeps what was written before a kill when it is told to', async () => {
    await using server = await RedisServer.launch({ appendOnly: true });
    const client = new Redis(server.url);
    await client.set('key', 'value');
    await server.kill();
    await server.start();
    expect(await client.get('key')).toBe('value');
    client.disconnect();
  });

  it('hangs while it is suspended, and then answers what was asked meanwhile', async () => {
    await using server = await RedisServer.launch();
    const client = new Redis(server.url);
    await client.ping();
    server.suspend();
    const hung = new Redis(server.url, { commandTimeout: 100, retryStrategy: () => null, maxRetriesPerRequest: 0 });
    hung.on('error', () => {});
    await expect(hung.ping()).rejects.toThrow('Command timed out');
    const answer = client.ping();
    server.resume();
    expect(await answer).toBe('PONG');
    client.disconnect();
    hung.disconnect();
  });
});

describe('Kafka', () => {
  it('takes records and gives them to a group', async () => {
    const topic = `services-${randomUUID()}`;
    const kafka = kafkaAt(services().kafkaBrokers);
    await withTopic(kafka, topic, 2);
    await send(kafka, topic, ['one', 'two']);
    expect(await read(kafka, topic, 2)).toEqual(['one', 'two']);
  });

  it('keeps what it has acknowledged over a kill, and is there again at the same port', async () => {
    await using cluster = await KafkaCluster.launch();
    const kafka = kafkaAt(cluster.brokers);
    await withTopic(kafka, 'kept', 1);
    await send(kafka, 'kept', ['one', 'two']);
    await cluster.node(1).kill();
    await cluster.node(1).start();
    await send(kafka, 'kept', ['three']);
    expect(await read(kafka, 'kept', 3)).toEqual(['one', 'two', 'three']);
  });

  it('hangs while it is suspended', async () => {
    await using cluster = await KafkaCluster.launch();
    const kafka = kafkaAt(cluster.brokers);
    await withTopic(kafka, 'slow', 1);
    cluster.node(1).suspend();
    const sent = send(kafka, 'slow', ['late']);
    expect(await Promise.race([sent, pause(500, 'nothing')])).toBe('nothing');
    cluster.node(1).resume();
    await sent;
    expect(await read(kafka, 'slow', 1)).toEqual(['late']);
  });

  it('has three brokers that take records while one of them is gone', async () => {
    await using cluster = await KafkaCluster.launch({ brokers: 3 });
    const kafka = kafkaAt(cluster.brokers);
    await withTopic(kafka, 'replicated', 1);
    await send(kafka, 'replicated', ['one']);
    await cluster.node(2).kill();
    await send(kafka, 'replicated', ['two']);
    await cluster.node(2).start();
    expect(await read(kafka, 'replicated', 2)).toEqual(['one', 'two']);
  });
});

describe('Postgres', () => {
  it('answers', async () => {
    expect(await query(services().postgresUrl, 'SELECT 6 * 7 AS answer')).toEqual([{ answer: 42 }]);
  });

  it('keeps what is committed over a kill and over a stop', async () => {
    await using server = await PostgresServer.launch();
    await query(server.url, 'CREATE TABLE kept AS SELECT 1 AS one');
    await server.kill();
    await server.start();
    await query(server.url, 'INSERT INTO kept VALUES (2)');
    await server.stop();
    await server.start();
    expect(await query(server.url, 'SELECT one FROM kept ORDER BY one')).toEqual([{ one: 1 }, { one: 2 }]);
  });

  it('hangs while it is suspended, on connections that are open, too', async () => {
    await using server = await PostgresServer.launch();
    const client = new Client(server.url);
    await client.connect();
    server.suspend();
    const answer = client.query('SELECT 1 AS one');
    expect(await Promise.race([answer, pause(300, 'nothing')])).toBe('nothing');
    server.resume();
    expect((await answer).rows).toEqual([{ one: 1 }]);
    await client.end();
  });
});

describe('ClickHouse', () => {
  it('makes a database, takes rows, and gives them back', async () => {
    const database = `services_${randomUUID().replaceAll('-', '')}`;
    await using admin = clickhouseAt(services().clickhouseUrl);
    await admin.client.command({ query: `CREATE DATABASE ${database}` });
    await using own = clickhouseAt(services().clickhouseUrl, database);
    await own.client.command({ query: 'CREATE TABLE t (a UInt64, b String) ENGINE = MergeTree ORDER BY a' });
    const values = [
      { a: 1, b: "it's; {a:String}" },
      { a: 2, b: 'tab\tand \\ and ü' },
    ];
    await own.client.insert({ table: 't', format: 'JSONEachRow', values });
    const rows = await own.client.query({ query: 'SELECT * FROM t ORDER BY a', format: 'JSONEachRow' });
    expect(await rows.json()).toEqual(values);
    await admin.client.command({ query: `DROP DATABASE ${database}` });
  });

  it('binds parameters of every shape, also many', async () => {
    await using own = clickhouseAt(services().clickhouseUrl);
    const query =
      'SELECT {text:String} AS text, {n:UInt64} AS n, {list:Array(String)} AS list, {none:Nullable(String)} AS none';
    const list = Array.from({ length: 2_000 }, (_, at) => `it's \\ ${at}`);
    const ways = [
      [list.slice(0, 2), false],
      [list, false],
      [list, true],
    ] as const;
    for (const [some, use_multipart_params] of ways) {
      const query_params = { text: "a'b\tc\\d; SELECT", n: 7, list: some, none: null };
      const result = await own.client.query({ query, query_params, use_multipart_params, format: 'JSON' });
      const { data } = await result.json();
      expect(data).toEqual([{ text: query_params.text, n: 7, list: some, none: null }]);
    }
  });

  it('says what is wrong in the words of the server, and forgets the settings of a request', async () => {
    await using own = clickhouseAt(services().clickhouseUrl);
    const query = (text: string, settings = {}): Promise<unknown> =>
      own.client.query({ query: text, clickhouse_settings: settings }).then((result) => result.text());
    await expect(query('SELECT * FROM nowhere')).rejects.toMatchObject({ code: '60', type: 'UNKNOWN_TABLE' });
    await expect(query('SELEC 1')).rejects.toMatchObject({ code: '62' });
    await expect(query('SELECT 1; SELECT 2')).rejects.toMatchObject({ code: '62', type: 'SYNTAX_ERROR' });
    await expect(query('SELECT {missing:String}')).rejects.toMatchObject({ type: 'UNKNOWN_QUERY_PARAMETER' });
    await expect(query('SELECT 1', { nonsense: 1 })).rejects.toMatchObject({ type: 'UNKNOWN_SETTING' });
    const few = { max_result_rows: '1', readonly: '1' };
    await expect(query('SELECT * FROM numbers(3)', few)).rejects.toMatchObject({ type: 'TOO_MANY_ROWS_OR_BYTES' });
    await expect(query('CREATE DATABASE never', few)).rejects.toMatchObject({ type: 'READONLY' });
    await expect(query('SELECT count() FROM numbers(3)')).resolves.toContain('3');
    await using lost = clickhouseAt(services().clickhouseUrl, 'no_such_database');
    await expect(lost.client.command({ query: 'SELECT 1' })).rejects.toMatchObject({ type: 'UNKNOWN_DATABASE' });
  });

  it('takes compressed rows', async () => {
    await using server = await ClickHouseServer.launch();
    const client = createClient({ url: server.url, compression: { request: true, response: true } });
    await client.command({ query: 'CREATE TABLE t (a UInt64) ENGINE = Memory' });
    await client.insert({ table: 't', format: 'JSONEachRow', values: [{ a: 1 }] });
    const result = await client.query({ query: 'SELECT a FROM t', format: 'JSONEachRow' });
    expect(await result.json()).toEqual([{ a: 1 }]);
    await client.close();
  });

  it('keeps its rows over a kill and over a stop', async () => {
    await using server = await ClickHouseServer.launch();
    await using own = clickhouseAt(server.url);
    await own.client.command({ query: 'CREATE TABLE kept (a UInt64) ENGINE = MergeTree ORDER BY a' });
    await own.client.insert({ table: 'kept', format: 'JSONEachRow', values: [{ a: 1 }] });
    await server.kill();
    await server.start();
    await own.client.insert({ table: 'kept', format: 'JSONEachRow', values: [{ a: 2 }] });
    await server.stop();
    await server.start();
    const result = await own.client.query({ query: 'SELECT a FROM kept ORDER BY a', format: 'JSONEachRow' });
    expect(await result.json()).toEqual([{ a: 1 }, { a: 2 }]);
  });
});

describe('The schema registry', () => {
  it('gives a schema an id, and the schema for the id', async () => {
    const registry = new SchemaRegistry({ host: services().schemaRegistryUrl });
    const [first, other] = [schemaOf('first'), schemaOf('other')];
    const { id } = await registry.register(first, { subject: `services-${randomUUID()}` });
    await registry.register(other, { subject: `services-${randomUUID()}` });
    const reader = new SchemaRegistry({ host: services().schemaRegistryUrl });
    expect(await reader.decode(await registry.encode(id, { first: 'value' }))).toEqual({ first: 'value' });
  });

  it('keeps its schemas and their ids over a kill', async () => {
    await using server = await SchemaRegistryServer.launch();
    const ids = async (): Promise<readonly number[]> => {
      const registry = new SchemaRegistry({ host: server.url });
      const names = ['one', 'two', 'three'];
      const all = [];
      for (const name of names) all.push((await registry.register(schemaOf(name), { subject: name })).id);
      return all;
    };
    const before = await ids();
    expect(new Set(before).size).toBe(3);
    await server.kill();
    await server.start();
    const registry = new SchemaRegistry({ host: server.url });
    expect(await registry.getLatestSchemaId('two')).toBe(before[1]);
    expect(await ids()).toEqual(before);
  });
});

function kafkaAt(brokers: readonly string[]): Kafka {
  return new Kafka({ brokers: [...brokers], logLevel: logLevel.NOTHING });
}

async function withTopic(kafka: Kafka, topic: string, numPartitions: number): Promise<void> {
  const admin = kafka.admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic, numPartitions }], waitForLeaders: false });
  // The controller has made it; the brokers hear of it a moment later.
  await vi.waitFor(() => admin.fetchTopicOffsets(topic), { timeout: 60_000 });
  await admin.disconnect();
}

/** All with one key, so that they are read in this order. */
async function send(kafka: Kafka, topic: string, values: readonly string[]): Promise<void> {
  const producer = kafka.producer();
  await producer.connect();
  await producer.send({ topic, acks: -1, messages: values.map((value) => ({ key: 'key', value })) });
  await producer.disconnect();
}

async function read(kafka: Kafka, topic: string, count: number): Promise<readonly string[]> {
  const consumer = kafka.consumer({ groupId: `services-${randomUUID()}` });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  const values: string[] = [];
  await new Promise<void>((resolve, reject) => {
    consumer.on('consumer.crash', ({ payload }) => reject(payload.error));
    const eachMessage = ({ message }: EachMessagePayload): Promise<void> => {
      values.push(message.value?.toString() ?? '');
      if (values.length === count) resolve();
      return Promise.resolve();
    };
    consumer.run({ eachMessage }).catch(reject);
  });
  await consumer.disconnect();
  return values;
}

async function query(url: string, sql: string): Promise<readonly unknown[]> {
  const client = new Client(url);
  await client.connect();
  try {
    return (await client.query<object>(sql)).rows;
  } finally {
    await client.end();
  }
}

function clickhouseAt(url: string, database = 'default'): AsyncDisposable & { readonly client: ClickHouseClient } {
  // What goes wrong is thrown by the calls.
  const client = createClient({ url, database, log: { level: ClickHouseLogLevel.OFF } });
  return { client, [Symbol.asyncDispose]: () => client.close() };
}

function schemaOf(field: string): { readonly type: SchemaType.AVRO; readonly schema: string } {
  const schema = { type: 'record', name: 'Row', namespace: 'test', fields: [{ name: field, type: 'string' }] };
  return { type: SchemaType.AVRO, schema: JSON.stringify(schema) };
}
