import { EntitySchema } from 'typeorm';

/** Column types are those that SQLite and Postgres both have; instants are milliseconds. Postgres gives a bigint as text. */
const instant = {
  type: 'bigint',
  transformer: { to: (at: unknown) => at, from: (at: unknown) => (at === null ? null : Number(at)) },
} as const;

export interface AppEntity {
  id: string;
  env: string;
  name: string;
  url: string;
  method: string;
  sdk: string;
  framework: string;
  appVersion: string | null;
  checksum: string;
  syncedAt: number;
  errorCode: string | null;
  errorMessage: string | null;
  archivedAt: number | null;
}

export const AppEntitySchema = new EntitySchema<AppEntity>({
  name: 'App',
  tableName: 'apps',
  columns: {
    id: { type: 'varchar', primary: true },
    env: { type: 'varchar' },
    name: { type: 'varchar' },
    url: { type: 'varchar' },
    method: { type: 'varchar' },
    sdk: { type: 'varchar' },
    framework: { type: 'varchar' },
    appVersion: { name: 'app_version', type: 'varchar', nullable: true },
    checksum: { type: 'varchar' },
    syncedAt: { name: 'synced_at', ...instant },
    errorCode: { name: 'error_code', type: 'varchar', nullable: true },
    errorMessage: { name: 'error_message', type: 'text', nullable: true },
    archivedAt: { name: 'archived_at', nullable: true, ...instant },
  },
  indices: [{ name: 'apps_by_env_url', columns: ['env', 'url'] }],
  uniques: [{ name: 'apps_by_env_name', columns: ['env', 'name'] }],
});

export interface FunctionEntity {
  id: string;
  env: string;
  appId: string;
  slug: string;
  version: number;
  /** Canonical JSON. */
  config: string;
  archivedAt: number | null;
  pausedAt: number | null;
  /** What became of the runs under way: `hold`, `cancel`. */
  pausedRunning: string | null;
}

export const FunctionEntitySchema = new EntitySchema<FunctionEntity>({
  name: 'Function',
  tableName: 'functions',
  columns: {
    id: { type: 'varchar', primary: true },
    env: { type: 'varchar' },
    appId: { name: 'app_id', type: 'varchar' },
    slug: { type: 'varchar' },
    version: { type: 'integer' },
    config: { type: 'text' },
    archivedAt: { name: 'archived_at', nullable: true, ...instant },
    pausedAt: { name: 'paused_at', nullable: true, ...instant },
    pausedRunning: { name: 'paused_running', type: 'varchar', nullable: true },
  },
  indices: [{ name: 'functions_by_env', columns: ['env'] }],
  uniques: [{ name: 'functions_by_app_slug', columns: ['appId', 'slug'] }],
  foreignKeys: [{ name: 'functions_app', target: 'App', columnNames: ['appId'], referencedColumnNames: ['id'] }],
});

export interface OutboxEntity {
  id: number;
  kind: string;
  key: string;
  env: string;
  /** JSON; null: it is gone. */
  body: string | null;
}

export const OutboxEntitySchema = new EntitySchema<OutboxEntity>({
  name: 'Outbox',
  tableName: 'outbox',
  columns: {
    id: { type: 'integer', primary: true },
    kind: { type: 'varchar' },
    key: { type: 'varchar' },
    env: { type: 'varchar' },
    body: { type: 'text', nullable: true },
  },
});

/**
 * Numbers that rise with each change. A row is locked until its transaction ends, so that changes become visible in the order of their
 * numbers; a sequence would not do that.
 */
export interface CounterEntity {
  name: string;
  value: number;
}

export const CounterEntitySchema = new EntitySchema<CounterEntity>({
  name: 'Counter',
  tableName: 'counters',
  columns: {
    name: { type: 'varchar', primary: true },
    value: { type: 'integer' },
  },
});

export const ENTITIES = [AppEntitySchema, FunctionEntitySchema, OutboxEntitySchema, CounterEntitySchema];
