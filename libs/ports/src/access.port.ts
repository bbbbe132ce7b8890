import type { Env } from '#core/words.js';

/** Who may speak to this server, and as what it presents itself. */
export abstract class Access {
  /** `dev`: no keys needed, loopback only. `cloud`: a server with keys, what SDKs call production. */
  abstract readonly kind: 'dev' | 'cloud';
  /** Event keys that are accepted; in dev any is. */
  abstract readonly eventKeys: readonly string[];
  /** Signing keys as configured, the current one first: calls are signed with it, answers and bearers may use any. Empty in dev. */
  abstract readonly signingKeys: readonly string[];
  /** The environment of whoever calls. There is one. */
  abstract readonly env: Env;
}
