import type { FunctionVersion } from '../function/function.config.js';
import { LIMITS } from '../limits.js';
import type { FunctionLimits } from './flow.js';

/** The numbers of a function as it is configured now. Whether it is paused stands elsewhere. Contract 13, 14. */
export function limitsOf({ config }: FunctionVersion): FunctionLimits {
  const { concurrency, throttle } = config;
  const plain = concurrency?.step.filter(({ key }) => key === undefined).map(({ limit }) => limit) ?? [];
  const whole = concurrency?.fn[0];
  return {
    concurrency: plain.length === 0 ? LIMITS.concurrencyDefault : Math.min(...plain),
    declared: plain.length > 0,
    ...(concurrency && {
      step: concurrency.step.flatMap(({ scope, key, limit }) =>
        key === undefined ? [] : [{ scope, expression: key, limit }],
      ),
    }),
    ...(whole && { run: { ...(whole.key === undefined ? {} : { expression: whole.key }), limit: whole.limit } }),
    ...(throttle && { throttle: { limit: throttle.limit, periodMs: throttle.periodMs, burst: throttle.burst } }),
  };
}
