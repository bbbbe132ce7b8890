import type { RunView } from '#apps/api/src/runs/run.view.js';
import type { RunTransition } from '#core/run/run.transitions.js';
import type { EpochMs } from '#core/words.js';

export type { RunView };

export function isEnded({ status }: RunView): boolean {
  return status !== 'Scheduled' && status !== 'Running';
}

/** From its start, or for want of one from when it was queued, to its end; undefined while it runs. */
export function tookMs(run: RunView): number | undefined {
  return run.ended_at === null ? undefined : Date.parse(run.ended_at) - Date.parse(run.started_at ?? run.queued_at);
}

/** What a failed run says of its error. */
export function errorOf({ output }: RunView): string | undefined {
  if (typeof output === 'string') return output;
  const { name, message, error } = (output ?? {}) as {
    readonly name?: unknown;
    readonly message?: unknown;
    readonly error?: unknown;
  };
  const text = typeof message === 'string' ? message : error;
  if (typeof text !== 'string') return undefined;
  return typeof name === 'string' && name !== '' ? `${name}: ${text}` : text;
}

/** A step as the transitions of its run tell it. */
export interface StepView {
  readonly id: string;
  name: string;
  kind: string;
  state: 'pending' | 'retrying' | 'completed' | 'timed out' | 'failed';
  startedAt: EpochMs;
  /** Of what is pending: when it is to go on. */
  until?: EpochMs | undefined;
  endedAt?: EpochMs;
  /** Attempts that failed. */
  failures: number;
  error?: string;
  /** What it waits for, and what came of an invocation. */
  detail?: string;
}

/** The steps of a run, in the order they were found. */
export function stepsOf(transitions: readonly RunTransition[]): readonly StepView[] {
  const steps = new Map<string, StepView>();
  const at = (id: string, name: string, startedAt: EpochMs): StepView => {
    const known = steps.get(id);
    if (known) return known;
    const step: StepView = { id, name, kind: 'run', state: 'pending', startedAt, failures: 0 };
    steps.set(id, step);
    return step;
  };
  for (const it of transitions) {
    switch (it.type) {
      case 'StepPlanned': {
        const { kind, until } = it;
        const detail = it.event ?? it.signal ?? it.functionRef;
        Object.assign(at(it.stepId, it.name, it.at), { kind, until, ...(detail === undefined ? {} : { detail }) });
        break;
      }
      case 'StepErrored': {
        const step = at(it.stepId, it.name, it.startedAt);
        Object.assign(step, {
          state: 'retrying',
          until: it.retryAt,
          failures: step.failures + 1,
          error: textOf(it.fault),
        });
        break;
      }
      case 'StepCompleted': {
        const step = at(it.stepId, it.name, it.startedAt ?? it.at - (it.ranMs ?? 0));
        if (step.failures === 0 && it.startedAt !== undefined) step.startedAt = it.startedAt;
        Object.assign(step, { kind: it.kind, state: it.timedOut ? 'timed out' : 'completed', endedAt: it.at });
        break;
      }
      case 'StepFailed': {
        const step = at(it.stepId, it.name, it.startedAt ?? it.at);
        const failures = it.attempt === undefined ? step.failures : step.failures + 1;
        Object.assign(step, { kind: it.kind, state: 'failed', endedAt: it.at, failures, error: textOf(it.fault) });
        break;
      }
      default:
        break; // Of the run, not of a step.
    }
  }
  return [...steps.values()];
}

/** What the transitions of a run tell of how it began. */
export interface Beginning {
  /** What was not as declared when its keys and priority were evaluated. */
  readonly notes: readonly string[];
  /** Why it never ran. */
  readonly skipped?: { readonly reason: string; readonly blockedBy?: string };
}

export function beginningOf(transitions: readonly RunTransition[]): Beginning {
  const scheduled = transitions.find((it) => it.type === 'RunScheduled');
  const skipped = transitions.find((it) => it.type === 'RunSkipped');
  return { notes: scheduled?.flow?.notes ?? [], ...(skipped === undefined ? {} : { skipped }) };
}

function textOf({ name, message }: { readonly name: string; readonly message: string }): string {
  return name === '' ? message : `${name}: ${message}`;
}
