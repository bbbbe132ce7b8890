import { Fault } from '#core/faults.js';
import type { LogRecord, Topic } from '#ports/event-log.port.js';
import { upcast } from '#schemas/upcast.js';
import type { FoundRecord, RecordCodec, WireRecord } from './record.codec.js';
import { headersOf, readHeaders } from './record.headers.js';

/** The body as JSON, all else in headers. */
export const jsonCodec: RecordCodec = {
  encode(record: LogRecord): WireRecord {
    const headers = headersOf(record, 'application/json');
    const key = Buffer.from(record.key);
    if (record.body === undefined) return { key, value: null, headers };
    const text = JSON.stringify(record.body) as string | undefined;
    if (text === undefined) throw new TypeError(`the body of a record of ${record.topic} is not JSON`);
    return { key, value: Buffer.from(text), headers };
  },

  decode(topic: Topic, found: FoundRecord): LogRecord {
    const known = readHeaders(topic, found);
    if (found.value === null) return { ...known, body: undefined };
    try {
      return upcast({ ...known, body: JSON.parse(found.value.toString()) as unknown });
    } catch (cause) {
      const message = `The value is not JSON: ${cause instanceof Error ? cause.message : String(cause)}`;
      throw new Fault('record_unreadable', { topic }, { cause, message });
    }
  },
};
