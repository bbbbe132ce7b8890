import { derivedUuid } from '#core/event/event.ids.js';
import { Fault } from '#core/faults.js';
import type { AppVersion, FunctionConfig, FunctionVersion } from '#core/function/function.config.js';
import { canonical } from '#core/json.js';
import type { Env, EpochMs } from '#core/words.js';
import type { SyncRequest } from '#ports/control-plane.port.js';

export const appIdOf = (env: Env, name: string): string => derivedUuid('app', env, name);
const functionIdOf = (appId: string, slug: string): string => derivedUuid('function', appId, slug);

/** What stands before a sync. */
export interface BeforeSync {
  readonly app: AppVersion | undefined;
  /** All of the app's, archived ones too. */
  readonly functions: readonly FunctionVersion[];
  /** Other apps at the URL that were only ever asked for: see `placeholder`. */
  readonly placeholders: readonly AppVersion[];
}

/** What a sync makes of it. */
export interface SyncPlan {
  readonly app: AppVersion;
  /** Functions that are not as they were, archived ones included. */
  readonly changed: readonly FunctionVersion[];
  /** By slug. */
  readonly live: readonly FunctionVersion[];
  readonly archived: readonly FunctionVersion[];
  readonly replaced: readonly AppVersion[];
}

/**
 * What a sync changes: contract 24.2. The payload's functions are the app's functions: missing ones are archived and keep their id and
 * version for the day they return; a version rises when a function's own configuration changes.
 * @returns undefined when nothing does: equal checksum, same URL, no error to clear
 * @throws app_id_missing, app_invalid
 */
export function planSync(before: BeforeSync, request: SyncRequest, at: EpochMs): SyncPlan | undefined {
  const { env, appName, url, method, sdk, framework, appVersion, checksum } = request;
  if (appName === '') throw new Fault('app_id_missing');
  const { app: old } = before;
  const isSame =
    old?.checksum === checksum && old.url === url && old.error === undefined && old.archivedAt === undefined;
  if (isSame) return undefined;

  const id = appIdOf(env, appName);
  const app: AppVersion = {
    id,
    env,
    name: appName,
    url,
    method,
    sdk,
    framework,
    ...(appVersion !== undefined && { appVersion }),
    checksum,
    syncedAt: at,
  };
  const byId = new Map(before.functions.map((fn) => [fn.id, fn]));
  const live = request.functions
    .map((config) => functionAfter(app, config, byId.get(functionIdOf(id, config.slug))))
    .sort((a, b) => (a.config.slug < b.config.slug ? -1 : 1));
  const stays = new Set(live.map((fn) => fn.id));
  if (stays.size < live.length)
    throw new Fault('app_invalid', { appName }, { message: `Two functions of ${appName} have the same id.` });
  const archived = before.functions
    .filter((fn) => fn.archivedAt === undefined && !stays.has(fn.id))
    .map((fn) => ({ ...fn, archivedAt: at }));
  const changed = [...live.filter((fn) => fn !== byId.get(fn.id)), ...archived];
  return { app, changed, live, archived, replaced: before.placeholders };
}

/** The function as it was where nothing of it changes. */
function functionAfter(app: AppVersion, config: FunctionConfig, before: FunctionVersion | undefined): FunctionVersion {
  const isSame = before !== undefined && canonical(before.config) === canonical(config);
  if (isSame && before.archivedAt === undefined) return before;
  return {
    id: functionIdOf(app.id, config.slug),
    env: app.env,
    appId: app.id,
    appName: app.name,
    version: (before?.version ?? 0) + (isSame ? 0 : 1),
    config,
    // Whoever paused it resumes it: a sync does not.
    ...(before?.paused !== undefined && { paused: before.paused }),
  };
}

/** An app that was asked for by URL and has not answered yet. Its name is its URL, and no sync ever had an empty checksum. */
export function placeholder(env: Env, url: string, error: NonNullable<AppVersion['error']>): AppVersion {
  return {
    id: appIdOf(env, url),
    env,
    name: url,
    url,
    method: 'SERVE',
    sdk: '',
    framework: '',
    checksum: '',
    syncedAt: 0,
    error,
  };
}

export function isPlaceholder(app: AppVersion): boolean {
  return app.checksum === '';
}
