import type { Effect } from '../effects.js';
import { signalConflict, signalMemo } from '../run/run.memos.js';
import { unreachable, type Env, type EpochMs, type Json } from '../words.js';

/** Who waits for a signal: one run at a time, per environment and name. Contract 17.5. */
export interface Signal {
  readonly holder: {
    readonly runId: string;
    readonly stepIds: readonly string[];
    /** When the last of them gives up. Nobody holds a name for longer, whatever became of the word that it is given back. */
    readonly until: EpochMs;
  };
}

interface SignalCommandBase {
  readonly env: Env;
  readonly signal: string;
  readonly at: EpochMs;
  /** Somebody waits for the decision under this name. */
  readonly ask?: string;
}

/** Stands on `commands`, keyed by `signalKey`. */
export type SignalCommand =
  | (SignalCommandBase & {
      readonly type: 'ClaimSignal';
      readonly runId: string;
      readonly stepId: string;
      readonly conflict: 'fail' | 'replace';
      readonly until: EpochMs;
    })
  | (SignalCommandBase & { readonly type: 'ReleaseSignal'; readonly runId: string; readonly stepId: string })
  | (SignalCommandBase & { readonly type: 'SendSignal'; readonly data: Json });

export type SignalTransition =
  /** A run that takes the name from another leaves that one to its timeout. */
  | {
      readonly type: 'SignalClaimed';
      readonly at: EpochMs;
      readonly runId: string;
      readonly stepId: string;
      readonly until: EpochMs;
    }
  | {
      readonly type: 'SignalRefused';
      readonly at: EpochMs;
      readonly runId: string;
      readonly stepId: string;
      readonly holder: string;
    }
  | { readonly type: 'SignalReleased'; readonly at: EpochMs; readonly runId: string; readonly stepId: string }
  | {
      readonly type: 'SignalDelivered';
      readonly at: EpochMs;
      readonly runId: string;
      readonly stepId: string;
      readonly data: Json;
    };

export interface SignalDecision {
  readonly transitions: readonly SignalTransition[];
  /** Undefined: nobody waits. */
  readonly next: Signal | undefined;
  readonly ignored?: 'no_waiter' | 'not_holder' | 'already_holder';
}

export function signalKey(env: Env, signal: string): string {
  return `signal:${env}:${signal}`;
}

export function decideSignal(signal: Signal | undefined, command: SignalCommand): SignalDecision {
  const { at } = command;
  const holder = signal && signal.holder.until > at ? signal.holder : undefined;
  switch (command.type) {
    case 'ClaimSignal': {
      const { runId, stepId, conflict, until } = command;
      if (holds(signal, runId, stepId)) return ignore(signal, 'already_holder');
      // A run that waits twice is no conflict with itself.
      if (holder && holder.runId !== runId && conflict === 'fail') {
        return accept(signal, { type: 'SignalRefused', at, runId, stepId, holder: holder.runId });
      }
      return accept(signal, { type: 'SignalClaimed', at, runId, stepId, until });
    }
    case 'ReleaseSignal': {
      const { runId, stepId } = command;
      if (!holds(signal, runId, stepId)) return ignore(signal, 'not_holder');
      return accept(signal, { type: 'SignalReleased', at, runId, stepId });
    }
    case 'SendSignal': {
      if (!holder) return ignore(signal, 'no_waiter');
      const { runId, stepIds } = holder;
      const { data } = command;
      return accept(
        signal,
        ...stepIds.map((stepId) => ({ type: 'SignalDelivered', at, runId, stepId, data }) as const),
      );
    }
    default:
      return unreachable(command);
  }
}

function holds(signal: Signal | undefined, runId: string, stepId: string): boolean {
  return signal?.holder.runId === runId && signal.holder.stepIds.includes(stepId);
}

function ignore(signal: Signal | undefined, ignored: NonNullable<SignalDecision['ignored']>): SignalDecision {
  return { transitions: [], next: signal, ignored };
}

function accept(signal: Signal | undefined, ...transitions: readonly SignalTransition[]): SignalDecision {
  return { transitions, next: transitions.reduce(evolveSignal, signal) };
}

/** Who waits after one more transition. */
export function evolveSignal(signal: Signal | undefined, t: SignalTransition): Signal | undefined {
  const { stepIds: mine, until } = signal?.holder.runId === t.runId ? signal.holder : { stepIds: [], until: 0 };
  switch (t.type) {
    case 'SignalClaimed':
      return { holder: { runId: t.runId, stepIds: [...mine, t.stepId], until: Math.max(until, t.until) } };
    case 'SignalRefused':
      return signal;
    case 'SignalReleased':
    case 'SignalDelivered': {
      const stepIds = mine.filter((stepId) => stepId !== t.stepId);
      return stepIds.length === 0 ? undefined : { holder: { runId: t.runId, stepIds, until } };
    }
    default:
      return unreachable(t);
  }
}

/** What the runs hear of it. */
export function signalEffects(
  transitions: readonly SignalTransition[],
  { env, signal }: SignalCommand,
): readonly Effect[] {
  return transitions.flatMap((t): readonly Effect[] => {
    if (t.type !== 'SignalRefused' && t.type !== 'SignalDelivered') return [];
    const { runId, stepId, at } = t;
    const ends =
      t.type === 'SignalRefused'
        ? { result: { fault: signalConflict }, fails: true }
        : { result: { memo: signalMemo(signal, t.data) } };
    return [{ kind: 'command', key: runId, command: { type: 'ResumeStep', runId, env, at, stepId, ...ends } }];
  });
}
