import type { Wait } from '#core/flow/flow.js';
import { lengthText } from './length.text.js';

/** Why a call that is due is not under way, as REST shows it. */
export type WaitView =
  | {
      /** Requests in progress, or whole runs. */
      readonly cause: 'concurrency' | 'run_concurrency';
      readonly scope: 'fn' | 'env' | 'account';
      readonly expression: string | null;
      readonly key: string;
      readonly limit: number;
      readonly in_use: number;
      /** Runs that hold the bucket, the first few. */
      readonly holders: readonly string[];
      readonly place: number;
    }
  | {
      readonly cause: 'throttle';
      readonly expression: string | null;
      readonly key: string;
      readonly limit: number;
      readonly period: string;
      readonly burst: number;
      /** When the next run under the key may start. */
      readonly until: string;
      readonly place: number;
    }
  | { readonly cause: 'paused' | 'turn'; readonly place: number };

export function viewOfWait(wait: Wait): WaitView {
  switch (wait.cause) {
    case 'concurrency':
    case 'run_concurrency': {
      const { cause, scope, expression = null, key, limit, inUse, holders, place } = wait;
      return { cause, scope, expression, key, limit, in_use: inUse, holders, place };
    }
    case 'throttle': {
      const { cause, expression = null, key, limit, periodMs, burst, until, place } = wait;
      const period = lengthText(periodMs);
      return { cause, expression, key, limit, period, burst, until: new Date(until).toISOString(), place };
    }
    case 'paused':
    case 'turn':
      return { cause: wait.cause, place: wait.place };
  }
}
