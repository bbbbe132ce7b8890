import { compact } from '#core/fields.read.js';
import type { ConcurrencyLimit, FunctionConfig, FunctionVersion, Trigger } from '#core/function/function.config.js';
import { lengthText } from './length.text.js';

/** A live function as REST v1 shows it. */
export interface FunctionView {
  readonly id: string;
  readonly slug: string;
  readonly name: string;
  readonly app_name: string;
  readonly version: number;
  readonly triggers: readonly TriggerView[];
  /** `running`: what became of the runs under way. */
  readonly paused: { readonly at: string; readonly running: 'hold' | 'cancel' } | null;
  readonly flow_control: FlowControlView;
}

export type TriggerView =
  { readonly event: string; readonly expression?: string } | { readonly cron: string; readonly jitter?: string };

/** What of flow control a function declares, in the words of the sync payload: http.md 6.1. Undeclared members are absent. */
export interface FlowControlView {
  readonly concurrency?: { readonly step: readonly ConcurrencyLimit[]; readonly fn: readonly ConcurrencyLimit[] };
  readonly throttle?: {
    readonly limit: number;
    readonly period: string;
    readonly burst: number;
    readonly key?: string;
  };
  readonly rateLimit?: { readonly limit: number; readonly period: string; readonly key?: string };
  readonly debounce?: { readonly period: string; readonly key?: string; readonly timeout?: string };
  readonly batchEvents?: {
    readonly maxSize: number;
    readonly timeout: string;
    readonly key?: string;
    readonly if?: string;
  };
  readonly singleton?: { readonly key?: string; readonly mode: 'skip' | 'cancel' };
  readonly idempotency?: string;
  readonly priority?: { readonly run: string };
}

export function viewOfFunction({ id, appName, version, config, paused }: FunctionVersion): FunctionView {
  return {
    id,
    slug: config.slug,
    name: config.name,
    app_name: appName,
    version,
    triggers: config.triggers.map(viewOfTrigger),
    paused: paused === undefined ? null : { at: new Date(paused.at).toISOString(), running: paused.running },
    flow_control: flowControlOf(config),
  };
}

function viewOfTrigger(trigger: Trigger): TriggerView {
  if ('event' in trigger) return trigger;
  const { cron, jitterMs } = trigger;
  return { cron, ...(jitterMs === undefined ? {} : { jitter: lengthText(jitterMs) }) };
}

function flowControlOf(config: FunctionConfig): FlowControlView {
  const { concurrency, throttle, rateLimit, debounce, batch, singleton, idempotency, priority } = config;
  return compact<FlowControlView>({
    concurrency,
    throttle: throttle && withPeriod(throttle),
    rateLimit: rateLimit && withPeriod(rateLimit),
    debounce: debounce && withTimeout(withPeriod(debounce)),
    batchEvents: batch && { ...withTimeout(batch), timeout: lengthText(batch.timeoutMs) },
    singleton,
    idempotency,
    priority: priority === undefined ? undefined : { run: priority },
  });
}

function withPeriod<T extends { readonly periodMs: number }>({ periodMs, ...rest }: T) {
  return { ...rest, period: lengthText(periodMs) };
}

function withTimeout<T extends { readonly timeoutMs?: number }>({ timeoutMs, ...rest }: T) {
  return { ...rest, ...(timeoutMs === undefined ? {} : { timeout: lengthText(timeoutMs) }) };
}
