import { setTimeout as sleep } from 'node:timers/promises';
import { EXACT } from '../ledger.ts';
import { MB } from '../row.ts';
import type { Scenario } from '../scenario.ts';

const IDLE_MS = 30_000;

/** B14: a server with two apps synced, and nothing to do but look after them. */
export const idle: Scenario = {
  id: 'B14',
  alone: true,
  async run({ stage }) {
    await stage.quiet();
    const before = stage.usage();
    await sleep(IDLE_MS);
    const after = stage.usage();
    const cpuMs = after.server.cpuMs + after.history.cpuMs - before.server.cpuMs - before.history.cpuMs;
    return [
      {
        id: 'B14',
        title: 'Idle',
        did: `${IDLE_MS / 1_000} s; server and history engine together; two apps, polled as dev polls them`,
        values: {
          cpuPercent: (cpuMs / IDLE_MS) * 100,
          memoryMb: (after.server.rssBytes + after.history.rssBytes) / MB,
        },
        verdict: EXACT,
        goals: [
          { value: 'cpuPercent', atMost: 1 },
          { value: 'memoryMb', atMost: 200 },
        ],
      },
    ];
  },
};
