import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { AvroCodec } from '#adapters/schema-registry/avro.codec.js';
import { jsonCodec } from '#adapters/kafka/json.codec.js';
import { KafkaEventLog } from '#adapters/kafka/kafka-event-log.js';
import type { RecordCodec } from '#adapters/kafka/record.codec.js';
import { viewOfRun } from '#apps/api/src/runs/run.view.js';
import type { Run } from '#core/run/run.state.js';
import type { LogRecord } from '#ports/event-log.port.js';
import { ManualClock } from '#testkit/manual-clock.js';
import { goldenLogs, type GoldenLog } from '#testkit/record.samples.js';
import { services } from '#testkit/services/services.js';
import { type ConsumerRow, toldByPython } from '../harness/python.consumer.js';

/**
 * An outside consumer, which knows only what is published, tells status and output of every run from `transitions`: the same as the API.
 * The log is one that holds every kind of transition.
 */
const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

let golden: GoldenLog;
let transitions: readonly LogRecord[];

beforeAll(() => {
  golden = goldenLogs().at(-1) as GoldenLog;
  transitions = golden.records.filter(({ topic }) => topic === 'transitions');
});

/** What the API says of the runs of the log. */
function rows(): readonly ConsumerRow[] {
  const begun = new Set(transitions.flatMap(({ type, key }) => (type === 'RunScheduled' ? [key] : [])));
  return golden.states
    .filter(({ key }) => begun.has(key))
    .map(({ state }) => viewOfRun(state as Run))
    .map(({ run_id, status, output }) => ({ run_id, status, output }))
    .sort((a, b) => (a.run_id < b.run_id ? -1 : 1));
}

it('has something to tell: runs of every status, and outputs', () => {
  const statuses = new Set(rows().map(({ status }) => status));
  for (const status of ['Running', 'Completed', 'Failed', 'Cancelled', 'Skipped']) expect(statuses).toContain(status);
  expect(rows().some(({ output }) => output !== null)).toBe(true);
});

describe('from a file of records', () => {
  let folder: string;
  beforeEach(async () => (folder = await mkdtemp(join(tmpdir(), 'millrace-records-'))));
  afterEach(() => rm(folder, { recursive: true }));

  async function file(records: readonly LogRecord[], codec: RecordCodec): Promise<string> {
    const path = join(folder, 'records.jsonl');
    const wires = await Promise.all(records.map(async (record) => codec.encode(record)));
    const lines = wires.map(({ headers, value }) =>
      JSON.stringify({ headers, value: value?.toString('base64') ?? null }),
    );
    await writeFile(path, lines.map((line) => `${line}\n`).join(''));
    return path;
  }

  it('it tells what the API says', async () =>
    expect(await toldByPython('--file', await file(transitions, jsonCodec))).toEqual(rows()));

  it('it bears copies, also late ones, and what it does not know', async () => {
    const pondered: LogRecord = { ...(transitions[0] as LogRecord), type: 'RunPondered', body: { new: true } };
    const twice = [
      pondered,
      ...transitions.flatMap((record) => [record, record]),
      ...transitions.slice(0, 40),
      pondered,
    ];
    expect(await toldByPython('--file', await file(twice, jsonCodec))).toEqual(rows());
  });
});

describe.each(['JSON', 'Avro'])('from the topic, as %s', (encoding) => {
  const prefix = `t${randomBytes(6).toString('hex')}.`;
  let log: KafkaEventLog;

  beforeAll(async () => {
    const codec =
      encoding === 'JSON' ? jsonCodec : new AvroCodec(services().schemaRegistryUrl, (topic) => prefix + topic);
    log = await KafkaEventLog.open({
      brokers: services().kafkaBrokers,
      clientId: 'test',
      prefix,
      topics: { partitions: 3 },
      codec,
      clock: new ManualClock(),
      logger: quiet,
    });
    // Copies of some come late, as when an owner takes over.
    await log.append([...transitions, ...transitions.slice(20, 60)]);
    return () => log.close();
  });

  it('it tells what the API says', async () => {
    const where = ['--brokers', services().kafkaBrokers.join(','), '--topic', `${prefix}transitions`];
    const registry = encoding === 'JSON' ? [] : ['--registry', services().schemaRegistryUrl];
    expect(await toldByPython(...where, ...registry, '--until-end')).toEqual(rows());
  });
});
