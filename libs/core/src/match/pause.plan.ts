import {
  bind,
  demandsOf,
  evaluateBound,
  neverTrue,
  usesEvent,
  type Bound,
  type Demand,
} from '../expression/expression.bind.js';
import { compile, MATCH_ROOTS } from '../expression/expression.compile.js';
import { evaluateBoolean } from '../expression/expression.evaluate.js';
import type { Expression } from '../expression/expression.tree.js';
import type { EpochMs } from '../words.js';

/** An event that may resolve a pause. */
export interface Arrived {
  /** The event as functions see it, parsed: `async`. Read only where an expression needs it. */
  readonly value: unknown;
  /** When it was received: what `now()` says. */
  readonly at: EpochMs;
}

/** How to find the events that resolve a wait, and the events that cancel a run. */
export interface PausePlan {
  /** Equalities of which each has to be met: any one of them will do to find the pause by. */
  readonly demands: readonly Demand[];
  /** Whether an event resolves the pause, if it meets the demands. An expression that fails does not hold. */
  readonly holds: (arrived: Arrived) => boolean;
}

/**
 * What a pause's expression comes to for its trigger. Of the trigger the plan keeps what the expression asks for.
 * @param trigger gives the run's first event, parsed; asked only where the expression needs it
 * @returns undefined when no event ever resolves the pause: the expression does not compile, or is false by the trigger alone
 */
export function planPause(expressionText: string | undefined, trigger: () => unknown): PausePlan | undefined {
  if (expressionText === undefined) return { demands: [], holds: always };
  const { expression } = compile(expressionText, { roots: MATCH_ROOTS, policy: 'any' });
  if (!expression) return undefined;
  const bound = bind(expression, usesEvent(expression) ? trigger() : undefined);
  if (!bound) return { demands: [], holds: wholeOver(expression, trigger) };
  if (neverTrue(bound)) return undefined;
  const demands = demandsOf(bound);
  return { demands, holds: demands.some((demand) => demand.whole) ? always : restOf(bound) };
}

const always = () => true;

// Functions of their own, for a plan is kept as long as its pause: it holds on to these arguments and nothing else.
function restOf(bound: Bound): PausePlan['holds'] {
  return ({ value, at }) => evaluateBound(bound, value, at).value === true;
}

/** The part over the trigger is too much work to do ahead. That over the event may spare it. */
function wholeOver(expression: Expression, trigger: () => unknown): PausePlan['holds'] {
  return ({ value, at }) => evaluateBoolean(expression, { event: trigger(), async: value }, at).value === true;
}
