import { isEnded, pendingCount, type Run } from '#core/run/run.state.js';
import type { EpochMs, Json } from '#core/words.js';
import type { RunRow, RunStatus } from '#ports/history.port.js';

/** A run as REST v1 shows it: events-api.md section 8. */
export interface RunView {
  readonly run_id: string;
  readonly run_started_at: string;
  readonly function_id: string;
  readonly function_slug: string;
  readonly function_version: number;
  readonly app_name: string;
  readonly environment_id: string;
  readonly event_id: string;
  readonly event_ids: readonly string[];
  readonly batch_id: string | null;
  readonly original_run_id: string | null;
  readonly cron: string | null;
  readonly status: RunStatus;
  readonly queued_at: string;
  readonly started_at: string | null;
  readonly ended_at: string | null;
  readonly output: unknown;
  /** Steps that are found and not resolved: what the run waits for. Only on a run that has not ended. */
  readonly waiting_for?: readonly WaitView[];
}

export interface WaitView {
  readonly step_id: string;
  readonly name: string;
  readonly kind: string;
  readonly until: string | null;
  readonly event?: string;
  readonly expression?: string;
  readonly signal?: string;
}

const STATUS: Record<Run['state'], RunStatus> = {
  queued: 'Scheduled',
  running: 'Running',
  completed: 'Completed',
  failed: 'Failed',
  cancelled: 'Cancelled',
};

export function viewOfRun(run: Run): RunView {
  return {
    run_id: run.id,
    run_started_at: iso(run.startedAt ?? run.createdAt),
    function_id: run.functionId,
    function_slug: run.functionSlug,
    function_version: run.functionVersion,
    app_name: run.appName,
    environment_id: run.env,
    event_id: run.eventIds[0] ?? '',
    event_ids: run.eventIds,
    batch_id: run.batchId ?? null,
    original_run_id: null,
    cron: run.cron ?? null,
    status: STATUS[run.state],
    queued_at: iso(run.createdAt),
    started_at: run.startedAt === undefined ? null : iso(run.startedAt),
    ended_at: run.endedAt === undefined ? null : iso(run.endedAt),
    output: parsed(run.output),
    ...(isEnded(run) || pendingCount(run) === 0 ? {} : { waiting_for: waits(run) }),
  };
}

export function viewOfRow(row: RunRow): RunView {
  return {
    run_id: row.runId,
    run_started_at: iso(row.startedAt ?? row.queuedAt),
    function_id: row.functionId,
    function_slug: row.functionSlug,
    function_version: row.functionVersion,
    app_name: row.appName,
    environment_id: row.env,
    event_id: row.eventIds[0] ?? '',
    event_ids: row.eventIds,
    batch_id: row.batchId === '' ? null : row.batchId,
    original_run_id: null,
    cron: row.cron === '' ? null : row.cron,
    status: row.status,
    queued_at: iso(row.queuedAt),
    started_at: row.startedAt === null ? null : iso(row.startedAt),
    ended_at: row.endedAt === null ? null : iso(row.endedAt),
    output: parsed(row.output ?? undefined),
  };
}

function waits(run: Run): WaitView[] {
  return Object.values(run.steps)
    .filter((step) => step.memo === undefined)
    .map(({ id, name, kind, wait }) => ({
      step_id: id,
      name,
      kind,
      until: wait?.until === undefined ? null : iso(wait.until),
      ...(wait?.event === undefined ? {} : { event: wait.event }),
      ...(wait?.expression === undefined ? {} : { expression: wait.expression }),
      ...(wait?.signal === undefined ? {} : { signal: wait.signal }),
    }));
}

function iso(at: EpochMs): string {
  return new Date(at).toISOString();
}

function parsed(json: Json | undefined): unknown {
  return json === undefined ? null : (JSON.parse(json) as unknown);
}
