import type { PlacedRecord } from '#ports/event-log.port.js';

const RECORDS_MAX = 10_000;
const BYTES_MAX = 16 * 1024 * 1024;

/**
 * The newest durable records of a topic, kept in memory as long as a subscriber that is almost there has not taken them, so that nobody
 * reads and decodes what has just been written. Bounded: whoever lags further reads the file.
 */
export class TopicTail {
  private records: PlacedRecord[] = [];
  private sizes: number[] = [];
  private bytes = 0;

  /** @param end the offset behind the newest durable record */
  constructor(public end: number) {}

  /** The offset from which on records are here. */
  get start(): number {
    return this.end - this.records.length;
  }

  push(record: PlacedRecord, bytes: number): void {
    this.records.push(record);
    this.sizes.push(bytes);
    this.bytes += bytes;
    this.end = record.position.offset + 1;
  }

  /** The records from `from` on, at most `limit`; undefined when the file has to be read. */
  take(from: number, limit: number): PlacedRecord[] | undefined {
    const first = from - this.start;
    return first < 0 ? undefined : this.records.slice(first, first + limit);
  }

  /** Lets go of the records before `offset`, and of what is too much. */
  drop(offset: number): void {
    let count = Math.max(0, Math.min(offset - this.start, this.records.length), this.records.length - RECORDS_MAX);
    let bytes = this.bytes;
    for (let i = 0; i < count; i++) bytes -= this.sizes[i] ?? 0;
    while (bytes > BYTES_MAX) bytes -= this.sizes[count++] ?? 0;
    if (count === 0) return;
    this.bytes = bytes;
    this.records = count === this.records.length ? [] : this.records.slice(count);
    this.sizes = this.records.length === 0 ? [] : this.sizes.slice(count);
  }
}
