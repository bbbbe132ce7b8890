import { valueKey } from '../flow/flow.js';
import type { Env } from '../words.js';

/** Name of the aggregate of a control: one for each function and value of its key. A throttle's is made by `throttleKey`. */
export function admissionKey(
  control: 'rate' | 'idempotency' | 'debounce' | 'batch' | 'once' | 'singleton',
  env: Env,
  functionId: string,
  value: string,
): string {
  return `${control}:${env}:${functionId}:${valueKey(value)}`;
}
