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
 * Which event ids started a run of a function in the last 24 h. A projection of `events`.
 * Every method throws state_unavailable where the store cannot be reached; nothing is written then.
 */
export abstract class SeenEvents {
  /** @returns with the time at which it was committed: an entry that is over but not pruned yet is no longer to be minded */
  abstract first(
    env: Env,
    functionId: string,
    eventId: string,
  ): Promise<(SeenEvent & { readonly at: EpochMs }) | undefined>;
  /**
   * Adds entries and the position that they reflect, together or not at all; the first entry of a key stays.
   * @param next the first position of `events` that is not reflected
   * @throws position_stale when the store already holds a later position of that partition
   */
  abstract commit(entries: readonly SeenEvent[], next: Position, at: EpochMs): Promise<void>;
  abstract position(): Promise<Position | undefined>;
  /** Forgets entries committed before `before`. */
  abstract prune(before: EpochMs): Promise<number>;
  abstract close(): Promise<void>;
}
