import type { Env, Position } from '#core/words.js';
import { History } from '#ports/history.port.js';
import type {
  DecisionRow,
  EventFilter,
  EventRow,
  HistoryBatch,
  RunFilter,
  RunRow,
  TransitionRow,
} from '#ports/history.port.js';
import type { ClickHouseTransport, SqlQuery, SqlRow } from './clickhouse.transport.js';
import { HISTORY_MIGRATIONS, MIGRATIONS_TABLE } from './history.migrations.js';
import {
  decisionsOfEventQuery,
  eventQuery,
  eventsQuery,
  positionsQuery,
  runQuery,
  runsByIdQuery,
  runsOfEventQuery,
  runsQuery,
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

/** History in ClickHouse tables, wherever the engine runs. Makes its tables with the first call; does nothing before. */
export class ClickHouseHistory extends History {
  private migrated: Promise<void> | undefined;

  constructor(private readonly transport: ClickHouseTransport) {
    super();
  }

  override async append(batch: HistoryBatch, next: Readonly<Record<string, readonly Position[]>>): Promise<void> {
    await this.ready();
    await Promise.all([
      this.insert('events', batch.events.map(fromEvent)),
      this.insert('runs', batch.runs.map(fromRun)),
      this.insert('transitions', batch.transitions.map(fromTransition)),
      this.insert('decisions', batch.decisions.map(fromDecision)),
    ]);
    // Last, so that a crash before this line means that the rows are added again, and one after it that nothing is missing.
    await this.insert(
      'positions_by_partition',
      Object.entries(next).flatMap(([reader, positions]) => positions.map((at) => fromPosition(reader, at))),
    );
  }

  override async positions(reader: string): Promise<readonly Position[]> {
    return this.select(positionsQuery(reader), toPosition);
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

  override async close(): Promise<void> {
    await this.transport.close();
  }

  private async select<T>(query: SqlQuery, read: (row: SqlRow) => T): Promise<readonly T[]> {
    await this.ready();
    return (await this.transport.run(query.sql, query.params)).map(read);
  }

  private async first<T>(query: SqlQuery, read: (row: SqlRow) => T): Promise<T | undefined> {
    return (await this.select(query, read))[0];
  }

  private async insert(table: string, rows: readonly SqlRow[]): Promise<void> {
    if (rows.length > 0) await this.transport.insert(table, rows);
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
