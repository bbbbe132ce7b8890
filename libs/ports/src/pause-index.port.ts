import type { Env, EpochMs } from '#core/words.js';

/** Something that an event may resolve: a wait of a step, or a cancellation watch of a run. */
export interface Pause {
  /** `<runId>.<stepId>` for a wait, `<runId>:cancel:<n>` for a watch. */
  readonly id: string;
  readonly env: Env;
  readonly kind: 'wait' | 'cancel';
  readonly runId: string;
  readonly stepId?: string;
  /** Exact name of the event. */
  readonly event: string;
  /** CEL over `event` and `async`; absent: any event of that name. */
  readonly expression?: string;
  /** The run's first event, canonical JSON: `event` in the expression. */
  readonly trigger: string;
  /** Events received before do not match. */
  readonly since: EpochMs;
  /** Events received at or after do not match. */
  readonly until: EpochMs;
  /** Internal ids of the run's own events: they never match. */
  readonly notEvents: readonly string[];
}

export interface Candidate {
  readonly env: Env;
  readonly name: string;
  readonly internalId: string;
  readonly receivedAt: EpochMs;
  /** The event as functions see it, canonical JSON: `async` in the expression. */
  readonly payload: string;
}

/** Pauses by event name and, where the expression demands an equality, by the value of that field. */
export abstract class PauseIndex {
  /** Puts pauses in; one that is in already is replaced by an equal one. */
  abstract add(pauses: readonly Pause[]): Promise<void>;
  abstract remove(ids: readonly string[]): Promise<void>;
  /** Every pause that the event resolves. Costs by the number of candidates, not of pauses. An expression that fails does not match. */
  abstract match(candidate: Candidate): Promise<readonly Pause[]>;
  abstract size(): Promise<number>;
}
