import { hash } from 'node:crypto';
import type { Env } from '../words.js';

/** The words of flow control: what a run carries of it, what a function declares, and why an item of work is not under way. */

/** A key as it was evaluated when its run was scheduled: it stays with the run. Contract 29, 9. */
export interface FlowKey {
  readonly scope: 'fn' | 'env' | 'account';
  /** The expression as declared; absent: the whole function. With the value it names the bucket, so functions of one scope share it. */
  readonly expression?: string;
  /** The expression's value as text; empty without an expression. */
  readonly value: string;
  /** The number at the time of scheduling: in force only where the function no longer declares this expression in this scope. */
  readonly limit: number;
}

/** What of flow control stays with a run. */
export interface RunFlow {
  /** Seconds by which the run counts as older than it is; negative: younger. */
  readonly priority?: number;
  /** Keyed limits on requests in progress, as declared: two at most. The keyless one is read from the function. */
  readonly step?: readonly FlowKey[];
  /** The limit on whole runs, keyless too. */
  readonly run?: FlowKey;
  /** The limit on starts, keyless too. */
  readonly throttle?: Omit<FlowKey, 'scope' | 'limit'>;
  /** Key of the singleton that the run holds, as an aggregate: given back when the run ends. */
  readonly singleton?: string;
  /** For people: expressions that failed or gave no usable value, and what counts instead. */
  readonly notes?: readonly string[];
}

/** The numbers of a function as they are configured now. They apply to what waits already. */
export interface FunctionLimits {
  /** Requests in progress of the whole function. */
  readonly concurrency: number;
  /** Whether that number is declared: then what is under way is on the log before it is called. */
  readonly declared: boolean;
  /** Keyed limits on requests in progress. Undefined: the function declares no concurrency at all, and old keys limit nothing. */
  readonly step?: readonly { readonly scope: FlowKey['scope']; readonly expression?: string; readonly limit: number }[];
  /** Undefined: none, and old keys limit nothing. */
  readonly run?: { readonly expression?: string; readonly limit: number };
  /** Undefined: none, and old keys limit nothing. */
  readonly throttle?: { readonly limit: number; readonly periodMs: number; readonly burst: number };
  /** Nothing of the function is handed out. */
  readonly paused?: boolean;
}

/** Why an item that is due is not under way. `place` counts from 1 among the items that stand before the same bucket, or in the same line. */
export type Wait =
  | {
      /** Requests in progress, or whole runs. */
      readonly cause: 'concurrency' | 'run_concurrency';
      readonly scope: FlowKey['scope'];
      readonly expression?: string;
      /** Value of the key; empty for the whole function. */
      readonly key: string;
      readonly limit: number;
      readonly inUse: number;
      /** Ids of runs that hold the bucket, 10 at most. */
      readonly holders: readonly string[];
      readonly place: number;
    }
  | {
      readonly cause: 'throttle';
      readonly expression?: string;
      readonly key: string;
      readonly limit: number;
      readonly periodMs: number;
      readonly burst: number;
      /** When the next run of the bucket may start. */
      readonly until: number;
      readonly place: number;
    }
  | { readonly cause: 'paused'; readonly place: number }
  /** It may go: it waits for its turn among others, or for a free worker. */
  | { readonly cause: 'turn'; readonly place: number };

/** How an item that was handed out had waited: the cause that held it last, with the numbers of that moment. */
export interface Waited {
  /** From when it was due and put out to when it was handed out, ms. */
  readonly ms: number;
  readonly cause: Wait['cause'];
  readonly expression?: string;
  readonly key?: string;
  readonly limit?: number;
  readonly inUse?: number;
  /** Of a throttle: when it opened. */
  readonly until?: number;
}

/** Longest value that stands in a key as it is; longer ones are hashed. */
const VALUE_CHARS_MAX = 128;

/** Name of a bucket of requests in progress (`step`) or of whole runs (`run`). */
export function bucketKey(kind: 'step' | 'run', env: Env, functionId: string, key: FlowKey): string {
  // There is one account, and an environment is part of it.
  const owner = key.scope === 'fn' ? functionId : key.scope === 'env' ? env : '';
  return `${kind}:${key.scope}:${owner}:${short(key.expression)}:${valueKey(key.value)}`;
}

/** Name of a throttle's bucket, and of the aggregate that remembers it. */
export function throttleKey(env: Env, functionId: string, key: NonNullable<RunFlow['throttle']>): string {
  return `throttle:${env}:${functionId}:${short(key.expression)}:${valueKey(key.value)}`;
}

/** A value as part of a key: itself, or its hash where it is long. */
export function valueKey(value: string): string {
  return value.length <= VALUE_CHARS_MAX ? `=${value}` : `#${hash('sha256', value)}`;
}

function short(expression: string | undefined): string {
  return expression === undefined ? '' : hash('sha1', expression).slice(0, 12);
}
