import type { Env, EpochMs, Position } from '#core/words.js';

export interface SeenEvent {
  readonly env: Env;
  readonly functionId: string;
  /** The user's id of the event, or its internal one. */
  readonly eventId: string;
  /** Internal id and offset of the delivery that started the run. */
  readonly internalId: string;
  readonly position: Position;
}

/**
 * Which event ids started a run of a function in the last 24 h. A projection of `events`: an id is always in one partition.
 * Every method throws state_unavailable where the store cannot be reached: then nothing is written, or, where only the answer was lost, the
 * whole of a commit; the same commit again is harmless.
 * `first` and `commit` throw state_lost when the store stands before the position that was last read or committed here: it has lost what it
 * held, in part or whole. `position` says where it stands now; who goes on from there makes the rest again.
 */
export abstract class SeenEvents {
  /** @returns with the time at which it was committed: an entry that is over but not pruned yet is no longer to be minded */
  abstract first(
    partition: number,
    env: Env,
    functionId: string,
    eventId: string,
  ): Promise<(SeenEvent & { readonly at: EpochMs }) | undefined>;
  /**
   * Adds entries and the position that they reflect, together or not at all; the first entry of a key stays.
   * @param next the first position of `events` that is not reflected
   * @throws position_stale when the store already holds a later position of that partition, or one that is not of whoever commits
   */
  abstract commit(entries: readonly SeenEvent[], next: Position, at: EpochMs): Promise<void>;
  /** The first position of `events` that is not reflected. To be asked by who goes on from there. */
  abstract position(partition: number): Promise<Position | undefined>;
  /** Forgets entries of a partition committed before `before`. */
  abstract prune(partition: number, before: EpochMs): Promise<number>;
  abstract close(): Promise<void>;
}
