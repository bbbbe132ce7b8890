import type { RecordType } from './record.type.js';
import { sayingOf, type FieldNode, type Node, type RecordNode } from './shape.js';

/** A schema as Avro's specification writes it in JSON. */
export type AvroSchema = string | readonly AvroSchema[] | AvroNamed | AvroList;

export interface AvroNamed {
  readonly type: 'record';
  readonly name: string;
  readonly namespace?: string;
  readonly doc: string;
  readonly fields: readonly AvroField[];
}

interface AvroField {
  readonly name: string;
  readonly type: AvroSchema;
  readonly doc: string;
  readonly default?: null;
}

interface AvroList {
  readonly type: 'array';
  readonly items: AvroSchema;
}

/** The version is part of the name: what is written under one name can always be read under it. */
export function avroNameOf({ topic, type, version }: RecordType): string {
  return `${namespaceOf(topic, version)}.${type}`;
}

/**
 * The Avro schema of a record's value. A field that may be absent is a union with null, whose default it is; words are strings, and a
 * union of variants is one record, so that more of them break no reader.
 */
export function avroSchemaOf({ topic, version, body }: RecordType): AvroNamed {
  const known = new Map<string, RecordNode>();
  return { ...recordOf(body, known), namespace: namespaceOf(topic, version) };
}

function namespaceOf(topic: string, version: number): string {
  return `millrace.${topic.replaceAll('-', '_')}.v${version}`;
}

function recordOf(record: RecordNode, known: Map<string, RecordNode>): AvroNamed {
  known.set(record.name, record);
  const { name, doc, fields } = record;
  return { type: 'record', name, doc, fields: fields.map((field) => fieldOf(field, known)) };
}

function fieldOf(field: FieldNode, known: Map<string, RecordNode>): AvroField {
  const { name, node, optional } = field;
  const type = typeOf(node, known);
  const doc = sayingOf(field);
  return optional ? { name, type: ['null', type], doc, default: null } : { name, type, doc };
}

function typeOf(node: Node, known: Map<string, RecordNode>): AvroSchema {
  switch (node.kind) {
    case 'text':
    case 'json':
    case 'any':
    case 'word':
      return 'string';
    case 'whole':
    case 'instant':
      return 'long';
    case 'decimal':
      return 'double';
    case 'flag':
      return 'boolean';
    case 'list':
      return { type: 'array', items: typeOf(node.of, known) };
    case 'record':
      return named(node.record, known);
  }
}

/** A record is written out where it comes first, and named from then on. @throws TypeError where two of one name differ */
function named(record: RecordNode, known: Map<string, RecordNode>): AvroSchema {
  const before = known.get(record.name);
  if (!before) return recordOf(record, known);
  if (before !== record && JSON.stringify(before) !== JSON.stringify(record))
    throw new TypeError(`there are two different records named ${record.name} in one schema`);
  return record.name;
}
