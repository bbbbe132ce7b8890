import type { Env, EpochMs, Placed, Position } from '#core/words.js';

export type Topic = 'events' | 'commands' | 'transitions' | 'snapshots' | 'config' | 'dead-letters';

/** A record to append. `body` is plain data that JSON can carry; adapters choose its encoding. */
export interface LogRecord<B = unknown> {
  readonly topic: Topic;
  /** Orders and compacts: records of one key are read in the order they were appended. */
  readonly key: string;
  /** What the body is: the name of its schema. */
  readonly type: string;
  /** Version of that schema. */
  readonly schema: number;
  readonly env: Env;
  readonly at: EpochMs;
  /** Undefined is a tombstone: forget the key (compacted topics). */
  readonly body: B | undefined;
  /** W3C trace context. */
  readonly trace?: string;
  /** Where it goes; absent: where its key does. */
  readonly partition?: number;
}

export type PlacedRecord<B = unknown> = Placed<LogRecord<B>>;

/**
 * The body of a record of `dead-letters`, type `DeadLetter`, key `<topic>/<partition>/<offset>` of the origin: a record that could
 * not be read, as it was found. One origin may be filed more than once; the key says that it is the same.
 */
export interface DeadLetter {
  readonly origin: Position & { readonly topic: Topic };
  /** Of the record, as far as they can be told. */
  readonly key: string;
  readonly type: string;
  readonly schema: number;
  readonly at: EpochMs;
  /** The stored bytes of its body, base64. */
  readonly bytes: string;
  readonly reason: string;
}

export interface Subscription {
  /**
   * Resolves once the subscription is closed. Rejects when it ended by itself: with what the handler threw where there was no
   * `onError`, or with what `onError` threw. A rejection that nobody takes ends the process: that is meant.
   */
  readonly ended: Promise<void>;
  /**
   * Ends the subscription; resolves when its handler is at rest (so a handler must not wait for it), rejects as `ended` does.
   */
  close(): Promise<void>;
}

export interface SubscribeOptions {
  /** Most records handed over at once. */
  readonly batchMax?: number;
  /**
   * Called when the handler threw: the subscription is at rest and hands the same batch again when this returns. Called with an empty
   * batch when the log could not be read: reading is tried again when this returns.
   */
  readonly onError?: (error: unknown, batch: readonly PlacedRecord[]) => Promise<void>;
}

/**
 * Durable records by topic. One key is read in the order it was appended; a returned position survives a crash. Nobody is handed a
 * record that is not durable. A stored record that cannot be decoded is filed under `dead-letters` (see `DeadLetter`) by whoever comes
 * to read it, and left out: neither `read` nor `subscribe` stops at it.
 */
export abstract class EventLog {
  /**
   * Appends records, of any topics. Those of one partition are in all or none, and stand behind those of an append that was awaited before.
   * @param then in only if all of `records` are: for what says that they were made
   * @returns the positions of all, in order; resolves once all are durable
   * @throws log_unavailable when it cannot be told whether they are in; ids make a second append harmless
   * @throws TypeError when a record is not made as its type says; nothing was tried
   */
  abstract append(records: readonly LogRecord[], then?: readonly LogRecord[]): Promise<readonly Position[]>;

  /**
   * Hands over the records of the partitions that `from` names, each from there on (inclusive; where that is not kept any more, from the oldest
   * kept), batch after batch, one at a time, those of a partition in order. Absent: all partitions from the oldest kept. The next batch comes when the handler's promise is fulfilled; a caught-up handler is woken at once
   * by an append, with the appended record's own body: it is read only. Delivery is at least once across restarts: keeping the
   * position is the subscriber's business.
   * @throws position_unknown when `from` lies behind the end: it is of another log
   */
  abstract subscribe(
    topic: Topic,
    from: readonly Position[] | undefined,
    handler: (batch: readonly PlacedRecord[]) => Promise<void> | void,
    options?: SubscribeOptions,
  ): Promise<Subscription>;

  /** A page of records from `from` (inclusive; where that is not kept any more, from the oldest kept), at most `limit`; empty at the end. */
  abstract read(topic: Topic, from: Position, limit: number): Promise<readonly PlacedRecord[]>;

  /** The position that the next record of each partition will get, by partition. There are as many partitions as positions. */
  abstract ends(topic: Topic): Promise<readonly Position[]>;

  /** Where records of the key go. */
  abstract partitionOf(topic: Topic, key: string): number;

  /** The first position whose record was appended at or after `at`; the end where there is none. */
  abstract positionAt(topic: Topic, at: EpochMs): Promise<readonly Position[]>;

  /**
   * Forgets records before `before` (exclusive). Compacted topics (`config`, `snapshots`) keep the newest of each key all the same,
   * but of a key whose newest is a tombstone nothing stays.
   */
  abstract trim(topic: Topic, before: Position): Promise<void>;

  abstract close(): Promise<void>;
}
