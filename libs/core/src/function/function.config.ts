import type { Env } from '../words.js';

/** What an app declares of a function, after the checks of the sync payload. Lengths of time are in ms. */
export interface FunctionConfig {
  readonly slug: string;
  readonly name: string;
  readonly triggers: readonly Trigger[];
  /** Where calls go: the step URL as registered, its query string kept. */
  readonly url: string;
  /** Attempts beyond the first: 0 to 20. */
  readonly retries: number;
  readonly concurrency?: { readonly step: readonly ConcurrencyLimit[]; readonly fn: readonly ConcurrencyLimit[] };
  readonly throttle?: {
    readonly limit: number;
    readonly periodMs: number;
    readonly burst: number;
    readonly key?: string;
  };
  readonly rateLimit?: { readonly limit: number; readonly periodMs: number; readonly key?: string };
  readonly debounce?: { readonly periodMs: number; readonly key?: string; readonly timeoutMs?: number };
  readonly batch?: {
    readonly maxSize: number;
    readonly timeoutMs: number;
    readonly key?: string;
    readonly if?: string;
  };
  readonly singleton?: { readonly key?: string; readonly mode: 'skip' | 'cancel' };
  /** CEL over `event`. */
  readonly idempotency?: string;
  /** CEL over `event`, seconds. */
  readonly priority?: string;
  readonly cancelOn: readonly CancelOn[];
  readonly timeouts: { readonly startMs?: number; readonly finishMs?: number };
  readonly checkpoint?: unknown;
}

export type Trigger =
  { readonly event: string; readonly expression?: string } | { readonly cron: string; readonly jitterMs?: number };

export interface ConcurrencyLimit {
  readonly limit: number;
  readonly key?: string;
  readonly scope: 'fn' | 'env' | 'account';
}

export interface CancelOn {
  readonly event: string;
  /** CEL over `event` (the trigger) and `async` (what arrives). */
  readonly if?: string;
  /** A duration ("1h") or an ISO date, as declared; text that is neither counts as absent. */
  readonly timeout?: string;
}

/** A function as the data plane knows it: a record of the `config` topic. */
export interface FunctionVersion {
  readonly id: string;
  readonly env: Env;
  readonly appId: string;
  readonly appName: string;
  /** Grows by one at each effective sync. */
  readonly version: number;
  readonly config: FunctionConfig;
  /** Set when the function left the app's payload: no new runs. */
  readonly archivedAt?: number;
  /** Somebody paused it: events leave skipped runs. `running`: what became of the runs under way. */
  readonly paused?: { readonly at: number; readonly running: 'hold' | 'cancel' };
}

/** An app as the data plane knows it: a record of the `config` topic. */
export interface AppVersion {
  readonly id: string;
  readonly env: Env;
  readonly name: string;
  readonly url: string;
  readonly method: 'SERVE' | 'CONNECT' | 'API';
  readonly sdk: string;
  readonly framework: string;
  readonly appVersion?: string;
  /** Hash of the payload that was synced last. */
  readonly checksum: string;
  readonly syncedAt: number;
  /** Why the app is not synced, when it is not. */
  readonly error?: { readonly code: string; readonly message: string };
  readonly archivedAt?: number;
}
