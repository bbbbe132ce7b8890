import type { AppVersion, FunctionConfig, FunctionVersion } from '#core/function/function.config.js';
import type { Env } from '#core/words.js';

export type FunctionPause = NonNullable<FunctionVersion['paused']>;

export interface SyncRequest {
  readonly env: Env;
  readonly appName: string;
  readonly url: string;
  readonly method: AppVersion['method'];
  readonly sdk: string;
  readonly framework: string;
  readonly appVersion?: string;
  readonly checksum: string;
  readonly functions: readonly FunctionConfig[];
}

export interface SyncResult {
  readonly modified: boolean;
  readonly syncId: string;
  readonly app: AppVersion;
  /** The app's live functions after the sync. */
  readonly functions: readonly FunctionVersion[];
  /** Those that this sync took out. */
  readonly archived: readonly FunctionVersion[];
}

/** A change that the data plane must learn: a record of the `config` topic. */
export interface ConfigChange {
  /** Rises with each change. */
  readonly id: number;
  readonly kind: 'app' | 'function';
  readonly key: string;
  readonly env: Env;
  readonly body: AppVersion | FunctionVersion | undefined;
}

/**
 * Apps, functions and what else people configure. Every write leaves its change in the outbox, in the same transaction. Every method
 * throws control_plane_unavailable where the store cannot be reached; nothing is changed then.
 */
export abstract class ControlPlane {
  /**
   * Makes an app's functions exactly those of the request: new ones appear, missing ones are archived, changed ones get a new version.
   * All or nothing. Equal checksum, same URL and no stored error: nothing changes and `modified` is false.
   * Ids are deterministic: app from (env, name), function from (app, slug). An app that was removed, and a function that was missing,
   * come back with their ids and go on with their versions. A version rises when the function's own configuration changes.
   * Whoever was only asked for at the URL (see `syncFailed`) is replaced.
   * @throws app_id_missing, app_invalid when two functions have one slug
   */
  abstract sync(request: SyncRequest): Promise<SyncResult>;
  /**
   * Notes that the app at `url` could not be synced: runs go on, the next sync is a whole one. Makes a placeholder app, its URL for a
   * name and with an empty checksum, where the URL is unknown. The same error again is no change.
   */
  abstract syncFailed(
    env: Env,
    url: string,
    error: { readonly code: string; readonly message: string },
  ): Promise<AppVersion>;
  /** Live ones, by name. */
  abstract apps(env: Env): Promise<readonly AppVersion[]>;
  /** By app and slug. @param options archived: archived ones too */
  abstract functions(env: Env, options?: { readonly archived?: boolean }): Promise<readonly FunctionVersion[]>;
  /** Takes an app and its functions away. @throws app_unknown */
  abstract removeApp(env: Env, appId: string): Promise<void>;
  /**
   * Stops a function until it is resumed: its events leave skipped runs, and nothing of it is handed out. The pause is no part of its
   * version, and outlasts syncs, and its archive. A pause that stands already keeps its instant, unless runs that it held are to be cancelled
   * now; the same one again is no change.
   * @returns the function as it stands then
   * @throws function_unknown, also where it is archived
   */
  abstract pauseFunction(env: Env, functionId: string, running: FunctionPause['running']): Promise<FunctionVersion>;
  /** Lets it go on. Of a function that is not paused no change. @throws function_unknown */
  abstract resumeFunction(env: Env, functionId: string): Promise<FunctionVersion>;

  /**
   * Hands changes that were not delivered yet to `deliver`, the oldest first, and forgets those, and no others, when it has fulfilled. One at
   * a time does so, of all processes: an older change of a key never comes behind a newer one to stay. Where it is not known whether they
   * are forgotten, and after a crash, they are delivered again. `deliver` asks nothing of the control plane.
   * @returns how many were delivered. Fewer than `limit`: none is left of those that were made before the call
   * @throws what `deliver` throws; nothing is forgotten then
   */
  abstract relay(limit: number, deliver: (changes: readonly ConfigChange[]) => Promise<void>): Promise<number>;
  abstract close(): Promise<void>;
}
