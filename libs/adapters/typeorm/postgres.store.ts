import { DataSource, type EntityManager, MigrationExecutor } from 'typeorm';
import { Fault } from '#core/faults.js';
import type { ConfigChange } from '#ports/control-plane.port.js';
import { CounterEntitySchema, ENTITIES } from './control-plane.entities.js';
import { MIGRATIONS, MIGRATIONS_TABLE, newerMigration } from './control-plane.migrations.js';
import { type ControlPlaneStore, type Deliver, Undelivered } from './control-plane.store.js';
import { ControlPlaneTables } from './control-plane.tables.js';

type Work<T> = (tables: ControlPlaneTables) => Promise<T>;

const CONNECTIONS_MAX = 10;
const CONNECT_MS_MAX = 5_000;
/** How long one waits for who is before it; then how long a statement may take, and its answer. */
const LOCK_MS_MAX = 10_000;
const STATEMENT_MS_MAX = 15_000;
const ANSWER_MS_MAX = 20_000;
/** A process that says nothing for so long in the middle of a transaction has no hold on the others any more. */
const SILENCE_MS_MAX = 60_000;

/** Advisory locks of this database, a pair of numbers each: the first is ours, the second says what for. */
const LOCKS = 0x6d696c6c;
const MIGRATION_LOCK = 1;
const RELAY_LOCK = 2;

/** A Postgres database that many processes share. */
export class PostgresStore implements ControlPlaneStore {
  /**
   * Changes that were delivered under a lock which may have been lost meanwhile: another relay may have delivered newer ones of their keys
   * before. They are told again as they stand, so that the newest comes last after all.
   */
  private readonly doubtful = new Map<string, ConfigChange>();

  private constructor(private readonly source: DataSource) {}

  /**
   * @param url `postgres://user:password@host:port/database`, with what pg reads of its parameters: `sslmode`, `sslrootcert`, `options`, ...
   * @throws data_dir_newer
   */
  static async open(url: string): Promise<PostgresStore> {
    const source = new DataSource({
      type: 'postgres',
      url,
      poolSize: CONNECTIONS_MAX,
      connectTimeoutMS: CONNECT_MS_MAX,
      applicationName: 'millrace',
      extra: { keepAlive: true, query_timeout: ANSWER_MS_MAX },
      // Told with the call that fails.
      poolErrorHandler: () => undefined,
      entities: ENTITIES,
      migrations: MIGRATIONS,
      migrationsTableName: MIGRATIONS_TABLE,
      installExtensions: false,
      synchronize: false,
      logging: false,
    });
    await source.initialize();
    try {
      await migrate(source);
      const migration = await newerMigration(source);
      if (migration !== undefined) {
        const message = 'The control plane in DATABASE_URL was brought up to date by a newer version of Millrace.';
        throw new Fault('data_dir_newer', { migration }, { message });
      }
    } catch (error) {
      await source.destroy();
      throw error;
    }
    return new PostgresStore(source);
  }

  read<T>(work: Work<T>): Promise<T> {
    return this.source.transaction('REPEATABLE READ', async (manager) => {
      await bound(manager);
      return work(new ControlPlaneTables(manager));
    });
  }

  /** The row that counts changes is locked until the end: so they become visible in the order of their numbers, too. */
  write<T>(work: Work<T>): Promise<T> {
    return this.source.transaction('READ COMMITTED', async (manager) => {
      await bound(manager);
      await manager.findOneOrFail(CounterEntitySchema, {
        where: { name: 'outbox' },
        lock: { mode: 'pessimistic_write' },
      });
      return work(new ControlPlaneTables(manager));
    });
  }

  async relay(limit: number, deliver: Deliver): Promise<number> {
    await this.tellDoubtfulAgain();
    let delivered: readonly ConfigChange[] = [];
    try {
      return await this.source.transaction('READ COMMITTED', async (manager) => {
        await bound(manager);
        await lock(manager, RELAY_LOCK);
        const tables = new ControlPlaneTables(manager);
        const changes = await tables.outbox(limit);
        if (changes.length === 0) return 0;
        await Undelivered.unless(deliver(changes));
        delivered = changes;
        await tables.forget(changes);
        return changes.length;
      });
    } catch (error) {
      for (const change of delivered) this.doubtful.set(`${change.kind}:${change.key}`, change);
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.source.destroy();
  }

  private async tellDoubtfulAgain(): Promise<void> {
    const changes = [...this.doubtful.values()];
    if (changes.length === 0) return;
    await this.write(async (tables) => {
      for (const change of changes) await tables.tellAgain(change);
    });
    for (const { kind, key } of changes) this.doubtful.delete(`${kind}:${key}`);
  }
}

/** All in one transaction and under a lock: of processes that start at once the first does it. */
async function migrate(source: DataSource): Promise<void> {
  const runner = source.createQueryRunner();
  try {
    await runner.startTransaction('READ COMMITTED');
    try {
      await bound(runner.manager);
      await lock(runner.manager, MIGRATION_LOCK);
      const executor = new MigrationExecutor(source, runner);
      executor.transaction = 'all';
      await executor.executePendingMigrations();
      await runner.commitTransaction();
    } catch (error) {
      if (runner.isTransactionActive) await runner.rollbackTransaction();
      throw error;
    }
  } finally {
    await runner.release();
  }
}

/** Within this transaction; not of the connection, which a pooler may have lent. */
async function bound(manager: EntityManager): Promise<void> {
  await manager.query(
    `SELECT set_config('lock_timeout', $1, true), set_config('statement_timeout', $2, true),
      set_config('idle_in_transaction_session_timeout', $3, true)`,
    [LOCK_MS_MAX, STATEMENT_MS_MAX, SILENCE_MS_MAX].map((ms) => `${ms}ms`),
  );
}

async function lock(manager: EntityManager, what: number): Promise<void> {
  await manager.query('SELECT pg_advisory_xact_lock($1, $2)', [LOCKS, what]);
}
