import { ownershipContract } from '#testkit/contracts/ownership.contract.js';
import { SoleOwnership } from './sole-ownership.js';

ownershipContract(
  'SoleOwnership',
  () => Promise.resolve({ partitions: 5, join: () => new SoleOwnership(5), dispose: () => Promise.resolve() }),
  { alone: 'it is for a process that has all to itself', once: 'open throws it' },
);
