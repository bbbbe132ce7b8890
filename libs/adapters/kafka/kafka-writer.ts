import { type CompressionAlgorithmValue, initProducerIdV4 } from '@platformatic/kafka';
import { backoffMs, BrokerLinks, type KafkaCluster, pause, unavailable } from './kafka-cluster.js';
import type { TopicInfo } from './kafka.topics.js';
import { produce, type ProduceResult } from './produce.request.js';
import { batchBytesMax, encodeBatch, type PackedRecord } from './record.batch.js';

/** Records of one append and one partition: they are in together or not at all. */
interface Portion {
  readonly records: readonly PackedRecord[];
  readonly bytes: number;
  /** Of `performance.now()`: nobody waits for it longer. */
  readonly until: number;
  /** It shares a batch with no other: together they were too large. */
  alone: boolean;
  settled: boolean;
  resolve(baseOffset: number): void;
  reject(error: Error): void;
}

/** A producer as the broker knows it: it counts the batches of each, and takes none twice. */
interface ProducerIdentity {
  readonly producerId: bigint;
  readonly epoch: number;
}

/** What is sent, and sent again just so until it is known what became of it. */
interface Batch {
  readonly portions: readonly Portion[];
  readonly records: number;
  readonly bytes: Buffer;
  /** It may be in although nobody said so. */
  sent: boolean;
}

/** The way into a partition. */
interface Lane {
  readonly topic: TopicInfo;
  readonly partition: number;
  waiting: Portion[];
  batch: Batch | undefined;
  underWay: boolean;
  identity: ProducerIdentity | undefined;
  sequence: number;
  failures: number;
  /** Of `performance.now()`: not tried before. */
  notBefore: number;
}

/** Portions that wait share a batch until it has this much; a larger one goes alone. */
const BATCH_BYTES = 1024 * 1024;
/** The batches of a request, together: one that is larger goes alone. */
const REQUEST_BYTES = 8 * 1024 * 1024;
const SWEEP_MS = 200;
const SEQUENCES = 2 ** 31;

/** https://kafka.apache.org/protocol#protocol_error_codes */
const NONE = 0;
const MESSAGE_TOO_LARGE = 10;
const RECORD_LIST_TOO_LARGE = 18;
/** Time helps: leaders that move, replicas that are behind, a broker that starts. */
const PASSING = new Set([-1, 2, 3, 5, 6, 7, 8, 9, 13, 19, 20, 56, 74, 75, 89]);
/** The broker does not know what this producer wrote before. */
const IDENTITY_LOST = new Set([45, 46, 47, 59, 90]);

/**
 * Brings records into partitions. One request a broker is under way; what comes meanwhile gathers and goes with the next, so a lone record
 * waits for nothing and many share their way.
 *
 * A batch that may or may not be in is sent again as it was, under the same number, until its broker says: the broker keeps one copy. Behind
 * it, its partition waits. Who gives it up takes a new identity for what follows.
 */
export class KafkaWriter {
  private readonly lanes = new Map<string, Lane[]>();
  private readonly links: BrokerLinks;
  private readonly ready = new Set<Lane>();
  private readonly busy = new Set<number>();
  private readonly closing = new AbortController();
  private identity: ProducerIdentity | undefined;
  private identifying: Promise<void> | undefined;
  private scheduled = false;
  private wake: NodeJS.Timeout | undefined;
  private sweeper: NodeJS.Timeout | undefined;
  private pending = 0;
  private idle: PromiseWithResolvers<void> | undefined;
  private refreshing = false;

  constructor(
    private readonly cluster: KafkaCluster,
    topics: Iterable<TopicInfo>,
    private readonly compression: CompressionAlgorithmValue,
  ) {
    this.links = new BrokerLinks(cluster);
    for (const topic of topics) {
      this.lanes.set(
        topic.name,
        Array.from({ length: topic.partitions }, (_, partition): Lane => ({
          topic,
          partition,
          waiting: [],
          batch: undefined,
          underWay: false,
          identity: undefined,
          sequence: 0,
          failures: 0,
          notBefore: 0,
        })),
      );
    }
  }

  /**
   * Writes records to a partition, all or none, behind those that it was given before.
   * @returns the offset of the first; the others follow
   * @throws log_unavailable; TypeError when they are too large for the topic
   */
  write(topic: string, partition: number, records: readonly PackedRecord[], until: number): Promise<number> {
    const lane = this.lane(topic, partition);
    const bytes = records.reduce((sum, record) => sum + record.bytes.length, 0);
    return new Promise((resolve, reject) => {
      lane.waiting.push({ records, bytes, until, alone: false, settled: false, resolve, reject });
      this.pending++;
      this.sweeper ??= setInterval(() => this.sweep(), SWEEP_MS);
      this.ready.add(lane);
      this.schedule();
    });
  }

