import { DataSource } from 'typeorm';
import { Fault } from '#core/faults.js';
import { ENTITIES } from './control-plane.entities.js';
import { MIGRATIONS, MIGRATIONS_TABLE, newerMigration } from './control-plane.migrations.js';
import { type ControlPlaneStore, type Deliver, Undelivered } from './control-plane.store.js';
import { ControlPlaneTables } from './control-plane.tables.js';
import { NodeSqliteDatabase } from './node-sqlite.driver.js';

type Work<T> = (tables: ControlPlaneTables) => Promise<T>;

/** A file of one process: it has one connection, and with it one transaction at a time. */
export class SqliteStore implements ControlPlaneStore {
  private last: Promise<unknown> = Promise.resolve();
  private lastRelay: Promise<unknown> = Promise.resolve();

  private constructor(private readonly source: DataSource) {}

  /** @throws data_dir_newer */
  static async open(path: string): Promise<SqliteStore> {
    const source = new DataSource({
      type: 'better-sqlite3',
      driver: NodeSqliteDatabase,
      database: path,
      enableWAL: path !== ':memory:',
      entities: ENTITIES,
      migrations: MIGRATIONS,
      migrationsTableName: MIGRATIONS_TABLE,
      synchronize: false,
      logging: false,
    });
    await source.initialize();
    try {
      await source.runMigrations({ transaction: 'all' });
      const migration = await newerMigration(source);
      if (migration !== undefined) throw new Fault('data_dir_newer', { path, migration });
    } catch (error) {
      await source.destroy();
      throw error;
    }
    return new SqliteStore(source);
  }

  read<T>(work: Work<T>): Promise<T> {
    return this.write(work);
  }

  write<T>(work: Work<T>): Promise<T> {
    const result = this.last.then(() => this.source.transaction((manager) => work(new ControlPlaneTables(manager))));
    this.last = result.catch(() => undefined);
    return result;
  }

  /** In two transactions, so that others need not wait for the delivery. */
  relay(limit: number, deliver: Deliver): Promise<number> {
    const relayed = this.lastRelay.then(async () => {
      const changes = await this.read((tables) => tables.outbox(limit));
      if (changes.length === 0) return 0;
      await Undelivered.unless(deliver(changes));
      await this.write((tables) => tables.forget(changes));
      return changes.length;
    });
    this.lastRelay = relayed.catch(() => undefined);
    return relayed;
  }

  async close(): Promise<void> {
    await this.lastRelay;
    await this.last;
    await this.source.destroy();
  }
}
