import { randomUUID } from 'node:crypto';
import { Fault } from '#core/faults.js';
import type { Env, Position } from '#core/words.js';
import { History } from '#ports/history.port.js';
import type {
  DecisionRow,
  EventFilter,
  EventRow,
  HistoryBatch,
  HistoryPositions,
  RunFilter,
  RunRow,
  TransitionRow,
} from '#ports/history.port.js';
import type { ClickHouseTransport, SqlQuery, SqlRow } from './clickhouse.transport.js';
import { isGone } from './clickhouse.errors.js';
import {
  BEING_EMPTIED,
  EMPTIED_TABLES,
  GENERATIONS_TABLE,
  HISTORY_MIGRATIONS,
  MIGRATIONS_TABLE,
} from './history.migrations.js';
import {
  decisionsOfEventQuery,
  eventQuery,
  eventsQuery,
  runQuery,
  runsByIdQuery,
  runsOfEventQuery,
  runsQuery,
  STANDING_QUERY,
  transitionsQuery,
} from './history.queries.js';
import {
  fromDecision,
  fromEvent,
  fromPosition,
  fromRun,
  fromTransition,
  toDecision,
  toEvent,
  toPosition,
  toRun,
  toTransition,
} from './history.rows.js';

/** How far it is. */
interface Standing {
  readonly generation: string;
  /** By reader. */
  readonly positions: ReadonlyMap<string, readonly Position[]>;
}

/** History in ClickHouse tables, wherever the engine runs. Makes its tables with the first call; does nothing before. */
export class ClickHouseHistory extends History {
  private migrated: Promise<void> | undefined;

  constructor(private readonly transport: ClickHouseTransport) {
    super();
  }

  override async append(batch: HistoryBatch, next: HistoryPositions, held: HistoryPositions = {}): Promise<void> {
    await this.inTables(async () => {
      await Promise.all([
        this.insert('events', batch.events.map(fromEvent)),
        this.insert('runs', batch.runs.map(fromRun)),
        this.insert('transitions', batch.transitions.map(fromTransition)),
        this.insert('decisions', batch.decisions.map(fromDecision)),
      ]);
      // Last, so that a crash before this line means that the rows are added again, and one after it that nothing is missing.
      if (Object.values(next).some(({ length }) => length > 0)) await this.moveOn(next, held);
    });
  }

  override async positions(reader: string): Promise<readonly Position[]> {
    return this.inTables(async () => (await this.standing())?.positions.get(reader) ?? []);
  }

  override async events(env: Env, filter: EventFilter): Promise<readonly EventRow[]> {
    return this.select(eventsQuery(env, filter), toEvent);
  }

  override async event(env: Env, internalId: string): Promise<EventRow | undefined> {
    return this.first(eventQuery(env, internalId), toEvent);
  }

  override async runs(env: Env, filter: RunFilter): Promise<readonly RunRow[]> {
    return this.select(runsQuery(env, filter), toRun);
  }

  override async run(env: Env, runId: string): Promise<RunRow | undefined> {
    return this.first(runQuery(env, runId), toRun);
  }

  override async runsById(env: Env, runIds: readonly string[]): Promise<readonly RunRow[]> {
    return this.select(runsByIdQuery(env, runIds), toRun);
  }

  override async runsOfEvent(env: Env, internalId: string): Promise<readonly RunRow[]> {
    return this.select(runsOfEventQuery(env, internalId), toRun);
  }

  override async transitions(env: Env, runId: string): Promise<readonly TransitionRow[]> {
    return this.select(transitionsQuery(env, runId), toTransition);
  }

  override async decisionsOfEvent(env: Env, internalId: string): Promise<readonly DecisionRow[]> {
    return this.select(decisionsOfEventQuery(env, internalId), toDecision);
  }

