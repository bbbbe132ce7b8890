import type { AppVersion, FunctionConfig, FunctionVersion } from '#core/function/function.config.js';
import { canonical } from '#core/json.js';
import type { ConfigChange, FunctionPause } from '#ports/control-plane.port.js';
import type { AppEntity, FunctionEntity, OutboxEntity } from './control-plane.entities.js';

/** Text as every database takes it: Postgres has no place for a NUL. */
export function text(value: string): string {
  return value.replaceAll('\0', '\uFFFD').toWellFormed();
}

const textOrNull = (value: string | undefined): string | null => (value === undefined ? null : text(value));

export function appToRow(app: AppVersion): AppEntity {
  const { id, method, syncedAt } = app;
  return {
    id,
    env: text(app.env),
    name: text(app.name),
    url: text(app.url),
    method,
    sdk: text(app.sdk),
    framework: text(app.framework),
    appVersion: textOrNull(app.appVersion),
    checksum: text(app.checksum),
    syncedAt,
    errorCode: textOrNull(app.error?.code),
    errorMessage: textOrNull(app.error?.message),
    archivedAt: app.archivedAt ?? null,
  };
}

export function appOfRow(row: AppEntity): AppVersion {
  const { id, env, name, url, sdk, framework, checksum, syncedAt } = row;
  return {
    id,
    env,
    name,
    url,
    method: row.method as AppVersion['method'],
    sdk,
    framework,
    ...(row.appVersion !== null && { appVersion: row.appVersion }),
    checksum,
    syncedAt,
    ...(row.errorCode !== null && { error: { code: row.errorCode, message: row.errorMessage ?? '' } }),
    ...(row.archivedAt !== null && { archivedAt: row.archivedAt }),
  };
}

export function functionToRow(fn: FunctionVersion): FunctionEntity {
  const { id, env, appId, version, config } = fn;
  return {
    id,
    env,
    appId,
    slug: text(config.slug),
    version,
    config: canonical(config),
    archivedAt: fn.archivedAt ?? null,
    pausedAt: fn.paused?.at ?? null,
    pausedRunning: fn.paused?.running ?? null,
  };
}

export function functionOfRow(row: FunctionEntity, appName: string): FunctionVersion {
  const { id, env, appId, version } = row;
  const config = JSON.parse(row.config) as FunctionConfig;
  return {
    id,
    env,
    appId,
    appName,
    version,
    config,
    ...(row.archivedAt !== null && { archivedAt: row.archivedAt }),
    ...(row.pausedAt !== null && {
      paused: { at: row.pausedAt, running: row.pausedRunning as FunctionPause['running'] },
    }),
  };
}

export function changeOfRow(row: OutboxEntity): ConfigChange {
  const { id, key, env } = row;
  const body = row.body === null ? undefined : (JSON.parse(row.body) as AppVersion | FunctionVersion);
  return { id, kind: row.kind as ConfigChange['kind'], key, env, body };
}
