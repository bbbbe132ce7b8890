import type { StoredEvent } from '#core/event/event.js';
import { Fault } from '#core/faults.js';
import type { PlacedRecord } from '#ports/event-log.port.js';
import type { EventRow } from '#ports/history.port.js';

/** The row of a record of `events`. @throws record_unreadable */
export function rowOfEvent(record: PlacedRecord): EventRow {
  const event = record.body as Partial<StoredEvent> | null | undefined;
  if (!isEvent(event)) throw new Fault('record_unreadable', { type: record.type, schema: record.schema });
  return {
    internalId: event.internalId,
    env: record.env,
    id: event.id,
    name: event.name,
    ts: event.ts,
    receivedAt: event.receivedAt,
    source: event.source,
    payload: event.payload,
    position: record.position,
  };
}

function isEvent(event: Partial<StoredEvent> | null | undefined): event is StoredEvent {
  if (typeof event !== 'object' || event === null) return false;
  const { internalId, id, name, source, payload, ts, receivedAt } = event;
  return (
    [internalId, id, name, source].every((text) => typeof text === 'string') &&
    [ts, receivedAt].every((at) => Number.isFinite(at)) &&
    isObjectText(payload)
  );
}

/** Others may write to the topic, also what only looks like ours: who reads the row relies on it. */
function isObjectText(text: unknown): boolean {
  if (typeof text !== 'string') return false;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null;
  } catch {
    return false;
  }
}
