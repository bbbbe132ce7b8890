import { setImmediate as turn } from 'node:timers/promises';
import { Fault } from '#core/faults.js';
import type { PlacedRecord, SubscribeOptions, Subscription } from '#ports/event-log.port.js';
import { fetch, type FetchedPartition, readable } from './fetch.request.js';
import { backoffMs, BrokerLinks, type KafkaCluster, pause, unavailable } from './kafka-cluster.js';
import type { KafkaReader } from './kafka-reader.js';
import type { TopicInfo } from './kafka.topics.js';
import { type FetchedBatch, type RawRecord, recordsOf } from './record.batch.js';

export type RecordHandler = (batch: readonly PlacedRecord[]) => Promise<void> | void;

/** What a subscription is made of beside its own. */
export interface SubscriptionRoom {
  readonly cluster: KafkaCluster;
  readonly reader: KafkaReader;
  /** Makes records of what was read; what is unreadable in it has been filed. @throws where that cannot be told now */
  decode(topic: TopicInfo, partition: number, records: readonly RawRecord[]): Promise<readonly PlacedRecord[]>;
  ended(subscription: KafkaSubscription): void;
}

/** Fetched, not handed over yet. */
interface Segment {
  readonly node: number;
  readonly partition: number;
  readonly records: Iterator<RawRecord, undefined>;
}

/** Taken from a segment, not decoded yet. */
interface Taken {
  readonly partition: number;
  readonly records: readonly RawRecord[];
}

interface ReadFailure {
  readonly error: unknown;
  /** Lets reading go on. */
  handled(): void;
}

const BATCH = 500;
/** Most subscriptions wait most of the time, one for each partition: each end of a wait costs the broker and us a request. */
const WAIT_MS_MAX = 5_000;
const PARTITION_BYTES = 1024 * 1024;
const FETCH_BYTES = 4 * 1024 * 1024;
/** Leaders move within this time, which nobody needs to hear of. */
const QUIET_MS = 1_000;
const OFFSET_OUT_OF_RANGE = 1;

/**
 * One subscriber of some partitions. For every broker that leads some of them there is a connection on which one request waits for records
 * at the broker, which answers at once when there are any. The next request goes out when the handler has been given all that came with the last one:
 * no more than one answer a broker is held beside what the handler is at work on.
 */
export class KafkaSubscription implements Subscription {
  readonly ended: Promise<void>;
  private readonly batchMax: number;
  private readonly closing = new AbortController();
  private readonly links: BrokerLinks;
  /** How long a request waits for records at the broker: half of the time in which it must be answered. */
  private readonly waitMs: number;
  /** The offset to fetch next, by partition. */
  private readonly next: Map<number, number>;
  /** The brokers that somebody fetches from. */
  private readonly fetching = new Set<number>();
  private readonly segments: Segment[] = [];
  private readonly drained = new Map<number, () => void>();
  private taken: Taken[] = [];
  private readonly failures: ReadFailure[] = [];
  /** That is being told of. */
  private told: ReadFailure | undefined;
  private wakeUp: (() => void) | undefined;
  private replanning = false;

  constructor(
    private readonly room: SubscriptionRoom,
    private readonly topic: TopicInfo,
    from: ReadonlyMap<number, number>,
    private readonly handler: RecordHandler,
    private readonly options: SubscribeOptions,
  ) {
    this.batchMax = Math.max(1, options.batchMax ?? BATCH);
    this.next = new Map(from);
    this.waitMs = Math.min(WAIT_MS_MAX, room.cluster.requestTimeoutMs / 2);
    this.links = new BrokerLinks(room.cluster, room.cluster.requestTimeoutMs);
    this.ended = Promise.resolve().then(() => this.run());
  }

  async close(): Promise<void> {
    this.closing.abort();
    this.wake();
    await this.ended;
  }

  private get closed(): boolean {
    return this.closing.signal.aborted;
  }

  private async run(): Promise<void> {
    let batch: readonly PlacedRecord[] = [];
    try {
      this.plan();
      while (!this.closed) {
        try {
          if (batch.length === 0) batch = await this.read();
          if (batch.length > 0 && !this.closed) await this.handler(batch);
          batch = [];
        } catch (error) {
          if (this.options.onError) await this.options.onError(error, batch);
          else if (batch.length > 0 || isOfAnotherLog(error)) throw error;
          else await pause(QUIET_MS, this.closing.signal); // The log could not be read right now: that ends no subscription.
          this.told?.handled();
          this.told = undefined;
          await turn(); // Others have their turn, also where the handler fails at once for ever.
        }
      }
    } finally {
      this.closing.abort();
      for (const release of this.drained.values()) release();
      for (const failure of this.failures) failure.handled();
      this.told?.handled();
      await this.links.close();
      this.room.ended(this);
    }
  }

  /** The next records; none when it was woken for nothing, or there were only unreadable ones. */
  private async read(): Promise<readonly PlacedRecord[]> {
    this.told = this.failures.shift();
    if (this.told) throw unavailable(this.told.error);
    if (this.taken.length === 0) this.taken = this.take();
    if (this.taken.length === 0) {
      await new Promise<void>((resolve) => (this.wakeUp = resolve));
      this.wakeUp = undefined;
      return [];
    }
    const parts: (readonly PlacedRecord[])[] = [];
    for (const { partition, records } of this.taken) parts.push(await this.room.decode(this.topic, partition, records));
    this.taken = [];
    return parts.length === 1 ? (parts[0] ?? []) : parts.flat();
  }