  /** @throws TypeError when so much does not fit into a batch of the topic; nothing was tried */
  check(topic: string, partition: number, records: readonly PackedRecord[]): void {
    const { name, messageBytesMax } = this.lane(topic, partition).topic;
    const size = batchBytesMax(
      records.length,
      records.reduce((sum, record) => sum + record.bytes.length, 0),
    );
    if (size > messageBytesMax) {
      throw new TypeError(
        `${records.length} records of ${name} of ${size} bytes together are more than the topic takes at once: ${messageBytesMax} bytes`,
      );
    }
  }

  /** Resolves when nothing is under way; nothing may be written any more. */
  async close(): Promise<void> {
    if (this.pending > 0) {
      this.idle ??= Promise.withResolvers();
      await this.idle.promise;
    }
    this.closing.abort();
    clearTimeout(this.wake);
    clearInterval(this.sweeper);
    await this.links.close();
  }

  private lane(topic: string, partition: number): Lane {
    const lane = this.lanes.get(topic)?.[partition];
    if (!lane) throw new TypeError(`there is no partition ${partition} of ${topic}`);
    return lane;
  }

  private schedule(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    setImmediate(() => {
      this.scheduled = false;
      this.pump();
    });
  }

  /** Sends what can be sent. */
  private pump(): void {
    if (this.ready.size === 0 || this.closing.signal.aborted) return;
    const now = performance.now();
    let next = Infinity;
    const byNode = new Map<number, Lane[]>();
    for (const lane of this.ready) {
      if (lane.underWay) continue;
      if (!lane.batch && lane.waiting.length === 0) {
        this.ready.delete(lane);
        continue;
      }
      if (lane.notBefore > now) {
        next = Math.min(next, lane.notBefore);
        continue;
      }
      const node = this.cluster.leaderOf(lane.topic.name, lane.partition);
      if (node === undefined) {
        this.putOff(lane, now);
        next = Math.min(next, lane.notBefore);
        this.lookAgain();
      } else if (!this.busy.has(node)) {
        const lanes = byNode.get(node);
        if (lanes) lanes.push(lane);
        else byNode.set(node, [lane]);
      }
    }
    if (byNode.size > 0 && !this.identity) return this.identify();
    for (const [node, lanes] of byNode) void this.send(node, lanes);
    if (next < Infinity) this.pumpAt(next - now);
  }

  private pumpAt(ms: number): void {
    clearTimeout(this.wake);
    this.wake = setTimeout(() => this.schedule(), Math.max(1, ms));
  }

  private async send(node: number, candidates: readonly Lane[]): Promise<void> {
    const lanes: Lane[] = [];
    let bytes = 0;
    for (const lane of candidates) {
      lane.batch ??= this.gather(lane);
      if (!lane.batch) continue;
      if (lanes.length > 0 && bytes + lane.batch.bytes.length > REQUEST_BYTES) continue;
      bytes += lane.batch.bytes.length;
      lanes.push(lane);
    }
    if (lanes.length === 0) return;
    this.busy.add(node);
    for (const lane of lanes) {
      lane.underWay = true;
      // Next time the others come first.
      this.ready.delete(lane);
      this.ready.add(lane);
    }
    const batches = lanes.map((lane) => ({
      topic: lane.topic.name,
      partition: lane.partition,
      batch: (lane.batch as Batch).bytes,
    }));
    for (const lane of lanes) (lane.batch as Batch).sent = true;
    try {
      const timeoutMs = Math.max(500, this.cluster.requestTimeoutMs - 1_000);
      const results = await this.links.call(node, produce, batches, timeoutMs);
      const found = new Map(results.map((result) => [`${result.topic} ${result.partition}`, result]));
      for (const lane of lanes) this.settle(lane, found.get(`${lane.topic.name} ${lane.partition}`));
    } catch (error) {
      for (const lane of lanes) this.retry(lane, error);
    } finally {
      this.busy.delete(node);
      for (const lane of lanes) lane.underWay = false;
      this.schedule();
    }
  }

  /** The next batch of a partition: what waits, as far as it fits. */
  private gather(lane: Lane): Batch | undefined {
    const identity = lane.identity ?? this.identity;
    if (!identity) return undefined;
    const now = performance.now();
    for (const portion of lane.waiting) if (portion.until <= now) this.giveUp(portion, undefined);
    lane.waiting = lane.waiting.filter(({ settled }) => !settled);
    let count = 0;
    let bytes = 0;
    let records = 0;
    const most = Math.min(BATCH_BYTES, lane.topic.messageBytesMax);
    for (const portion of lane.waiting) {
      bytes += portion.bytes;
      records += portion.records.length;
      if (count > 0 && (portion.alone || batchBytesMax(records, bytes) > most)) break;
      count++;
      if (portion.alone) break;
    }
    if (count === 0) return undefined;
    const portions = lane.waiting.splice(0, count);
    if (lane.identity === undefined) lane.sequence = 0;
    lane.identity = identity;
    const packed =
      portions.length === 1 ? (portions[0] as Portion).records : portions.flatMap((portion) => portion.records);
    const origin = { ...identity, sequence: lane.sequence };
    return {
      portions,
      records: packed.length,
      bytes: encodeBatch(packed, origin, this.compression),
      sent: false,
    };
  }

