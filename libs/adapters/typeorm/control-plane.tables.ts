import { type EntityManager, In } from 'typeorm';
import type { AppVersion, FunctionVersion } from '#core/function/function.config.js';
import type { Env } from '#core/words.js';
import type { ConfigChange } from '#ports/control-plane.port.js';
import {
  type AppEntity,
  AppEntitySchema,
  CounterEntitySchema,
  type FunctionEntity,
  FunctionEntitySchema,
  OutboxEntitySchema,
} from './control-plane.entities.js';
import { appOfRow, appToRow, changeOfRow, functionOfRow, functionToRow, text } from './control-plane.rows.js';

/** What is read and written within a transaction. */
export class ControlPlaneTables {
  constructor(private readonly manager: EntityManager) {}

  async app(id: string): Promise<AppVersion | undefined> {
    const row = await this.manager.findOneBy(AppEntitySchema, { id });
    return row ? appOfRow(row) : undefined;
  }

  /** By name, archived ones too. */
  async apps(env: Env): Promise<readonly AppVersion[]> {
    return byName(await this.manager.findBy(AppEntitySchema, { env })).map(appOfRow);
  }

  async appsAt(env: Env, url: string): Promise<readonly AppVersion[]> {
    return byName(await this.manager.findBy(AppEntitySchema, { env, url: text(url) })).map(appOfRow);
  }

  /** By slug, archived ones too. */
  async functionsOf(app: AppVersion): Promise<readonly FunctionVersion[]> {
    const rows = await this.manager.findBy(FunctionEntitySchema, { appId: app.id });
    return bySlug(rows).map((row) => functionOfRow(row, app.name));
  }

  /** By app and slug, archived ones too. */
  async functions(env: Env): Promise<readonly FunctionVersion[]> {
    const rows = bySlug(await this.manager.findBy(FunctionEntitySchema, { env }));
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

  async forget(changes: readonly ConfigChange[]): Promise<void> {
    await this.manager.delete(OutboxEntitySchema, { id: In(changes.map(({ id }) => id)) });
  }

  /** Leaves a change once more in the outbox, as things stand now. */
  async tellAgain({ kind, key, env }: ConfigChange): Promise<void> {
    const body = kind === 'app' ? await this.app(key) : await this.function(key);
    await this.announce(kind, key, env, body);
  }

  /** Leaves the change in the outbox, with the number that its order asks for. */
  private async announce(kind: ConfigChange['kind'], key: string, env: Env, body: ConfigChange['body']): Promise<void> {
    await this.manager.increment(CounterEntitySchema, { name: 'outbox' }, 'value', 1);
    const { value: id } = await this.manager.findOneByOrFail(CounterEntitySchema, { name: 'outbox' });
    await this.manager.insert(OutboxEntitySchema, { id, kind, key, env, body: body ? JSON.stringify(body) : null });
  }
}

/* Sorted here, for databases sort text each in its own way. */
const byName = (rows: AppEntity[]): AppEntity[] => rows.sort((a, b) => (a.name < b.name ? -1 : 1));
const bySlug = (rows: FunctionEntity[]): FunctionEntity[] => rows.sort((a, b) => (a.slug < b.slug ? -1 : 1));
