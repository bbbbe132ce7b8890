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
}

export type PlacedRecord<B = unknown> = Placed<LogRecord<B>>;

export interface Subscription {
  /** Ends the subscription; resolves when its handler is at rest. */
  close(): Promise<void>;
}

export interface SubscribeOptions {
  /** Most records handed over at once. */
  readonly batchMax?: number;
  /** Called when the handler threw: the subscription is at rest and hands the same batch again when this returns. */
  readonly onError?: (error: unknown, batch: readonly PlacedRecord[]) => Promise<void>;
}

/** Durable records by topic. One key is read in the order it was appended; a returned position survives a crash. */
export abstract class EventLog {
  /**
   * Appends records, of any topics, all of them or none (an adapter that cannot promise this says so).
   * @returns their positions, in order; resolves once all are durable
   * @throws log_unavailable when it cannot be told whether they are in; ids make a second append harmless
   */
  abstract append(records: readonly LogRecord[]): Promise<readonly Position[]>;

  /**
   * Hands over the records of a topic from `from` (inclusive; absent: the oldest kept), batch after batch, one at a time, in order
   * of their partition. The next batch comes when the handler's promise is fulfilled; a caught-up handler is woken at once
   * by an append. Delivery is at least once across restarts: keeping the position is the subscriber's business.
   */
  abstract subscribe(
    topic: Topic,
    from: Position | undefined,
    handler: (batch: readonly PlacedRecord[]) => Promise<void> | void,
    options?: SubscribeOptions,
  ): Promise<Subscription>;

  /** A page of records from `from` (inclusive; absent: the oldest kept), at most `limit`; empty at the end. */
  abstract read(topic: Topic, from: Position | undefined, limit: number): Promise<readonly PlacedRecord[]>;

  /** The position that the next record of each partition will get. */
  abstract ends(topic: Topic): Promise<readonly Position[]>;

  /** The first position whose record was appended at or after `at`; the end where there is none. */
  abstract positionAt(topic: Topic, at: EpochMs): Promise<readonly Position[]>;

  /** Forgets records before `before` (exclusive). Compacted topics keep the newest of each key all the same. */
  abstract trim(topic: Topic, before: Position): Promise<void>;

  abstract close(): Promise<void>;
}
