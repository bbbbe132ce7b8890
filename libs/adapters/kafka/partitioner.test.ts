import fc from 'fast-check';
import { Partitioners } from 'kafkajs';
import { expect, it } from 'vitest';
import { partitionOfKey } from './partitioner.js';

it('sends every key to the partition that kafkajs sends it to', () => {
  const theirs = Partitioners.DefaultPartitioner();
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), fc.integer({ min: 1, max: 200 }), (key, partitions) => {
      const partitionMetadata = Array.from({ length: partitions }, (_, partitionId) => ({
        partitionErrorCode: 0,
        partitionId,
        leader: 1,
        replicas: [],
        isr: [],
      }));
      const message = { key: Buffer.from(key), value: null };
      expect(partitionOfKey(key, partitions)).toBe(theirs({ topic: 't', partitionMetadata, message }));
    }),
    { numRuns: 1_000 },
  );
});