  private take(): Taken[] {
    const taken: Taken[] = [];
    for (let left = this.batchMax; left > 0 && this.segments.length > 0;) {
      const { node, partition, records } = this.segments[0] as Segment;
      const some: RawRecord[] = [];
      let ended = false;
      while (some.length < left && !ended) {
        const next = records.next();
        if (next.done) ended = true;
        else some.push(next.value);
      }
      left -= some.length;
      if (some.length > 0) taken.push({ partition, records: some });
      if (!ended) break;
      this.segments.shift();
      if (!this.segments.some((segment) => segment.node === node)) this.drained.get(node)?.();
    }
    return taken;
  }

  private wake(): void {
    this.wakeUp?.();
  }

  /** Lets somebody fetch from every broker that leads some partition. */
  private plan(): void {
    if (this.closed) return;
    let headless = false;
    for (const partition of this.next.keys()) {
      const node = this.room.cluster.leaderOf(this.topic.name, partition);
      if (node === undefined) headless = true;
      else if (!this.fetching.has(node)) {
        this.fetching.add(node);
        void this.fetch(node).finally(() => {
          this.fetching.delete(node);
          this.plan();
        });
      }
    }
    if (headless) this.replan();
  }

  private replan(): void {
    if (this.replanning) return;
    this.replanning = true;
    void (async () => {
      await pause(100, this.closing.signal);
      await this.room.cluster.refresh().catch(() => undefined);
      this.replanning = false;
      this.plan();
    })();
  }

  /** Fetches from a broker as long as it leads any of the partitions. */
  private async fetch(node: number): Promise<void> {
    let failures = 0;
    let failingSince = 0;
    let first = 0;
    while (!this.closed) {
      const asked = this.partitionsOf(node);
      if (asked.length === 0) return;
      // Another begins each time, so that none waits for ever behind those that fill the answer.
      first = (first + 1) % asked.length;
      const ordered = [...asked.slice(first), ...asked.slice(0, first)];
      try {
        const { errorCode, partitions } = await this.links.call(node, fetch, ordered, {
          waitMs: this.waitMs,
          bytesMax: FETCH_BYTES,
        });
        if (errorCode !== 0) throw new Error(`Kafka does not read ${this.topic.name}: error ${errorCode}`);
        const offsets = new Map(asked.map(({ partition, offset }) => [partition, offset]));
        const arrivals = await Promise.allSettled(
          partitions.map((fetched) => this.arrived(node, fetched, offsets.get(fetched.partition))),
        );
        const failed = arrivals.find((arrival) => arrival.status === 'rejected');
        if (failed) throw failed.reason;
        failures = 0;
      } catch (error) {
        if (this.closed) return;
        if (failures++ === 0) failingSince = performance.now();
        if (performance.now() - failingSince > QUIET_MS || error instanceof Fault) await this.tell(error);
        await pause(backoffMs(failures - 1), this.closing.signal);
        await this.room.cluster.refresh().catch(() => undefined);
        this.plan();
      }
      await this.whenDrained(node);
    }
  }

  private partitionsOf(node: number): { topic: string; partition: number; offset: number; bytesMax: number }[] {
    const { name } = this.topic;
    return [...this.next]
      .filter(([partition]) => this.room.cluster.leaderOf(name, partition) === node)
      .map(([partition, offset]) => ({ topic: name, partition, offset, bytesMax: PARTITION_BYTES }));
  }

  /** @throws position_unknown when the log ends before what it was asked for; Error when it could not be read */
  private async arrived(node: number, fetched: FetchedPartition, from: number | undefined): Promise<void> {
    const { partition, errorCode } = fetched;
    // The leader has moved meanwhile, and another answered first.
    if (from === undefined || this.next.get(partition) !== from) return;
    if (errorCode === OFFSET_OUT_OF_RANGE) {
      const oldest = (await this.room.reader.offsets(this.topic, [partition], 'earliest')).get(partition) ?? 0;
      if (oldest <= from) {
        const end = (await this.room.reader.offsets(this.topic, [partition], 'latest')).get(partition) ?? 0;
        if (from > end) throw new Fault('position_unknown', { topic: this.topic.name, partition, offset: from, end });
      } else if (this.next.get(partition) === from) {
        this.next.set(partition, oldest);
      }
      return;
    }
    if (errorCode !== 0) throw new Error(`Kafka does not read ${this.topic.name}/${partition}: error ${errorCode}`);
    const { batches, next } = readable(fetched, from);
    this.next.set(partition, next);
    if (batches.length === 0) return;
    this.segments.push({ node, partition, records: recordsFrom(batches, from) });
    this.wake();
  }

  /** Resolves when it has been said, and taken by the handler of errors, that reading fails. */
  private tell(error: unknown): Promise<void> {
    return new Promise((handled) => {
      this.failures.push({ error, handled });
      this.wake();
    });
  }

  private async whenDrained(node: number): Promise<void> {
    while (!this.closed && this.segments.some((segment) => segment.node === node)) {
      await new Promise<void>((resolve) => this.drained.set(node, resolve));
      this.drained.delete(node);
    }
  }
}

function isOfAnotherLog(error: unknown): boolean {
  return error instanceof Fault && error.code === 'position_unknown';
}

function* recordsFrom(batches: readonly FetchedBatch[], from: number): Generator<RawRecord, undefined> {
  for (const batch of batches) {
    for (const record of recordsOf(batch)) if (record.offset >= from) yield record;
  }
}
