import type { AppVersion, FunctionConfig, FunctionVersion } from '#core/function/function.config.js';
import type { Env } from '#core/words.js';

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
  /** Rising. */
  readonly id: number;
  readonly kind: 'app' | 'function';
  readonly key: string;
  readonly env: Env;
  readonly body: AppVersion | FunctionVersion | undefined;
}

/** Apps, functions and what else people configure. Every write leaves its change in the outbox, in the same transaction. */
export abstract class ControlPlane {
  /**
   * Makes an app's functions exactly those of the request: new ones appear, missing ones are archived, changed ones get a new version.
   * All or nothing. Equal checksum, same URL and no stored error: nothing changes and `modified` is false.
   * Ids are deterministic: app from (env, name), function from (app, slug).
   */
  abstract sync(request: SyncRequest): Promise<SyncResult>;
  /** Notes that an app at `url` could not be synced. Makes a placeholder app where the URL is unknown. */
  abstract syncFailed(
    env: Env,
    url: string,
    error: { readonly code: string; readonly message: string },
  ): Promise<AppVersion>;
  abstract apps(env: Env): Promise<readonly AppVersion[]>;
  abstract functions(env: Env, options?: { readonly archived?: boolean }): Promise<readonly FunctionVersion[]>;
  /** Takes an app and its functions away. @throws app_unknown */
  abstract removeApp(env: Env, appId: string): Promise<void>;

  /** Changes that have not been taken, oldest first. */
  abstract outbox(limit: number): Promise<readonly ConfigChange[]>;
  /** They are on the log: forget them. */
  abstract taken(upToId: number): Promise<void>;
  abstract close(): Promise<void>;
}
