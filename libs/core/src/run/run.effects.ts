import type { Effect } from '../effects.js';
import { derivedUlid } from '../event/event.ids.js';
import type { InvokeParent, StoredEvent } from '../event/event.js';
import { canonical } from '../json.js';
import { signalKey } from '../signal/signal.js';
import type { EpochMs, Json } from '../words.js';
import {
  correlationId,
  deferredSchedule,
  functionCancelled,
  functionFailed,
  functionFinished,
  functionInvoked,
  type EndedRun,
} from './run.lifecycle.js';
import { dataMemo, invokeCancelled, invokeFailed, invokeRefused } from './run.memos.js';
import type { StepFault } from './run.ops.js';
import { isEnded, isResolved, type Run } from './run.state.js';
import type { RunTransition } from './run.transitions.js';

/** Events that runs emit at their end. What they trigger emits none of them: contract 22, quirk 18. */
const LIFECYCLE = new Set(['inngest/function.finished', 'inngest/function.failed', 'inngest/function.cancelled']);

/**
 * What goes to the log with a run's transitions: events that it sends, commands for others. Derived ids make a second time harmless.
 * @param before the run that the command met, with what its pending steps waited for
 */
export function runEffects(
  before: Run | undefined,
  transitions: readonly RunTransition[],
  after: Run,
): readonly Effect[] {
  return transitions.flatMap((transition) => effectsOf(transition, before, after));
}

function effectsOf(t: RunTransition, before: Run | undefined, run: Run): readonly Effect[] {
  switch (t.type) {
    case 'RunScheduled':
      return links(run, t.at);
    case 'StepPlanned':
      return planned(t, run);
    case 'StepCompleted':
    case 'StepFailed':
      return before ? release(before, t.stepId, t.at) : [];
    case 'RunSkipped':
      return toParents(t, run);
    case 'RunCompleted':
    case 'RunFailed':
    case 'RunCancelled':
      return [
        ...letGo(run, t.at),
        ...releaseSingleton(run, t.at),
        ...toParents(t, run),
        ...lifecycle(t, run),
        ...deferred(run, t.at),
      ];
    default:
      return [];
  }
}

type Planned = Extract<RunTransition, { type: 'StepPlanned' }>;

/** Of a reply that ended its run, and of a wait that was over at once, nothing goes out. */
function planned(t: Planned, run: Run): readonly Effect[] {
  if (isEnded(run)) return [];
  if (t.kind === 'invoke') return [invoked(t, run)];
  if (t.kind !== 'signal' || t.signal === undefined || isResolved(run.steps[t.stepId])) return [];
  const { signal, stepId, at, conflict = 'fail', until = at } = t;
  const command = { type: 'ClaimSignal', env: run.env, signal, at, runId: run.id, stepId, conflict, until } as const;
  return [{ kind: 'command', key: signalKey(run.env, signal), command }];
}

/** The steps that invoked this run can show it while they wait. */
function links(run: Run, at: EpochMs): readonly Effect[] {
  return run.parents.map(({ runId, stepId }) => ({
    kind: 'command',
    key: runId,
    command: { type: 'LinkChild', runId, env: run.env, at, stepId, childRunId: run.id },
  }));
}

function invoked(t: Planned, run: Run): Effect {
  const { at, stepId, name } = t;
  const functionRef = t.functionRef ?? '';
  const parent: InvokeParent = { runId: run.id, stepId };
  const internalId = derivedUlid(at, run.id, stepId, 'invoked');
  const expires = t.until === undefined ? {} : { expiresAt: t.until };
  const payload = functionInvoked({
    id: internalId,
    ts: at,
    functionSlug: functionRef,
    payload: t.request ?? '{}',
    parent,
    stepName: name,
    source: { appId: run.appId, functionId: run.functionId, functionVersion: run.functionVersion },
    ...expires,
  });
  return event(run, 'inngest/function.invoked', internalId, at, payload, {
    kind: 'invoke',
    functionRef,
    parent,
    ...expires,
  });
}

/** Signals that the run still holds. */
function letGo(run: Run, at: EpochMs): readonly Effect[] {
  return Object.values(run.steps).flatMap((step) =>
    step.kind === 'signal' && !isResolved(step) ? release(run, step.id, at) : [],
  );
}

/** @param run as it stood while the step was pending: a resolved one has forgotten what it waited for */
function release(run: Run, stepId: string, at: EpochMs): readonly Effect[] {
  const signal = Object.hasOwn(run.steps, stepId) ? run.steps[stepId]?.wait?.signal : undefined;
  if (signal === undefined) return [];
  return [
    {
      kind: 'command',
      key: signalKey(run.env, signal),
      command: { type: 'ReleaseSignal', env: run.env, signal, at, runId: run.id, stepId },
    },
  ];
}

