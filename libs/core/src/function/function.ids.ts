import { derivedUuid } from '../event/event.ids.js';
import type { Env } from '../words.js';

/** An app keeps its id when its URL changes: it is the app's name that counts. Contract: semantics 1. */
export function appIdOf(env: Env, appName: string): string {
  return derivedUuid('app', env, appName);
}

export function functionIdOf(appId: string, slug: string): string {
  return derivedUuid('function', appId, slug);
}
