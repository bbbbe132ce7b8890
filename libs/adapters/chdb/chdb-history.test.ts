import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { historyContract } from '#testkit/contracts/history.contract.js';
import { ManualClock } from '#testkit/manual-clock.js';
import { openChdbHistory } from './chdb-history.js';

historyContract(
  'chDB',
  async () => {
    const options = { path: await mkdtemp(join(tmpdir(), 'millrace-chdb-')), clock: new ManualClock() };
    let history = openChdbHistory(options);
    return {
      history,
      reopen: async () => {
        await history.close();
        history = openChdbHistory(options);
        return history;
      },
      dispose: async () => {
        await history.close();
        await rm(options.path, { recursive: true });
      },
    };
  },
  25,
);
