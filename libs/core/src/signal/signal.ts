import type { Effect } from '../effects.js';
import { signalConflict, signalMemo } from '../run/run.memos.js';
import type { Env, EpochMs, Json } from '../words.js';

/** Who waits for a signal: one step of one run at a time, per environment and name. Contract 17.5. */
export interface Signal {
  readonly holder?: { readonly runId: string; readonly stepId: string };
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
  | (SignalCommandBase & { readonly type: 'ClaimSignal'; readonly runId: string; readonly stepId: string; readonly conflict: 'fail' | 'replace' })
  | (SignalCommandBase & { readonly type: 'ReleaseSignal'; readonly runId: string; readonly stepId: string })
  | (SignalCommandBase & { readonly type: 'SendSignal'; readonly data: Json });

export type SignalTransition =
  | { readonly type: 'SignalClaimed'; readonly at: EpochMs; readonly runId: string; readonly stepId: string }
  | { readonly type: 'SignalRefused'; readonly at: EpochMs; readonly runId: string; readonly stepId: string; readonly holder: string }
  | { readonly type: 'SignalReleased'; readonly at: EpochMs; readonly runId: string; readonly stepId: string }
  | { readonly type: 'SignalDelivered'; readonly at: EpochMs; readonly runId: string; readonly stepId: string; readonly data: Json };

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
  const holder = signal?.holder;
  const { at } = command;
  switch (command.type) {
    case 'ClaimSignal': {
      const { runId, stepId } = command;
      if (holder?.runId === runId && holder.stepId === stepId) return { transitions: [], next: signal, ignored: 'already_holder' };
      // A run that repeats its own wait is no conflict.
      if (holder && holder.runId !== runId && command.conflict === 'fail') {
        return { transitions: [{ type: 'SignalRefused', at, runId, stepId, holder: holder.runId }], next: signal };
      }
      return { transitions: [{ type: 'SignalClaimed', at, runId, stepId }], next: { holder: { runId, stepId } } };
    }
    case 'ReleaseSignal': {
      const { runId, stepId } = command;
      if (holder?.runId !== runId || holder.stepId !== stepId) return { transitions: [], next: signal, ignored: 'not_holder' };
      return { transitions: [{ type: 'SignalReleased', at, runId, stepId }], next: undefined };
    }
    case 'SendSignal':
      if (!holder) return { transitions: [], next: signal, ignored: 'no_waiter' };
      return { transitions: [{ type: 'SignalDelivered', at, ...holder, data: command.data }], next: undefined };
  }
}

/** What the runs hear of it. */
export function signalEffects(transitions: readonly SignalTransition[], { env, signal }: SignalCommand): readonly Effect[] {
  return transitions.flatMap((t): readonly Effect[] => {
    if (t.type !== 'SignalRefused' && t.type !== 'SignalDelivered') return [];
    const { runId, stepId, at } = t;
    const ends = t.type === 'SignalRefused' ? { result: { fault: signalConflict }, fails: true } : { result: { memo: signalMemo(signal, t.data) } };
    return [{ kind: 'command', key: runId, command: { type: 'ResumeStep', runId, env, at, stepId, ...ends } }];
  });
}
