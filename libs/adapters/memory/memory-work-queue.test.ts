import { LEASE_MS, workQueueContract } from '#testkit/contracts/work-queue.contract.js';
import { SeededIds } from '#testkit/seeded-ids.js';
import { MemoryWorkQueue } from './memory-work-queue.js';

workQueueContract('MemoryWorkQueue', (clock) => Promise.resolve(new MemoryWorkQueue(clock, new SeededIds(), LEASE_MS)));
