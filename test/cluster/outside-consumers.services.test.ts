import { Partitioners } from 'kafkajs';
import { beforeAll, describe, expect, it } from 'vitest';
import { services } from '#testkit/services/services.js';
import build from '../harness/build.setup.js';
import { useServices } from '../harness/cluster.names.js';
import { type FoundRecord, kafkaAt, recordsOn } from '../harness/kafka.log.js';
import { readByKcat } from '../harness/kcat.js';
import { complaintOf, publishedAvro, readAvro, type SchemaName } from '../harness/published.schemas.js';
import { toldByPython } from '../harness/python.consumer.js';
import { Server } from '../harness/server.process.js';
import { until } from '../harness/until.js';
import { VariedLoad } from './varied.load.js';

/**
 * Who knows only docs/topics.md and the published schemas reads every topic of a cluster that has done something of everything, and that lost a
 * runner meanwhile.
 */
const TOPICS = ['events', 'commands', 'transitions', 'snapshots', 'config', 'dead-letters'] as const;
const HEADERS = [
  'ce_specversion',
  'ce_id',
  'ce_type',
  'ce_source',
  'ce_time',
  'content-type',
  'millrace-env',
  'millrace-type',
  'millrace-schema',
];

type Body = Readonly<Record<string, unknown>>;

beforeAll(() => build());

