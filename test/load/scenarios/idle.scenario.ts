import { setTimeout as sleep } from 'node:timers/promises';
import { goalsOf } from '../goals.ts';
import { EXACT } from '../ledger.ts';
import { costs, MB } from '../row.ts';
import type { Scenario } from '../scenario.ts';

const IDLE_MS = 30_000;

/** B14: a server with two apps synced, and nothing to do but look after them. */
export const idle: Scenario = {
  id: 'B14',
  alone: true,
  async run({ stage, size }) {
    const idleMs = size(IDLE_MS);
    await stage.quiet();
    const spent = stage.metered();
    const before = stage.ownUsage();
    await sleep(idleMs);
    const after = stage.ownUsage();
    const cost = spent();
    const all = stage.mode === 'embedded' ? 'server and history engine together' : 'all processes of Millrace together';
    return [
      {
        id: 'B14',
        title: 'Idle',
        did: `${idleMs / 1_000} s; ${all}; two apps, polled as dev polls them`,
        values: {
          cpuPercent: ((after.cpuMs - before.cpuMs) / idleMs) * 100,
          memoryMb: after.rssBytes / MB,
        },
        ...costs(cost, idleMs / 1_000),
        verdict: EXACT,
        goals: goalsOf('B14', stage.mode),
      },
    ];
  },
};
