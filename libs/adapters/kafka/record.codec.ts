import type { EpochMs, Position } from '#core/words.js';
import type { LogRecord, Topic } from '#ports/event-log.port.js';

/** A record as it goes over the wire: what any consumer of the topic sees. */
export interface WireRecord {
  readonly key: Buffer;
  /** Null is a tombstone. */
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, string>>;
}

/** A record as it was found on a topic. */
export interface FoundRecord extends WireRecord {
  /** Of the batch that it came in: of an outside producer's record, the only time there is. */
  readonly timestamp: EpochMs;
  readonly position: Position;
}

/** Turns records into what goes over the wire, and back: `decode` gives what `encode` was given. */
export interface RecordCodec {
  /** @throws TypeError when the record is not made as its type says, or its body is not what the encoding can carry */
  encode(record: LogRecord): WireRecord | Promise<WireRecord>;
  /**
   * @throws Fault record_unreadable when it cannot be a record of this topic: it is filed under `dead-letters`. Anything else that is thrown
   * says that it cannot be told now (a schema registry that does not answer): it is read again later.
   */
  decode(topic: Topic, wire: FoundRecord): LogRecord | Promise<LogRecord>;
}
