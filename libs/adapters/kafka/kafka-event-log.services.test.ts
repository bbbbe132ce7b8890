import { randomBytes } from 'node:crypto';
import { Admin, ConfigResourceTypes, IncrementalAlterConfigOperationTypes } from '@platformatic/kafka';
import { CompressionTypes, Kafka, logLevel, type Message } from 'kafkajs';
import { afterEach, describe, expect, it } from 'vitest';
import type { StoredEvent } from '#core/event/event.js';
import { DEFAULT_ENV, type Position } from '#core/words.js';
import type { DeadLetter, EventLog, LogRecord, PlacedRecord, Topic } from '#ports/event-log.port.js';
import { recordOfEvent } from '#ports/records.js';
import { eventLogContract } from '#testkit/contracts/event-log.contract.js';
import { ManualClock } from '#testkit/manual-clock.js';
import { KafkaCluster as KafkaServers } from '#testkit/services/kafka.service.js';
import { services } from '#testkit/services/services.js';
import { jsonCodec } from './json.codec.js';
import { KafkaEventLog, type KafkaEventLogOptions } from './kafka-event-log.js';
import { topicNames } from './kafka.topics.js';
import type { RecordCodec } from './record.codec.js';

const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
const clock = new ManualClock();
const AT = Date.UTC(2026, 0, 1);
const FOREVER = { events: -1, commands: -1, transitions: -1, 'dead-letters': -1 };

type TestOptions = KafkaEventLogOptions & { readonly prefix: string };

function options(more: Partial<KafkaEventLogOptions> = {}): TestOptions {
  return {
    brokers: services().kafkaBrokers,
    clientId: 'test',
    prefix: `t${randomBytes(6).toString('hex')}.`,
    topics: { partitions: 3, retentionMs: FOREVER },
    clock,
    logger: quiet,
    ...more,
  };
}

async function withAdmin<T>(brokers: readonly string[], work: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = new Admin({ clientId: 'test', bootstrapBrokers: [...brokers] });
  try {
    return await work(admin);
  } finally {
    await admin.close();
  }
}

const forget = ({ brokers, prefix }: TestOptions): Promise<unknown> =>
  withAdmin(brokers, (admin) => admin.deleteTopics({ topics: [...topicNames(prefix)] }));

const record = (key: string, body: unknown, more: Partial<LogRecord> = {}): LogRecord => ({
  topic: 'commands',
  key,
  type: 'Thing',
  schema: 1,
  env: DEFAULT_ENV,
  at: AT,
  body,
  ...more,
});

/** What stands on a topic, partition by partition. */
async function all(log: EventLog, topic: Topic): Promise<PlacedRecord[]> {
  const records: PlacedRecord[] = [];
  for (const { partition } of await log.ends(topic)) {
    for (let offset = 0; ;) {
      const page = await log.read(topic, { partition, offset }, 1_000);
      records.push(...page);
      const last = page.at(-1);
      if (!last) break;
      offset = last.position.offset + 1;
    }
  }
  return records;
}

/** Subscribes, and resolves with so many records. */
async function taken(log: EventLog, topic: Topic, count: number, from?: readonly Position[]): Promise<PlacedRecord[]> {
  const records: PlacedRecord[] = [];
  const done = Promise.withResolvers<void>();
  const subscription = await log.subscribe(topic, from, (batch) => {
    records.push(...batch);
    if (records.length >= count) done.resolve();
  });
  await done.promise;
  await subscription.close();
  return records;
}

eventLogContract('KafkaEventLog', async () => {
  const of = options();
  let log = await KafkaEventLog.open(of);
  return {
    log,
    reopen: async () => {
      await log.close();
      return (log = await KafkaEventLog.open(of));
    },
    dispose: async () => {
      await log.close();
      await forget(of);
    },
  };
});

