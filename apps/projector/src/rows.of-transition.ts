import { Fault } from '#core/faults.js';
import { canonical } from '#core/json.js';
import { SKIP_REASON } from '#core/run/run.state.js';
import type { PlacedTransition, RunTransition } from '#core/run/run.transitions.js';
import type { Env, Json, Position } from '#core/words.js';
import type { PlacedRecord } from '#ports/event-log.port.js';
import type { RunRow, RunStatus, TransitionRow } from '#ports/history.port.js';

const RUN_ID = /^[0-9A-HJKMNP-TV-Z]{26}$/;

/** Whether a record of `transitions` is of a run: controls, signals and crons have theirs there too. */
export function isOfRun(record: PlacedRecord): boolean {
  return RUN_ID.test(record.key);
}

/** What a record of `transitions` says of a run. @throws record_unreadable */
export function transitionOf(record: PlacedRecord): PlacedTransition {
  const placed = record.body as Partial<PlacedTransition> | null | undefined;
  if (!isPlacedAt(placed?.command, record) || !isWhole(placed?.transition)) {
    throw new Fault('record_unreadable', { type: record.type, schema: record.schema });
  }
  return placed as PlacedTransition;
}

/** What makes a run's row must be there, or History could not take the row and would be tried for ever. */
function isWhole(transition: Partial<RunTransition> | undefined): boolean {
  if (transition?.type !== 'RunScheduled') return true;
  const { functionId, functionSlug, appId, appName, eventName, eventIds, startAt, functionVersion } = transition;
  return (
    [functionId, functionSlug, appId, appName, eventName].every((text) => typeof text === 'string') &&
    Array.isArray(eventIds) &&
    eventIds.every((id) => typeof id === 'string') &&
    [startAt, functionVersion].every(Number.isFinite)
  );
}

/** What holds of every body on `transitions`: whose it is, what was decided and when. @param place of the record that was decided */
export function isPlacedAt(place: Partial<Position> | undefined, { key, body }: PlacedRecord): boolean {
  const { runId, index, transition } = (body ?? {}) as Partial<PlacedTransition>;
  return (
    runId === key &&
    [place?.partition, place?.offset, index].every((number) => Number.isSafeInteger(number) && Number(number) >= 0) &&
    typeof transition?.type === 'string' &&
    Number.isFinite(transition.at)
  );
}

/** A transition as History keeps it: as it stands on the topic. */
export function bodyOf({ transition }: { readonly transition: object }): Json {
  return canonical(transition);
}

/** @param functionId of its run; empty where the run is not known */
export function rowOfTransition(
  env: Env,
  functionId: string,
  placed: PlacedTransition,
  body = bodyOf(placed),
): TransitionRow {
  const { runId, command, index, transition } = placed;
  return {
    env,
    runId,
    functionId,
    partition: command.partition,
    offset: command.offset,
    index,
    type: transition.type,
    at: transition.at,
    stepId: 'stepId' in transition ? transition.stepId : '',
    stepName: 'name' in transition ? transition.name : '',
    body,
  };
}

/**
 * A run's row after one more transition: the same row where nothing of it changed. A transition that it reflects already changes
 * nothing, so the topic may be read again from anywhere.
 * @param row as it was; absent before `RunScheduled`, and for a run whose beginning is no longer on the log: that one gets no row
 */
export function foldRun(row: RunRow | undefined, env: Env, placed: PlacedTransition): RunRow | undefined {
  const { runId, command, transition } = placed;
  const version = command.offset;
  if (!row) return transition.type === 'RunScheduled' ? scheduled(env, runId, version, transition) : undefined;
  if (row.endedAt !== null) return row;
  switch (transition.type) {
    case 'RunStarted':
      return row.status === 'Scheduled' ? { ...row, status: 'Running', startedAt: transition.at, version } : row;
    case 'RunCompleted':
      return ended(row, 'Completed', transition.at, transition.output, version);
    case 'RunFailed':
      return ended(row, 'Failed', transition.at, transition.output, version);
    case 'RunCancelled':
      return ended(row, 'Cancelled', transition.at, null, version);
    case 'RunSkipped':
      return {
        ...ended({ ...row, startedAt: transition.at }, 'Skipped', transition.at, null, version),
        // A newer version may know more of them.
        skipReason: (SKIP_REASON as Partial<Record<string, string>>)[transition.reason] ?? transition.reason,
        skippedFor: transition.blockedBy ?? '',
      };
    default:
      // What happens inside a run does not show in its row.
      return row;
  }
}

function ended(row: RunRow, status: RunStatus, endedAt: number, output: Json | null, version: number): RunRow {
  return { ...row, status, endedAt, output, version };
}

function scheduled(
  env: Env,
  runId: string,
  version: number,
  transition: Extract<RunTransition, { type: 'RunScheduled' }>,
): RunRow {
  return {
    runId,
    env,
    functionId: transition.functionId,
    functionSlug: transition.functionSlug,
    functionVersion: transition.functionVersion,
    appId: transition.appId,
    appName: transition.appName,
    status: 'Scheduled',
    eventName: transition.eventName,
    eventIds: transition.eventIds,
    cron: transition.cron ?? '',
    batchId: transition.batchId ?? '',
    queuedAt: transition.at,
    startAt: transition.startAt,
    startedAt: null,
    endedAt: null,
    output: null,
    skipReason: '',
    skippedFor: '',
    version,
  };
}
