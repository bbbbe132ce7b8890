import { compile, EVENT_ROOTS } from '../expression/expression.compile.js';
import { evaluateKey, evaluatePriority, type Key } from '../expression/expression.evaluate.js';
import type { ConcurrencyLimit, FunctionVersion } from '../function/function.config.js';
import type { EpochMs, Json } from '../words.js';
import type { FlowKey, RunFlow } from './flow.js';

/** An event as expressions see it. Where it is made by `viewOf` it is parsed once, and only if an expression asks for it. */
export interface EventView {
  readonly value: unknown;
}

export function viewOf(payload: Json): EventView {
  let parsed: { readonly value: unknown } | undefined;
  return {
    get value(): unknown {
      parsed ??= { value: JSON.parse(payload) as unknown };
      return parsed.value;
    },
  };
}

/**
 * What of flow control stays with a run of an event. Contract 6.1, 14, 15.
 * @param at the instant that `now()` says
 * @returns undefined when there is nothing to carry
 */
export function flowOf({ config }: FunctionVersion, event: EventView, at: EpochMs): RunFlow | undefined {
  const notes: string[] = [];
  const bucket = (field: string, expression: string | undefined) => sharedKey(field, expression, event, at, notes);
  const { concurrency, throttle } = config;

  const step = concurrency?.step.flatMap((limit) =>
    limit.key === undefined ? [] : [flowKey(limit, bucket('concurrency.key', limit.key))],
  );
  const whole = concurrency?.fn[0];
  const run = whole && flowKey(whole, bucket('concurrency.fn.key', whole.key));
  const spent = throttle && { ...declared(throttle.key), value: bucket('throttle.key', throttle.key) };
  const priority = priorityOf(config.priority, event, at, notes);

  const flow: RunFlow = {
    ...(priority === 0 ? {} : { priority }),
    ...(step === undefined || step.length === 0 ? {} : { step }),
    ...(run === undefined ? {} : { run }),
    ...(spent === undefined ? {} : { throttle: spent }),
    ...(notes.length === 0 ? {} : { notes }),
  };
  return Object.keys(flow).length === 0 ? undefined : flow;
}

/** The value of a control's key. One that is not declared stands for the whole function: its text is empty. */
export function keyFor(expression: string | undefined, event: EventView, at: EpochMs): Key {
  if (expression === undefined) return { text: '' };
  const compiled = compile(expression, { roots: EVENT_ROOTS, policy: 'any' });
  if (!compiled.expression) return { error: compiled.flaw.reason };
  return evaluateKey(compiled.expression, { event: event.value }, at);
}

/**
 * The value of a key that switches nothing off: events without a usable one share a bucket.
 * @param notes gets a sentence where that is so
 * @param failed the value of those whose expression failed
 */
export function sharedKey(
  field: string,
  expression: string | undefined,
  event: EventView,
  at: EpochMs,
  notes: string[],
  failed = 'false',
): string {
  const key = keyFor(expression, event, at);
  if (key.error !== undefined) {
    notes.push(`${field} failed: ${key.error}; all such runs share one bucket`);
    return failed;
  }
  if (key.off === 'missing') notes.push(`${field} is missing in the event; all such runs share one bucket`);
  return key.text;
}

function priorityOf(expression: string | undefined, event: EventView, at: EpochMs, notes: string[]): number {
  if (expression === undefined) return 0;
  const compiled = compile(expression, { roots: EVENT_ROOTS, policy: 'any' });
  const { seconds, reason } = compiled.expression
    ? evaluatePriority(compiled.expression, { event: event.value }, at)
    : { seconds: 0, reason: compiled.flaw.reason };
  if (reason !== undefined) notes.push(`priority.run: ${reason}; it counts as ${seconds}`);
  return seconds;
}

function flowKey({ scope, key, limit }: ConcurrencyLimit, value: string): FlowKey {
  return { scope, ...declared(key), value, limit };
}

function declared(expression: string | undefined): { readonly expression?: string } {
  return expression === undefined ? {} : { expression };
}
