import type { CompressionAlgorithmValue } from '@platformatic/kafka';
import { Fault } from '#core/faults.js';
import { DEFAULT_ENV, type EpochMs, type Position } from '#core/words.js';
import type { Clock } from '#ports/clock.port.js';
import {
  type DeadLetter,
  EventLog,
  type LogRecord,
  type PlacedRecord,
  type SubscribeOptions,
  type Subscription,
  type Topic,
} from '#ports/event-log.port.js';
import type { Logger } from '#ports/logger.port.js';
import { recordOfDeadLetter } from '#ports/records.js';
import { jsonCodec } from './json.codec.js';
import { KafkaCluster, type KafkaConnectOptions, unavailable } from './kafka-cluster.js';
import { KafkaReader } from './kafka-reader.js';
import { KafkaSubscription, type RecordHandler } from './kafka-subscription.js';
import { KafkaWriter } from './kafka-writer.js';
import { isCompacted, openTopics, type TopicInfo, topicNames, type TopicOptions } from './kafka.topics.js';
import { readOutsideEvent } from './outside.event.js';
import { partitionOfKey } from './partitioner.js';
import { pack, type PackedRecord, type RawRecord } from './record.batch.js';
import type { FoundRecord, RecordCodec, WireRecord } from './record.codec.js';
import { TYPE_HEADER } from './record.headers.js';

export interface KafkaEventLogOptions extends KafkaConnectOptions {
  /** Stands before the topics' names. Default `millrace.`. */
  readonly prefix?: string;
  /** How topics are made that do not exist yet. */
  readonly topics?: TopicOptions;
  /** Default: none. */
  readonly compression?: CompressionAlgorithmValue;
  /** How long an append or a read is tried before it is refused, ms. Default 15 s: a leader that died has been replaced by then. */
  readonly patienceMs?: number;
  /** Default: JSON. */
  readonly codec?: RecordCodec;
  /** Dates the dead letters. */
  readonly clock: Clock;
  readonly logger: Logger;
}

const PREFIX = 'millrace.';
const PATIENCE_MS = 15_000;
/** A page is full when so much was fetched for it, however few its records. */
const PAGE_BYTES = 4 * 1024 * 1024;
/** Dead letters that this process has filed, so that it files none twice; of so many it knows. */
const FILED_MAX = 10_000;

/** A record on its way: where it goes, and where in the append it stands. */
interface Outgoing {
  readonly topic: TopicInfo;
  readonly partition: number;
  readonly packed: PackedRecord;
}

/**
 * The log on the topics of a Kafka cluster. What is acknowledged has been taken by all replicas in sync.
 *
 * A compacted topic is trimmed by its broker, in its own time: `trim` leaves it as it is.
 */
export class KafkaEventLog extends EventLog {
  private readonly writer: KafkaWriter;
  private readonly reader: KafkaReader;
  private readonly subscriptions = new Set<KafkaSubscription>();
  private readonly codec: RecordCodec;
  private readonly patienceMs: number;
  private readonly filed = new Set<string>();
  private readonly appends = new Set<Promise<unknown>>();
  /** The last append whose records take their time to be encoded: what comes after it waits for it. */
  private encoding: Promise<void> | undefined;
  private closed = false;
  private closing: Promise<void> | undefined;

  private constructor(
    private readonly cluster: KafkaCluster,
    private readonly topics: ReadonlyMap<Topic, TopicInfo>,
    private readonly options: KafkaEventLogOptions,
  ) {
    super();
    this.codec = options.codec ?? jsonCodec;
    this.patienceMs = options.patienceMs ?? PATIENCE_MS;
    this.writer = new KafkaWriter(cluster, topics.values(), options.compression ?? 'none');
    this.reader = new KafkaReader(cluster, this.patienceMs);
  }

