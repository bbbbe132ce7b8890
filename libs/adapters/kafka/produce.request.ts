import { type API, createAPI, type Reader, Writer } from '@platformatic/kafka';

/** A batch and where it goes. */
export interface ProduceBatch {
  readonly topic: string;
  readonly partition: number;
  readonly batch: Buffer;
}

/** What became of a batch. */
export interface ProduceResult {
  readonly topic: string;
  readonly partition: number;
  /** Kafka's error code; 0 is none. */
  readonly errorCode: number;
  readonly errorMessage: string | null;
  /** Of the first record. */
  readonly baseOffset: number;
}

const PRODUCE = 0;
const VERSION = 9;
const ALL_REPLICAS = -1;

/**
 * Produce, version 9, of batches as they are; every partition has an answer of its own.
 *     transactional_id, acks, timeout_ms, [topic, [partition, records]]
 */
export const produce: API<[batches: readonly ProduceBatch[], timeoutMs: number], readonly ProduceResult[]> = createAPI(
  PRODUCE,
  VERSION,
  (batches: readonly ProduceBatch[], timeoutMs: number) =>
    Writer.create()
      .appendString(null)
      .appendInt16(ALL_REPLICAS)
      .appendInt32(timeoutMs)
      .appendArray([...Map.groupBy(batches, ({ topic }) => topic)], (writer, [topic, ofTopic]) => {
        writer.appendString(topic).appendArray(ofTopic, (w, { partition, batch }) => {
          w.appendInt32(partition)
            .appendUnsignedVarInt(batch.length + 1)
            .append(batch);
        });
      })
      .appendTaggedFields(),
  (_correlationId, _key, _version, reader) => readResults(reader),
);

function readResults(reader: Reader): readonly ProduceResult[] {
  return reader
    .readArray((r) => {
      const topic = r.readString();
      return r.readArray((p) => {
        const partition = p.readInt32();
        const errorCode = p.readInt16();
        const baseOffset = Number(p.readInt64());
        p.readInt64();
        p.readInt64();
        p.readArray((error) => {
          error.readInt32();
          return error.readNullableString();
        });
        return { topic, partition, errorCode, baseOffset, errorMessage: p.readNullableString() };
      });
    })
    .flat();
}
