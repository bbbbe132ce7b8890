import type { Position } from '#core/words.js';
import type { LogRecord, PlacedRecord, Topic } from '#ports/event-log.port.js';
import { upcast } from '#schemas/upcast.js';
import type { Kind } from './record.kinds.js';

/** A record with its body as it is stored; null is a tombstone. */
export interface EncodedRecord {
  readonly record: LogRecord;
  readonly body: string | null;
  readonly bytes: number;
}

/** What a row costs beside its body, about. */
const ROW_BYTES = 100;

/**
 * Makes a record ready to be stored. What is checked here can fail no transaction that it shares with others.
 * @throws TypeError when it is not made as its type says, or its body is not what JSON can carry
 */
export function encode(record: LogRecord): EncodedRecord {
  const { key, type, schema, env, at, trace } = record;
  const named = typeof key === 'string' && typeof type === 'string' && typeof env === 'string';
  const numbered = Number.isSafeInteger(at) && Number.isSafeInteger(schema);
  if (!named || !numbered || (trace !== undefined && typeof trace !== 'string')) {
    throw new TypeError(`a record of ${record.topic} lacks a key, type, schema, env or time, or has a wrong one`);
  }
  if (record.body === undefined) return { record, body: null, bytes: ROW_BYTES };
  const body = JSON.stringify(record.body) as string | undefined;
  if (body === undefined) throw new TypeError(`the body of a record of ${record.topic} is not JSON`);
  return { record, body, bytes: ROW_BYTES + body.length };
}

/** The columns of a stored record, as `SELECT offset, kind, at, key, body, trace` gives them. */
export type StoredRow = readonly [
  offset: number,
  kind: number,
  at: number,
  key: string,
  body: string | null,
  trace: string | null,
];

/** @throws Error when the row cannot be a record: its body is not JSON, or its kind is not known */
export function decode(topic: Topic, row: StoredRow, kind: Kind | undefined): PlacedRecord {
  const [offset, kindId, at, key, text, trace] = row;
  if (!kind) throw new Error(`there is no kind ${kindId}`);
  const body: unknown = text === null ? undefined : JSON.parse(text);
  const position: Position = { partition: 0, offset };
  const { type, schema, env } = kind;
  return upcast(
    trace === null
      ? { topic, key, type, schema, env, at, body, position }
      : { topic, key, type, schema, env, at, body, trace, position },
  );
}

/** The UTF-8 size of what is kept of a record in memory, about. */
export function bytesOf(row: StoredRow): number {
  return ROW_BYTES + (row[4] === null ? 0 : row[4].length);
}
