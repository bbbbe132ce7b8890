import type { EpochMs, Position } from '#core/words.js';

export interface StoredAggregate {
  readonly id: string;
  /** The folded state as its room wrote it; null once it has ended (a tombstone, kept until pruned). */
  readonly state: string | null;
}

export interface AggregateWrite {
  readonly id: string;
  /** Null: ended. */
  readonly state: string | null;
}

/**
 * A projection of `commands` (or `events`): folded state with the position it reflects. May be dropped and rebuilt at any time.
 * Every method throws state_unavailable where the store cannot be reached; nothing is written then.
 */
export abstract class AggregateStore {
  /** @param space the kind of aggregate: `run`, `signal`, ... */
  abstract load(space: string, id: string): Promise<StoredAggregate | undefined>;
  /** All that have not ended, in no order. One that changes meanwhile may come in its older or its newer state, or, being new, not at all. */
  abstract active(space: string): AsyncIterable<StoredAggregate>;
  /** How many have not ended. */
  abstract count(space: string): Promise<number>;

  /**
   * Writes states and the position that they all reflect, together or not at all.
   * @param reader whose position it is: `desk`, `intake`, ...
   * @param next the first position that is NOT reflected
   * @throws position_stale when the store already holds a later position of that reader in that partition
   */
  abstract commit(
    reader: string,
    next: Position,
    writes: Readonly<Record<string, readonly AggregateWrite[]>>,
    at: EpochMs,
  ): Promise<void>;

  /** Where `reader` goes on: the first position that is not reflected; undefined when there is none. */
  abstract position(reader: string): Promise<Position | undefined>;

  /** Forgets tombstones committed before `before`. @returns how many */
  abstract prune(before: EpochMs): Promise<number>;

  abstract close(): Promise<void>;
}
