import type { RunFlow } from '#core/flow/flow.js';
import { isEnded, pendingCount, SKIP_REASON, type Run } from '#core/run/run.state.js';
import type { EpochMs, Json } from '#core/words.js';
import type { RunRow, RunStatus } from '#ports/history.port.js';
import type { KeyView, QueuedView } from '../functions/queue.view.js';

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
  /** Why it never ran, `Singleton` or `FunctionPaused`, and the run that stood in its way. Only on a run that was skipped. */
  readonly skip_reason?: string;
  readonly skipped_for?: string | null;
  /** Steps that are found and not resolved: what the run waits for. Only on a run that has not ended. */
  readonly waiting_for?: readonly PendingStepView[];
  /** Calls that are to be made or under way. Only on a run that was asked for by its id and has not ended. */
  readonly queue?: readonly QueuedView[];
  /** What of flow control the run carries, if anything. */
  readonly flow?: FlowView;
}

export interface FlowView {
  /** Seconds by which it counts as older than it is. */
  readonly priority: number;
  /** Values as they were when the run was scheduled. */
  readonly keys: readonly (KeyView & { readonly scope: 'fn' | 'env' | 'account' })[];
  /** Expressions that gave no usable value, and what counts instead. */
  readonly notes: readonly string[];
}

export interface PendingStepView {
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
  skipped: 'Skipped',
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
    ...(run.skip && { skip_reason: SKIP_REASON[run.skip.reason], skipped_for: run.skip.blockedBy ?? null }),
    ...(isEnded(run) || pendingCount(run) === 0 ? {} : { waiting_for: pendingSteps(run) }),
    ...(run.flow === undefined ? {} : { flow: viewOfFlow(run.flow) }),
  };
}

function viewOfFlow({ priority = 0, step = [], run, throttle, notes = [] }: RunFlow): FlowView {
  const keys = [
    ...step.map((key) => ({ ...key, limit: 'step' as const })),
    ...(run === undefined ? [] : [{ ...run, limit: 'run' as const }]),
    ...(throttle === undefined ? [] : [{ ...throttle, limit: 'throttle' as const, scope: 'fn' as const }]),
  ];
  return {
    priority,
    keys: keys.map(({ limit, scope, expression = null, value }) => ({ limit, scope, expression, value })),
    notes,
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
    ...(row.status === 'Skipped' && { skip_reason: row.skipReason, skipped_for: row.skippedFor || null }),
  };
}

function pendingSteps(run: Run): PendingStepView[] {
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