  /**
   * Connects, and makes the topics that do not exist.
   * @throws settings_invalid when topics are not what the log needs, or the brokers do not let us in; log_unavailable
   */
  static async open(options: KafkaEventLogOptions): Promise<KafkaEventLog> {
    const prefix = options.prefix ?? PREFIX;
    const cluster = new KafkaCluster(options, topicNames(prefix));
    try {
      const topics = await openTopics(cluster, prefix, options.topics ?? {}, options.patienceMs ?? PATIENCE_MS);
      return new KafkaEventLog(cluster, topics, options);
    } catch (error) {
      await cluster.close();
      throw error;
    }
  }

  override append(records: readonly LogRecord[], then: readonly LogRecord[] = []): Promise<readonly Position[]> {
    const appending = this.appended(records, then);
    this.appends.add(appending);
    const done = (): void => void this.appends.delete(appending);
    appending.then(done, done);
    return appending;
  }

  override async subscribe(
    topic: Topic,
    from: readonly Position[] | undefined,
    handler: RecordHandler,
    options: SubscribeOptions = {},
  ): Promise<Subscription> {
    const info = this.topic(topic);
    this.checkOpen();
    const start = await this.start(info, from);
    this.checkOpen();
    const room = {
      cluster: this.cluster,
      reader: this.reader,
      decode: (...found: [TopicInfo, number, readonly RawRecord[]]) => this.decode(...found),
      ended: (subscription: KafkaSubscription) => void this.subscriptions.delete(subscription),
    };
    const subscription = new KafkaSubscription(room, info, start, handler, options);
    this.subscriptions.add(subscription);
    return subscription;
  }

  override async read(topic: Topic, from: Position, limit: number): Promise<readonly PlacedRecord[]> {
    const info = this.topic(topic);
    this.checkOpen();
    const { partition } = from;
    if (limit < 1 || !has(info, partition)) return [];
    const records: PlacedRecord[] = [];
    for (let [offset, bytes] = [from.offset, 0]; ;) {
      const page = await this.reader.page(info, { partition, offset }, limit - records.length);
      records.push(...(await this.decode(info, partition, page.records)));
      bytes += page.bytes;
      if (page.ended || records.length >= limit || (records.length > 0 && bytes >= PAGE_BYTES)) return records;
      offset = page.next;
    }
  }

  override async ends(topic: Topic): Promise<readonly Position[]> {
    this.checkOpen();
    const info = this.topic(topic);
    const ends = await this.reader.offsets(info, partitionsOf(info), 'latest');
    return partitionsOf(info).map((partition) => ({ partition, offset: ends.get(partition) ?? 0 }));
  }

  override partitionOf(topic: Topic, key: string): number {
    return partitionOfKey(Buffer.from(key), this.topic(topic).partitions);
  }

  override async positionAt(topic: Topic, at: EpochMs): Promise<readonly Position[]> {
    this.checkOpen();
    const info = this.topic(topic);
    const found = await this.reader.offsets(info, partitionsOf(info), { at });
    const none = partitionsOf(info).filter((partition) => found.get(partition) === undefined);
    const ends = none.length === 0 ? found : await this.reader.offsets(info, none, 'latest');
    return partitionsOf(info).map((partition) => ({
      partition,
      offset: found.get(partition) ?? ends.get(partition) ?? 0,
    }));
  }

  override async trim(topic: Topic, before: Position): Promise<void> {
    this.checkOpen();
    const info = this.topic(topic);
    if (!has(info, before.partition) || isCompacted(topic)) return;
    const end = (await this.reader.offsets(info, [before.partition], 'latest')).get(before.partition) ?? 0;
    await this.reader.trim(info, before.partition, Math.min(before.offset, end));
  }

  override close(): Promise<void> {
    this.closing ??= this.shut();
    return this.closing;
  }

  /** Handlers come to rest first, and may append until then. @throws what a handler threw that no `onError` took */
  private async shut(): Promise<void> {
    const rests = await Promise.allSettled([...this.subscriptions].map((subscription) => subscription.close()));
    this.closed = true;
    await Promise.allSettled(this.appends);
    await this.writer.close();
    await this.reader.close();
    await this.cluster.close();
    const failed = rests.find((rest) => rest.status === 'rejected');
    if (failed) throw failed.reason;
  }

