import {
  type API,
  createAPI,
  FetchIsolationLevels,
  fetchV12,
  type Reader,
  readKnownTaggedFields,
} from '@platformatic/kafka';
import { batchesOf, type FetchedBatch, isAbort } from './record.batch.js';

export interface FetchPartition {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** The first batch comes whole, however large. */
  readonly bytesMax: number;
}

export interface FetchLimits {
  /** How long the broker waits for a first record, ms. */
  readonly waitMs: number;
  readonly bytesMax: number;
}

export interface FetchedPartition {
  readonly topic: string;
  readonly partition: number;
  /** Kafka's error code; 0 is none. */
  readonly errorCode: number;
  /** Behind the last record that may be read. */
  readonly end: number;
  /** As they stand in the log: whole batches, which may begin before the offset that was asked for. */
  readonly bytes: Buffer;
  readonly aborted: readonly AbortedTransaction[];
}

interface AbortedTransaction {
  readonly producerId: bigint;
  readonly firstOffset: bigint;
}

interface FetchResult {
  readonly errorCode: number;
  readonly partitions: readonly FetchedPartition[];
}

const FETCH = 1;
const VERSION = 12;
const NO_BYTES = Buffer.alloc(0);

/** Fetch, version 12, without a session; only what is committed; every partition has an answer of its own. */
export const fetch: API<[partitions: readonly FetchPartition[], limits: FetchLimits], FetchResult> = createAPI(
  FETCH,
  VERSION,
  (partitions: readonly FetchPartition[], { waitMs, bytesMax }: FetchLimits) => {
    const topics = [...Map.groupBy(partitions, ({ topic }) => topic)].map(([topicId, ofTopic]) => ({
      topicId,
      partitions: ofTopic.map(({ partition, offset, bytesMax: partitionMaxBytes }) => ({
        partition,
        currentLeaderEpoch: -1,
        fetchOffset: BigInt(offset),
        lastFetchedEpoch: -1,
        partitionMaxBytes,
      })),
    }));
    return fetchV12.createRequest(waitMs, 1, bytesMax, FetchIsolationLevels.READ_COMMITTED, 0, -1, topics, [], '');
  },
  (_correlationId, _key, _version, reader) => readResult(reader),
);

function readResult(reader: Reader): FetchResult {
  reader.readInt32(); // How long the broker held back.
  const errorCode = reader.readInt16();
  reader.readInt32(); // No session.
  const topics = reader.readArray((r) => {
    const topic = r.readString();
    return r.readArray(
      (p) => {
        const partition = p.readInt32();
        const code = p.readInt16();
        p.readInt64(); // The high watermark: some of it may not be committed.
        const end = Number(p.readInt64());
        p.readInt64();
        const aborted = p.readArray((a) => ({ producerId: a.readInt64(), firstOffset: a.readInt64() }));
        p.readInt32();
        const bytes = p.readNullableBytes() ?? NO_BYTES;
        readKnownTaggedFields(p, {});
        return { topic, partition, errorCode: code, end, aborted, bytes };
      },
      true,
      false,
    );
  });
  return { errorCode, partitions: topics.flat() };
}

/** What there is to read of a partition. */
export interface FetchedRecords {
  /** Of whole batches, without those that were taken back. */
  readonly batches: readonly FetchedBatch[];
  /** The offset to go on from: behind the last batch, whether or not there is a record in it. */
  readonly next: number;
}

/** @throws Error when the bytes are not what the broker wrote */
export function readable({ bytes, aborted }: FetchedPartition, from: number): FetchedRecords {
  const pending = [...aborted].sort((a, b) => Number(a.firstOffset - b.firstOffset));
  const undone = new Set<bigint>();
  const batches: FetchedBatch[] = [];
  let next = from;
  for (const batch of batchesOf(bytes)) {
    while (pending[0] && pending[0].firstOffset <= batch.lastOffset)
      undone.add((pending.shift() as AbortedTransaction).producerId);
    next = Math.max(next, batch.lastOffset + 1);
    if (batch.control) {
      if (isAbort(batch)) undone.delete(batch.producerId);
    } else if (!(batch.transactional && undone.has(batch.producerId)) && batch.lastOffset >= from) {
      batches.push(batch);
    }
  }
  return { batches, next };
}