  override async empty(): Promise<void> {
    await this.ready();
    await this.transport.run(GENERATIONS_TABLE);
    await this.transport.insert('generations', [{ id: BEING_EMPTIED }]);
    for (const table of EMPTIED_TABLES) await this.truncate(table);
    // A table that somebody removed is there again then.
    this.migrated = undefined;
    await this.ready();
    await this.truncate('generations');
  }

  override async close(): Promise<void> {
    await this.transport.close();
  }

  private async select<T>(query: SqlQuery, read: (row: SqlRow) => T): Promise<readonly T[]> {
    return this.inTables(async () => (await this.transport.run(query.sql, query.params)).map(read));
  }

  private async first<T>(query: SqlQuery, read: (row: SqlRow) => T): Promise<T | undefined> {
    return (await this.select(query, read))[0];
  }

  private async insert(table: string, rows: readonly SqlRow[]): Promise<void> {
    if (rows.length > 0) await this.transport.insert(table, rows);
  }

  private async truncate(table: string): Promise<void> {
    // It is meant, however large the table is.
    await this.transport.run(`TRUNCATE TABLE IF EXISTS ${table} SETTINGS max_table_size_to_drop = 0`);
  }

  private async moveOn(next: HistoryPositions, held: HistoryPositions): Promise<void> {
    const { generation, positions } = (await this.standing()) ?? (await this.begin());
    for (const [reader, wanted] of Object.entries(held)) {
      const offsets = new Map((positions.get(reader) ?? []).map(({ partition, offset }) => [partition, offset]));
      const lost = wanted.find(({ partition, offset }) => offset > (offsets.get(partition) ?? 0));
      if (lost) throw new Fault('state_lost', { reader, ...lost }, { message: 'History has lost what it held.' });
    }
    await this.insert(
      'positions_by_generation',
      Object.entries(next).flatMap(([reader, all]) => all.map((at) => fromPosition(generation, reader, at))),
    );
  }

  /** Undefined where nobody has begun. */
  private async standing(): Promise<Standing | undefined> {
    const rows = await this.transport.run(STANDING_QUERY.sql, STANDING_QUERY.params);
    const generation = rows[0]?.generation as string | undefined;
    if (generation === BEING_EMPTIED) {
      const message =
        'History is being emptied. Where that was broken off, `millrace rebuild history` brings it to its end.';
      throw new Fault('history_unavailable', {}, { message });
    }
    if (generation === undefined) return undefined;
    const positions = new Map<string, Position[]>();
    for (const row of rows) {
      const reader = row.reader as string;
      if (reader !== '') positions.set(reader, [...(positions.get(reader) ?? []), toPosition(row)]);
    }
    return { generation, positions };
  }

  /** Of two that do so at once one counts in the end, and who was with the other begins again. */
  private async begin(): Promise<Standing> {
    await this.insert('generations', [{ id: randomUUID() }]);
    const standing = await this.standing();
    if (!standing) throw new Fault('history_unavailable', {}, { message: 'History was emptied at this moment.' });
    return standing;
  }

  /** Tables that were removed under us are made again. */
  private async inTables<T>(does: () => Promise<T>): Promise<T> {
    await this.ready();
    try {
      return await does();
    } catch (error) {
      if (!isGone(error)) throw error;
      this.migrated = undefined;
      await this.ready();
      return does();
    }
  }

  /** Once; again when it failed. */
  private ready(): Promise<void> {
    this.migrated ??= migrate(this.transport).catch((error: unknown) => {
      this.migrated = undefined;
      throw error;
    });
    return this.migrated;
  }
}

/** Brings the tables up to the last migration. Two that do it at once do no harm. */
async function migrate(transport: ClickHouseTransport): Promise<void> {
  await transport.run(MIGRATIONS_TABLE);
  const [row] = await transport.run('SELECT max(id) AS id FROM migrations');
  const done = Number(row?.id ?? 0);
  for (const migration of HISTORY_MIGRATIONS.filter(({ id }) => id > done)) {
    for (const statement of migration.statements) await transport.run(statement);
    await transport.insert('migrations', [{ id: migration.id, name: migration.name }]);
  }
}
