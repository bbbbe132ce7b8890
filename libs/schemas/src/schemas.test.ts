import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import avro from 'avsc';
import { describe, expect, it } from 'vitest';
import type { LogRecord } from '#ports/event-log.port.js';
import { goldenLogs, moreRecords } from '#testkit/record.samples.js';
import { avroNameOf, avroSchemaOf, type AvroNamed, type AvroSchema } from './avro.schema.js';
import { jsonSchemaOf } from './json.schema.js';
import { RECORD_TYPES, recordTypeNamed } from './record.types.js';
import { topicsPage } from './topics.page.js';
import { hasUpcaster } from './upcast.js';

/**
 * The published schemas and the page about them are made from the descriptions and kept in the repository: SCHEMAS_WRITE=1 writes them, and
 * SCHEMAS_RELEASE=<version> keeps what stands for ever, as a release. See scripts/schemas.mjs.
 */
const ROOT = join(import.meta.dirname, '../../..');
const HOME = join(ROOT, 'schemas');
const RELEASED = join(HOME, 'released');
const PAGE = join(ROOT, 'docs/topics.md');

const samples: readonly LogRecord[] = [...goldenLogs().flatMap(({ records }) => records), ...moreRecords()];

/** By path below schemas/. */
const files: ReadonlyMap<string, string> = new Map(
  RECORD_TYPES.flatMap((type) => {
    const name = `${type.topic}/${type.type}.v${type.version}`;
    return [
      [`avro/${name}.avsc`, textOf(avroSchemaOf(type))],
      [`json/${name}.json`, textOf(jsonSchemaOf(type))],
    ] as const;
  }),
);

// A user's event says more than one of the server's.
const page = topicsPage(samples.filter(({ body }) => !isInternal(body)));

function isInternal(body: unknown): boolean {
  return typeof body === 'object' && body !== null && 'internal' in body;
}

function textOf(schema: unknown): string {
  return `${JSON.stringify(schema, null, 2)}\n`;
}

/** The Avro schemas of a release, by their names. */
type Release = Readonly<Record<string, AvroNamed>>;

function write(): void {
  for (const folder of ['avro', 'json']) rmSync(join(HOME, folder), { recursive: true, force: true });
  for (const [path, text] of files) {
    mkdirSync(dirname(join(HOME, path)), { recursive: true });
    writeFileSync(join(HOME, path), text);
  }
  writeFileSync(PAGE, page);
}

function release(version: string): void {
  const path = join(RELEASED, `${version}.json`);
  if (!/^\d+\.\d+\.\d+$/.test(version)) throw new Error(`a release is named like 1.2.3: ${version}`);
  if (existsSync(path)) throw new Error(`${version} is released already: what was released stays as it is`);
  mkdirSync(RELEASED, { recursive: true });
  const schemas = Object.fromEntries(RECORD_TYPES.map((type) => [avroNameOf(type), avroSchemaOf(type)]));
  writeFileSync(path, `${JSON.stringify(schemas)}\n`);
}

if (process.env['SCHEMAS_WRITE']) write();
const released = process.env['SCHEMAS_RELEASE'];
if (released) release(released);

function kept(folder: string): readonly string[] {
  const paths = readdirSync(join(HOME, folder), { recursive: true, withFileTypes: true });
  return paths
    .filter((path) => path.isFile())
    .map(({ parentPath, name }) => join(parentPath, name).slice(HOME.length + 1));
}

describe('the published schemas', () => {
  it('are those of the descriptions, no more and no less (npm run schemas)', () => {
    expect([...kept('avro'), ...kept('json')].sort()).toEqual([...files.keys()].sort());
    for (const [path, text] of files) expect(readFileSync(join(HOME, path), 'utf8'), path).toBe(text);
  });

  it('are told on a page that is made of them (npm run schemas)', () => expect(readFileSync(PAGE, 'utf8')).toBe(page));

  it('are each of a name of its own', () => {
    const names = RECORD_TYPES.map(avroNameOf);
    expect(new Set(names).size).toBe(names.length);
    for (const type of RECORD_TYPES) expect(recordTypeNamed(type.topic, type.type)).toBe(type);
  });

  it('are shown by an example each', () => {
    const shown = new Set(samples.map(({ topic, type }) => `${topic}/${type}`));
    expect(RECORD_TYPES.map(({ topic, type }) => `${topic}/${type}`).filter((name) => !shown.has(name))).toEqual([]);
  });
});

