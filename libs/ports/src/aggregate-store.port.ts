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

/** One kind of aggregate in one partition: what is asked for. */
export interface Shelf {
  /** The kind of aggregate: `run`, `signal`, ... */
  readonly space: string;
  readonly partition: number;
}

/**
 * A projection of `commands` (or `events`): folded state with the position it reflects. May be dropped and rebuilt at any time.
 * Every method throws state_unavailable where the store cannot be reached: then nothing is written, or, where only the answer was lost, the
 * whole of a commit; the same commit again is harmless.
 * What is read and written of a partition throws state_lost when the store stands before the position that was last read or committed here:
 * it has lost what it held, in part or whole. `position` says where it stands now; who goes on from there makes the rest again.
 */
export abstract class AggregateStore {
  /** @throws position_stale when another has gone on in that partition: what is there is not of the position that was last read or committed here */
  abstract load(shelf: Shelf, id: string): Promise<StoredAggregate | undefined>;
  /** All that have not ended, in no order. One that changes meanwhile may come in its older or its newer state, or, being new, not at all. */
  abstract active(shelf: Shelf): AsyncIterable<StoredAggregate>;
  /** How many have not ended. */
  abstract count(shelf: Shelf): Promise<number>;

  /**
   * Writes states and the position that they all reflect, together or not at all.
   * Aggregates of a reader are of the partition whose position is committed.
   * @param reader whose position it is: `desk`, `intake`, ...
   * @param next the first position that is NOT reflected
   * @throws position_stale when the store already holds a later position of that reader in that partition, or one that is not of whoever
   *     commits: another has gone on from it
   */
  abstract commit(
    reader: string,
    next: Position,
    writes: Readonly<Record<string, readonly AggregateWrite[]>>,
    at: EpochMs,
  ): Promise<void>;

  /**
   * Where `reader` goes on: the first position that is not reflected; undefined when there is none. To be asked by who goes on from there:
   * what is read and committed here from now on builds on it.
   */
  abstract position(reader: string, partition: number): Promise<Position | undefined>;

  /** Forgets tombstones of a partition committed before `before`. @returns how many */
  abstract prune(partition: number, before: EpochMs): Promise<number>;

  abstract close(): Promise<void>;
}
