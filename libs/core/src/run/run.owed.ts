import type { RunFlow } from '../flow/flow.js';
import type { EpochMs } from '../words.js';
import type { TimerKind } from './run.commands.js';
import { isEnded, isOver, isResolved, type Call, type Run } from './run.state.js';

/** Something that should be out in the world for a run as it stands. Equal `id` and `at`: the same thing. */
export type Owed =
  | { readonly kind: 'work'; readonly id: string; readonly at: EpochMs; readonly call: Call }
  | {
      readonly kind: 'timer';
      readonly id: string;
      readonly at: EpochMs;
      readonly timer: TimerKind;
      readonly stepId?: string;
    }
  /** It runs, and its function limits whole runs. */
  | {
      readonly kind: 'slot';
      readonly id: string;
      readonly at: EpochMs;
      readonly runId: string;
      readonly key: NonNullable<RunFlow['run']>;
    }
  | {
      readonly kind: 'pause';
      readonly id: string;
      readonly at: EpochMs;
      readonly pause: {
        readonly kind: 'wait' | 'cancel';
        readonly event: string;
        readonly expression?: string;
        readonly since: EpochMs;
        readonly until: EpochMs;
        readonly stepId?: string;
      };
    };

const cache = new WeakMap<Run, readonly Owed[]>();

/** The work, timers and pauses that should be out for a run as it stands. After any loss they are simply put out again. */
export function owed(run: Run | undefined): readonly Owed[] {
  if (!run || isOver(run)) return [];
  const known = cache.get(run);
  if (known) return known;
  const list = isEnded(run)
    ? lingering(run)
    : [...work(run), ...slot(run), ...timeouts(run), ...waits(run), ...watches(run)];
  cache.set(run, list);
  return list;
}

export function workId(run: { readonly id: string }, call: Pick<Call, 'seq' | 'generation'>): string {
  return `${run.id}.${call.seq}.${call.generation}`;
}

function work(run: Run): Owed[] {
  return Object.values(run.calls).map((call) => ({ kind: 'work', id: workId(run, call), at: call.dueAt, call }));
}

function lingering(run: Run): Owed[] {
  return (run.lingering ?? []).map((call) => ({ kind: 'work', id: workId(run, call), at: call.dueAt, call }));
}

function slot(run: Run): Owed[] {
  const key = run.flow?.run;
  if (!key || run.startedAt === undefined) return [];
  return [{ kind: 'slot', id: `${run.id}:slot`, at: run.startedAt, runId: run.id, key }];
}

function timeouts(run: Run): Owed[] {
  const list: Owed[] = [];
  if (run.startTimeoutAt !== undefined && run.state === 'queued')
    list.push({ kind: 'timer', id: `${run.id}:start`, at: run.startTimeoutAt, timer: 'start' });
  if (run.finishTimeoutAt !== undefined)
    list.push({ kind: 'timer', id: `${run.id}:finish`, at: run.finishTimeoutAt, timer: 'finish' });
  return list;
}

function waits(run: Run): Owed[] {
  const list: Owed[] = [];
  if (run.stepCount === run.stack.length) return list;
  for (const step of Object.values(run.steps)) {
    if (isResolved(step) || !step.wait) continue;
    const { wait, id: stepId, kind } = step;
    if (wait.until !== undefined && (kind === 'sleep' || kind === 'wait' || kind === 'invoke' || kind === 'signal')) {
      list.push({ kind: 'timer', id: `${run.id}.${stepId}`, at: wait.until, timer: kind, stepId });
    }
    if (kind === 'wait' && wait.event !== undefined) {
      list.push({
        kind: 'pause',
        id: `${run.id}.${stepId}`,
        at: wait.since,
        pause: {
          kind: 'wait',
          event: wait.event,
          ...(wait.expression === undefined ? {} : { expression: wait.expression }),
          since: wait.since,
          until: wait.until ?? Number.MAX_SAFE_INTEGER,
          stepId,
        },
      });
    }
  }
  return list;
}

function watches(run: Run): Owed[] {
  return run.cancelOn.map((watch, index) => ({
    kind: 'pause',
    id: cancelWatchId(run.id, index),
    at: watch.since,
    pause: {
      kind: 'cancel',
      event: watch.event,
      ...(watch.if === undefined ? {} : { expression: watch.if }),
      since: watch.since,
      until: watch.until,
    },
  }));
}

export function cancelWatchId(runId: string, index: number): string {
  return `${runId}:cancel:${index}`;
}

/** What to put out and what to take back, from one state to the next. */
export function settlement<O extends { readonly kind: string; readonly id: string; readonly at: EpochMs }>(
  before: readonly O[],
  after: readonly O[],
): { readonly out: readonly O[]; readonly back: readonly O[] } {
  if (before === after) return { out: [], back: [] };
  const was = new Map(before.map((item) => [`${item.kind}|${item.id}`, item.at]));
  const out: O[] = [];
  for (const item of after) {
    const key = `${item.kind}|${item.id}`;
    if (was.get(key) !== item.at) out.push(item);
    was.delete(key);
  }
  const back = before.filter((item) => was.has(`${item.kind}|${item.id}`));
  return { out, back };
}