describe('the JSON schemas', () => {
  const ajv = new Ajv2020({ strict: true, allErrors: true });

  it('hold what older versions and this one wrote', () => {
    const validators = new Map(RECORD_TYPES.map((type) => [type, ajv.compile(jsonSchemaOf(type))]));
    for (const { topic, type, body } of samples) {
      if (body === undefined) continue;
      const described = recordTypeNamed(topic, type);
      const validate = described && validators.get(described);
      expect(validate?.(body), `${topic} ${type} ${JSON.stringify(validate?.errors)} ${JSON.stringify(body)}`).toBe(
        true,
      );
    }
  });
});

describe.each(readdirSync(RELEASED).filter((name) => name.endsWith('.json')))('release %s', (name) => {
  const schemas = JSON.parse(readFileSync(join(RELEASED, name), 'utf8')) as Release;

  it('reads what this version writes, and is read by it', () => {
    for (const type of RECORD_TYPES) {
      const before = schemas[avroNameOf(type)];
      if (before) expect(breaks(before, avroSchemaOf(type)), avroNameOf(type)).toBeUndefined();
    }
  });

  it('has no record that is not understood any more', () => {
    const names = new Set(RECORD_TYPES.map(avroNameOf));
    const lost = Object.keys(schemas).filter((schema) => !names.has(schema) && !isRaised(schema));
    expect(lost).toEqual([]);
  });
});

/** Whether a schema of an older version can be made into one of the version behind it. */
function isRaised(schema: string): boolean {
  return RECORD_TYPES.some(({ topic, type, version }) =>
    Array.from({ length: version - 1 }, (_, index) => index + 1).some(
      (older) =>
        avroNameOf({ topic, type, version: older, body: { name: type, doc: '', fields: [] } }) === schema &&
        hasUpcaster(topic, type, older),
    ),
  );
}

/** What stands against two schemas under one name, either way: that a value cannot be read, or a part of it is passed over. */
function breaks(before: AvroNamed, now: AvroNamed): string | undefined {
  const [a, b] = [before, now].map((schema) => avro.Type.forSchema(schema as avro.Schema, { registry: {} })) as [
    avro.Type,
    avro.Type,
  ];
  try {
    a.createResolver(b);
    b.createResolver(a);
    return fieldsOf(before).find((field) => !fieldsOf(now).includes(field));
  } catch (error) {
    return String(error);
  }
}

/** By record and name, those of records inside too. */
function fieldsOf(schema: AvroSchema): readonly string[] {
  if (typeof schema === 'string') return [];
  if (isUnion(schema)) return schema.flatMap(fieldsOf);
  if (schema.type === 'array') return fieldsOf(schema.items);
  return schema.fields.flatMap((field) => [`${schema.name}.${field.name}`, ...fieldsOf(field.type)]);
}

function isUnion(schema: AvroSchema): schema is readonly AvroSchema[] {
  return Array.isArray(schema);
}

describe('what breaks a reader or a writer', () => {
  const now: AvroNamed = { type: 'record', name: 'R', doc: '', fields: [{ name: 'a', type: 'string', doc: '' }] };
  const with_ = (...more: AvroNamed['fields']): AvroNamed => ({ ...now, fields: [...now.fields, ...more] });

  it('is no new optional field', () =>
    expect(breaks(now, with_({ name: 'b', type: ['null', 'long'], doc: '', default: null }))).toBeUndefined());
  it('is a new required field', () => expect(breaks(now, with_({ name: 'b', type: 'long', doc: '' }))).toMatch(/b/));
  it('is a field that is gone', () => expect(breaks(with_({ name: 'b', type: 'long', doc: '' }), now)).toMatch(/b/));
  it('is an optional field that is gone: what was written in it would be lost', () =>
    expect(breaks(with_({ name: 'b', type: ['null', 'long'], doc: '', default: null }), now)).toBe('R.b'));
  it('is another type, also a wider one', () =>
    expect(breaks(with_({ name: 'b', type: 'long', doc: '' }), with_({ name: 'b', type: 'double', doc: '' }))).toMatch(
      /double/,
    ));
});
