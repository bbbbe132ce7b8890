import type { InvokeParent } from '../event/event.js';
import { canonical } from '../json.js';
import type { EpochMs, Json } from '../words.js';
import { withClass } from './run.memos.js';
import type { StepFault } from './run.ops.js';

/**
 * The events that the server makes, as functions see them: execution.md section 10, contract 22. All are canonical; what users sent is
 * put in as it is stored.
 *     {"data":{...}, "id":"", "meta"?:{"sessions":{...}}, "name":"inngest/...", "ts":0, "user":{}, "v"?:""}
 */
interface Header {
  readonly id: string;
  readonly ts: EpochMs;
  readonly meta?: Json;
  readonly user?: Json;
  readonly v?: Json;
}

function payload(name: string, data: Json, { id, ts, meta, user = '{}', v }: Header): Json {
  return objectOf({ data, id: JSON.stringify(id), meta, name: JSON.stringify(name), ts: String(ts), user, v });
}

/** An object from members that are JSON already. Their order is the canonical one: the caller sorts. */
function objectOf(members: Readonly<Record<string, Json | undefined>>): Json {
  let text = '{';
  for (const key in members) {
    const member = members[key];
    if (member !== undefined) text += `${text.length === 1 ? '' : ','}${JSON.stringify(key)}:${member}`;
  }
  return text + '}';
}

/** A run that has ended. */
export interface EndedRun {
  readonly runId: string;
  readonly functionSlug: string;
  readonly endedAt: EpochMs;
  /** The triggering events, as functions saw them. */
  readonly events: readonly Json[];
  readonly end:
    | { readonly status: 'Completed'; readonly output: Json }
    | { readonly status: 'Failed'; readonly output: Json; readonly fault: StepFault; readonly errorClass: string }
    | { readonly status: 'Cancelled' };
  /** The `meta` of the triggering event, for its sessions. */
  readonly meta?: Json;
}

/**
 * `inngest/function.finished`, for every end.
 * @param id its own id
 * @param parent the step that invoked the run: it resolves on `correlation_id`
 */
export function functionFinished(run: EndedRun, id: string, parent?: InvokeParent): Json {
  return payload('inngest/function.finished', endData(run, parent), header(run, id));
}

/** `inngest/function.failed`, for a run that failed: what failure handlers run on. Its id is the run's, so that each starts once. */
export function functionFailed(run: EndedRun): Json {
  return payload('inngest/function.failed', endData(run), header(run, run.runId));
}

/** `inngest/function.cancelled`. Its id is the run's. */
export function functionCancelled(run: EndedRun): Json {
  return payload('inngest/function.cancelled', endData(run), header(run, run.runId));
}

function header({ endedAt, meta }: EndedRun, id: string): Header {
  return { id, ts: endedAt, ...(meta === undefined ? {} : { meta }) };
}

function endData({ runId, functionSlug, events, end }: EndedRun, parent?: InvokeParent): Json {
  return objectOf({
    _inngest: `{"status":"${end.status}"}`,
    correlation_id: parent && JSON.stringify(correlationId(parent)),
    error: end.status === 'Failed' ? withClass(end.fault, end.errorClass) : undefined,
    event: events[0] ?? 'null',
    events: `[${events.join(',')}]`,
    function_id: JSON.stringify(functionSlug),
    result: end.status === 'Cancelled' ? undefined : end.output,
    run_id: JSON.stringify(runId),
  });
}

/** What ties an invoked run to the step that waits for it. */
export function correlationId({ runId, stepId }: InvokeParent): string {
  return `${runId}.${stepId}`;
}

/** What a function is invoked with, by a step or by the API. */
export interface Invocation {
  readonly id: string;
  readonly ts: EpochMs;
  readonly functionSlug: string;
  /** `{"data":{...},"meta"?,"user"?,"v"?}`, as the op carries it. */
  readonly payload: Json;
  /** Absent for an invocation by the API: nobody waits. */
  readonly parent?: InvokeParent;
  readonly stepName?: string;
  readonly expiresAt?: EpochMs;
  readonly source?: { readonly appId: string; readonly functionId: string; readonly functionVersion: number };
}

/** `inngest/function.invoked`: the payload's data, and `_inngest` with what it is for; `user`, `v` and the sessions go along. */
export function functionInvoked(invocation: Invocation): Json {
  const { id, ts, functionSlug, parent, stepName, expiresAt, source } = invocation;
  const { data, user, v, meta } = JSON.parse(invocation.payload) as Readonly<Record<string, unknown>>;
  const sessions = (meta as { readonly sessions?: unknown } | null | undefined)?.sessions;
  const own = {
    correlation_id: parent && correlationId(parent),
    expire: expiresAt,
    fn_id: functionSlug,
    name: stepName,
    source_app_id: source?.appId,
    source_fn_id: source?.functionId,
    source_fn_v: source?.functionVersion,
  };
  return canonical({
    data: { ...(data as object | null), _inngest: own },
    id,
    meta: sessions === undefined ? undefined : { sessions },
    name: 'inngest/function.invoked',
    ts,
    user: user ?? {},
    v: v ?? undefined,
  });
}

/** `inngest/scheduled.timer`: a cron ticked. Its id is the tick; one run per function and tick. */
export function scheduledTimer(tick: {
  readonly cron: string;
  readonly scheduledAt: EpochMs;
  /** Later than `scheduledAt` by the jitter. */
  readonly fireAt: EpochMs;
}): Json {
  const scheduledAt = rfc3339(tick.scheduledAt);
  const data = canonical({ cron: tick.cron, fireAt: rfc3339(tick.fireAt), scheduledAt });
  return payload('inngest/scheduled.timer', data, { id: scheduledAt, ts: tick.fireAt });
}

function rfc3339(at: EpochMs): string {
  return new Date(at).toISOString().replace('.000Z', 'Z');
}

/** `inngest/deferred.schedule`: work that a run left for after its end. @param id the same for the same run and defer */
export function deferredSchedule(defer: {
  readonly id: string;
  readonly ts: EpochMs;
  /** The function to run. */
  readonly functionSlug: string;
  /** A JSON object. */
  readonly input: Json;
  readonly parent: {
    readonly runId: string;
    readonly functionSlug: string;
    readonly functionId: string;
    readonly appId: string;
  };
}): Json {
  const { parent } = defer;
  const own = {
    fn_slug: defer.functionSlug,
    parent_app_id: parent.appId,
    parent_fn_id: parent.functionId,
    parent_fn_slug: parent.functionSlug,
    parent_run_id: parent.runId,
  };
  const data = canonical({ ...(JSON.parse(defer.input) as object | null), _inngest: own });
  return payload('inngest/deferred.schedule', data, { id: defer.id, ts: defer.ts });
}
