import type { AdmissionOf } from './admission.js';
import { baseOf, ignore, type AdmissionDecision, type CommandOf } from './admission.decision.js';

/** A run has started, and its bucket is remembered until it is as good as new. Contract 13. Word of an earlier start may come later. */
export function spendThrottle(
  state: AdmissionOf<'throttle'> | undefined,
  { at, env, functionId, key, runId, tat }: CommandOf<'SpendThrottle'>,
): AdmissionDecision {
  if (state && tat <= state.tat) return ignore(state, 'already_spent');
  return {
    transitions: [{ type: 'ThrottleSpent', at, functionId, runId, tat }],
    next: {
      ...baseOf(state ?? { env, functionId, key, taken: {} }),
      kind: 'throttle',
      tat,
      until: Math.ceil(tat),
    },
    effects: [],
  };
}
