import avro from 'avsc';
import { avroSchemaOf } from '#schemas/avro.schema.js';
import type { RecordType } from '#schemas/record.type.js';
import type { Node, RecordNode } from '#schemas/shape.js';
import { PRIMITIVES } from './avro.primitives.js';

/** Magic byte and schema id of the Confluent wire format. */
export const WIRE_PREFIX_BYTES = 5;

type Members = Readonly<Record<string, unknown>>;
type Turn = (value: unknown) => unknown;

/** Bodies are written here first, for nobody knows their size; it grows to the largest so far. */
let scratch = Buffer.alloc(64 * 1024);
const SCRATCH_BYTES_MAX = 1024 * 1024;

/** Bodies of one record type as Avro. */
export class AvroBody {
  readonly schema: object;
  private readonly type: avro.Type;
  private readonly toAvro: Turn | undefined;
  private readonly fromAvro: Turn;

  constructor(record: RecordType) {
    this.schema = avroSchemaOf(record);
    this.type = typeOfSchema(this.schema);
    this.toAvro = writerOf({ kind: 'record', record: record.body });
    this.fromAvro = readerOfRecord(record.body);
  }

  /** @returns the wire form @throws TypeError when the body is not made as its type says */
  encode(body: unknown, schemaId: number): Buffer {
    const value: unknown = this.toAvro ? this.toAvro(body) : body;
    let end = this.write(value, scratch);
    if (end < 0) {
      // What it returns is how much there is no room for.
      const larger = Buffer.alloc(scratch.length - end);
      end = this.write(value, larger);
      if (larger.length <= SCRATCH_BYTES_MAX) scratch = larger;
      return prefixed(larger, end, schemaId);
    }
    return prefixed(scratch, end, schemaId);
  }

  private write(value: unknown, into: Buffer): number {
    try {
      return this.type.encode(value, into, WIRE_PREFIX_BYTES);
    } catch (cause) {
      throw new TypeError(`a ${this.type.name} is not made as its schema says: ${String(cause)}`, { cause });
    }
  }

  /** What reads what a writer with this schema has written. @throws Error when no reader can */
  readonly reader = (schema: string): ((value: Buffer) => unknown) => {
    const writer = typeOfSchema(JSON.parse(schema));
    const resolver = writer.equals(this.type) ? undefined : this.type.createResolver(writer);
    return (value) => this.fromAvro(read(this.type, value, resolver));
  };

  /** Reads what this version has written. @throws Error when it has not */
  decode(value: Buffer): unknown {
    return this.fromAvro(read(this.type, value));
  }
}

/** Reads bodies of a type that is not known here, as their writer's schema has them. */
export function foreignReader(schema: string): (value: Buffer) => unknown {
  const type = typeOfSchema(JSON.parse(schema));
  return (value) => withoutNulls(read(type, value));
}

/** @returns the full name; empty where the schema has none @throws Error when it is no Avro schema */
export function nameOfSchema(schema: string): string {
  return typeOfSchema(JSON.parse(schema)).name ?? '';
}

function typeOfSchema(schema: unknown): avro.Type {
  return avro.Type.forSchema(schema as avro.Schema, { registry: { ...PRIMITIVES }, omitRecordMethods: true });
}

function prefixed(buffer: Buffer, end: number, schemaId: number): Buffer {
  buffer[0] = 0;
  buffer.writeUInt32BE(schemaId, 1);
  return Buffer.from(buffer.subarray(0, end));
}

function read(type: avro.Type, value: Buffer, resolver?: ReturnType<avro.Type['createResolver']>): unknown {
  const found = type.decode(value, WIRE_PREFIX_BYTES, resolver);
  if (found.offset !== value.length) throw new Error(`the value is no ${type.name}: it has another length`);
  return found.value;
}

/** What a value has to become before it is written; undefined where it is as it must be. Absent fields are the schema's defaults. */
function writerOf(node: Node): Turn | undefined {
  switch (node.kind) {
    case 'any':
      return (value) => JSON.stringify(value);
    case 'list': {
      const item = writerOf(node.of);
      return item && ((value) => (Array.isArray(value) ? value.map(item) : value));
    }
    case 'record': {
      const turns = node.record.fields.flatMap(({ name, node: of }) => {
        const turn = writerOf(of);
        return turn ? [{ name, turn }] : [];
      });
      if (turns.length === 0) return undefined;
      return (value) => {
        if (typeof value !== 'object' || value === null) return value;
        const turned: Record<string, unknown> = { ...value };
        for (const { name, turn } of turns) if (turned[name] !== undefined) turned[name] = turn(turned[name]);
        return turned;
      };
    }
    default:
      return undefined;
  }
}

function readerOf(node: Node): Turn | undefined {
  switch (node.kind) {
    case 'any':
      return (value) => JSON.parse(String(value)) as unknown;
    case 'list': {
      const item = readerOf(node.of);
      return item && ((value) => (value as readonly unknown[]).map(item));
    }
    case 'record':
      return readerOfRecord(node.record);
    default:
      return undefined;
  }
}

/** Plain objects, in which what is null is absent. */
function readerOfRecord({ fields }: RecordNode): Turn {
  const reads = fields.map(({ name, node }) => ({ name, turn: readerOf(node) }));
  return (value) => {
    const members = value as Members;
    const body: Record<string, unknown> = {};
    for (const { name, turn } of reads) {
      const member = members[name];
      if (member !== null) body[name] = turn ? turn(member) : member;
    }
    return body;
  };
}

function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (typeof value !== 'object' || value === null || Buffer.isBuffer(value)) return value;
  const members = Object.entries(value).filter(([, member]) => member !== null);
  return Object.fromEntries(members.map(([name, member]) => [name, withoutNulls(member)]));
}
