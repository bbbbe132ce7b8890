import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NO_ROWS, type DecisionRow } from '#ports/history.port.js';
import { historyContract } from '#testkit/contracts/history.contract.js';
import { ManualClock } from '#testkit/manual-clock.js';
import { HISTORY_MIGRATIONS, MIGRATIONS_TABLE } from '../clickhouse/history.migrations.js';
import { openChdbHistory } from './chdb-history.js';
import { ChdbTransport } from './chdb-transport.js';

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

describe('tables that an earlier version made', () => {
  const OLD_RUN = {
    env: 'e',
    run_id: '01KG0000000000000000000001',
    function_id: 'f',
    function_slug: 'shop-charge',
    function_version: 1,
    app_id: 'a',
    app_name: 'shop',
    status: 'Running',
    event_name: 'shop/order.placed',
    event_ids: ['01KG0000000000000000000002'],
    cron: '',
    batch_id: '',
    queued_at: '2026-01-31 12:00:00.000',
    start_at: '2026-01-31 12:00:00.000',
    started_at: '2026-01-31 12:00:01.000',
    ended_at: null,
    output: null,
    version: 3,
    rank: 13,
  };

  let path: string;
  const clock = new ManualClock();
  beforeEach(async () => {
    path = await mkdtemp(join(tmpdir(), 'millrace-chdb-'));
  });
  afterEach(() => rm(path, { recursive: true }));

  /** As it left them: its migrations, one run. @param further statements of the next one, before a crash */
  async function leave(version: number, further = 0): Promise<void> {
    const transport = new ChdbTransport({ path, clock });
    await transport.run(MIGRATIONS_TABLE);
    for (const { id, name, statements } of HISTORY_MIGRATIONS.filter((one) => one.id <= version)) {
      for (const statement of statements) await transport.run(statement);
      await transport.insert('migrations', [{ id, name }]);
    }
    await transport.insert('runs', [OLD_RUN]);
    const next = HISTORY_MIGRATIONS.find(({ id }) => id === version + 1);
    for (const statement of next?.statements.slice(0, further) ?? []) await transport.run(statement);
    await transport.close();
  }

  it.each([0, 1, 2])(
    'keep their rows and take new ones, also after %i statements of a migration that was cut short',
    async (further) => {
      await leave(1, further);
      const history = openChdbHistory({ path, clock });
      const run = await history.run('e', OLD_RUN.run_id);
      expect(run).toMatchObject({ status: 'Running', version: 3, skipReason: '', skippedFor: '' });

      const skipped = {
        ...run!,
        runId: '01KG0000000000000000000009',
        status: 'Skipped',
        skipReason: 'FunctionPaused',
      } as const;
      const decision: DecisionRow = {
        env: 'e',
        eventId: '01KG0000000000000000000002',
        functionId: 'f',
        key: 'once:e:f:=k',
        topic: 'commands',
        partition: 0,
        offset: 7,
        index: 0,
        type: 'EventIdTaken',
        at: clock.now(),
        runId: OLD_RUN.run_id,
        body: '{}',
      };
      await history.append({ ...NO_ROWS, runs: [skipped], decisions: [decision] }, {});
      expect(await history.runs('e', { limit: 10 })).toEqual([skipped, run]);
      expect(await history.decisionsOfEvent('e', decision.eventId)).toEqual([decision]);
      await history.close();
    },
  );

  it.each([0, 1, 2])(
    'keep the positions of their one partition, also after %i statements of a migration that was cut short',
    async (further) => {
      await leave(2, further);
      const old = new ChdbTransport({ path, clock });
      await old.insert('positions', [
        { reader: 'events', log_partition: 0, log_offset: 7 },
        { reader: 'transitions', log_partition: 0, log_offset: 3 },
      ]);
      await old.insert('positions', [{ reader: 'events', log_partition: 0, log_offset: 12 }]);
      await old.close();

      const history = openChdbHistory({ path, clock });
      expect(await history.positions('events')).toEqual([{ partition: 0, offset: 12 }]);
      await history.append(NO_ROWS, { events: [{ partition: 1, offset: 2 }] });
      expect(await history.positions('events')).toEqual([
        { partition: 0, offset: 12 },
        { partition: 1, offset: 2 },
      ]);
      expect(await history.positions('transitions')).toEqual([{ partition: 0, offset: 3 }]);
      await history.close();
    },
  );
});
