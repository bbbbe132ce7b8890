import type { Command } from '#core/effects.js';
import type { StoredEvent } from '#core/event/event.js';
import type { Env, EpochMs } from '#core/words.js';
import type { DeadLetter, LogRecord, PlacedRecord } from './event-log.port.js';

/** The events of a request as records: those without an id of their own stay together, so that they are taken in this order. */
export function recordsOfRequest(events: readonly StoredEvent[]): LogRecord<StoredEvent>[] {
  const request = events[0]?.internalId;
  return events.map((event) => recordOfEvent(event, event.id === event.internalId ? request : event.id));
}

/** An event as a record. @param key its id, where it has one of its own: duplicates must meet at one owner */
export function recordOfEvent(event: StoredEvent, key = event.id): LogRecord<StoredEvent> {
  return {
    topic: 'events',
    key,
    type: 'Event',
    schema: 1,
    env: event.env,
    at: event.receivedAt,
    body: event,
    ...(event.trace === undefined ? {} : { trace: event.trace }),
  };
}

/** A command as a record: keyed by the aggregate it is for. */
export function recordOfCommand(key: string, command: Command): LogRecord<Command> {
  const trace = traceOfCommand(command);
  return {
    topic: 'commands',
    key,
    type: command.type,
    schema: 1,
    env: command.env,
    at: command.at,
    body: command,
    ...(trace === undefined ? {} : { trace }),
  };
}

/** What could not be processed, set aside with its reason so that its partition moves on. @param at when it was set aside */
export function recordOfDeadLetter(letter: DeadLetter, env: Env, at: EpochMs): LogRecord<DeadLetter> {
  const { topic, partition, offset } = letter.origin;
  return {
    topic: 'dead-letters',
    key: `${topic}/${partition}/${offset}`,
    type: 'DeadLetter',
    schema: 1,
    env,
    at,
    body: letter,
  };
}

/** The letter of a record that could be read but not processed. @param reader who could not */
export function deadLetter(record: PlacedRecord, reader: string, error: unknown): DeadLetter {
  const { topic, key, type, schema, at, position, body } = record;
  return {
    origin: { topic, ...position },
    key,
    type,
    schema,
    at,
    bytes: Buffer.from(JSON.stringify(body) ?? '').toString('base64'),
    reason: `${reader}: ${error instanceof Error ? error.message : String(error)}`,
  };
}

/** The trace that a command belongs to, where it says so. */
function traceOfCommand(command: Command): string | undefined {
  switch (command.type) {
    case 'ScheduleRun':
    case 'SkipRun':
      return command.trace;
    case 'OfferRun':
      return command.offer.run.trace;
    default:
      return undefined;
  }
}
