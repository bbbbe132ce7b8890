import { utf8Bytes } from '../json.js';
import { unreachable, type Env, type EpochMs } from '../words.js';
import { ENTRY, type Call, type Run, type Step } from './run.state.js';
import type { RunTransition, StepKind } from './run.transitions.js';

type Scheduled = Extract<RunTransition, { type: 'RunScheduled' }>;

/** The run that a scheduling makes. */
export function scheduled(id: string, env: Env, t: Scheduled): Run {
  return {
    id,
    env,
    state: 'queued',
    functionId: t.functionId,
    functionSlug: t.functionSlug,
    functionVersion: t.functionVersion,
    appId: t.appId,
    appName: t.appName,
    events: t.events,
    eventIds: t.eventIds,
    eventName: t.eventName,
    parents: t.parents,
    cancelOn: t.cancelOn,
    ...(t.cron === undefined ? {} : { cron: t.cron }),
    ...(t.batchId === undefined ? {} : { batchId: t.batchId }),
    ...(t.flow === undefined ? {} : { flow: t.flow }),
    ...(t.trace === undefined ? {} : { trace: t.trace }),
    createdAt: t.at,
    startAt: t.startAt,
    maxAttempts: t.maxAttempts,
    requestVersion: -1,
    steps: {},
    stepCount: 0,
    stack: [],
    openInGroup: {},
    wasParallel: false,
    groupOfLast: -1,
    calls: {},
    entryWanted: false,
    seqNext: 0,
    groupNext: 0,
    ...(t.startTimeoutAt === undefined ? {} : { startTimeoutAt: t.startTimeoutAt }),
    stateBytes: t.events.reduce((bytes, event) => bytes + utf8Bytes(event), 0),
    metadataBytes: 0,
    defers: {},
  };
}

/** The run after one more transition. Total: a transition has happened. `run` is undefined only before `RunScheduled`. */
export function evolve(run: Run, t: RunTransition): Run {
  switch (t.type) {
    case 'RunScheduled':
      return run;
    case 'RunSkipped':
      return {
        ...run,
        state: 'skipped',
        // Contract 12: it begins and ends as it is made.
        startedAt: t.at,
        endedAt: t.at,
        skip: { reason: t.reason, ...(t.blockedBy === undefined ? {} : { blockedBy: t.blockedBy }) },
      };
    case 'RunStarted':
      return {
        ...without(run, 'startTimeoutAt'),
        state: 'running',
        startedAt: t.at,
        ...(t.finishTimeoutAt === undefined ? {} : { finishTimeoutAt: t.finishTimeoutAt }),
        ...(t.implied ? { startImplied: true } : {}),
      };
    case 'VersionNegotiated':
      return { ...run, requestVersion: t.requestVersion };
    case 'StepPlanned':
      return plan(run, t);
    case 'StepCompleted':
      return resolve(run, t, t.memo, false);
    case 'StepFailed':
      return resolve(run, t, `{"error":${t.fault.json}}`, true);
    case 'StepErrored':
    case 'CallErrored':
      return run;
    case 'CallStarted': {
      const call = run.calls[t.target];
      return call ? { ...run, calls: { ...run.calls, [t.target]: { ...call, lease: t.lease } } } : run;
    }
    case 'CallSettled':
      if (run.lingering) return settleLingering(run, run.lingering, t.seq);
      return run.calls[t.target]?.seq === t.seq ? { ...run, calls: omit(run.calls, t.target) } : run;
    case 'CallProgressed':
      return progress(run, t.seq);
    case 'CallPlanned':
      return {
        ...run,
        calls: {
          ...run.calls,
          [t.target]: {
            target: t.target,
            seq: t.seq,
            generation: t.generation,
            attempt: t.attempt,
            dueAt: t.dueAt,
            gateway: t.gateway ?? false,
            progressed: false,
            ...(t.held ? { held: true } : {}),
          },
        },
        seqNext: Math.max(run.seqNext, t.seq + 1),
        entryWanted: t.target === ENTRY ? false : run.entryWanted,
      };
    case 'ChildLinked':
      return linkChild(run, t.stepId, t.childRunId);
    case 'EntryWanted':
      return { ...run, entryWanted: true };
    case 'TimeoutMoved': {
      const name = t.kind === 'start' ? 'startTimeoutAt' : 'finishTimeoutAt';
      const told = t.kind === 'finish' ? without(run, 'startImplied') : run;
      return t.until === undefined ? without(told, name) : { ...told, [name]: t.until };
    }
    case 'DeferAdded':
      return {
        ...run,
        defers: {
          ...run.defers,
          [t.deferId]: {
            id: t.deferId,
            functionRef: t.functionRef,
            payload: t.rejected === undefined ? t.payload : '{}',
            state: t.rejected === undefined ? 'live' : 'rejected',
          },
        },
      };
    case 'DeferAborted': {
      const defer = run.defers[t.deferId];
      if (!defer) return run;
      return { ...run, defers: { ...run.defers, [t.deferId]: { ...defer, payload: '{}', state: 'aborted' } } };
    }
    case 'MetadataAdded':
      return { ...run, metadataBytes: run.metadataBytes + utf8Bytes(t.body) };
    case 'RunCompleted':
      return { ...end(run, t.at), state: 'completed', output: t.output };
    case 'RunFailed':
      return { ...end(run, t.at), state: 'failed', output: t.output };
    case 'RunCancelled':
      return { ...end(run, t.at), state: 'cancelled' };
    default:
      return unreachable(t);
  }
}

