import { Fault } from '#core/faults.js';
import type { AppVersion, FunctionVersion } from '#core/function/function.config.js';
import type { Env } from '#core/words.js';
import type { Clock } from '#ports/clock.port.js';
import {
  ControlPlane,
  type ConfigChange,
  type FunctionPause,
  type SyncRequest,
  type SyncResult,
} from '#ports/control-plane.port.js';
import type { Ids } from '#ports/ids.port.js';
import { type ControlPlaneStore, Undelivered } from './control-plane.store.js';
import type { ControlPlaneTables } from './control-plane.tables.js';
import { isOutboxEmpty } from './outbox.peek.js';
import { appIdOf, isPlaceholder, placeholder, planSync } from './sync.plan.js';

interface ControlPlaneParts {
  readonly clock: Clock;
  readonly ids: Ids;
}

/** A file of this process: made when it is not there; `:memory:` keeps nothing. */
interface SqliteOptions extends ControlPlaneParts {
  readonly path: string;
}

/** A Postgres database, which others may share: `postgres://user:password@host:port/database?sslmode=verify-full`. */
interface PostgresOptions extends ControlPlaneParts {
  readonly url: string;
}

export type ControlPlaneOptions = SqliteOptions | PostgresOptions;

/** The control plane in a relational database. Every method throws control_plane_unavailable when that cannot be reached, and nothing is changed then. */
export function openControlPlane(options: ControlPlaneOptions): ControlPlane {
  return new TypeormControlPlane(options);
}

/** Opens its database, and loads TypeORM, when it is first needed: that takes longer than all else at the start of a server. */
class TypeormControlPlane extends ControlPlane {
  private store: Promise<ControlPlaneStore> | undefined;
  private readonly underWay = new Set<Promise<unknown>>();
  private closed = false;

  constructor(private readonly options: ControlPlaneOptions) {
    super();
  }

  override sync(request: SyncRequest): Promise<SyncResult> {
    const syncId = this.options.ids.uuid();
    return this.write(async (tables) => {
      const app = await tables.app(appIdOf(request.env, request.appName));
      const functions = app ? await tables.functionsOf(app) : [];
      const others = (await tables.appsAt(request.env, request.url)).filter(({ id }) => id !== app?.id);
      const before = { app, functions, placeholders: others.filter(isPlaceholder) };

      const plan = planSync(before, request, this.options.clock.now());
      if (!plan) return { modified: false, syncId, app: app!, functions: live(functions), archived: [] };

      for (const replaced of plan.replaced) await tables.dropApp(replaced);
      await tables.putApp(plan.app);
      for (const fn of plan.changed) await tables.putFunction(fn);
      return { modified: true, syncId, app: plan.app, functions: plan.live, archived: plan.archived };
    });
  }

  override syncFailed(env: Env, url: string, error: NonNullable<AppVersion['error']>): Promise<AppVersion> {
    return this.write(async (tables) => {
      const known = live(await tables.appsAt(env, url));
      const failed = known.length > 0 ? known.map((app) => ({ ...app, error })) : [placeholder(env, url, error)];
      for (const app of failed) {
        const before = known.find(({ id }) => id === app.id)?.error;
        if (before?.code !== error.code || before.message !== error.message) await tables.putApp(app);
      }
      return failed.reduce((newest, app) => (app.syncedAt > newest.syncedAt ? app : newest));
    });
  }

  override apps(env: Env): Promise<readonly AppVersion[]> {
    return this.read(async (tables) => live(await tables.apps(env)));
  }

  override functions(env: Env, { archived = false } = {}): Promise<readonly FunctionVersion[]> {
    return this.read(async (tables) => {
      const all = await tables.functions(env);
      return archived ? all : live(all);
    });
  }

  override removeApp(env: Env, appId: string): Promise<void> {
    return this.write(async (tables) => {
      const app = await tables.app(appId);
      if (!app || app.env !== env || app.archivedAt !== undefined) throw new Fault('app_unknown', { appId });
      if (isPlaceholder(app)) return tables.dropApp(app);
      // Kept with its functions: when it comes back, they have their ids and go on with their versions.
      const archivedAt = this.options.clock.now();
      await tables.putApp({ ...app, archivedAt });
      for (const fn of live(await tables.functionsOf(app))) await tables.putFunction({ ...fn, archivedAt });
    });
  }

  override pauseFunction(env: Env, functionId: string, running: FunctionPause['running']): Promise<FunctionVersion> {
    return this.changeFunction(env, functionId, (fn) => {
      if (fn.paused?.running === running) return fn;
      // Who is to be cancelled now was there before now; who was cancelled stays so.
      const at = fn.paused === undefined || running === 'cancel' ? this.options.clock.now() : fn.paused.at;
      return { ...fn, paused: { at, running } };
    });
  }

  override resumeFunction(env: Env, functionId: string): Promise<FunctionVersion> {
    return this.changeFunction(env, functionId, (fn) => {
      if (fn.paused === undefined) return fn;
      const { paused: _, ...rest } = fn;
      return rest;
    });
  }

  override relay(limit: number, deliver: (changes: readonly ConfigChange[]) => Promise<void>): Promise<number> {
    // What a server asks first of all: mostly there is nothing, and it need not wait for TypeORM to hear so.
    if (!this.store && !this.closed && 'path' in this.options && isOutboxEmpty(this.options.path)) {
      return Promise.resolve(0);
    }
    return this.call((store) => store.relay(limit, deliver));
  }

  override async close(): Promise<void> {
    this.closed = true;
    await Promise.allSettled(this.underWay);
    await (await this.store)?.close();
  }

  /** @param change gives the function itself where nothing of it changes */
  private changeFunction(
    env: Env,
    functionId: string,
    change: (fn: FunctionVersion) => FunctionVersion,
  ): Promise<FunctionVersion> {
    return this.write(async (tables) => {
      const fn = await tables.function(functionId);
      if (!fn || fn.env !== env || fn.archivedAt !== undefined) throw new Fault('function_unknown', { functionId });
      const next = change(fn);
      if (next !== fn) await tables.putFunction(next);
      return next;
    });
  }

  private read<T>(work: (tables: ControlPlaneTables) => Promise<T>): Promise<T> {
    return this.call((store) => store.read(work));
  }

  private write<T>(work: (tables: ControlPlaneTables) => Promise<T>): Promise<T> {
    return this.call((store) => store.write(work));
  }

  private call<T>(does: (store: ControlPlaneStore) => Promise<T>): Promise<T> {
    if (this.closed) {
      const message = 'The control plane is closed.';
      return Promise.reject(new Fault('control_plane_unavailable', {}, { message }));
    }
    const called = this.opened()
      .then(does)
      .catch((error: unknown) => {
        if (error instanceof Undelivered) throw error.cause;
        if (error instanceof Fault) throw error;
        throw new Fault('control_plane_unavailable', {}, { cause: error });
      })
      .finally(() => this.underWay.delete(called));
    this.underWay.add(called);
    return called;
  }

  private opened(): Promise<ControlPlaneStore> {
    this.store ??= open(this.options).catch((error: unknown) => {
      this.store = undefined;
      throw error;
    });
    return this.store;
  }
}

async function open(options: ControlPlaneOptions): Promise<ControlPlaneStore> {
  if ('url' in options) return (await import('./postgres.store.js')).PostgresStore.open(options.url);
  return (await import('./sqlite.store.js')).SqliteStore.open(options.path);
}

function live<T extends { readonly archivedAt?: number }>(all: readonly T[]): readonly T[] {
  return all.filter(({ archivedAt }) => archivedAt === undefined);
}
