import { LIMITS } from '../limits.js';
import type { FlowKey, FunctionLimits, RunFlow } from './flow.js';
import { valueKey } from './flow.js';

/** The numbers in force, and the names under which items stand together. */

/** The numbers of a function of which nothing is known. */
export const DEFAULT_LIMITS: FunctionLimits = { concurrency: LIMITS.concurrencyDefault, declared: false };

/**
 * How many requests in progress a function allows for a key: its present number for the same scope and expression, the smaller of two;
 * the number in the key where it has none; any number where it declares no concurrency at all.
 */
export function stepNumber({ step }: FunctionLimits, key: FlowKey): number {
  if (!step) return Number.POSITIVE_INFINITY;
  let number: number | undefined;
  for (const { scope, expression, limit } of step) {
    if (scope === key.scope && expression === key.expression) number = Math.min(number ?? limit, limit);
  }
  return number ?? key.limit;
}

/** How many whole runs a function allows for a key, by the same rule. */
export function runNumber({ run }: FunctionLimits, key: FlowKey): number {
  if (!run) return Number.POSITIVE_INFINITY;
  return run.expression === key.expression ? run.limit : key.limit;
}

/** Name of a line among those of its function. */
export function lineName(flow: RunFlow | undefined): string {
  if (!flow?.step?.length && !flow?.run && !flow?.throttle) return '';
  const step = (flow.step ?? []).map(({ scope, expression, value }) => [scope, expression, valueKey(value)]);
  const run = flow.run && [flow.run.expression, valueKey(flow.run.value)];
  const throttle = flow.throttle && [flow.throttle.expression, valueKey(flow.throttle.value)];
  return JSON.stringify([step, run, throttle]);
}

/** Name of a group among those of its function: the buckets that its items must pass, with the numbers that their keys carry. */
export function groupName(flow: RunFlow | undefined, starts: boolean): string {
  const side = starts ? 'starts' : 'others';
  const run = starts ? flow?.run : undefined;
  if (!flow?.step?.length && !run) return side;
  return side + JSON.stringify([(flow?.step ?? []).map(gateName), run && gateName(run)]);
}

function gateName({ scope, expression, value, limit }: FlowKey) {
  return [scope, expression, valueKey(value), limit];
}
