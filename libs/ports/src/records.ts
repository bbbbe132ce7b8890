import type { Command } from '#core/effects.js';
import type { StoredEvent } from '#core/event/event.js';
import type { LogRecord } from './event-log.port.js';

/** An event as a record: keyed by its id, so that duplicates meet at one owner. */
export function recordOfEvent(event: StoredEvent): LogRecord<StoredEvent> {
  return {
    topic: 'events',
    key: event.id,
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
  return { topic: 'commands', key, type: command.type, schema: 1, env: command.env, at: command.at, body: command };
}
