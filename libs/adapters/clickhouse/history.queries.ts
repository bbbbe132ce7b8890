import type { Env } from '#core/words.js';
import type { EventFilter, RunFilter } from '#ports/history.port.js';
import type { SqlParams, SqlQuery } from './clickhouse.transport.js';
import { DECISION_COLUMNS, EVENT_COLUMNS, RUN_COLUMNS, TRANSITION_COLUMNS, toInstant } from './history.rows.js';

/** A condition with what is bound in it. Values never become part of a statement's text. */
interface Condition {
  readonly sql: string;
  readonly params?: SqlParams;
}

function allOf(conditions: readonly (Condition | undefined)[]): { readonly sql: string; readonly params: SqlParams } {
  const held = conditions.filter((condition) => condition !== undefined);
  return {
    sql: held.map(({ sql }) => sql).join(' AND '),
    params: Object.assign({}, ...held.map(({ params }) => params)) as SqlParams,
  };
}

/** A condition on a value that may not be given. */
function when<T>(value: T | undefined, condition: (value: T) => Condition): Condition | undefined {
  return value === undefined ? undefined : condition(value);
}

const ofEnv = (env: Env): Condition => ({ sql: 'env = {env:String}', params: { env } });

/*
 * Lists find keys first and rows by key after: keys are read backwards in the order of the table, the newest row of each counts, and
 * reading stops with the page. Blocks are kept small for the same reason, and large columns are read for the rows of the page only.
 */
const PAGE_SETTINGS = 'SETTINGS max_block_size = 4096';

/** Newest first by internal id; internal events only when they are asked for, by the flag or by name. */
export function eventsQuery(env: Env, filter: EventFilter): SqlQuery {
  const { sql, params } = allOf([
    ofEnv(env),
    when(filter.cursor, (cursor) => ({ sql: 'internal_id < {cursor:String}', params: { cursor } })),
    when(filter.name, (name) => ({ sql: 'name = {name:String}', params: { name } })),
    when(filter.receivedAfter, (at) => ({
      sql: `received_at >= {receivedAfter:DateTime64(3, 'UTC')}`,
      params: { receivedAfter: toInstant(at) },
    })),
    when(filter.receivedBefore, (at) => ({
      sql: `received_at < {receivedBefore:DateTime64(3, 'UTC')}`,
      params: { receivedBefore: toInstant(at) },
    })),
    filter.internal === true || filter.name !== undefined ? undefined : { sql: `NOT startsWith(name, 'inngest/')` },
  ]);
  return {
    sql: `SELECT ${EVENT_COLUMNS} FROM events
      WHERE env = {env:String} AND (internal_id, log_offset) IN (
        SELECT internal_id, log_offset FROM events WHERE ${sql}
        ORDER BY internal_id DESC, log_offset DESC LIMIT 1 BY internal_id LIMIT {limit:UInt32}
      )
      ORDER BY internal_id DESC LIMIT 1 BY internal_id
      ${PAGE_SETTINGS}`,
    params: { ...params, limit: filter.limit },
  };
}

export function eventQuery(env: Env, internalId: string): SqlQuery {
  return {
    sql: `SELECT ${EVENT_COLUMNS} FROM events WHERE env = {env:String} AND internal_id = {internalId:String}
      ORDER BY log_offset DESC LIMIT 1`,
    params: { env, internalId },
  };
}

/**
 * Newest first by run id. A status is asked of a run's newest row only, so it is looked at after that row is found; all else is the
 * same in every row of a run.
 */
export function runsQuery(env: Env, filter: RunFilter): SqlQuery {
  const { sql, params } = allOf([
    ofEnv(env),
    when(filter.cursor, (cursor) => ({ sql: 'run_id < {cursor:String}', params: { cursor } })),
    when(filter.functionSlugs, (slugs) => ({ sql: 'has({slugs:Array(String)}, function_slug)', params: { slugs } })),
    when(filter.appName, (appName) => ({ sql: 'app_name = {appName:String}', params: { appName } })),
    when(filter.eventName, (eventName) => ({ sql: 'event_name = {eventName:String}', params: { eventName } })),
    when(filter.from, (at) => ({ sql: `queued_at >= {from:DateTime64(3, 'UTC')}`, params: { from: toInstant(at) } })),
    when(filter.until, (at) => ({ sql: `queued_at < {until:DateTime64(3, 'UTC')}`, params: { until: toInstant(at) } })),
  ]);
  const ofStatus = filter.statuses === undefined ? '' : 'WHERE has({statuses:Array(String)}, status)';
  return {
    sql: `SELECT ${RUN_COLUMNS} FROM runs
      WHERE env = {env:String} AND (run_id, rank) IN (
        SELECT run_id, rank FROM (
          SELECT run_id, rank, status FROM runs WHERE ${sql}
          ORDER BY run_id DESC, rank DESC LIMIT 1 BY run_id
        ) ${ofStatus} LIMIT {limit:UInt32}
      )
      ORDER BY run_id DESC LIMIT 1 BY run_id
      ${PAGE_SETTINGS}`,
    params: { ...params, ...(filter.statuses && { statuses: filter.statuses }), limit: filter.limit },
  };
}

export function runQuery(env: Env, runId: string): SqlQuery {
  return {
    sql: `SELECT ${RUN_COLUMNS} FROM runs WHERE env = {env:String} AND run_id = {runId:String} ORDER BY rank DESC LIMIT 1`,
    params: { env, runId },
  };
}

export function runsByIdQuery(env: Env, runIds: readonly string[]): SqlQuery {
  return {
    sql: `SELECT ${RUN_COLUMNS} FROM runs WHERE env = {env:String} AND run_id IN {runIds:Array(String)}
      ORDER BY run_id, rank DESC LIMIT 1 BY run_id`,
    params: { env, runIds },
  };
}

export function runsOfEventQuery(env: Env, internalId: string): SqlQuery {
  return {
    sql: `SELECT ${RUN_COLUMNS} FROM runs WHERE env = {env:String} AND has(event_ids, {internalId:String})
      ORDER BY run_id DESC, rank DESC LIMIT 1 BY run_id`,
    params: { env, internalId },
  };
}

export function transitionsQuery(env: Env, runId: string): SqlQuery {
  return {
    sql: `SELECT ${TRANSITION_COLUMNS} FROM transitions WHERE env = {env:String} AND run_id = {runId:String}
      ORDER BY command_offset, command_index LIMIT 1 BY command_offset, command_index`,
    params: { env, runId },
  };
}

/** Which row of a decision counts is settled before they are ordered: another telling of it has another instant. */
export function decisionsOfEventQuery(env: Env, internalId: string): SqlQuery {
  return {
    sql: `SELECT ${DECISION_COLUMNS} FROM (
        SELECT * FROM decisions WHERE env = {env:String} AND event_id = {internalId:String}
        ORDER BY at DESC LIMIT 1 BY log_topic, log_partition, log_offset, log_index, key
      )
      ORDER BY at, log_topic = 'commands', log_partition, log_offset, log_index, key`,
    params: { env, internalId },
  };
}

/** Rows are never taken back, so the furthest of a reader and partition is the newest. */
/** The generation that counts, with its positions; a row without a reader where it has none yet. */
export const STANDING_QUERY: SqlQuery = {
  sql: `SELECT id AS generation, reader, log_partition, max(log_offset) AS log_offset
    FROM (SELECT id FROM generations ORDER BY id LIMIT 1) AS current
    LEFT JOIN positions_by_generation ON positions_by_generation.generation = current.id
    GROUP BY id, reader, log_partition ORDER BY reader, log_partition`,
  params: {},
};
