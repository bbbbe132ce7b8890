import { DataSource, type EntityManager, LessThanOrEqual } from 'typeorm';
import { Fault } from '#core/faults.js';
import type { AppVersion, FunctionVersion } from '#core/function/function.config.js';
import type { Env } from '#core/words.js';
import type { ConfigChange } from '#ports/control-plane.port.js';
import {
  AppEntitySchema,
  CounterEntitySchema,
  ENTITIES,
  FunctionEntitySchema,
  OutboxEntitySchema,
} from './control-plane.entities.js';
import { MIGRATIONS } from './control-plane.migrations.js';
import { appOfRow, appToRow, changeOfRow, functionOfRow, functionToRow } from './control-plane.rows.js';
import { NodeSqliteDatabase } from './node-sqlite.driver.js';

const MIGRATIONS_TABLE = 'migrations';

/** The database of the control plane, brought up to its newest migration. One transaction at a time. */
export class ControlPlaneStore {
  private constructor(private readonly source: DataSource) {}

  /** @throws data_dir_newer */
  static async open(path: string): Promise<ControlPlaneStore> {
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
      await refuseNewer(source, path);
    } catch (error) {
      await source.destroy();
      throw error;
    }
    return new ControlPlaneStore(source);
  }

  transaction<T>(work: (tables: ControlPlaneTables) => Promise<T>): Promise<T> {
    return this.source.transaction((manager) => work(new ControlPlaneTables(manager)));
  }

  async close(): Promise<void> {
    await this.source.destroy();
  }
}

async function refuseNewer(source: DataSource, path: string): Promise<void> {
  const known = new Set<string>(MIGRATIONS.map((Migration) => new Migration().name));
  const done = await source.query<{ name: string }[]>(`SELECT name FROM ${MIGRATIONS_TABLE}`);
  const unknown = done.find(({ name }) => !known.has(name));
  if (unknown) throw new Fault('data_dir_newer', { path, migration: unknown.name });
}

/** What is read and written within a transaction. */
export class ControlPlaneTables {
  constructor(private readonly manager: EntityManager) {}

  async app(id: string): Promise<AppVersion | undefined> {
    const row = await this.manager.findOneBy(AppEntitySchema, { id });
    return row ? appOfRow(row) : undefined;
  }

  /** By name, archived ones too. */
  async apps(env: Env): Promise<readonly AppVersion[]> {
    return (await this.manager.find(AppEntitySchema, { where: { env }, order: { name: 'ASC' } })).map(appOfRow);
  }

  async appsAt(env: Env, url: string): Promise<readonly AppVersion[]> {
    return (await this.manager.find(AppEntitySchema, { where: { env, url }, order: { name: 'ASC' } })).map(appOfRow);
  }

  /** By slug, archived ones too. */
  async functionsOf(app: AppVersion): Promise<readonly FunctionVersion[]> {
    const rows = await this.manager.find(FunctionEntitySchema, { where: { appId: app.id }, order: { slug: 'ASC' } });
    return rows.map((row) => functionOfRow(row, app.name));
  }

  /** By app and slug, archived ones too. */
  async functions(env: Env): Promise<readonly FunctionVersion[]> {
    const rows = await this.manager.find(FunctionEntitySchema, { where: { env }, order: { slug: 'ASC' } });
    const byApp = Map.groupBy(rows, ({ appId }) => appId);
    const apps = await this.apps(env);
    return apps.flatMap(({ id, name }) => (byApp.get(id) ?? []).map((row) => functionOfRow(row, name)));
  }

  async function(id: string): Promise<FunctionVersion | undefined> {
    const row = await this.manager.findOneBy(FunctionEntitySchema, { id });
    if (!row) return undefined;
    const app = await this.app(row.appId);
    return app && functionOfRow(row, app.name);
  }

  async putApp(app: AppVersion): Promise<void> {
    await this.manager.upsert(AppEntitySchema, appToRow(app), ['id']);
    await this.announce('app', app.id, app.env, app);
  }

  async dropApp(app: AppVersion): Promise<void> {
    await this.manager.delete(AppEntitySchema, { id: app.id });
    await this.announce('app', app.id, app.env, undefined);
  }

  async putFunction(fn: FunctionVersion): Promise<void> {
    await this.manager.upsert(FunctionEntitySchema, functionToRow(fn), ['id']);
    await this.announce('function', fn.id, fn.env, fn);
  }

  async outbox(limit: number): Promise<readonly ConfigChange[]> {
    return (await this.manager.find(OutboxEntitySchema, { order: { id: 'ASC' }, take: limit })).map(changeOfRow);
  }

  async forget(upToId: number): Promise<void> {
    await this.manager.delete(OutboxEntitySchema, { id: LessThanOrEqual(upToId) });
  }

  /** Leaves the change in the outbox, with the number that its order asks for. */
  private async announce(kind: ConfigChange['kind'], key: string, env: Env, body: ConfigChange['body']): Promise<void> {
    await this.manager.increment(CounterEntitySchema, { name: 'outbox' }, 'value', 1);
    const { value: id } = await this.manager.findOneByOrFail(CounterEntitySchema, { name: 'outbox' });
    await this.manager.insert(OutboxEntitySchema, { id, kind, key, env, body: body ? JSON.stringify(body) : null });
  }
}
