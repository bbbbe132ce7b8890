import { Fault } from '#core/faults.js';
import type { LogRecord, Topic } from '#ports/event-log.port.js';
import type { FoundRecord } from './record.codec.js';

/** Only records of ours have it. */
export const TYPE_HEADER = 'millrace-type';

/** A JSON text of the key, where UTF-8 cannot carry it. */
const KEY_HEADER = 'millrace-key';
const TIME_MAX = 8.64e15;

type Members = Readonly<Record<string, unknown>>;

/**
 * The headers of a record: CloudEvents in binary mode, and what is ours.
 *     ce_specversion     1.0
 *     ce_id              the same whenever the same is said: see `idOf`
 *     ce_type            the event's name; else `millrace.` and the record's type
 *     ce_source          /millrace/<topic>
 *     ce_time            the record's time
 *     content-type       of the value
 *     millrace-env, millrace-type, millrace-schema
 *     traceparent        where there is a trace
 * @throws TypeError when the record is not made as its type says
 */
export function headersOf(record: LogRecord, contentType: string): Record<string, string> {
  const { topic, key, type, schema, env, at, trace, body } = record;
  const named = typeof key === 'string' && isText(type) && isText(env) && (trace === undefined || isText(trace));
  if (!named || !Number.isSafeInteger(schema) || !Number.isSafeInteger(at) || Math.abs(at) > TIME_MAX)
    throw new TypeError(`a record of ${topic} lacks a key, type, schema, env or time, or has a wrong one`);
  const headers: Record<string, string> = {
    ce_specversion: '1.0',
    ce_id: idOf(record),
    ce_type: nameOf(topic, body) ?? `millrace.${type}`,
    ce_source: `/millrace/${topic}`,
    ce_time: new Date(at).toISOString(),
    'content-type': contentType,
    'millrace-env': env,
    [TYPE_HEADER]: type,
    'millrace-schema': String(schema),
  };
  if (trace !== undefined) headers['traceparent'] = trace;
  if (!key.isWellFormed()) headers[KEY_HEADER] = JSON.stringify(key);
  return headers;
}

/** A record of ours but its body. @throws record_unreadable */
export function readHeaders(topic: Topic, { key, headers }: FoundRecord): Omit<LogRecord, 'body'> {
  const type = headers[TYPE_HEADER];
  const env = headers['millrace-env'];
  const schema = Number(headers['millrace-schema'] || NaN);
  const at = Date.parse(headers['ce_time'] ?? '');
  if (type === undefined || env === undefined || !Number.isSafeInteger(schema) || !Number.isSafeInteger(at)) {
    const message = 'The headers of the record do not say what it is.';
    throw new Fault('record_unreadable', { topic, type, env, schema, at }, { message });
  }
  const trace = headers['traceparent'];
  return {
    topic,
    key: readKey(key, headers[KEY_HEADER]),
    type,
    schema,
    env,
    at,
    ...(trace === undefined ? {} : { trace }),
  };
}

function readKey(bytes: Buffer, text: string | undefined): string {
  if (text === undefined) return bytes.toString();
  const key: unknown = JSON.parse(text);
  return String(key);
}

/**
 * What the record says, by name: an event's internal id; a transition's command and place among what came of it; else topic and key. It is
 * the same in a second copy.
 */
function idOf({ topic, key, body }: LogRecord): string {
  if (isMembers(body)) {
    if (topic === 'events' && typeof body['internalId'] === 'string') return wellFormed(body['internalId']);
    if (topic === 'transitions') {
      const { command, event, index } = body;
      if (isMembers(command))
        return `commands/${String(command['partition'])}/${String(command['offset'])}/${String(index)}`;
      if (isMembers(event))
        return wellFormed(`events/${String(event['partition'])}/${String(event['offset'])}/${String(index)}/${key}`);
    }
  }
  return wellFormed(`${topic}/${key}`);
}

function nameOf(topic: Topic, body: unknown): string | undefined {
  if (topic !== 'events' || !isMembers(body)) return undefined;
  return typeof body['name'] === 'string' ? wellFormed(body['name']) : undefined;
}

function isMembers(value: unknown): value is Members {
  return typeof value === 'object' && value !== null;
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value.isWellFormed();
}

function wellFormed(text: string): string {
  return text.toWellFormed();
}
