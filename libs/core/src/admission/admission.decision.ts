import type { Effect } from '../effects.js';
import type { InvokeParent } from '../event/event.js';
import type { StepFault } from '../run/run.ops.js';
import type { Env, EpochMs, Position } from '../words.js';
import type { Source } from '../origin.js';
import type { Admission, AdmissionCommand, AdmissionTransition, Offer } from './admission.js';

export type AdmissionIgnored =
  | 'offer_taken'
  | 'turn_unknown'
  | 'timer_early'
  | 'not_holder'
  | 'already_spent'
  | 'still_needed'
  | 'nothing_remembered';

/** What came of a command. What is not ignored has a transition. */
export interface AdmissionDecision {
  readonly transitions: readonly AdmissionTransition[];
  /** Undefined: there is nothing to remember. */
  readonly next: Admission | undefined;
  readonly effects: readonly Effect[];
  readonly ignored?: AdmissionIgnored;
}

export type CommandOf<T extends AdmissionCommand['type']> = Extract<AdmissionCommand, { type: T }>;

/** So long what has been here is remembered at least, for commands that are posted again. Contract 9. */
export const REMEMBERED_MS = 30 * 60 * 1_000;

/** The parts of a state that every control has, the offer that is being decided among what has been taken. */
export type Base = Pick<Admission, 'env' | 'functionId' | 'key' | 'taken'>;

export function baseOf({ env, functionId, key, taken }: Base): Base {
  return { env, functionId, key, taken };
}

export function ignore(state: Admission | undefined, ignored: AdmissionIgnored): AdmissionDecision {
  return { transitions: [], next: state, effects: [], ignored };
}

/**
 * An offer goes on: to the next of its stages or, behind the last one, to the run itself. The intake's first word on an event is made by
 * it, too.
 * @param source the record that makes it go on
 */
export function passOn(offer: Offer, source: Source, at: EpochMs): Extract<Effect, { kind: 'command' }> {
  const { event, run, skip } = offer;
  const [stage, ...then] = offer.then;
  if (stage) {
    const { key } = stage;
    const base = { env: event.env, functionId: run.functionId, key, at };
    return { kind: 'command', key, command: { type: 'OfferRun', ...base, stage, offer: { ...offer, then }, source } };
  }
  const command =
    skip === undefined ? { ...run, source } : ({ ...run, source, type: 'SkipRun', reason: skip } as const);
  return { kind: 'command', key: run.runId, command };
}

/** The place of a command, for what it passes on. */
export function sourceAt({ partition, offset }: Position): Source {
  return { topic: 'commands', partition, offset };
}

/** Steps that invoked a run which does not come to be hear of it. Quirk 12. */
export function tellInvokers(
  parents: readonly InvokeParent[],
  told: { readonly env: Env; readonly at: EpochMs; readonly eventId: string; readonly fault: StepFault },
): readonly Extract<Effect, { kind: 'command' }>[] {
  const { env, at, eventId, fault } = told;
  return parents.map(({ runId, stepId }) => ({
    kind: 'command',
    key: runId,
    command: { type: 'ResumeStep', runId, env, at, stepId, result: { fault }, eventId },
  }));
}
