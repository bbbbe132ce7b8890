import { Fault } from '#core/faults.js';
import type { EpochMs } from '#core/words.js';
import type { LogRecord, PlacedRecord } from '#ports/event-log.port.js';

/** A record that cannot be processed, set aside with its reason, so that the partition moves on. */
export function deadLetter(record: PlacedRecord, error: unknown, at: EpochMs): LogRecord {
  const { topic, key, type, schema, env, position, body } = record;
  return {
    topic: 'dead-letters',
    key: `${topic}/${position.partition}/${position.offset}`,
    type: 'DeadLetter',
    schema: 1,
    env,
    at,
    body: {
      origin: { topic, ...position, key, type, schema },
      code: error instanceof Fault ? error.code : 'record_unreadable',
      reason: error instanceof Error ? error.message : String(error),
      body,
    },
  };
}
