import { isUtf8 } from 'node:buffer';
import { derivedUlid } from '#core/event/event.ids.js';
import { eventTooLarge, readEvent } from '#core/event/event.read.js';
import { Fault } from '#core/faults.js';
import { LIMITS } from '#core/limits.js';
import { validTraceparent } from '#core/trace.js';
import { DEFAULT_ENV } from '#core/words.js';
import type { LogRecord } from '#ports/event-log.port.js';
import { recordOfEvent } from '#ports/records.js';
import type { FoundRecord } from './record.codec.js';

/** Where a topic is, by names that stay. */
export interface TopicPlace {
  readonly clusterId: string;
  /** As the cluster knows it, with its prefix. */
  readonly topic: string;
}

const STRUCTURED = /^application\/cloudevents\+json\b/i;

/**
 * Reads what another producer wrote to `events` as an event of a user. Its value is one of
 *     the event as the event API takes it                  {name, data?, id?, ts?, user?, v?}
 *     CloudEvents, binary    headers ce_type, ce_id?, ce_time?; the value is the data
 *     CloudEvents, structured    content-type application/cloudevents+json; {type, id?, time?, data?}
 * It was received when the record says, and its internal id follows from where it stands, so that it is the same whoever reads it.
 * @throws record_unreadable with the reason
 */
export function readOutsideEvent(found: FoundRecord, place: TopicPlace): LogRecord {
  const receivedAt = Math.max(0, found.timestamp);
  const { partition, offset } = found.position;
  try {
    const event = readEvent({
      value: valueOf(found),
      bytes: found.value?.length ?? 0,
      internalId: derivedUlid(receivedAt, place.clusterId, place.topic, String(partition), String(offset)),
      env: DEFAULT_ENV,
      receivedAt,
      source: 'kafka',
      ...validTraceparent(found.headers['traceparent']),
    });
    return recordOfEvent(event);
  } catch (cause) {
    if (!(cause instanceof Fault)) throw cause;
    if (cause.code === 'record_unreadable') throw cause;
    throw new Fault('record_unreadable', { topic: place.topic, fault: cause.code }, { cause, message: cause.message });
  }
}

function valueOf({ value, headers }: FoundRecord): unknown {
  if (value === null) throw unreadable('There is no value.');
  if (value.length > LIMITS.eventBytesMax) throw eventTooLarge(value.length);
  const type = headers['ce_type'];
  if (type !== undefined) {
    return {
      name: type,
      id: headers['ce_id'],
      ts: timeOf(headers['ce_time']),
      data: value.length === 0 ? {} : parse(value),
    };
  }
  const parsed = parse(value);
  if (!STRUCTURED.test(headers['content-type'] ?? '')) return parsed;
  if (typeof parsed !== 'object' || parsed === null || !('type' in parsed))
    throw unreadable('The value is no CloudEvent: it has no type.');
  const { id, time, data } = parsed as { id?: unknown; time?: unknown; data?: unknown };
  return { name: parsed.type, id, ts: timeOf(time), data };
}

/** @returns ms; undefined where there is none: then it is the time of receipt */
function timeOf(time: unknown): number | undefined {
  if (time === undefined || time === null) return undefined;
  const ms = typeof time === 'string' ? Date.parse(time) : NaN;
  if (Number.isNaN(ms)) throw unreadable('The time of the CloudEvent is none.');
  return ms;
}

function parse(value: Buffer): unknown {
  if (!isUtf8(value)) throw unreadable('The value is not UTF-8.');
  try {
    return JSON.parse(value.toString()) as unknown;
  } catch (cause) {
    throw unreadable(`The value is not JSON: ${cause instanceof Error ? cause.message : String(cause)}`, cause);
  }
}

function unreadable(message: string, cause?: unknown): Fault {
  return new Fault('record_unreadable', {}, { message, cause });
}
