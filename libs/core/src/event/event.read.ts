import { Fault } from '../faults.js';
import { isObject } from '../fields.read.js';
import { canonical } from '../json.js';
import { LIMITS } from '../limits.js';
import type { Env, EpochMs } from '../words.js';
import { readSessions } from './event.sessions.js';
import type { StoredEvent } from './event.js';

/** An event as it came in, and what the door knows of it. */
export interface Arrival {
  /** Parsed JSON. */
  readonly value: unknown;
  /** Size of the JSON text. */
  readonly bytes: number;
  readonly internalId: string;
  readonly env: Env;
  readonly receivedAt: EpochMs;
  readonly source: string;
  /** W3C trace context. */
  readonly trace?: string;
  /** Only the v2 API bounds the name. */
  readonly nameCharsMax?: number;
}

type Members = Readonly<Record<string, unknown>>;

const RESERVED = 'inngest/';
const SHOWN_CHARS_MAX = 255;

/**
 * Checks one event of a user and brings it into the form in which it is stored. Contract: semantics 3.3, 3.6, 3.8, events-api.md 1.
 *     name          required
 *     id, v         string; null and "" count as absent
 *     ts            whole ms in [1980, 2100]; null, 0 and absent become the time of receipt
 *     data, user    object; null and absent become {}; `data._inngest` is ours and is taken out
 *     meta          of it only the merged sessions stay
 * Other members are dropped.
 * @throws event_too_large, event_body_invalid, event_invalid, event_name_empty, event_name_too_long, event_name_reserved,
 *     event_ts_out_of_range, body_too_deep; the messages do not say which event of a request it is
 */
export function readEvent(arrival: Arrival): StoredEvent {
  const { value, bytes, internalId, env, receivedAt, source, trace } = arrival;
  if (bytes > LIMITS.eventBytesMax) throw eventTooLarge(bytes);
  if (!isObject(value)) throw new Fault('event_body_invalid');
  const name = readName(value, arrival.nameCharsMax);
  const id = readText(value, 'id') ?? internalId;
  const ts = readTs(value.ts, receivedAt);
  const { _inngest, ...data } = readObject(value, 'data');
  const user = readObject(value, 'user');
  const v = readText(value, 'v');
  const sessions = readSessions(readObject(value, 'meta'));
  const payload = canonical({ data, id, meta: sessions && { sessions }, name, ts, user, v }, LIMITS.jsonDepthMax);
  return { internalId, env, id, name, ts, receivedAt, payload, source, ...(trace === undefined ? {} : { trace }) };
}

/** The fault of an event whose JSON text is larger than the contract's bound. */
export function eventTooLarge(bytes: number, bytesMax: number = LIMITS.eventBytesMax): Fault {
  const message = `Event is over the max size: Max ${bytesMax} bytes / Size ${bytes} bytes`;
  return new Fault('event_too_large', { bytes, bytesMax }, { message });
}

function readName(event: Members, charsMax: number | undefined): string {
  const name = readText(event, 'name');
  if (name === undefined) throw new Fault('event_name_empty');
  if (charsMax !== undefined && name.length > charsMax) throw new Fault('event_name_too_long', { charsMax });
  if (name.slice(0, RESERVED.length).toLowerCase() !== RESERVED) return name;
  const shown = name.slice(0, SHOWN_CHARS_MAX);
  throw new Fault('event_name_reserved', {}, { message: `event name is reserved for internal use: ${shown}` });
}

function readTs(ts: unknown, receivedAt: EpochMs): EpochMs {
  if (ts === undefined || ts === null || ts === 0) return receivedAt;
  if (typeof ts !== 'number' || !Number.isInteger(ts)) throw invalid('event ts must be a whole number of milliseconds');
  if (ts >= LIMITS.eventTsMin && ts <= LIMITS.eventTsMax) return ts;
  const side = ts < LIMITS.eventTsMin ? 'before Jan 1, 1980' : 'after Jan 1, 2100';
  throw new Fault('event_ts_out_of_range', { ts }, { message: `timestamp is ${side}` });
}

function readText(event: Members, field: string): string | undefined {
  const value = event[field];
  if (value === undefined || value === null || value === '') return undefined;
  if (typeof value !== 'string') throw invalid(`event ${field} must be a string`);
  return value;
}

function readObject(event: Members, field: string): Members {
  const value = event[field] ?? {};
  if (!isObject(value)) throw invalid(`event ${field} must be an object`);
  return value;
}

function invalid(message: string): Fault {
  return new Fault('event_invalid', {}, { message });
}