  private settle(lane: Lane, result: ProduceResult | undefined): void {
    const batch = lane.batch as Batch;
    if (!result) return this.retry(lane, new Error('the broker did not say what became of the batch'));
    if (result.errorCode === NONE) {
      let offset = result.baseOffset;
      lane.batch = undefined;
      lane.failures = 0;
      lane.sequence = (lane.sequence + batch.records) % SEQUENCES;
      for (const portion of batch.portions) {
        this.done(portion, () => portion.resolve(offset));
        offset += portion.records.length;
      }
      return;
    }
    const error = new ProduceError(result);
    if (PASSING.has(result.errorCode)) return this.retry(lane, error);
    // It is not in: the broker says so.
    lane.batch = undefined;
    if (IDENTITY_LOST.has(result.errorCode)) {
      this.renounce(lane);
      lane.waiting.unshift(...batch.portions.filter(({ settled }) => !settled));
      this.putOff(lane, performance.now());
      return;
    }
    if (result.errorCode === MESSAGE_TOO_LARGE || result.errorCode === RECORD_LIST_TOO_LARGE) {
      const [only, ...others] = batch.portions;
      if (others.length === 0 && only) {
        const message = `the records are larger than ${lane.topic.name} takes: ${batch.bytes.length} bytes`;
        this.done(only, () => only.reject(new TypeError(message, { cause: error })));
        return;
      }
      for (const portion of batch.portions) portion.alone = true;
      lane.waiting.unshift(...batch.portions);
      return;
    }
    for (const portion of batch.portions) this.done(portion, () => portion.reject(unavailable(error)));
  }

  /** Sends the same batch again after a while, as long as anybody waits for it. */
  private retry(lane: Lane, error: unknown): void {
    const batch = lane.batch as Batch;
    const now = performance.now();
    for (const portion of batch.portions) if (portion.until <= now) this.giveUp(portion, error);
    this.putOff(lane, now);
    this.lookAgain();
    if (batch.portions.some(({ settled }) => !settled)) return;
    lane.batch = undefined;
    this.renounce(lane);
  }

  private putOff(lane: Lane, now: number): void {
    lane.notBefore = now + backoffMs(lane.failures++, 500);
    this.ready.add(lane);
  }

  /** The numbers under this identity are used up for the partition: nobody knows which the broker has seen. */
  private renounce(lane: Lane): void {
    if (this.identity === lane.identity) this.identity = undefined;
    lane.identity = undefined;
  }

  private identify(): void {
    this.identifying ??= (async () => {
      try {
        const { producerId, producerEpoch } = await this.cluster.ask(initProducerIdV4.api, null, 0, -1n, -1);
        this.identity = { producerId, epoch: producerEpoch };
      } catch {
        await this.look();
        await pause(100, this.closing.signal);
      } finally {
        this.identifying = undefined;
        this.schedule();
      }
    })();
  }

  private lookAgain(): void {
    void this.look();
  }

  private async look(): Promise<void> {
    if (this.refreshing) return;
    this.refreshing = true;
    try {
      await this.cluster.refresh();
    } catch {
      // Nobody answers: whoever sends finds that out, and tells those who wait.
      await pause(100, this.closing.signal);
    } finally {
      this.refreshing = false;
      this.schedule();
    }
  }

  /** Nobody waits longer than he said. */
  private sweep(): void {
    const now = performance.now();
    for (const lane of this.ready) {
      for (const portion of lane.batch?.portions ?? []) if (portion.until <= now) this.giveUp(portion, undefined);
      let overdue = false;
      for (const portion of lane.waiting) {
        if (portion.until > now) continue;
        this.giveUp(portion, undefined);
        overdue = true;
      }
      if (overdue) lane.waiting = lane.waiting.filter(({ settled }) => !settled);
      if (lane.batch && !lane.underWay && lane.batch.portions.every(({ settled }) => settled)) {
        lane.batch = undefined;
        this.renounce(lane);
      }
    }
  }

  private giveUp(portion: Portion, cause: unknown): void {
    this.done(portion, () => portion.reject(unavailable(cause ?? new Error('Kafka did not take it in time'))));
  }

  private done(portion: Portion, tell: () => void): void {
    if (portion.settled) return;
    portion.settled = true;
    this.pending--;
    tell();
    if (this.pending > 0) return;
    clearInterval(this.sweeper);
    this.sweeper = undefined;
    this.idle?.resolve();
  }
}

/** What Kafka said of a batch. */
class ProduceError extends Error {
  constructor({ topic, partition, errorCode, errorMessage }: ProduceResult) {
    super(
      `Kafka refuses records of ${topic}/${partition}: error ${errorCode}${errorMessage === null ? '' : `, ${errorMessage}`}`,
    );
    this.name = 'ProduceError';
  }
}
