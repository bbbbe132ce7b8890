import { createHash } from 'node:crypto';
import type { EpochMs, Position } from '#core/words.js';
import {
  EventLog,
  type LogRecord,
  type PlacedRecord,
  type SubscribeOptions,
  type Subscription,
  type Topic,
} from '#ports/event-log.port.js';

/**
 * A log of many partitions out of several logs of one: a partition is a log. For what reads many partitions and needs no broker for that.
 */
export class StripedLog extends EventLog {
  /** @param stripes logs of one partition each; closed with this one */
  constructor(private readonly stripes: readonly EventLog[]) {
    super();
  }

  override async append(records: readonly LogRecord[], then: readonly LogRecord[] = []): Promise<readonly Position[]> {
    const positions = await this.appendEach(records);
    return [...positions, ...(await this.appendEach(then))];
  }

  override async subscribe(
    topic: Topic,
    from: readonly Position[] | undefined,
    handler: (batch: readonly PlacedRecord[]) => Promise<void> | void,
    options?: SubscribeOptions,
  ): Promise<Subscription> {
    const starts = from ?? this.stripes.map((_, partition) => ({ partition, offset: 0 }));
    let last: Promise<unknown> = Promise.resolve();
    const subscriptions: Subscription[] = [];
    for (const { partition, offset } of starts) {
      const inTurn = (batch: readonly PlacedRecord[]): Promise<void> => {
        const handled = last.then(() => handler(batch.map((record) => placedIn(partition, record))));
        last = handled.catch(() => undefined);
        return handled;
      };
      subscriptions.push(await this.stripe(partition).subscribe(topic, [{ partition: 0, offset }], inTurn, options));
    }
    return {
      ended: Promise.all(subscriptions.map(({ ended }) => ended)).then(() => undefined),
      close: async () => void (await Promise.all(subscriptions.map((subscription) => subscription.close()))),
    };
  }

  override async read(topic: Topic, from: Position, limit: number): Promise<readonly PlacedRecord[]> {
    const records = await this.stripe(from.partition).read(topic, { partition: 0, offset: from.offset }, limit);
    return records.map((record) => placedIn(from.partition, record));
  }

  override ends(topic: Topic): Promise<readonly Position[]> {
    return this.ofEach((stripe) => stripe.ends(topic));
  }

  override partitionOf(_topic: Topic, key: string): number {
    return createHash('md5').update(key).digest().readUInt32BE() % this.stripes.length;
  }

  override positionAt(topic: Topic, at: EpochMs): Promise<readonly Position[]> {
    return this.ofEach((stripe) => stripe.positionAt(topic, at));
  }

  override async trim(topic: Topic, before: Position): Promise<void> {
    await this.stripe(before.partition).trim(topic, { partition: 0, offset: before.offset });
  }

  override async close(): Promise<void> {
    await Promise.all(this.stripes.map((stripe) => stripe.close()));
  }

  private async appendEach(records: readonly LogRecord[]): Promise<readonly Position[]> {
    const positions = new Map<LogRecord, Position>();
    const byPartition = Map.groupBy(records, ({ topic, key, partition }) => partition ?? this.partitionOf(topic, key));
    await Promise.all(
      [...byPartition].map(async ([partition, own]) => {
        const placed = await this.stripe(partition).append(own.map(({ partition: _, ...record }) => record));
        for (const [i, { offset }] of placed.entries()) positions.set(own[i]!, { partition, offset });
      }),
    );
    return records.map((record) => positions.get(record)!);
  }

  private async ofEach(read: (stripe: EventLog) => Promise<readonly Position[]>): Promise<readonly Position[]> {
    const each = await Promise.all(this.stripes.map(read));
    return each.map(([position], partition) => ({ partition, offset: position!.offset }));
  }

  private stripe(partition: number): EventLog {
    const stripe = this.stripes[partition];
    if (!stripe) throw new TypeError(`there is no partition ${partition}`);
    return stripe;
  }
}

function placedIn(partition: number, record: PlacedRecord): PlacedRecord {
  return { ...record, position: { partition, offset: record.position.offset } };
}
