import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Command } from '#core/effects.js';
import type { LogRecord, Topic } from '#ports/event-log.port.js';
import { avroSchemaOf } from '#schemas/avro.schema.js';
import { RECORD_TYPES, recordTypeNamed } from '#schemas/record.types.js';
import { replay, type GoldenCommand } from '#testkit/golden.replay.js';
import { goldenLogs, moreRecords } from '#testkit/record.samples.js';
import { jsonCodec } from '../kafka/json.codec.js';
import { AvroBody, WIRE_PREFIX_BYTES } from './avro.body.js';

/**
 * What a release put on the wire is kept for ever, and read: commands mean what they meant, and every type of record is understood. A
 * release that changes a schema keeps a log of its own: GOLDEN_WRITE=1.2.3 npx vitest run libs/adapters/schema-registry
 */
const HOME = join(import.meta.dirname, 'golden');

/** A record in both encodings, with the place of its schema among those of the log. */
interface GoldenLine {
  readonly topic: Topic;
  readonly key: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly json: string;
  /** Base64, without what the wire has before it. */
  readonly avro: string;
}

interface GoldenWire {
  /** The writer's Avro schemas, by topic and type. */
  readonly schemas: Readonly<Record<string, object>>;
  readonly lines: readonly GoldenLine[];
}

/** The commands of the newest log, and one record of every other type. */
function samples(): readonly LogRecord[] {
  const newest = goldenLogs().at(-1)?.records ?? [];
  const seen = new Set<string>();
  return [...newest, ...moreRecords()].filter(({ topic, type, body }) => {
    const isNew = body !== undefined && (topic === 'commands' || !seen.has(`${topic}/${type}`));
    if (isNew) seen.add(`${topic}/${type}`);
    return isNew;
  });
}

const bodies = new Map(RECORD_TYPES.map((type) => [type, new AvroBody(type)]));

function bodyOf(topic: Topic, type: string): AvroBody {
  const described = recordTypeNamed(topic, type);
  const body = described && bodies.get(described);
  if (!body) throw new Error(`there is no ${type} on ${topic}`);
  return body;
}

async function write(version: string): Promise<void> {
  const path = join(HOME, `${version}.jsonl`);
  if (!/^\d+\.\d+\.\d+$/.test(version)) throw new Error(`a release is named like 1.2.3: ${version}`);
  if (existsSync(path)) throw new Error(`${version} is kept already: what was written is not written again`);
  const lines = await Promise.all(
    samples().map(async (record): Promise<GoldenLine> => {
      const { topic, type, body } = record;
      const { key, headers, value } = await jsonCodec.encode(record);
      const avro = bodyOf(topic, type).encode(body, 0).subarray(WIRE_PREFIX_BYTES).toString('base64');
      return { topic, key: key.toString(), headers, json: value?.toString() ?? '', avro };
    }),
  );
  const schemas = Object.fromEntries(RECORD_TYPES.map((type) => [`${type.topic}/${type.type}`, avroSchemaOf(type)]));
  mkdirSync(HOME, { recursive: true });
  writeFileSync(path, `${[JSON.stringify(schemas), ...lines.map((line) => JSON.stringify(line))].join('\n')}\n`);
}

function read(file: string): GoldenWire {
  const [schemas = '{}', ...lines] = readFileSync(join(HOME, file), 'utf8').trim().split('\n');
  return {
    schemas: JSON.parse(schemas) as GoldenWire['schemas'],
    lines: lines.map((line) => JSON.parse(line) as GoldenLine),
  };
}

const wanted = process.env['GOLDEN_WRITE'];
if (wanted) await write(wanted);

describe.each(readdirSync(HOME))('what was on the wire: %s', (file) => {
  const { schemas, lines } = read(file);

  async function fromJson({ topic, key, headers, json }: GoldenLine): Promise<LogRecord> {
    const place = { timestamp: 0, position: { partition: 0, offset: 0 } };
    return jsonCodec.decode(topic, { key: Buffer.from(key), headers, value: Buffer.from(json), ...place });
  }

  const readers = new Map<string, (value: Buffer) => unknown>();

  function fromAvro({ topic, avro }: GoldenLine, type: string): unknown {
    const name = `${topic}/${type}`;
    const reader = readers.get(name) ?? bodyOf(topic, type).reader(JSON.stringify(schemas[name]));
    readers.set(name, reader);
    return reader(Buffer.concat([Buffer.alloc(WIRE_PREFIX_BYTES), Buffer.from(avro, 'base64')]));
  }

  it('is read as it was written, from both encodings', async () => {
    for (const line of lines) {
      const record = await fromJson(line);
      expect(record.body, record.type).toEqual(JSON.parse(line.json));
      expect(fromAvro(line, record.type), record.type).toEqual(record.body);
    }
  });

  it('holds a record of every type that there was', () => {
    const types = new Set(lines.map(({ topic, headers }) => `${topic}/${headers['millrace-type']}`));
    expect([...types].sort()).toEqual(Object.keys(schemas).sort());
  });

  it('folds to what it folded to: the commands come to the states of their log', async () => {
    const records = await Promise.all(lines.filter(({ topic }) => topic === 'commands').map(fromJson));
    const log = records.map(({ key, schema, body }): GoldenCommand => {
      const command = body as Command;
      return { key, type: command.type, schema, body: command };
    });
    const { states } = JSON.parse(JSON.stringify(replay(log))) as ReturnType<typeof replay>;
    expect(goldenLogs().map((kept) => kept.states)).toContainEqual(states);
  });
});
