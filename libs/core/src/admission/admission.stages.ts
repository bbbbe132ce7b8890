import type { StoredEvent } from '../event/event.js';
import { compile, EVENT_ROOTS } from '../expression/expression.compile.js';
import { evaluateBoolean } from '../expression/expression.evaluate.js';
import { keyFor, sharedKey, type EventView } from '../flow/flow.of-run.js';
import type { FunctionVersion } from '../function/function.config.js';
import { LIMITS } from '../limits.js';
import type { EpochMs } from '../words.js';
import type { StageOf } from './admission.js';
import { admissionKey } from './admission.keys.js';

/** Contract 2: reaching it flushes a batch. */
const BATCH_BYTES_MAX = 10 * 1024 * 1024;

/** The value that debounced events share whose key failed. Contract 6.1. */
const INVALID = '<invalid>';

/** An expression that must not fail has failed: there is no run. Contract 6.1. */
export interface Refusal {
  readonly control: 'rateLimit.key' | 'idempotency' | 'batchEvents.key';
  readonly error: string;
}

/** An event and a function, at one moment; expressions that came to nothing leave a note. */
export interface Matter {
  readonly fn: FunctionVersion;
  readonly event: StoredEvent;
  readonly view: EventView;
  readonly at: EpochMs;
  readonly notes: string[];
}

/** Undefined: the event is not for a batch, and goes its way alone. Contract 11. */
export function batchStage({ fn, event, view, at, notes }: Matter): StageOf<'batch'> | Refusal | undefined {
  const { batch } = fn.config;
  if (!batch || event.internal?.kind === 'cron' || !isEligible(batch.if, view, at, notes)) return undefined;
  const found = keyFor(batch.key, view, at);
  if (found.error !== undefined) return { control: 'batchEvents.key', error: found.error };
  if (found.off === 'missing') notes.push('batchEvents.key is missing in the event; all such events share one batch');
  const { maxSize, timeoutMs } = batch;
  return {
    kind: 'batch',
    key: admissionKey('batch', event.env, fn.id, found.text),
    value: found.text,
    maxSize,
    timeoutMs,
    bytesMax: BATCH_BYTES_MAX,
  };
}

function isEligible(condition: string | undefined, view: EventView, at: EpochMs, notes: string[]): boolean {
  if (condition === undefined) return true;
  const compiled = compile(condition, { roots: EVENT_ROOTS, policy: 'any' });
  const { value, error } = compiled.expression
    ? evaluateBoolean(compiled.expression, { event: view.value }, at)
    : { value: false, error: compiled.flaw.reason };
  if (error !== undefined) notes.push(`batchEvents.if failed: ${error}; the event runs on its own`);
  return value === true;
}

/** The function's rate limit, or what it declares in its place. Contract 7.3. */
export function rateOf({ config }: FunctionVersion) {
  const { idempotency, rateLimit } = config;
  if (idempotency === undefined) return rateLimit;
  return { limit: 1, periodMs: LIMITS.idempotencyMs, key: idempotency, idempotency: true } as const;
}

export function rateStage({ fn, event, view, at, notes }: Matter): StageOf<'rate'> | Refusal | undefined {
  const rate = rateOf(fn);
  if (!rate) return undefined;
  const { limit, periodMs } = rate;
  const isIdempotency = 'idempotency' in rate;
  const control = isIdempotency ? 'idempotency' : 'rateLimit.key';
  const found = keyFor(rate.key, view, at);
  if (found.error !== undefined) return { control, error: found.error };
  if (found.off !== undefined) {
    notes.push(offNote(control, found.off));
    return undefined;
  }
  return {
    kind: 'rate',
    key: admissionKey(isIdempotency ? 'idempotency' : 'rate', event.env, fn.id, found.text),
    value: found.text,
    limit,
    periodMs,
    ...(isIdempotency ? { idempotency: true } : {}),
  };
}

export function debounceStage({ fn, event, view, at, notes }: Matter): StageOf<'debounce'> | undefined {
  const { debounce } = fn.config;
  if (!debounce) return undefined;
  const value = sharedKey('debounce.key', debounce.key, view, at, notes, INVALID);
  const { periodMs, timeoutMs } = debounce;
  return {
    kind: 'debounce',
    key: admissionKey('debounce', event.env, fn.id, value),
    value,
    periodMs,
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  };
}

/** An event without an id of its sender's is like no other: nothing has to be remembered of it. */
export function onceStage({ fn, event }: Matter): StageOf<'once'> | undefined {
  if (event.id === event.internalId) return undefined;
  return { kind: 'once', key: admissionKey('once', event.env, fn.id, event.id), value: event.id };
}

export function singletonStage({ fn, event, view, at, notes }: Matter): StageOf<'singleton'> | undefined {
  const { singleton } = fn.config;
  if (!singleton) return undefined;
  const found = keyFor(singleton.key, view, at);
  if (found.error !== undefined) {
    notes.push(`singleton.key failed: ${found.error}; it does not apply to this run`);
    return undefined;
  }
  if (found.off !== undefined) {
    notes.push(offNote('singleton.key', found.off));
    return undefined;
  }
  return {
    kind: 'singleton',
    key: admissionKey('singleton', event.env, fn.id, found.text),
    value: found.text,
    mode: singleton.mode,
  };
}

function offNote(field: string, off: 'false' | 'missing'): string {
  return `${field} is ${off === 'false' ? 'false' : 'missing in the event'}; it does not apply to this run`;
}