describe.each(['JSON', 'Avro'] as const)('a log of %s', (encoding) => {
  const { kafkaBrokers: brokers, schemaRegistryUrl } = services();
  let prefix: string;
  let records: readonly FoundRecord[];
  let load: VariedLoad;

  beforeAll(async () => {
    useServices(services());
    // What has been started goes also when this fails.
    await using started = new AsyncDisposableStack();
    const server = started.use(
      await Server.start({
        flags: encoding === 'Avro' ? { 'schema-registry-url': schemaRegistryUrl } : {},
        env: { MILLRACE_SNAPSHOT_INTERVAL: '1' },
      }),
    );
    load = started.use(await VariedLoad.start(server));
    prefix = server.topicPrefix;
    await spoilt();
    await load.play();
    // Somebody is at work on snapshots as long as the cluster lives: what stands there now is compared.
    records = await until(
      async () => {
        const found = await recordsOn(brokers, TOPICS.map(named));
        return TOPICS.every((topic) => found.some((record) => record.topic === named(topic))) ? found : undefined;
      },
      { what: 'records on every topic', withinMs: 60_000, everyMs: 500 },
    );
    const stays = started.move();
    return () => stays.disposeAsync();
  }, 600_000);

  const named = (topic: string): string => prefix + topic;
  const of = (topic: string): readonly FoundRecord[] => records.filter((record) => record.topic === named(topic));

  /** Something to set aside. */
  async function spoilt(): Promise<void> {
    const producer = kafkaAt(brokers).producer();
    await producer.connect();
    await producer.send({ topic: named('events'), messages: [{ key: 'spoilt', value: 'no JSON' }] });
    await producer.disconnect();
  }

  /** All but those that outsiders wrote. */
  const ours = (): readonly FoundRecord[] => records.filter(({ key }) => key !== 'spoilt');

  function nameOf({ topic, headers }: FoundRecord): SchemaName {
    const given = new Map(headers);
    return {
      topic: topic.slice(prefix.length),
      type: given.get('millrace-type') ?? '',
      version: Number(given.get('millrace-schema')),
    };
  }

  function bodyOf(record: FoundRecord): Body | null {
    if (record.value === null) return null;
    if (encoding === 'JSON') return JSON.parse(record.value.toString()) as Body;
    return readAvro(nameOf(record), record.value.subarray(5)) as Body;
  }

  it('has the topics with the partitions that are told, kept as it is told', async () => {
    const admin = kafkaAt(brokers).admin();
    await admin.connect();
    const { topics } = await admin.fetchTopicMetadata({ topics: TOPICS.map(named) });
    const { resources } = await admin.describeConfigs({
      includeSynonyms: false,
      resources: TOPICS.map((topic) => ({
        type: 2,
        name: named(topic),
        configNames: ['cleanup.policy', 'retention.ms'],
      })),
    });
    await admin.disconnect();
    const settings = new Map(
      resources.map(({ resourceName, configEntries }) => [
        resourceName,
        Object.fromEntries(configEntries.map(({ configName, configValue }) => [configName, configValue])),
      ]),
    );
    const days = (count: number) => ({ 'cleanup.policy': 'delete', 'retention.ms': String(count * 86_400_000) });
    const seen = topics.map(({ name, partitions }) => [
      name.slice(prefix.length),
      partitions.length,
      settings.get(name),
    ]);
    expect(Object.fromEntries(seen.map(([name, ...rest]) => [name, rest]))).toEqual({
      events: [4, days(30)],
      commands: [4, days(30)],
      transitions: [4, days(30)],
      snapshots: [4, expect.objectContaining({ 'cleanup.policy': 'compact' })],
      config: [1, expect.objectContaining({ 'cleanup.policy': 'compact' })],
      'dead-letters': [4, days(30)],
    });
  });

  it('is the same to kafkajs and to kcat', async () => {
    for (const topic of TOPICS) {
      const upTo = new Map(of(topic).map(({ partition, offset }) => [partition, offset]));
      const printed = (await readByKcat(brokers, named(topic))).filter(
        ({ partition, offset }) => offset <= (upTo.get(partition) ?? -1),
      );
      // A compacted topic may have lost some between the two.
      const kept = topic === 'snapshots' ? new Set(printed.map(placeOf)) : undefined;
      expect(printed).toEqual(of(topic).filter((record) => kept?.has(placeOf(record)) ?? true));
    }
  });

  it('says in the headers what each record is', () => {
    for (const record of ours()) {
      const headers = Object.fromEntries(record.headers);
      const { topic, type } = nameOf(record);
      const body = bodyOf(record);
      expect(Object.keys(headers).filter((name) => name !== 'traceparent')).toEqual(HEADERS);
      expect(headers).toMatchObject({
        ce_specversion: '1.0',
        ce_type: topic === 'events' ? body?.['name'] : `millrace.${type}`,
        ce_source: `/millrace/${topic}`,
        ce_time: new Date(record.timestamp).toISOString(),
        'millrace-env': expect.stringMatching(/./) as string,
        'millrace-schema': '1',
      });
      if (body)
        expect(headers['content-type']).toBe(
          encoding === 'JSON' ? 'application/json' : 'application/vnd.confluent.avro',
        );
      if (topic === 'events') expect(headers['ce_id']).toBe(body?.['internalId']);
      if (topic === 'transitions') expect(headers['ce_id']).toMatch(/^(commands|events)\/\d+\/\d+\//);
    }
  });

  it('holds values that the published schemas account for', () => {
    for (const record of ours()) {
      const body = bodyOf(record);
      if (body === null) expect(nameOf(record).topic).toBe('snapshots');
      else if (encoding === 'JSON') expect(complaintOf(nameOf(record), body), record.value?.toString()).toBeUndefined();
      else expect(record.value?.[0]).toBe(0);
    }
  });

  it.runIf(encoding === 'Avro')('names schemas that the registry gives as they are published', async () => {
    const byId = new Map(ours().flatMap((record) => (record.value ? [[record.value.readUInt32BE(1), record]] : [])));
    for (const [id, record] of byId) {
      const answer = await fetch(`${schemaRegistryUrl}/schemas/ids/${id}`);
      const { schema } = (await answer.json()) as { schema: string };
      expect(JSON.parse(schema)).toEqual(publishedAvro(nameOf(record)));
    }
  });

  it('has keys that name what a record is about, and keeps a key in its partition', async () => {
    const partitions = await partitionsOf();
    const stored = ours().filter(({ topic }) => topic === named('events'));
    const events = new Map(stored.map((record) => [bodyOf(record)?.['internalId'], record]));
    for (const record of ours()) {
      const { topic, type } = nameOf(record);
      const first = (key: string): string | undefined => {
        const found = events.get(key);
        return found && found.partition === record.partition && found.offset <= record.offset ? key : undefined;
      };
      expect(record.key, `${topic} ${type}`).toBe(keyOf(topic, type, bodyOf(record), record, first));
      if (topic !== 'snapshots') expect([record.key, record.partition]).toEqual([record.key, partitions(record)]);
    }
  });

  it('tells of everything that was done', () => {
    const types = (topic: string) => new Set(of(topic).map((record) => nameOf(record).type));
    for (const type of [
      ...['RunScheduled', 'RunStarted', 'RunCompleted', 'RunFailed', 'RunCancelled', 'StepPlanned', 'StepCompleted'],
      ...[
        'StepErrored',
        'StepFailed',
        'CallErrored',
        'ChildLinked',
        'SignalClaimed',
        'SignalDelivered',
        'CronArmed',
        'CronTicked',
        'EventRepeated',
      ],
      ...[
        'RateCharged',
        'RateLimited',
        'DebounceOpened',
        'DebounceMoved',
        'DebounceFired',
        'BatchOpened',
        'BatchFired',
      ],
      ...['EventIdTaken', 'EventIdRefused', 'SingletonTaken', 'SingletonSkipped', 'ThrottleSpent'],
    ])
      expect(types('transitions')).toContain(type);
    expect(types('snapshots')).toEqual(new Set(['Snapshot', 'SnapshotMark']));
    expect(types('config')).toEqual(new Set(['App', 'Function']));
    // Whoever comes upon it files it; the key says that it is the same.
    const letters = new Map(of('dead-letters').map((record) => [record.key, bodyOf(record)]));
    expect([...letters.values()]).toEqual([
      expect.objectContaining({ key: 'spoilt', bytes: Buffer.from('no JSON').toString('base64') }),
    ]);
  });

  it('tells a consumer in Python the status and the output of every run', async () => {
    const registry = encoding === 'Avro' ? ['--registry', schemaRegistryUrl] : [];
    const told = await toldByPython(
      ...['--brokers', brokers.join(','), '--topic', named('transitions'), '--until-end', ...registry],
    );
    const runs = await load.runs();
    expect(runs.length).toBeGreaterThan(50);
    const rows = runs.map(({ run_id, status, output }) => ({ run_id, status, output }));
    expect(told).toEqual(rows.sort((a, b) => (a.run_id < b.run_id ? -1 : 1)));
  });

  /** Where clients of Kafka look for a key. */
  async function partitionsOf(): Promise<(record: FoundRecord) => number> {
    const admin = kafkaAt(brokers).admin();
    await admin.connect();
    const { topics } = await admin.fetchTopicMetadata({ topics: TOPICS.map(named) });
    await admin.disconnect();
    const metadata = new Map(topics.map(({ name, partitions }) => [name, partitions]));
    const partition = Partitioners.DefaultPartitioner();
    return ({ topic, key }) =>
      partition({ topic, partitionMetadata: metadata.get(topic) ?? [], message: { key, value: null } });
  }
});

/** As docs/topics.md says. */
function keyOf(
  topic: string,
  type: string,
  body: Body | null,
  { key }: FoundRecord,
  first: (key: string) => string | undefined,
): unknown {
  switch (topic) {
    case 'events':
      // Without an id of its own it stands with the others of its request, under the first of them.
      return body?.['id'] === body?.['internalId'] ? first(key) : body?.['id'];
    case 'commands':
      return aggregateOf(body ?? {});
    case 'transitions':
      return body?.['runId'];
    case 'snapshots':
      if (type === 'SnapshotMark') return 'mark';
      return body === null ? key : `${String(body['space'])}/${String(body['id'])}`;
    case 'config':
      return `${type.toLowerCase()}:${String(body?.['id'])}`;
    default: {
      const { topic: origin, partition, offset } = body?.['origin'] as Body;
      return [origin, partition, offset].join('/');
    }
  }
}

function aggregateOf({ env, key, signal, cron, functionId, runId }: Body): unknown {
  if (key !== undefined) return key;
  if (signal !== undefined) return ['signal', env, signal].join(':');
  return runId ?? ['cron', env, functionId, cron].join(':');
}

function placeOf({ partition, offset }: FoundRecord): string {
  return `${partition}/${offset}`;
}