  /** Until the first wait it runs at once: what is appended later stands behind. */
  private async appended(records: readonly LogRecord[], then: readonly LogRecord[]): Promise<readonly Position[]> {
    this.checkOpen();
    const until = performance.now() + this.patienceMs;
    const encoded = this.encodeAll([...records, ...then]);
    const behind = this.encoding;
    if (behind === undefined && encoded.every((one): one is Outgoing => !(one instanceof Promise)))
      return this.send(encoded, records.length, until);

    const all = Promise.all(encoded.map((one) => Promise.resolve(one)));
    all.catch(() => undefined); // Taken below, when its turn has come.
    const sending = (async () => {
      await behind;
      return { sent: this.send(await all, records.length, until) };
    })();
    const turn = sending.then(
      () => undefined,
      () => undefined,
    );
    this.encoding = turn;
    void turn.then(() => {
      if (this.encoding === turn) this.encoding = undefined;
    });
    return (await sending).sent;
  }

  /** @throws TypeError */
  private encodeAll(records: readonly LogRecord[]): (Outgoing | Promise<Outgoing>)[] {
    const encoded: (Outgoing | Promise<Outgoing>)[] = [];
    try {
      for (const record of records) encoded.push(this.encode(record));
    } catch (error) {
      // Nobody will wait for those that are being encoded.
      for (const one of encoded) if (one instanceof Promise) one.catch(() => undefined);
      throw error;
    }
    return encoded;
  }

  /** @throws TypeError */
  private encode(record: LogRecord): Outgoing | Promise<Outgoing> {
    const topic = this.topic(record.topic);
    if (record.partition !== undefined && !has(topic, record.partition))
      throw new TypeError(`there is no partition ${String(record.partition)} of ${topic.name}`);
    const outgoing = (wire: WireRecord): Outgoing => ({
      topic,
      partition: record.partition ?? partitionOfKey(wire.key, topic.partitions),
      packed: pack(wire, record.at),
    });
    const wire = this.codec.encode(record);
    if (!(wire instanceof Promise)) return outgoing(wire);
    return wire.then(outgoing, (error: unknown) => {
      throw error instanceof TypeError ? error : unavailable(error);
    });
  }

  /** @param first how many must be in before the others are tried */
  private async send(outgoing: readonly Outgoing[], first: number, until: number): Promise<readonly Position[]> {
    const [only] = outgoing;
    if (only && outgoing.length === 1) {
      const { topic, partition, packed } = only;
      this.writer.check(topic.name, partition, [packed]);
      return [{ partition, offset: await this.writer.write(topic.name, partition, [packed], until) }];
    }
    const [portions, later] = [portionsOf(outgoing.slice(0, first)), portionsOf(outgoing.slice(first))];
    for (const { topic, partition, records } of [...portions, ...later]) this.writer.check(topic, partition, records);
    const positions = await this.write(portions, first, until);
    if (later.length === 0) return positions;
    return [...positions, ...(await this.write(later, outgoing.length - first, until))];
  }

  private async write(portions: readonly Portion[], count: number, until: number): Promise<readonly Position[]> {
    const positions = Array.from<Position>({ length: count });
    await Promise.all(
      portions.map(async ({ topic, partition, records, places }) => {
        const offset = await this.writer.write(topic, partition, records, until);
        for (const [index, place] of places.entries()) positions[place] = { partition, offset: offset + index };
      }),
    );
    return positions;
  }

  /** @throws position_unknown */
  private async start(topic: TopicInfo, from: readonly Position[] | undefined): Promise<ReadonlyMap<number, number>> {
    if (from === undefined) return new Map(partitionsOf(topic).map((partition) => [partition, 0]));
    const start = new Map(from.map(({ partition, offset }) => [partition, offset]));
    const named = [...start.keys()];
    const known = named.filter((partition) => has(topic, partition));
    const ends = await this.reader.offsets(topic, known, 'latest');
    for (const [partition, offset] of start) {
      const end = ends.get(partition);
      if (end === undefined || offset > end)
        throw new Fault('position_unknown', { topic: topic.name, partition, offset, end });
    }
    return start;
  }

