import { historyContract } from './contracts/history.contract.js';
import { MemoryHistory } from './memory-history.js';

historyContract(
  'MemoryHistory',
  () => Promise.resolve({ history: new MemoryHistory(), dispose: () => Promise.resolve() }),
  20,
);
