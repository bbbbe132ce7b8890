import type { Admission, AdmissionCommand } from '#core/admission/admission.js';
import { decideAdmission } from '#core/admission/admission.decide.js';
import { admissionOwed } from '#core/admission/admission.owed.js';
import type { Command, Effect } from '#core/effects.js';
import { cronEffects, decideCron, type CronCommand, type CronState } from '#core/cron/cron.aggregate.js';
import { jitterOf } from '#core/cron/cron.jitter.js';
import { cronNext } from '#core/cron/cron.next.js';
import type { RunCommand } from '#core/run/run.commands.js';
import { decide } from '#core/run/run.decide.js';
import { runEffects } from '#core/run/run.effects.js';
import { owed } from '#core/run/run.owed.js';
import type { Run } from '#core/run/run.state.js';
import { decideSignal, signalEffects, type Signal, type SignalCommand } from '#core/signal/signal.js';

/** A command as it stands on `commands`. */
export interface GoldenCommand {
  readonly key: string;
  readonly type: Command['type'];
  readonly schema: number;
  readonly body: Command;
}

/** What a command came to. */
export interface GoldenDecision {
  readonly key: string;
  readonly transitions: readonly { readonly type: string }[];
  readonly ignored?: string;
  readonly effects: readonly Effect[];
  /** What is owed after it: kind, id and time. */
  readonly owed: readonly string[];
}

export interface Replay {
  readonly decisions: readonly GoldenDecision[];
  /** What is left of each aggregate in the end; null where nothing is. */
  readonly states: readonly { readonly key: string; readonly state: unknown }[];
}

/** Decides a log of commands from the start, as a desk does, and keeps all that comes of it. */
export function replay(log: readonly GoldenCommand[]): Replay {
  const states = new Map<string, unknown>();
  const decisions = log.map(({ key, type, schema, body }, index): GoldenDecision => {
    if (schema !== 1 || body.type !== type) throw new Error(`no schema ${schema} of ${type}`);
    const { next, ...decision } = decideAny(states.get(key), body, index);
    states.set(key, next);
    return { key, ...decision };
  });
  return { decisions, states: [...states].map(([key, state]) => ({ key, state: state ?? null })) };
}

type Decided = Omit<GoldenDecision, 'key'> & { readonly next: unknown };

function decideAny(state: unknown, command: Command, offset: number): Decided {
  if ('key' in command) return ofAdmission(state as Admission | undefined, command, offset);
  if ('signal' in command) return ofSignal(state as Signal | undefined, command);
  if ('cron' in command && 'functionId' in command && !('runId' in command)) {
    return ofCron(state as CronState | undefined, command);
  }
  return ofRun(state as Run | undefined, command);
}

function ofAdmission(state: Admission | undefined, command: AdmissionCommand, offset: number): Decided {
  const { transitions, effects, next, ignored } = decideAdmission(state, command, { partition: 0, offset });
  return {
    transitions,
    effects,
    owed: admissionOwed(next).map(({ kind, id, at }) => `${kind} ${id} ${at}`),
    ...(ignored === undefined ? {} : { ignored }),
    next,
  };
}

function ofRun(run: Run | undefined, command: RunCommand): Decided {
  const { transitions, next, ignored } = decide(run, command);
  return {
    transitions,
    effects: next && transitions.length > 0 ? runEffects(run, transitions, next) : [],
    owed: owed(next).map(({ kind, id, at }) => `${kind} ${id} ${at}`),
    ...(ignored === undefined ? {} : { ignored }),
    next,
  };
}

function ofSignal(signal: Signal | undefined, command: SignalCommand): Decided {
  const { transitions, next, ignored } = decideSignal(signal, command);
  const effects = signalEffects(transitions, command);
  return { transitions, effects, owed: [], ...(ignored === undefined ? {} : { ignored }), next };
}

function ofCron(state: CronState | undefined, command: CronCommand): Decided {
  const { transitions, next, ignored } = decideCron(state, command, { next: cronNext, jitter: jitterOf });
  const effects = cronEffects(transitions, command);
  return { transitions, effects, owed: [], ...(ignored === undefined ? {} : { ignored }), next };
}
