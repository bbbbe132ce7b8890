import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RECORD_TYPES, recordTypeNamed } from '#schemas/record.types.js';
import type { RecordType } from '#schemas/record.type.js';
import type { FieldNode, Node } from '#schemas/shape.js';
import { goldenLogs, moreRecords } from '#testkit/record.samples.js';
import { AvroBody, foreignReader } from './avro.body.js';

const bodies = new Map(RECORD_TYPES.map((type) => [type, new AvroBody(type)]));

function bodyOf(type: RecordType): AvroBody {
  const body = bodies.get(type);
  if (!body) throw new Error(`there is no ${type.type}`);
  return body;
}

function typeOf(topic: RecordType['topic'], type: string): RecordType {
  const found = recordTypeNamed(topic, type);
  if (!found) throw new Error(`there is no ${type} on ${topic}`);
  return found;
}

/** Any value of a shape. */
function anyOf(node: Node): fc.Arbitrary<unknown> {
  switch (node.kind) {
    case 'text':
    case 'json':
      return fc.string({ unit: 'binary' });
    case 'any':
      return fc.jsonValue().map((value) => JSON.parse(JSON.stringify(value)) as unknown);
    case 'word':
      return fc.oneof(fc.constantFrom(...node.words), fc.string());
    case 'whole':
    case 'instant':
      return fc.maxSafeInteger();
    case 'decimal':
      return fc.double({ noNaN: true, noDefaultInfinity: true }).map((number) => number + 0);
    case 'flag':
      return fc.boolean();
    case 'list':
      return fc.array(anyOf(node.of), { maxLength: 3 });
    case 'record':
      return anyRecord(node.record.fields);
  }
}

/** Any of the optional fields may be absent: that of every variant is one of these. */
function anyRecord(fields: readonly FieldNode[]): fc.Arbitrary<Record<string, unknown>> {
  return fc.record(Object.fromEntries(fields.map(({ name, node }) => [name, anyOf(node)])), {
    requiredKeys: fields.flatMap(({ name, optional }) => (optional ? [] : [name])),
  });
}

describe('bodies as Avro', () => {
  it('come back as they were, whatever older versions and this one wrote', () => {
    const records = [...goldenLogs().flatMap((log) => log.records), ...moreRecords()];
    for (const { topic, type, body } of records) {
      if (body === undefined) continue;
      const avro = bodyOf(typeOf(topic, type));
      expect(avro.decode(avro.encode(body, 7)), `${topic} ${type}`).toStrictEqual(body);
    }
  });

  it.each(RECORD_TYPES.map((type) => [`${type.topic} ${type.type}`, type] as const))(
    'come back as they were: any %s',
    (_, type) => {
      const avro = bodyOf(type);
      const sameAgain = (body: unknown): void => {
        expect(avro.decode(avro.encode(body, 1))).toEqual(body);
      };
      fc.assert(fc.property(anyRecord(type.body.fields), sameAgain), { numRuns: 25 });
    },
  );

  it('carry any JSON as its text, wherever it stands', () => {
    const item: Node = {
      kind: 'record',
      record: { name: 'Item', doc: '', fields: [{ name: 'any', node: { kind: 'any' }, doc: '', optional: true }] },
    };
    const list: FieldNode = { name: 'items', node: { kind: 'list', of: item }, doc: '', optional: false };
    const avro = new AvroBody({
      topic: 'config',
      type: 'Items',
      version: 1,
      body: { name: 'Items', doc: '', fields: [list] },
    });
    const body = { items: [{ any: null }, { any: { a: [1, null, 'x'] } }, {}] };
    expect(avro.decode(avro.encode(body, 1))).toStrictEqual(body);
  });

  it('carry whole characters: half of one, which UTF-8 has no form for, is told as such', () => {
    const avro = bodyOf(typeOf('snapshots', 'Snapshot'));
    const body = { space: 'run', id: '\ud83d', state: '"\\ud83d"' };
    expect(avro.decode(avro.encode(body, 1))).toEqual({ ...body, id: '\ufffd' });
  });

  it('begin with a zero byte and the id of their schema', () => {
    const value = bodyOf(typeOf('snapshots', 'Snapshot')).encode({ space: 'run', id: 'R', state: '{}' }, 0x01020304);
    expect([...value.subarray(0, 6)]).toEqual([0, 1, 2, 3, 4, 6]);
  });

  it('may be larger than anything before them', () => {
    const avro = bodyOf(typeOf('snapshots', 'Snapshot'));
    for (const size of [70_000, 3_000_000, 10]) {
      const body = { space: 'run', id: 'R', state: 'ü'.repeat(size) };
      expect(avro.decode(avro.encode(body, 1))).toEqual(body);
    }
  });

  it('are refused when a field is missing, of another type, or no whole number', () => {
    const avro = bodyOf(typeOf('snapshots', 'SnapshotMark'));
    expect(() => avro.encode({}, 1)).toThrow(TypeError);
    expect(() => avro.encode({ commands: { partition: 0, offset: '1' } }, 1)).toThrow(TypeError);
    expect(() => avro.encode({ commands: { partition: 0, offset: 0.5 } }, 1)).toThrow(TypeError);
    expect(() => avro.encode('text', 1)).toThrow(TypeError);
  });

  it('are refused when they are cut off, or followed by something', () => {
    const avro = bodyOf(typeOf('snapshots', 'Snapshot'));
    const value = avro.encode({ space: 'run', id: 'R', state: '{}' }, 1);
    expect(() => avro.decode(value.subarray(0, -1))).toThrow();
    expect(() => avro.decode(Buffer.concat([value, Buffer.from([0])]))).toThrow(/length/);
  });
});

describe('what another version wrote', () => {
  const ours = typeOf('snapshots', 'Snapshot');
  const newer: RecordType = {
    ...ours,
    body: {
      ...ours.body,
      fields: [
        { name: 'size', node: { kind: 'whole' }, doc: '', optional: true },
        ...ours.body.fields,
        { name: 'note', node: { kind: 'text' }, doc: '', optional: true },
      ],
    },
  };
  const body = { space: 'run', id: 'R', state: '{}' };

  it('is read by this one: fields that it does not know are passed over', () => {
    const value = new AvroBody(newer).encode({ ...body, size: 3, note: 'new' }, 2);
    const read = new AvroBody(ours).reader(JSON.stringify(new AvroBody(newer).schema));
    expect(read(value)).toEqual(body);
  });

  it('is read by it: fields that were not yet written are absent', () => {
    const value = new AvroBody(ours).encode(body, 2);
    const read = new AvroBody(newer).reader(JSON.stringify(new AvroBody(ours).schema));
    expect(read(value)).toStrictEqual(body);
  });

  it('is read as it was written where the type is not known at all', () => {
    const avro = new AvroBody(newer);
    const read = foreignReader(JSON.stringify(avro.schema));
    expect(read(avro.encode({ ...body, note: 'new' }, 2))).toEqual({ ...body, note: 'new' });
  });
});
