import type { PlacedDecision } from '#core/admission/admission.js';
import type { admissionKey } from '#core/admission/admission.keys.js';
import { Fault } from '#core/faults.js';
import type { PlacedRecord } from '#ports/event-log.port.js';
import type { DecisionRow } from '#ports/history.port.js';
import { bodyOf, isPlacedAt } from './rows.of-transition.js';

/** What keys of decisions begin with: the controls that an event has to pass, and the intake. */
const CONTROLS: Readonly<Record<Parameters<typeof admissionKey>[0] | 'throttle' | 'intake', true>> = {
  rate: true,
  idempotency: true,
  debounce: true,
  batch: true,
  once: true,
  singleton: true,
  throttle: true,
  intake: true,
};

/** What of a decision this room reads: types that are not known yet are rows as well. */
type Told = PlacedDecision['transition'] & {
  readonly eventId?: string;
  readonly runId?: string;
  readonly superseded?: unknown;
  readonly eventIds?: unknown;
};

/** Whether a record of `transitions` is what was decided before there was a run. */
export function isOfDecision({ key }: PlacedRecord): boolean {
  return Object.hasOwn(CONTROLS, key.slice(0, Math.max(0, key.indexOf(':'))));
}

/** A row for each event that the decision is about; none where it is about a control alone. @throws record_unreadable */
export function rowsOfDecision(record: PlacedRecord): readonly DecisionRow[] {
  const placed = record.body as Partial<PlacedDecision> | null | undefined;
  const { command, event, index = 0 } = placed ?? {};
  const told = placed?.transition as Told | undefined;
  const place = command ?? event;
  if (!place || !told || !isPlacedAt(place, record) || !isReadable(told)) {
    throw new Fault('record_unreadable', { type: record.type, schema: record.schema });
  }
  const { type, at, functionId, eventId, runId = '' } = told;
  if (eventId === undefined) return [];
  const row: DecisionRow = {
    env: record.env,
    eventId,
    functionId,
    key: record.key,
    topic: command ? 'commands' : 'events',
    partition: place.partition,
    offset: place.offset,
    index,
    type,
    at,
    runId,
    body: bodyOf({ transition: told }),
  };
  // What ends a batch is about each of its events, what moves a debounce also about the one that it takes the place of.
  if (Array.isArray(told.eventIds)) return told.eventIds.map((id) => ({ ...row, eventId: id as string }));
  return told.type === 'DebounceMoved' ? [row, { ...row, eventId: told.superseded }] : [row];
}

function isReadable(told: Told): boolean {
  const { functionId, eventId, runId, type, superseded, eventIds = [] } = told;
  return (
    typeof functionId === 'string' &&
    [eventId, runId].every((id) => id === undefined || typeof id === 'string') &&
    (type !== 'DebounceMoved' || typeof superseded === 'string') &&
    Array.isArray(eventIds) &&
    eventIds.every((id) => typeof id === 'string')
  );
}
