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

/**
 * Pauses by event name and, where the expression demands an equality, by the value of that field. A projection of what runs wait for: after any
 * loss they are put in again, and no event passes meanwhile. Every method throws state_unavailable where the index cannot be reached.
 *
 * Who owns a partition asks `intact` when it takes it, and whenever what it uses may have been lost; where it is not, it folds the commands
 * that are on the log by then, adds every pause of its runs, and calls `restored`.
 */
export abstract class PauseIndex {
  /**
   * Puts pauses in; one that is in already is replaced by an equal one.
   * @throws record_unreadable when a trigger is asked for and is no JSON; then nothing has been put in
   */
  abstract add(pauses: readonly Pause[]): Promise<void>;
  abstract remove(ids: readonly string[]): Promise<void>;
  /**
   * For each candidate every pause that it resolves. Costs by the number of candidates, not of pauses. An expression that fails does not match.
   * Waits while some partition has not been restored.
   * @throws state_unavailable when that takes too long; nothing has passed then: the same candidates are to be matched again
   * @throws record_unreadable when a payload is asked for and is no JSON
   */
  abstract match(candidates: readonly Candidate[]): Promise<readonly (readonly Pause[])[]>;
  abstract size(): Promise<number>;

  /** Whether the index holds what `restored` told of, and all changes since. */
  abstract intact(partition: number): Promise<boolean>;
  /**
   * Every pause of this partition's runs is in.
   * @throws state_lost when what was added since `intact` was asked may have been lost: it is to be asked again, and all to be added again
   */
  abstract restored(partition: number): Promise<void>;
  /** Forgets everything: what it holds is not what the partitions wait for. */
  abstract clear(): Promise<void>;
}