type Skipped = Extract<RunTransition, { type: 'RunSkipped' }>;
type End = Extract<RunTransition, { type: 'RunCompleted' | 'RunFailed' | 'RunCancelled' }>;

/** The next run of the function under this key may start. */
function releaseSingleton({ id: runId, env, functionId, flow }: Run, at: EpochMs): readonly Effect[] {
  const key = flow?.singleton;
  if (key === undefined) return [];
  return [{ kind: 'command', key, command: { type: 'ReleaseSingleton', env, functionId, key, at, runId } }];
}

/** The steps that invoked this run get its end as their result. */
function toParents(t: End | Skipped, run: Run): readonly Effect[] {
  const result = t.type === 'RunCompleted' ? { memo: dataMemo(t.output) } : { fault: invokeFault(t) };
  return run.parents.map(({ runId, stepId }) => ({
    kind: 'command',
    key: runId,
    command: { type: 'ResumeStep', runId, env: run.env, at: t.at, stepId, result, childRunId: run.id },
  }));
}

function invokeFault(t: Exclude<End, { type: 'RunCompleted' }> | Skipped): StepFault {
  switch (t.type) {
    case 'RunFailed':
      return invokeFailed(t.fault, t.errorClass);
    case 'RunCancelled':
      return invokeCancelled;
    case 'RunSkipped':
      return invokeRefused(
        t.reason === 'singleton' ? 'another run of it holds its singleton' : 'its function is paused',
      );
  }
}

function lifecycle(t: End, run: Run): readonly Effect[] {
  if (LIFECYCLE.has(run.eventName)) return [];
  const ended: EndedRun = {
    runId: run.id,
    functionSlug: run.functionSlug,
    endedAt: t.at,
    events: run.events,
    end: endOf(t),
    ...metaOf(run.events[0]),
  };
  const effects: Effect[] = listeners(run).map((parent, index) => {
    const id = derivedUlid(t.at, run.id, 'finished', String(index));
    return event(run, 'inngest/function.finished', id, t.at, functionFinished(ended, id, parent), {
      kind: 'lifecycle',
      runId: run.id,
    });
  });
  const name =
    t.type === 'RunFailed'
      ? 'inngest/function.failed'
      : t.type === 'RunCancelled'
        ? 'inngest/function.cancelled'
        : undefined;
  if (name !== undefined) {
    const payload = t.type === 'RunFailed' ? functionFailed(ended) : functionCancelled(ended);
    // After `finished`; its own id is the run's, so that a handler starts once.
    effects.push(
      event(run, name, derivedUlid(t.at, run.id, name), t.at, payload, { kind: 'lifecycle', runId: run.id }, run.id),
    );
  }
  return effects;
}

/** Who is told that a run finished: once for the first event, and once for each other event by which a step invoked it. */
function listeners(run: Run): readonly (InvokeParent | undefined)[] {
  const [first] = run.parents;
  const isOfFirst = first && run.events[0]?.includes(`"correlation_id":${JSON.stringify(correlationId(first))}`);
  return isOfFirst ? run.parents : [undefined, ...run.parents];
}

function endOf(t: End): EndedRun['end'] {
  if (t.type === 'RunCompleted') return { status: 'Completed', output: t.output };
  if (t.type === 'RunFailed') return { status: 'Failed', output: t.output, fault: t.fault, errorClass: t.errorClass };
  return { status: 'Cancelled' };
}

function metaOf(first: Json | undefined): { readonly meta?: Json } {
  if (!first?.includes('"meta":')) return {};
  const { meta } = JSON.parse(first) as { readonly meta?: unknown };
  return meta === undefined ? {} : { meta: canonical(meta) };
}

function deferred(run: Run, at: EpochMs): readonly Effect[] {
  return Object.values(run.defers).flatMap((defer) => {
    if (defer.state !== 'live') return [];
    const id = derivedUlid(at, run.id, 'defer', defer.id);
    const payload = deferredSchedule({
      id,
      ts: at,
      functionSlug: defer.functionRef,
      input: defer.payload,
      parent: { runId: run.id, functionSlug: run.functionSlug, functionId: run.functionId, appId: run.appId },
    });
    return [event(run, 'inngest/deferred.schedule', id, at, payload, { kind: 'lifecycle', runId: run.id })];
  });
}

function event(
  run: Run,
  name: string,
  internalId: string,
  at: EpochMs,
  payload: Json,
  internal: NonNullable<StoredEvent['internal']>,
  id = internalId,
): Effect {
  return {
    kind: 'event',
    event: {
      internalId,
      env: run.env,
      id,
      name,
      ts: at,
      receivedAt: at,
      payload,
      source: 'internal',
      internal,
      ...(run.trace === undefined ? {} : { trace: run.trace }),
    },
  };
}
