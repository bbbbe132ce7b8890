import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NO_ROWS, type DecisionRow } from '#ports/history.port.js';
import { historyContract } from '#testkit/contracts/history.contract.js';
import { ManualClock } from '#testkit/manual-clock.js';
import { ClickHouseHistory } from '../clickhouse/clickhouse-history.js';
import type { SqlRow } from '../clickhouse/clickhouse.transport.js';
import { BEING_EMPTIED, HISTORY_MIGRATIONS, MIGRATIONS_TABLE } from '../clickhouse/history.migrations.js';
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

describe('a history that is emptied', () => {
  /** Tells before it adds how far a reader is, and waits. */
  class HeldTransport extends ChdbTransport {
    readonly reached = Promise.withResolvers<void>();
    readonly held = Promise.withResolvers<void>();

    override async insert(table: string, rows: readonly SqlRow[]): Promise<void> {
      if (table === 'positions_by_generation') {
        this.reached.resolve();
        await this.held.promise;
      }
      await super.insert(table, rows);
    }
  }

  let path: string;
  let transport: HeldTransport;
  let history: ClickHouseHistory;
  beforeEach(async () => {
    path = await mkdtemp(join(tmpdir(), 'millrace-chdb-'));
    transport = new HeldTransport({ path, clock: new ManualClock() });
    history = new ClickHouseHistory(transport);
  });
  afterEach(async () => {
    await history.close();
    await rm(path, { recursive: true });
  });

  it('does not hear of it from who had added rows before', async () => {
    const position = { partition: 0, offset: 7 };
    const appending = history.append(NO_ROWS, { events: [position] });
    await transport.reached.promise;
    await history.empty();
    transport.held.resolve();
    await appending;

    expect(await history.positions('events')).toEqual([]);
    const later = { events: [{ partition: 0, offset: 9 }] };
    await expect(history.append(NO_ROWS, later, { events: [position] })).rejects.toMatchObject({ code: 'state_lost' });
  });

  it('is closed to appends where that was broken off, until it is done', async () => {
    transport.held.resolve();
    await history.append(NO_ROWS, { events: [{ partition: 0, offset: 7 }] });
    await transport.insert('generations', [{ id: BEING_EMPTIED }]);
    const unavailable = {
      code: 'history_unavailable',
      message: expect.stringContaining('millrace rebuild history') as unknown,
    };
    await expect(history.positions('events')).rejects.toMatchObject(unavailable);
    await expect(history.append(NO_ROWS, { events: [{ partition: 0, offset: 9 }] })).rejects.toMatchObject(unavailable);

    await history.empty();
    await history.append(NO_ROWS, { events: [{ partition: 0, offset: 2 }] });
    expect(await history.positions('events')).toEqual([{ partition: 0, offset: 2 }]);
  });

  it('has its tables again where somebody removed one', async () => {
    transport.held.resolve();
    await history.append(NO_ROWS, { events: [{ partition: 0, offset: 7 }] });
    for (const table of ['runs', 'generations']) await transport.run(`DROP TABLE ${table}`);
    await history.empty();
    expect(await history.runs('e', { limit: 1 })).toEqual([]);
    expect(await history.positions('events')).toEqual([]);
  });
});

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

  it.each([0, 1, 2, 3, 4])(
    'keep the positions of their partitions, also after %i statements of a migration that was cut short',
    async (further) => {
      await leave(3);
      const old = new ChdbTransport({ path, clock });
      await old.insert('positions_by_partition', [
        { reader: 'events', log_partition: 0, log_offset: 7 },
        { reader: 'events', log_partition: 1, log_offset: 3 },
      ]);
      const { statements } = HISTORY_MIGRATIONS.find(({ id }) => id === 4)!;
      for (const statement of statements.slice(0, further)) await old.run(statement);
      await old.close();

      const history = openChdbHistory({ path, clock });
      const stood = [
        { partition: 0, offset: 7 },
        { partition: 1, offset: 3 },
      ];
      expect(await history.positions('events')).toEqual(stood);
      await history.append(NO_ROWS, { events: [{ partition: 1, offset: 4 }] }, { events: stood });
      expect(await history.positions('events')).toEqual([stood[0], { partition: 1, offset: 4 }]);
      await history.close();
    },
  );
});
