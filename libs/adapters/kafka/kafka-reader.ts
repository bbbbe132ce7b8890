import { deleteRecordsV2, listOffsetsV7, ListOffsetTimestamps } from '@platformatic/kafka';
import type { EpochMs, Position } from '#core/words.js';
import { fetch, readable } from './fetch.request.js';
import { answerOf, backoffMs, BrokerLinks, type KafkaCluster, pause, unavailable } from './kafka-cluster.js';
import type { TopicInfo } from './kafka.topics.js';
import { type RawRecord, recordsOf } from './record.batch.js';

const OFFSET_OUT_OF_RANGE = 1;
const NO_OFFSET = -1;
/** What a page fetches: by the record, and its bounds. */
const RECORD_BYTES = 4 * 1024;
const PAGE_BYTES_MIN = 64 * 1024;
const PAGE_BYTES_MAX = 1024 * 1024;

type Asked = 'earliest' | 'latest' | { readonly at: EpochMs };

/** Some records of a partition, and the offset to go on from. */
export interface RawPage {
  readonly records: readonly RawRecord[];
  readonly next: number;
  /** That were fetched. */
  readonly bytes: number;
  /** There is nothing behind it. */
  readonly ended: boolean;
}

/** Reads partitions and their offsets by single questions. */
export class KafkaReader {
  private readonly links: BrokerLinks;
  private readonly closing = new AbortController();

  constructor(
    private readonly cluster: KafkaCluster,
    private readonly patienceMs: number,
  ) {
    this.links = new BrokerLinks(cluster);
  }

  /**
   * The offsets of partitions: of the oldest record kept, behind the newest durable one, or of the first of a time.
   * @returns by partition; `undefined` where no record is of that time
   * @throws log_unavailable
   */
  async offsets(
    { name }: TopicInfo,
    partitions: readonly number[],
    asked: Asked,
  ): Promise<Map<number, number | undefined>> {
    const timestamp =
      asked === 'earliest'
        ? ListOffsetTimestamps.EARLIEST
        : asked === 'latest'
          ? ListOffsetTimestamps.LATEST
          : BigInt(Math.max(0, Math.ceil(asked.at)));
    const found = new Map<number, number | undefined>();
    if (partitions.length === 0) return found;
    await this.trying(async () => {
      const left = partitions.filter((partition) => !found.has(partition));
      await Promise.all(
        [...this.byLeader(name, left)].map(async ([node, ofNode]) => {
          const topics = [
            {
              name,
              partitions: ofNode.map((partitionIndex) => ({ partitionIndex, currentLeaderEpoch: -1, timestamp })),
            },
          ];
          const answer = await this.links.call(node, listOffsetsV7.api, -1, 0, topics).catch((error: unknown) => {
            const partly = answerOf<Awaited<ReturnType<typeof listOffsetsV7.api.async>>>(error);
            if (!partly) throw error;
            return partly;
          });
          for (const { partitionIndex, errorCode, offset } of answer.topics.flatMap((topic) => topic.partitions)) {
            if (errorCode !== 0) continue;
            found.set(partitionIndex, Number(offset) === NO_OFFSET ? undefined : Number(offset));
          }
        }),
      );
      if (found.size < partitions.length) throw new Error(`not every partition of ${name} answers`);
    });
    return found;
  }

  /**
   * The records from a position on, at most `limit`; none need not be the end. Where the position is not kept any more, from the oldest kept.
   * @throws log_unavailable
   */
  async page(topic: TopicInfo, from: Position, limit: number): Promise<RawPage> {
    const { partition } = from;
    let offset = from.offset;
    return this.trying(async () => {
      const node = this.leader(topic.name, partition);
      const bytesMax = Math.min(PAGE_BYTES_MAX, Math.max(PAGE_BYTES_MIN, limit * RECORD_BYTES));
      const asked = [{ topic: topic.name, partition, offset, bytesMax }];
      const { errorCode, partitions } = await this.links.call(node, fetch, asked, { waitMs: 0, bytesMax });
      const fetched = partitions[0];
      if (fetched?.errorCode === OFFSET_OUT_OF_RANGE) {
        const oldest = (await this.offsets(topic, [partition], 'earliest')).get(partition) ?? 0;
        if (oldest <= offset) return { records: [], next: offset, bytes: 0, ended: true };
        offset = oldest;
        return { records: [], next: oldest, bytes: 0, ended: false };
      }
      if (!fetched || errorCode !== 0 || fetched.errorCode !== 0)
        throw new Error(`Kafka does not read ${topic.name}/${partition}: error ${fetched?.errorCode ?? errorCode}`);
      const { batches, next } = readable(fetched, offset);
      const bytes = fetched.bytes.length;
      const records: RawRecord[] = [];
      for (const batch of batches) {
        for (const record of recordsOf(batch)) {
          if (record.offset < offset) continue;
          if (records.length >= limit) return { records, next: record.offset, bytes, ended: false };
          records.push(record);
        }
      }
      return { records, next, bytes, ended: next >= fetched.end };
    });
  }

  /** Forgets what is older than an offset. @throws log_unavailable */
  async trim({ name }: TopicInfo, partition: number, before: number): Promise<void> {
    await this.trying(async () => {
      const topics = [{ name, partitions: [{ partitionIndex: partition, offset: BigInt(before) }] }];
      await this.links.call(
        this.leader(name, partition),
        deleteRecordsV2.api,
        topics,
        this.cluster.requestTimeoutMs - 1_000,
      );
    });
  }

  async close(): Promise<void> {
    this.closing.abort();
    await this.links.close();
  }

  private async trying<T>(work: () => Promise<T>): Promise<T> {
    const until = performance.now() + this.patienceMs;
    for (let failures = 0; ; failures++) {
      try {
        return await work();
      } catch (error) {
        if (this.closing.signal.aborted || performance.now() > until) throw unavailable(error);
      }
      await pause(backoffMs(failures, 500), this.closing.signal);
      await this.cluster.refresh().catch(() => undefined);
    }
  }

  private leader(name: string, partition: number): number {
    const node = this.cluster.leaderOf(name, partition);
    if (node === undefined) throw new Error(`nobody leads ${name}/${partition}`);
    return node;
  }

  private byLeader(name: string, partitions: readonly number[]): Map<number, number[]> {
    return Map.groupBy(partitions, (partition) => this.leader(name, partition));
  }
}
