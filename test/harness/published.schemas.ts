import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import avro from 'avsc';
import { checkout } from './root.path.js';

/** What names a schema: a record says it in its headers, but for the topic, which has no prefix here. */
export interface SchemaName {
  readonly topic: string;
  readonly type: string;
  readonly version: number;
}

const ajv = new Ajv2020({ strict: true, allErrors: true });
const validators = new Map<string, ValidateFunction>();
const avroTypes = new Map<string, avro.Type>();

/** @returns what is wrong with a JSON value by the schema in `schemas/json`; undefined when it is as the schema says */
export function complaintOf(name: SchemaName, body: unknown): string | undefined {
  const path = pathOf('json', name, 'json');
  const validate = validators.get(path) ?? ajv.compile(textOf(path) as object);
  validators.set(path, validate);
  return validate(body) ? undefined : ajv.errorsText(validate.errors);
}

/** Reads an Avro body by the schema in `schemas/avro`. @throws when the schema does not account for every byte */
export function readAvro(name: SchemaName, body: Buffer): unknown {
  const path = pathOf('avro', name, 'avsc');
  const type = avroTypes.get(path) ?? avro.Type.forSchema(textOf(path) as avro.Schema);
  avroTypes.set(path, type);
  return JSON.parse(JSON.stringify(type.fromBuffer(body))) as unknown;
}

export function publishedAvro(name: SchemaName): unknown {
  return textOf(pathOf('avro', name, 'avsc'));
}

function pathOf(kind: 'json' | 'avro', { topic, type, version }: SchemaName, ending: string): string {
  return join(checkout, 'schemas', kind, topic, `${type}.v${version}.${ending}`);
}

function textOf(path: string): unknown {
  return JSON.parse(readFileSync(path, 'utf8')) as unknown;
}
