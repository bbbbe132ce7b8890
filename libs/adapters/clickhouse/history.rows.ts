import type { Env, EpochMs, Position } from '#core/words.js';
import type { DecisionRow, EventRow, RunRow, RunStatus, TransitionRow } from '#ports/history.port.js';
import type { SqlRow } from './clickhouse.transport.js';

/** What DateTime64(3) can hold. */
const INSTANT_MIN = Date.UTC(1900, 0, 1);
const INSTANT_MAX = Date.UTC(2299, 11, 31);

/** The second that was written last: rows that come together are mostly of one. */
let lastSecond = NaN;
let lastText = '';

/** An instant as DateTime64 reads it: `2026-01-01 00:00:00.123`. */
export function toInstant(at: EpochMs): string {
  const within = Math.min(Math.max(Math.trunc(at), INSTANT_MIN), INSTANT_MAX);
  const second = Math.floor(within / 1_000);
  if (second !== lastSecond) {
    lastText = new Date(second * 1_000).toISOString().replace('T', ' ').slice(0, -'000Z'.length);
    lastSecond = second;
  }
  return lastText + String(within - second * 1_000).padStart(3, '0');
}

/** Of two rows of a run with one version (a command may leave several transitions) the one that is further along is the newer. */
const PHASE: Readonly<Record<RunStatus, number>> = {
  Scheduled: 0,
  Running: 1,
  Completed: 2,
  Failed: 2,
  Cancelled: 2,
  Skipped: 2,
};

function rankOf(row: RunRow): number {
  return row.version * 4 + PHASE[row.status];
}

/** UTF-8 has no form for half a surrogate pair, and the engine refuses JSON that has one. */
function text(value: string): string {
  return value.toWellFormed();
}

export function fromEvent(row: EventRow): SqlRow {
  return {
    env: text(row.env),
    internal_id: text(row.internalId),
    id: text(row.id),
    name: text(row.name),
    ts: toInstant(row.ts),
    received_at: toInstant(row.receivedAt),
    source: text(row.source),
    payload: text(row.payload),
    log_partition: row.position.partition,
    log_offset: row.position.offset,
  };
}

export function fromRun(row: RunRow): SqlRow {
  return {
    env: text(row.env),
    run_id: text(row.runId),
    function_id: text(row.functionId),
    function_slug: text(row.functionSlug),
    function_version: row.functionVersion,
    app_id: text(row.appId),
    app_name: text(row.appName),
    status: row.status,
    event_name: text(row.eventName),
    event_ids: row.eventIds.map(text),
    cron: text(row.cron),
    batch_id: text(row.batchId),
    queued_at: toInstant(row.queuedAt),
    start_at: toInstant(row.startAt),
    started_at: row.startedAt === null ? null : toInstant(row.startedAt),
    ended_at: row.endedAt === null ? null : toInstant(row.endedAt),
    output: row.output === null ? null : text(row.output),
    skip_reason: text(row.skipReason),
    skipped_for: text(row.skippedFor),
    version: row.version,
    rank: rankOf(row),
  };
}

export function fromTransition(row: TransitionRow): SqlRow {
  return {
    env: text(row.env),
    run_id: text(row.runId),
    function_id: text(row.functionId),
    command_partition: row.partition,
    command_offset: row.offset,
    command_index: row.index,
    type: text(row.type),
    at: toInstant(row.at),
    step_id: text(row.stepId),
    step_name: text(row.stepName),
    body: text(row.body),
  };
}

export function fromDecision(row: DecisionRow): SqlRow {
  return {
    env: text(row.env),
    event_id: text(row.eventId),
    function_id: text(row.functionId),
    key: text(row.key),
    log_topic: row.topic,
    log_partition: row.partition,
    log_offset: row.offset,
    log_index: row.index,
    type: text(row.type),
    at: toInstant(row.at),
    run_id: text(row.runId),
    body: text(row.body),
  };
}

export function fromPosition(generation: string, reader: string, position: Position): SqlRow {
  return { generation, reader, log_partition: position.partition, log_offset: position.offset };
}

/** What a SELECT says to get the columns that the `to...` functions read: instants leave the engine as whole milliseconds. */
export const EVENT_COLUMNS = `env, internal_id, id, name, toUnixTimestamp64Milli(ts) AS ts_ms,
  toUnixTimestamp64Milli(received_at) AS received_at_ms, source, payload, log_partition, log_offset`;

export const RUN_COLUMNS = `env, run_id, function_id, function_slug, function_version, app_id, app_name, status, event_name, event_ids,
  cron, batch_id, toUnixTimestamp64Milli(queued_at) AS queued_at_ms, toUnixTimestamp64Milli(start_at) AS start_at_ms,
  toUnixTimestamp64Milli(started_at) AS started_at_ms, toUnixTimestamp64Milli(ended_at) AS ended_at_ms, output, skip_reason, skipped_for,
  version`;

export const TRANSITION_COLUMNS = `env, run_id, function_id, command_partition, command_offset, command_index, type,
  toUnixTimestamp64Milli(at) AS at_ms, step_id, step_name, body`;

export const DECISION_COLUMNS = `env, event_id, function_id, key, log_topic, log_partition, log_offset, log_index, type,
  toUnixTimestamp64Milli(at) AS at_ms, run_id, body`;

export function toEvent(row: SqlRow): EventRow {
  return {
    internalId: row.internal_id as string,
    env: row.env as Env,
    id: row.id as string,
    name: row.name as string,
    ts: Number(row.ts_ms),
    receivedAt: Number(row.received_at_ms),
    source: row.source as string,
    payload: row.payload as string,
    position: toPosition(row),
  };
}

export function toRun(row: SqlRow): RunRow {
  return {
    runId: row.run_id as string,
    env: row.env as Env,
    functionId: row.function_id as string,
    functionSlug: row.function_slug as string,
    functionVersion: Number(row.function_version),
    appId: row.app_id as string,
    appName: row.app_name as string,
    status: row.status as RunStatus,
    eventName: row.event_name as string,
    eventIds: row.event_ids as string[],
    cron: row.cron as string,
    batchId: row.batch_id as string,
    queuedAt: Number(row.queued_at_ms),
    startAt: Number(row.start_at_ms),
    startedAt: row.started_at_ms === null ? null : Number(row.started_at_ms),
    endedAt: row.ended_at_ms === null ? null : Number(row.ended_at_ms),
    output: row.output as string | null,
    skipReason: row.skip_reason as string,
    skippedFor: row.skipped_for as string,
    version: Number(row.version),
  };
}

export function toTransition(row: SqlRow): TransitionRow {
  return {
    env: row.env as Env,
    runId: row.run_id as string,
    functionId: row.function_id as string,
    partition: Number(row.command_partition),
    offset: Number(row.command_offset),
    index: Number(row.command_index),
    type: row.type as string,
    at: Number(row.at_ms),
    stepId: row.step_id as string,
    stepName: row.step_name as string,
    body: row.body as string,
  };
}

export function toDecision(row: SqlRow): DecisionRow {
  return {
    env: row.env as Env,
    eventId: row.event_id as string,
    functionId: row.function_id as string,
    key: row.key as string,
    topic: row.log_topic as DecisionRow['topic'],
    partition: Number(row.log_partition),
    offset: Number(row.log_offset),
    index: Number(row.log_index),
    type: row.type as string,
    at: Number(row.at_ms),
    runId: row.run_id as string,
    body: row.body as string,
  };
}

export function toPosition(row: SqlRow): Position {
  return { partition: Number(row.log_partition), offset: Number(row.log_offset) };
}
