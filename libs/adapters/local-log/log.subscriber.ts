import { setImmediate as turn } from 'node:timers/promises';
import type { PlacedRecord, SubscribeOptions, Subscription } from '#ports/event-log.port.js';

/** Some records, and the offset to go on from. */
export interface RecordBatch {
  readonly records: readonly PlacedRecord[];
  readonly next: number;
}

/** What a subscriber reads from. */
export interface RecordSource {
  /** The records from `from` on, at most `limit`; `next` is `from` at the end. */
  read(from: number, limit: number): RecordBatch | Promise<RecordBatch>;
  /** The subscriber's `next` has risen: what stands before it is not asked for again. */
  advanced(): void;
  /** Nothing more is asked for. */
  ended(subscriber: LogSubscriber): void;
}

export type RecordHandler = (batch: readonly PlacedRecord[]) => Promise<void> | void;

const BATCH = 500;

/** One subscriber of a topic: hands over what there is, then sleeps until it is woken. */
export class LogSubscriber implements Subscription {
  readonly ended: Promise<void>;
  private readonly batchMax: number;
  private closing = false;
  private woken = false;
  private wakeUp: (() => void) | undefined;

  /** @param next the offset of the next record to read */
  constructor(
    private readonly source: RecordSource,
    public next: number,
    private readonly handler: RecordHandler,
    private readonly options: SubscribeOptions,
  ) {
    this.batchMax = Math.max(1, options.batchMax ?? BATCH);
    this.ended = Promise.resolve().then(() => this.run());
  }

  /** There is more to read, or an end to be made. */
  wake(): void {
    this.woken = true;
    this.wakeUp?.();
  }

  async close(): Promise<void> {
    this.closing = true;
    this.wake();
    await this.ended;
  }

  private async run(): Promise<void> {
    let batch: readonly PlacedRecord[] = [];
    try {
      while (!this.closing) {
        try {
          if (batch.length === 0) batch = await this.read();
          if (batch.length > 0 && !this.closing) await this.handler(batch);
          batch = [];
        } catch (error) {
          if (!this.options.onError) throw error;
          await this.options.onError(error, batch);
          await turn(); // Others have their turn, also where the handler fails at once for ever.
        }
      }
    } finally {
      this.source.ended(this);
    }
  }

  /** The next records; none when it has slept instead, or there were only unreadable ones. */
  private async read(): Promise<readonly PlacedRecord[]> {
    this.woken = false;
    const { records, next } = await this.source.read(this.next, this.batchMax);
    if (next === this.next) {
      if (!this.woken) await new Promise<void>((resolve) => (this.wakeUp = resolve));
      this.wakeUp = undefined;
    } else {
      this.next = next;
      this.source.advanced();
    }
    return records;
  }
}