  /** The records that can be read; the others are filed. @throws log_unavailable */
  private async decode(
    topic: TopicInfo,
    partition: number,
    raw: readonly RawRecord[],
  ): Promise<readonly PlacedRecord[]> {
    const records: PlacedRecord[] = [];
    for (const one of raw) {
      const position: Position = { partition, offset: one.offset };
      try {
        const decoded = this.decodeOne(topic, one, position);
        records.push({ ...(decoded instanceof Promise ? await decoded : decoded), position });
      } catch (error) {
        if (!(error instanceof Fault) || error.code !== 'record_unreadable') throw unavailable(error);
        await this.file(topic.topic, one, position, error);
      }
    }
    return records;
  }

  /** @throws record_unreadable */
  private decodeOne(topic: TopicInfo, raw: RawRecord, position: Position): LogRecord | Promise<LogRecord> {
    if (raw.broken !== undefined) throw new Fault('record_unreadable', {}, { message: raw.broken });
    const found: FoundRecord = { ...raw, position };
    if (topic.topic === 'events' && raw.headers[TYPE_HEADER] === undefined)
      return readOutsideEvent(found, { clusterId: this.cluster.clusterId, topic: topic.name });
    return this.codec.decode(topic.topic, found);
  }

  private async file(topic: Topic, raw: RawRecord, position: Position, fault: Fault): Promise<void> {
    const place = `${topic}/${position.partition}/${position.offset}`;
    if (this.filed.has(place)) return;
    const { headers } = raw;
    const letter: DeadLetter = {
      origin: { topic, ...position },
      key: raw.key.toString(),
      type: headers[TYPE_HEADER] ?? '',
      schema: Number(headers['millrace-schema']) || 0,
      at: raw.timestamp,
      bytes: raw.value?.toString('base64') ?? '',
      reason: fault.message,
    };
    const env = headers['millrace-env'] ?? DEFAULT_ENV;
    const now = this.options.clock.now();
    try {
      await this.append([recordOfDeadLetter(letter, env, now)]);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      const reason = `${letter.reason} Its ${raw.value?.length ?? 0} bytes are too many to be kept here.`;
      await this.append([recordOfDeadLetter({ ...letter, bytes: '', reason }, env, now)]);
    }
    if (this.filed.size >= FILED_MAX) this.filed.clear();
    this.filed.add(place);
    const { partition, offset } = position;
    this.options.logger.warn(
      { topic, partition, offset, reason: letter.reason },
      'A record cannot be read; it is filed under dead-letters.',
    );
  }

  private topic(name: Topic): TopicInfo {
    const topic = this.topics.get(name);
    if (!topic) throw new TypeError(`there is no topic ${String(name)}`);
    return topic;
  }

  private checkOpen(): void {
    if (this.closed) throw new Fault('log_unavailable', { reason: 'closed' }, { message: 'The log is closed.' });
  }
}

/** What of an append goes into one partition. */
interface Portion {
  readonly topic: string;
  readonly partition: number;
  readonly records: PackedRecord[];
  /** Where they stand in the append. */
  readonly places: number[];
}

function portionsOf(outgoing: readonly Outgoing[]): readonly Portion[] {
  const portions = new Map<string, Portion>();
  for (const [place, { topic, partition, packed }] of outgoing.entries()) {
    const name = `${topic.name} ${partition}`;
    const known = portions.get(name);
    if (known) {
      known.records.push(packed);
      known.places.push(place);
    } else {
      portions.set(name, { topic: topic.name, partition, records: [packed], places: [place] });
    }
  }
  return [...portions.values()];
}

function partitionsOf({ partitions }: TopicInfo): readonly number[] {
  return Array.from({ length: partitions }, (_, partition) => partition);
}

function has({ partitions }: TopicInfo, partition: number): boolean {
  return Number.isInteger(partition) && partition >= 0 && partition < partitions;
}
