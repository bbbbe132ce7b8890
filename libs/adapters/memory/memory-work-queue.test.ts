import { LEASE_MS, workQueueContract } from '#testkit/contracts/work-queue.contract.js';
import { settle } from '#testkit/manual-clock.js';
import { SeededIds } from '#testkit/seeded-ids.js';
import { MemoryWorkQueue } from './memory-work-queue.js';

workQueueContract('MemoryWorkQueue', { volatile: true, histories: 150 }, (clock) =>
  Promise.resolve({ queue: new MemoryWorkQueue(clock, new SeededIds(), LEASE_MS), quiet: settle }),
);
