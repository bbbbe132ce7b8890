import { compile, EVENT_ROOTS, MATCH_ROOTS } from '../expression/expression.compile.js';

/**
 * What an expression of a function's declaration may use. Contract: semantics 6.1.
 *     event    the variable `event`, any function: triggers, keys, the batch condition, priority
 *     match    `event` and `async`, no functions and arithmetic: cancelOn
 */
export type ExpressionUse = 'event' | 'match';

/** @returns why the text does not compile; undefined when it does */
export type CheckExpression = (text: string, use: ExpressionUse) => string | undefined;

export const checkExpression: CheckExpression = (text, use) => {
  const rules =
    use === 'match'
      ? ({ roots: MATCH_ROOTS, policy: 'restricted' } as const)
      : ({ roots: EVENT_ROOTS, policy: 'any' } as const);
  const { flaw } = compile(text, rules);
  return flaw && `${flaw.reason} (line ${flaw.line}, column ${flaw.column})`;
};