describe('the log on Kafka', () => {
  const undo: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    for (const one of undo.splice(0).reverse()) await one();
  });

  const open = async (of: TestOptions, shared = true): Promise<KafkaEventLog> => {
    const log = await KafkaEventLog.open(of);
    if (shared) undo.push(() => forget(of));
    undo.push(() => log.close());
    return log;
  };
  const outside = (of: TestOptions): Kafka =>
    new Kafka({ clientId: 'outside', brokers: [...of.brokers], logLevel: logLevel.NOTHING });
  const produce = async (of: TestOptions, topic: Topic, messages: Message[], compression = CompressionTypes.None) => {
    const producer = outside(of).producer();
    await producer.connect();
    const [sent] = await producer.send({ topic: of.prefix + topic, messages, compression });
    await producer.disconnect();
    return sent;
  };

  describe('together with other clients', () => {
    it('is read by others: a key where they look for it, headers that say what it is, a body in JSON', async () => {
      const of = options();
      const log = await open(of);
      const event: StoredEvent = {
        internalId: '01KDV2Z0000000000000000000',
        env: DEFAULT_ENV,
        id: 'order-1',
        name: 'shop/order.paid',
        ts: AT,
        receivedAt: AT,
        payload: '{}',
        source: 'api',
        trace: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      };
      const transition = { runId: 'run', command: { partition: 2, offset: 17 }, index: 1, transition: {} };
      const positions = await log.append([
        recordOfEvent(event),
        record('run', transition, { topic: 'transitions', type: 'StepCompleted' }),
        record('gone', undefined, { topic: 'snapshots', type: 'Snapshot' }),
      ]);
      const consumer = outside(of).consumer({ groupId: `${of.prefix}outside` });
      const seen = new Map<string, unknown>();
      const done = Promise.withResolvers<void>();
      await consumer.connect();
      const topics = ['events', 'transitions', 'snapshots'].map((topic) => of.prefix + topic);
      await consumer.subscribe({ topics, fromBeginning: true });
      await consumer.run({
        eachMessage: ({ topic, partition, message: { key, value, headers, timestamp, offset } }) => {
          const texts = Object.entries(headers ?? {}).map(([name, text]) => [name, String(text)]);
          seen.set(topic.slice(of.prefix.length), {
            key: String(key),
            value: value && (JSON.parse(value.toString()) as unknown),
            headers: Object.fromEntries(texts) as unknown,
            timestamp: Number(timestamp),
            position: { partition, offset: Number(offset) },
          });
          if (seen.size === 3) done.resolve();
          return Promise.resolve();
        },
      });
      await done.promise;
      await consumer.disconnect();
      const common = {
        ce_specversion: '1.0',
        ce_time: '2026-01-01T00:00:00.000Z',
        'content-type': 'application/json',
        'millrace-env': DEFAULT_ENV,
        'millrace-schema': '1',
      };
      expect(Object.fromEntries(seen)).toEqual({
        events: {
          key: 'order-1',
          value: event,
          timestamp: AT,
          position: positions[0],
          headers: {
            ...common,
            ce_id: event.internalId,
            ce_type: 'shop/order.paid',
            ce_source: '/millrace/events',
            'millrace-type': 'Event',
            traceparent: event.trace,
          },
        },
        transitions: {
          key: 'run',
          value: transition,
          timestamp: AT,
          position: positions[1],
          headers: {
            ...common,
            ce_id: 'commands/2/17/1',
            ce_type: 'millrace.StepCompleted',
            ce_source: '/millrace/transitions',
            'millrace-type': 'StepCompleted',
          },
        },
        snapshots: {
          key: 'gone',
          value: null,
          timestamp: AT,
          position: positions[2],
          headers: {
            ...common,
            ce_id: 'snapshots/gone',
            ce_type: 'millrace.Snapshot',
            ce_source: '/millrace/snapshots',
            'millrace-type': 'Snapshot',
          },
        },
      });
    });

    it('sends a key to the partition that others send it to', async () => {
      const of = options({ topics: { partitions: 7, retentionMs: FOREVER } });
      const log = await open(of);
      const keys = [
        '',
        'a',
        'ab',
        'abc',
        'abcd',
        'abcde',
        'ключ',
        '🌍',
        ...Array.from({ length: 60 }, (_, n) => `k${n ** 5}`),
      ];
      await produce(
        of,
        'events',
        keys.map((key) => ({ key, value: JSON.stringify({ name: 'n', id: `id of ${key}` }) })),
      );
      // It may have sent some more than once.
      const found = await all(log, 'events');
      const partitions = new Map(found.map(({ key, position }) => [key.slice('id of '.length), position.partition]));
      for (const { key, position } of found)
        expect(position.partition).toBe(partitions.get(key.slice('id of '.length)));
      for (const key of keys) expect([key, partitions.get(key)]).toEqual([key, log.partitionOf('events', key)]);
      expect(new Set(partitions.values()).size).toBe(7);
    });

    it('takes what others write to events for events of users', async () => {
      const of = options({ topics: { partitions: 1, retentionMs: FOREVER } });
      const log = await open(of);
      const binary = {
        ce_specversion: '1.0',
        ce_type: 'shop/paid',
        ce_id: 'e-2',
        ce_source: '/shop',
        ce_time: '2026-02-03T04:05:06.789Z',
      };
      const structured = {
        specversion: '1.0',
        type: 'shop/sent',
        id: 'e-3',
        source: '/shop',
        time: '2026-02-03T04:05:06Z',
        data: { n: 3 },
      };
      const messages: Message[] = [
        {
          value: JSON.stringify({ name: 'shop/plain', id: 'e-1', ts: AT - 5, data: { n: 1 }, user: { u: 1 }, v: '2' }),
        },
        { key: 'k', value: JSON.stringify({ n: 2 }), headers: binary },
        {
          value: JSON.stringify(structured),
          headers: { 'content-type': 'application/cloudevents+json; charset=UTF-8' },
        },
        {
          value: JSON.stringify({ name: 'shop/bare' }),
          headers: { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' },
        },
      ].map((message, n) => ({ ...message, timestamp: String(AT + n) }));
      await produce(of, 'events', messages, CompressionTypes.GZIP);
      const records = await taken(log, 'events', 4);
      const events = records.map(({ body }) => body as StoredEvent);
      const payloads = events.map(({ payload }) => JSON.parse(payload) as unknown);
      const bare = events[3]?.internalId;
      expect(payloads).toEqual([
        { name: 'shop/plain', id: 'e-1', ts: AT - 5, data: { n: 1 }, user: { u: 1 }, v: '2' },
        { name: 'shop/paid', id: 'e-2', ts: Date.UTC(2026, 1, 3, 4, 5, 6, 789), data: { n: 2 }, user: {} },
        { name: 'shop/sent', id: 'e-3', ts: Date.UTC(2026, 1, 3, 4, 5, 6), data: { n: 3 }, user: {} },
        { name: 'shop/bare', id: bare, ts: AT + 3, data: {}, user: {} },
      ]);
      expect(events.map(({ source, env, receivedAt }) => [source, env, receivedAt])).toEqual(
        [0, 1, 2, 3].map((n) => ['kafka', DEFAULT_ENV, AT + n]),
      );
      expect(records.map(({ key, type, at }) => [key, type, at])).toEqual(
        ['e-1', 'e-2', 'e-3', bare].map((id, n) => [id, 'Event', AT + n]),
      );
      expect(events[3]?.trace).toBe('00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01');
      expect(new Set(events.map(({ internalId }) => internalId)).size).toBe(4);
      for (const { internalId } of events) expect(internalId).toMatch(/^[0-9A-HJKMNP-TV-Z]{26}$/);
      // Whoever reads it, and however often, it is the same event.
      expect(await all(await open(of, false), 'events')).toEqual(records);
      expect(await log.ends('dead-letters')).toEqual([{ partition: 0, offset: 0 }]);
    });

    it('files what cannot be an event, once, with its bytes and its reason, and reads on', async () => {
      const of = options({ topics: { partitions: 1, retentionMs: FOREVER } });
      const log = await open(of);
      const bad: [Message, string][] = [
        [{ value: 'no JSON' }, 'The value is not JSON'],
        [{ value: null }, 'There is no value'],
        [{ value: '' }, 'The value is not JSON'],
        [{ value: Buffer.from([0x22, 0xff, 0x22]) }, 'The value is not UTF-8'],
        [{ value: '[{"name":"a"}]' }, 'Request body must contain an event object'],
        [{ value: '{}' }, 'event name is empty'],
        [{ value: '{"name":"inngest/function.finished"}' }, 'event name is reserved'],
        [{ value: '{"name":"a","ts":5}' }, 'timestamp is before'],
        [{ value: '{"name":"a","data":[]}' }, 'event data must be an object'],
        [{ value: '[1]', headers: { ce_type: 'a' } }, 'event data must be an object'],
        [{ value: '{}', headers: { ce_type: 'a', ce_time: 'noon' } }, 'The time of the CloudEvent is none'],
        [{ value: '{"id":"1"}', headers: { 'content-type': 'application/cloudevents+json' } }, 'it has no type'],
        [{ value: `{"name":"a","data":{"x":"${'x'.repeat(3 * 1024 * 1024)}"}}` }, 'Event is over the max size'],
      ];
      const good = { value: JSON.stringify({ name: 'good' }) };
      await produce(of, 'events', [...bad.map(([message]) => ({ ...message, key: 'k', timestamp: String(AT) })), good]);
      const [event] = await taken(log, 'events', 1);
      expect((event?.body as StoredEvent).name).toBe('good');
      expect(await log.read('events', { partition: 0, offset: 0 }, 10)).toEqual([event]);
      const letters = await all(log, 'dead-letters');
      expect(letters).toHaveLength(bad.length);
      for (const [offset, [{ value }, reason]] of bad.entries()) {
        const letter = letters[offset]?.body as DeadLetter;
        expect(letter.reason).toContain(reason);
        expect(letter).toMatchObject({ origin: { topic: 'events', partition: 0, offset }, key: 'k', type: '', at: AT });
        expect(letter.bytes).toBe(value === null ? '' : Buffer.from(value).toString('base64'));
        expect(letters[offset]).toMatchObject({ key: `events/0/${offset}`, type: 'DeadLetter', at: clock.now() });
      }
    });

    it('files a record of ours that was spoilt', async () => {
      const of = options({ topics: { partitions: 1, retentionMs: FOREVER } });
      const log = await open(of);
      const headers = {
        'millrace-type': 'CancelRun',
        'millrace-schema': '2',
        'millrace-env': 'e',
        ce_time: '2026-01-01T00:00:00.000Z',
      };
      await produce(of, 'commands', [
        { key: 'a', value: '{"torn":', headers },
        { key: 'b', value: '{}' },
        { key: 'c', value: '{}', headers: { ...headers, ce_time: 'noon' } },
        { key: 'd', value: '{"whole":true}', headers },
      ]);
      const read = {
        topic: 'commands',
        key: 'd',
        type: 'CancelRun',
        schema: 2,
        env: 'e',
        at: AT,
        body: { whole: true },
      };
      expect(await taken(log, 'commands', 1)).toEqual([{ ...read, position: { partition: 0, offset: 3 } }]);
      const letters = (await all(log, 'dead-letters')).map(({ body, env }) => [(body as DeadLetter).type, env]);
      expect(letters).toEqual([
        ['CancelRun', 'e'],
        ['', DEFAULT_ENV],
        ['CancelRun', 'e'],
      ]);
    });

    it('leaves out what a transaction took back, and is not held up by where it stood', async () => {
      const of = options({ topics: { partitions: 1, retentionMs: FOREVER } });
      const log = await open(of);
      const producer = outside(of).producer({ transactionalId: of.prefix, maxInFlightRequests: 1, idempotent: true });
      await producer.connect();
      const names: string[] = [];
      for (const [index, fate] of ['commit', 'abort', 'abort', 'commit', 'abort'].entries()) {
        const transaction = await producer.transaction();
        const ofIt = [0, 1, 2].map((n) => `${fate} ${index} ${n}`);
        await transaction.send({
          topic: `${of.prefix}events`,
          messages: ofIt.map((name) => ({ value: JSON.stringify({ name }) })),
        });
        if (fate === 'commit') names.push(...ofIt);
        await (fate === 'commit' ? transaction.commit() : transaction.abort());
      }
      await producer.disconnect();
      const nameOf = ({ body }: PlacedRecord) => (body as StoredEvent).name;
      expect((await taken(log, 'events', names.length)).map(nameOf)).toEqual(names);
      expect((await all(log, 'events')).map(nameOf)).toEqual(names);
      // From the middle of what was taken back.
      const [last] = await log.read('events', { partition: 0, offset: 6 }, 1);
      expect(nameOf(last as PlacedRecord)).toBe('commit 3 0');
      const [end] = await log.ends('events');
      const next = taken(log, 'events', 1, [end as Position]);
      await log.append([record('a', { name: 'mine' }, { topic: 'events' })]);
      expect((await next).map(nameOf)).toEqual(['mine']);
    });

    it.each(['gzip', 'snappy', 'lz4', 'zstd'] as const)('compresses by %s', async (compression) => {
      const of = options({ compression });
      const log = await open(of);
      const bodies = Array.from({ length: 300 }, (_, n) => ({ n, text: 'again and '.repeat(50) }));
      const positions = await log.append(bodies.map((body, n) => record(`k${n}`, body)));
      const found = new Map(
        (await taken(log, 'commands', 300)).map(({ body, position }) => [
          (body as { n: number }).n,
          { body, position },
        ]),
      );
      expect([...found.keys()].length).toBe(300);
      for (const [n, body] of bodies.entries()) expect(found.get(n)).toEqual({ body, position: positions[n] });
    });
  });

  describe('topics', () => {
    it('are made once by any number of processes, as it was said', async () => {
      const of = options({
        topics: {
          partitions: 5,
          minInsyncReplicas: 2,
          retentionMs: { ...FOREVER, commands: 123_456 },
          settings: { config: { 'segment.ms': '60000' } },
        },
      });
      const logs = await Promise.all([1, 2, 3].map((n) => open(of, n === 1)));
      for (const log of logs) {
        expect(await log.ends('commands')).toHaveLength(5);
        expect(await log.ends('config')).toHaveLength(1);
      }
      const settings = await withAdmin(of.brokers, (admin) =>
        admin.describeConfigs({
          resources: topicNames(of.prefix).map((resourceName) => ({
            resourceType: ConfigResourceTypes.TOPIC,
            resourceName,
          })),
        }),
      );
      const setting = (topic: Topic, name: string) =>
        settings
          .find(({ resourceName }) => resourceName === of.prefix + topic)
          ?.configs.find((one) => one.name === name)?.value;
      expect(setting('commands', 'retention.ms')).toBe('123456');
      expect(setting('commands', 'cleanup.policy')).toBe('delete');
      expect(setting('snapshots', 'cleanup.policy')).toBe('compact');
      for (const topic of ['commands', 'config'] as const) expect(setting(topic, 'min.insync.replicas')).toBe('2');
      expect(setting('config', 'segment.ms')).toBe('60000');
      expect(setting('events', 'max.message.bytes')).toBe(String(32 * 1024 * 1024));
    });

    it.each([
      [
        'events and commands of different numbers of partitions',
        { events: 3, commands: 4 },
        {},
        'they must have as many',
      ],
      ['fewer partitions of snapshots', { snapshots: 2 }, {}, 'it must have as many as'],
      ['a config that forgets', { config: 1 }, { 'cleanup.policy': 'delete' }, 'it must be compacted'],
      ['events that are compacted', { events: 3 }, { 'cleanup.policy': 'compact' }, 'it must not be compacted'],
    ])('are refused where there are %s', async (_what, numbers, settings, reason) => {
      const of = options();
      await withAdmin(of.brokers, async (admin) => {
        for (const [topic, partitions] of Object.entries(numbers)) {
          const policy = ['config', 'snapshots'].includes(topic) ? 'compact' : 'delete';
          const configs = Object.entries({ 'cleanup.policy': policy, ...settings });
          await admin.createTopics({
            topics: [of.prefix + topic],
            partitions,
            replicas: 1,
            configs: configs.map(([name, value]) => ({ name, value })),
          });
        }
      });
      undo.push(() => forget(of));
      const refused = expect(KafkaEventLog.open(of)).rejects;
      await refused.toMatchObject({ code: 'settings_invalid', message: expect.stringContaining(reason) as unknown });
    });

    it('keep of a compacted key the newest, and nothing of one that was forgotten', async () => {
      const quick = { 'segment.ms': '100', 'min.cleanable.dirty.ratio': '0.001', 'delete.retention.ms': '0' };
      const of = options({ topics: { partitions: 1, retentionMs: FOREVER, settings: { config: quick } } });
      const log = await open(of);
      let at = AT;
      // Segments are closed by the time of their records.
      const config = (key: string, body: unknown) => record(key, body, { topic: 'config', at: (at += 1_000) });
      const [first] = await log.append([config('a', 1), config('b', 1), config('c', 1)]);
      await log.append([config('a', 2), config('b', undefined)]);
      const old = (records: readonly PlacedRecord[]) =>
        records.filter(({ key, body }) => key === 'b' || (key === 'a' && body === 1));
      // The broker leaves the newest part of a log alone: it needs something behind it.
      for (let n = 0; old(await all(log, 'config')).length > 0; n++) await log.append([config('filler', n)]);
      const records = await taken(log, 'config', 3, [first as Position]);
      expect(records.slice(0, 2).map(({ key, body }) => [key, body])).toEqual([
        ['c', 1],
        ['a', 2],
      ]);
      // A trim is not refused, and takes nothing.
      await log.trim('config', (await log.ends('config'))[0] as Position);
      expect((await all(log, 'config')).slice(0, 2)).toEqual(records.slice(0, 2));
    });
  });

  describe('appends', () => {
    it('take records of 13 MB, and refuse what is too large before anything is tried', async () => {
      const of = options();
      const log = await open(of);
      const large = record('a', 'x'.repeat(13 * 1024 * 1024));
      const [position] = await log.append([large]);
      expect(await log.read('commands', position as Position, 1)).toEqual([{ ...large, position }]);
      const ends = await log.ends('commands');
      const many = [1, 2, 3].map(() => large);
      await expect(log.append([record('b', 1), ...many])).rejects.toThrow(
        /3 records of .*commands of \d+ bytes together/,
      );
      await expect(log.append([record('b', 1)], many)).rejects.toBeInstanceOf(TypeError);
      expect(await log.ends('commands')).toEqual(ends);
    });

    it('put nothing behind what the broker refuses', async () => {
      const of = options();
      const log = await open(of);
      await withAdmin(of.brokers, (admin) =>
        admin.incrementalAlterConfigs({
          resources: [
            {
              resourceType: ConfigResourceTypes.TOPIC,
              resourceName: `${of.prefix}commands`,
              configs: [
                {
                  name: 'max.message.bytes',
                  configOperation: IncrementalAlterConfigOperationTypes.SET,
                  value: '20000',
                },
              ],
            },
          ],
        }),
      );
      const told = record('a', 'told', { topic: 'transitions' });
      const large = record('a', 'x'.repeat(30_000));
      for (let heard = false; !heard;)
        heard = await log.append([large]).then(
          () => false,
          () => true,
        );
      const before = (await all(log, 'commands')).length;
      // Each is small enough, and refused only together with others: then each goes alone.
      const small = Array.from({ length: 10 }, (_, n) => record('a', `${n}`.repeat(9_000)));
      const appends = await Promise.allSettled([
        ...small.slice(0, 5).map((one) => log.append([one])),
        log.append([large], [told]),
        ...small.slice(5).map((one) => log.append([one], [told])),
      ]);
      const refused = appends.filter(({ status }) => status === 'rejected');
      expect(refused).toEqual([appends[5]]);
      expect(appends[5]).toMatchObject({ reason: { message: expect.stringContaining('are larger than') as unknown } });
      const written = (await all(log, 'commands')).slice(before);
      expect(written.map(({ body }) => (body as string)[0])).toEqual([...'0123456789']);
      expect(await all(log, 'transitions')).toHaveLength(5);
    });

    it('stand in the order of their calls, also where their encoding takes its time', async () => {
      const slow: RecordCodec = {
        encode: async (one) => {
          const n = one.body as number;
          if (n % 3 > 0) await new Promise((resolve) => setTimeout(resolve, 7 - (n % 7)));
          return jsonCodec.encode(one);
        },
        decode: async (...found) => {
          await new Promise((resolve) => setImmediate(resolve));
          return jsonCodec.decode(...found);
        },
      };
      const log = await open(options({ codec: slow }));
      const wrong = { ...record('a', 9), key: undefined } as unknown as LogRecord;
      const appends = Array.from({ length: 40 }, (_, n) => log.append([record('a', n), ...(n === 7 ? [wrong] : [])]));
      const answers = await Promise.allSettled(appends);
      expect(answers.flatMap(({ status }, n) => (status === 'rejected' ? [n] : []))).toEqual([7]);
      expect(answers[7]).toMatchObject({ reason: expect.any(TypeError) as unknown });
      const expected = Array.from({ length: 40 }, (_, n) => n).filter((n) => n !== 7);
      expect((await taken(log, 'commands', 39)).map(({ body }) => body)).toEqual(expected);
    });

    it('are refused at once where a partition is wrong, whatever becomes of those that are being encoded', async () => {
      const failing: RecordCodec = { ...jsonCodec, encode: () => Promise.reject(new Error('no registry')) };
      const log = await open(options({ codec: failing }));
      const appended = log.append([record('a', 1), { ...record('a', 2), partition: 99 }]);
      await expect(appended).rejects.toThrow('there is no partition 99');
      await expect(log.append([record('a', 3)])).rejects.toMatchObject({ code: 'log_unavailable' });
      expect(await all(log, 'commands')).toEqual([]);
    });
  });

  describe('without its brokers', () => {
    /** Appends without a pause, each command with what tells of it, and notes what was acknowledged. */
    function load(log: EventLog, writers: number) {
      const acknowledged: { readonly n: number; readonly positions: readonly Position[] }[] = [];
      const refused: unknown[] = [];
      let stopped = false;
      let n = 0;
      const write = async (): Promise<void> => {
        while (!stopped) {
          const number = n++;
          const key = `k${number % 20}`;
          try {
            const positions = await log.append([record(key, number)], [record(key, number, { topic: 'transitions' })]);
            acknowledged.push({ n: number, positions });
          } catch (error) {
            refused.push(error);
          }
          await new Promise((resolve) => setImmediate(resolve));
        }
      };
      const writing = Promise.all(Array.from({ length: writers }, write));
      return {
        acknowledged,
        refused,
        async reaches(count: number): Promise<void> {
          while (acknowledged.length < count) await new Promise((resolve) => setTimeout(resolve, 10));
        },
        async stop(): Promise<void> {
          stopped = true;
          await writing;
        },
      };
    }

    /** Holds what subscribers got against what was acknowledged and against what stands in the log. */
    async function check(log: EventLog, { acknowledged }: ReturnType<typeof load>, got: readonly PlacedRecord[]) {
      const commands = await all(log, 'commands');
      const transitions = await all(log, 'transitions');
      const placeOf = ({ partition, offset }: Position) => `${partition}/${offset}`;
      const standing = new Map(commands.map(({ position, body }) => [placeOf(position), body]));
      const told = new Map(transitions.map(({ position, body }) => [placeOf(position), body]));
      for (const { n, positions } of acknowledged) {
        expect(standing.get(placeOf(positions[0] as Position))).toBe(n);
        expect(told.get(placeOf(positions[1] as Position))).toBe(n);
      }
      const written = new Set(commands.map(({ body }) => body));
      expect(transitions.filter(({ body }) => !written.has(body))).toEqual([]);
      // The subscriber has seen each partition as it stands: nothing left out, nothing twice.
      for (const { partition } of await log.ends('commands')) {
        const of = (records: readonly PlacedRecord[]) =>
          records.filter(({ position }) => position.partition === partition);
        expect(of(got)).toEqual(of(commands).slice(0, of(got).length));
      }
    }

    it('loses nothing and goes on when the broker is killed under load and comes back', async () => {
      await using servers = await KafkaServers.launch();
      const of = options({ brokers: servers.brokers, patienceMs: 2_000 });
      const log = await open(of, false);
      const got: PlacedRecord[] = [];
      const errors: unknown[][] = [];
      await log.subscribe('commands', undefined, (batch) => void got.push(...batch), {
        onError: async (error, batch) => {
          errors.push([(error as { code?: string }).code, batch.length]);
          await new Promise((resolve) => setTimeout(resolve, 20));
        },
      });
      const appending = load(log, 20);
      await appending.reaches(300);
      const [server] = servers.nodes;
      for (let round = 1; round <= 2; round++) {
        await server?.kill();
        while (appending.refused.length < 20 * round || errors.length < round)
          await new Promise((resolve) => setTimeout(resolve, 10));
        await expect(log.read('commands', { partition: 0, offset: 0 }, 1)).rejects.toMatchObject({
          code: 'log_unavailable',
        });
        await server?.start();
        await appending.reaches(appending.acknowledged.length + 300);
      }
      await appending.stop();
      const ends = await log.ends('commands');
      const sum = ends.reduce((total, { offset }) => total + offset, 0);
      while (got.length < sum) await new Promise((resolve) => setTimeout(resolve, 10));
      await check(log, appending, got);
      expect(got).toHaveLength(sum);
      for (const error of appending.refused) expect(error).toMatchObject({ code: 'log_unavailable' });
      for (const error of errors) expect(error).toEqual(['log_unavailable', 0]);
      await log.close();
    }, 400_000);

    it('loses nothing and refuses nothing when one of three brokers is killed or hangs', async () => {
      await using servers = await KafkaServers.launch({ brokers: 3 });
      const of = options({
        brokers: servers.brokers,
        topics: { partitions: 6, retentionMs: FOREVER },
        patienceMs: 40_000,
        requestTimeoutMs: 3_000,
      });
      const log = await open(of, false);
      const got: PlacedRecord[] = [];
      await log.subscribe('commands', undefined, (batch) => void got.push(...batch));
      const appending = load(log, 20);
      await appending.reaches(300);
      await servers.node(2).kill();
      await appending.reaches(appending.acknowledged.length + 1_000);
      await servers.node(2).start();
      await appending.reaches(appending.acknowledged.length + 300);
      servers.node(1).suspend();
      await appending.reaches(appending.acknowledged.length + 1_000);
      servers.node(1).resume();
      await appending.reaches(appending.acknowledged.length + 300);
      await appending.stop();
      expect(appending.refused).toEqual([]);
      const sum = (await log.ends('commands')).reduce((total, { offset }) => total + offset, 0);
      while (got.length < sum) await new Promise((resolve) => setTimeout(resolve, 10));
      await check(log, appending, got);
      // Each is in once, though many were sent more often.
      expect(new Set((await all(log, 'commands')).map(({ body }) => body)).size).toBe(sum);
      await log.close();
    }, 400_000);
  });
});