function end(run: Run, at: EpochMs): Run {
  const lingering = Object.values(run.calls).filter(({ lease }) => lease !== undefined);
  return { ...run, endedAt: at, calls: {}, entryWanted: false, ...(lingering.length === 0 ? {} : { lingering }) };
}

function settleLingering(run: Run, lingering: readonly Call[], seq: number): Run {
  const rest = lingering.filter((call) => call.seq !== seq);
  return rest.length === 0 ? without(run, 'lingering') : { ...run, lingering: rest };
}

function plan(run: Run, t: Extract<RunTransition, { type: 'StepPlanned' }>): Run {
  if (Object.hasOwn(run.steps, t.stepId)) return run;
  const step: Step = {
    id: t.stepId,
    name: t.name,
    kind: t.kind,
    group: t.group,
    race: t.race,
    wait: {
      since: t.at,
      ...(t.until === undefined ? {} : { until: t.until }),
      ...(t.event === undefined ? {} : { event: t.event }),
      ...(t.expression === undefined ? {} : { expression: t.expression }),
      ...(t.signal === undefined ? {} : { signal: t.signal }),
      // An invoke's payload has left with its event; a gateway's request is needed until it is answered.
      ...(t.request === undefined || t.kind === 'invoke' ? {} : { request: t.request }),
    },
  };
  return {
    ...inGroup(run, t.group, t.race ? 0 : 1),
    steps: { ...run.steps, [t.stepId]: step },
    stepCount: run.stepCount + 1,
    wasParallel: run.wasParallel || run.groupOfLast === t.group,
    groupOfLast: t.group,
  };
}

function linkChild(run: Run, stepId: string, childRunId: string): Run {
  const step = run.steps[stepId];
  if (!step?.wait) return run;
  return { ...run, steps: { ...run.steps, [stepId]: { ...step, wait: { ...step.wait, childRunId } } } };
}

interface Resolution {
  readonly stepId: string;
  readonly name: string;
  readonly kind: StepKind;
}

function resolve(run: Run, t: Resolution, memo: string, failed: boolean): Run {
  const known = Object.hasOwn(run.steps, t.stepId) ? run.steps[t.stepId] : undefined;
  if (known?.memo !== undefined) return run;
  const step: Step = {
    id: t.stepId,
    name: known?.name ?? t.name,
    kind: known?.kind ?? t.kind,
    group: known?.group ?? run.groupNext,
    race: known?.race ?? false,
    memo,
    ...(failed ? { failed } : {}),
  };
  const grouped = known ? inGroup(run, known.group, known.race ? 0 : -1) : run;
  return {
    ...grouped,
    steps: { ...run.steps, [t.stepId]: step },
    stepCount: run.stepCount + (known ? 0 : 1),
    stack: [...run.stack, t.stepId],
    calls: Object.hasOwn(run.calls, t.stepId) ? omit(run.calls, t.stepId) : run.calls,
    stateBytes: run.stateBytes + utf8Bytes(memo),
  };
}

function inGroup(run: Run, group: number, by: number): Run {
  const groupNext = Math.max(run.groupNext, group + 1);
  const open = (run.openInGroup[group] ?? 0) + by;
  if (open === 0) {
    return { ...run, groupNext, openInGroup: omit(run.openInGroup, group) };
  }
  return { ...run, groupNext, openInGroup: { ...run.openInGroup, [group]: open } };
}

function progress(run: Run, seq: number): Run {
  const call = Object.values(run.calls).find((other) => other.seq === seq);
  if (!call || call.progressed) return run;
  const next: Call = { ...call, progressed: true };
  return { ...run, calls: { ...run.calls, [call.target]: next } };
}

/** A loop: several times as fast as a rest pattern where there are many. */
function omit<T>(map: Readonly<Record<string | number, T>>, key: string | number): Record<string, T> {
  const gone = String(key);
  const rest: Record<string, T> = {};
  for (const other in map) if (other !== gone) rest[other] = map[other] as T;
  return rest;
}

function without<K extends keyof Run>(run: Run, key: K): Run {
  const { [key]: _gone, ...rest } = run;
  return rest as Run;
}
