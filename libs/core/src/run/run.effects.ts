import type { Effect } from '../effects.js';
import { derivedUlid } from '../event/event.ids.js';
import type { InvokeParent, StoredEvent } from '../event/event.js';
import { canonical } from '../json.js';
import { signalKey } from '../signal/signal.js';
import type { EpochMs, Json } from '../words.js';
import { deferredSchedule, functionCancelled, functionFailed, functionFinished, functionInvoked, type EndedRun } from './run.lifecycle.js';
import { dataMemo, invokeCancelled, invokeFailed } from './run.memos.js';
import { isResolved, type Run } from './run.state.js';
import type { RunTransition } from './run.transitions.js';

/** Events that runs emit at their end. What they trigger emits none of them: contract 22, quirk 18. */
const LIFECYCLE = new Set(['inngest/function.finished', 'inngest/function.failed', 'inngest/function.cancelled']);

/** What goes to the log with a run's transitions: events that it sends, commands for others. Derived ids make a second time harmless. */
export function runEffects(transitions: readonly RunTransition[], after: Run): readonly Effect[] {
  return transitions.flatMap((transition) => effectsOf(transition, after));
}

function effectsOf(t: RunTransition, run: Run): readonly Effect[] {
  switch (t.type) {
    case 'StepPlanned':
      if (t.kind === 'invoke') return [invoked(t, run)];
      if (t.kind === 'signal' && t.signal !== undefined) {
        const { signal, stepId, at, conflict } = t;
        return [
          {
            kind: 'command',
            key: signalKey(run.env, signal),
            command: { type: 'ClaimSignal', env: run.env, signal, at, runId: run.id, stepId, conflict: conflict ?? 'fail' },
          },
        ];
      }
      return [];
    case 'StepCompleted':
    case 'StepFailed':
      return t.kind === 'signal' ? release(run, t.stepId, t.at) : [];
    case 'RunCompleted':
    case 'RunFailed':
    case 'RunCancelled':
      return [...letGo(run, t.at), ...toParents(t, run), ...lifecycle(t, run), ...deferred(run, t.at)];
    default:
      return [];
  }
}

function invoked(t: Extract<RunTransition, { type: 'StepPlanned' }>, run: Run): Effect {
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
  return event(run, 'inngest/function.invoked', internalId, at, payload, { kind: 'invoke', functionRef, parent, ...expires });
}

/** Signals that the run still holds. */
function letGo(run: Run, at: EpochMs): readonly Effect[] {
  return Object.values(run.steps).flatMap((step) => (step.kind === 'signal' && !isResolved(step) ? release(run, step.id, at) : []));
}

function release(run: Run, stepId: string, at: EpochMs): readonly Effect[] {
  const signal = run.steps[stepId]?.wait?.signal;
  if (signal === undefined) return [];
  return [{ kind: 'command', key: signalKey(run.env, signal), command: { type: 'ReleaseSignal', env: run.env, signal, at, runId: run.id, stepId } }];
}

type End = Extract<RunTransition, { type: 'RunCompleted' | 'RunFailed' | 'RunCancelled' }>;

/** The steps that invoked this run get its end as their result. */
function toParents(t: End, run: Run): readonly Effect[] {
  const result =
    t.type === 'RunCompleted'
      ? { memo: dataMemo(t.output) }
      : { fault: t.type === 'RunFailed' ? invokeFailed(t.fault, t.errorClass) : invokeCancelled };
  return run.parents.map(({ runId, stepId }) => ({
    kind: 'command',
    key: runId,
    command: { type: 'ResumeStep', runId, env: run.env, at: t.at, stepId, result, childRunId: run.id },
  }));
}

function lifecycle(t: End, run: Run): readonly Effect[] {
  if (LIFECYCLE.has(run.eventName)) return [];
  const ended: EndedRun = { runId: run.id, functionSlug: run.functionSlug, endedAt: t.at, events: run.events, end: endOf(t), ...metaOf(run.events[0]) };
  const parents = run.parents.length === 0 ? [undefined] : run.parents;
  const effects: Effect[] = parents.map((parent, index) => {
    const id = derivedUlid(t.at, run.id, 'finished', String(index));
    return event(run, 'inngest/function.finished', id, t.at, functionFinished(ended, id, parent), { kind: 'lifecycle', runId: run.id });
  });
  const name = t.type === 'RunFailed' ? 'inngest/function.failed' : t.type === 'RunCancelled' ? 'inngest/function.cancelled' : undefined;
  if (name !== undefined) {
    const payload = t.type === 'RunFailed' ? functionFailed(ended) : functionCancelled(ended);
    // After `finished`; its own id is the run's, so that a handler starts once.
    effects.push(event(run, name, derivedUlid(t.at, run.id, name), t.at, payload, { kind: 'lifecycle', runId: run.id }, run.id));
  }
  return effects;
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
  return { kind: 'event', event: { internalId, env: run.env, id, name, ts: at, receivedAt: at, payload, source: 'internal', internal } };
}
