import { randomUUID } from 'node:crypto';
import { Kafka, logLevel } from 'kafkajs';

/** A record as any client of Kafka finds it. */
export interface FoundRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly timestamp: number;
  readonly key: string;
  readonly value: Buffer | null;
  /** In their order. */
  readonly headers: readonly (readonly [name: string, text: string])[];
}

/** A client that has nothing to do with ours. */
export function kafkaAt(brokers: readonly string[]): Kafka {
  return new Kafka({ clientId: 'outside', brokers: [...brokers], logLevel: logLevel.NOTHING });
}

/** All that stands on topics by now, partition by partition, as a group of consumers reads it. */
export async function recordsOn(
  brokers: readonly string[],
  topics: readonly string[],
): Promise<readonly FoundRecord[]> {
  const kafka = kafkaAt(brokers);
  const missing = await endsOf(kafka, topics);
  const found: FoundRecord[] = [];
  const consumer = kafka.consumer({ groupId: `outside-${randomUUID()}` });
  const done = Promise.withResolvers<void>();
  if (missing.size === 0) return found;
  await consumer.connect();
  consumer.on('consumer.crash', ({ payload }) => done.reject(payload.error));
  await consumer.subscribe({ topics: [...topics], fromBeginning: true });
  await consumer.run({
    eachBatch: ({ batch }) => {
      const { topic, partition, messages } = batch;
      const last = missing.get(`${topic} ${partition}`);
      for (const { offset, timestamp, key, value, headers = {} } of messages) {
        if (last === undefined || Number(offset) > last) continue;
        const texts = Object.entries(headers).map(([name, text]) => [name, String(text)] as const);
        found.push({
          topic,
          partition,
          offset: Number(offset),
          timestamp: Number(timestamp),
          key: String(key),
          value,
          headers: texts,
        });
      }
      if (last !== undefined && Number(batch.lastOffset()) >= last) missing.delete(`${topic} ${partition}`);
      if (missing.size === 0) done.resolve();
      return Promise.resolve();
    },
  });
  await done.promise;
  await consumer.disconnect();
  return found.sort((a, b) => compare(a.topic, b.topic) || a.partition - b.partition || a.offset - b.offset);
}

/** By topic and partition that holds something: the offset of its last record. */
async function endsOf(kafka: Kafka, topics: readonly string[]): Promise<Map<string, number>> {
  const admin = kafka.admin();
  await admin.connect();
  const ends = new Map<string, number>();
  for (const topic of topics) {
    for (const { partition, low, high } of await admin.fetchTopicOffsets(topic))
      if (Number(high) > Number(low)) ends.set(`${topic} ${partition}`, Number(high) - 1);
  }
  await admin.disconnect();
  return ends;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
