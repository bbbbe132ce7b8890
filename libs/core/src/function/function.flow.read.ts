import { parseDuration } from '../duration.js';
import { compact, type FieldReader } from '../fields.read.js';
import { LIMITS } from '../limits.js';
import type { ConcurrencyLimit, FunctionConfig } from './function.config.js';
import type { CheckExpression } from './function.expressions.js';
import { readExpression } from './function.triggers.read.js';

const SECOND = 1_000;
const DAY = 24 * 60 * 60 * SECOND;

type Scope = ConcurrencyLimit['scope'];
const SCOPES: readonly Scope[] = ['fn', 'env', 'account'];

/**
 * How much of a function runs at once. Contract: semantics 2, 14, http.md 6.1.
 *     n | { limit, key?, scope? } | [1 or 2 of these] | { step: [...], fn: [...] }
 * The last form is Go's, with capitalised scopes. A limit that is 0, negative or no whole number is no limit.
 */
export function readConcurrency(fn: FieldReader, check: CheckExpression): FunctionConfig['concurrency'] {
  const value = fn.raw('concurrency');
  if (value === undefined) return undefined;
  if (Array.isArray(value)) return limits(readLimits(fn, 'concurrency', LIMITS.stepConcurrencyMax, check), []);
  if (typeof value !== 'object') return limits(isLimit(value) ? [{ limit: value, scope: 'fn' }] : [], []);
  const reader = fn.object('concurrency');
  if (!reader?.has('step') && !reader?.has('fn')) return limits(reader ? readLimit(reader, check) : [], []);
  return limits(
    readLimits(reader, 'step', LIMITS.stepConcurrencyMax, check),
    readLimits(reader, 'fn', LIMITS.fnConcurrencyMax, check, ['fn']),
  );
}

function limits(step: readonly ConcurrencyLimit[], fn: readonly ConcurrencyLimit[]): FunctionConfig['concurrency'] {
  return step.length + fn.length === 0 ? undefined : { step, fn };
}

function readLimits(
  reader: FieldReader,
  name: string,
  max: number,
  check: CheckExpression,
  scopes: readonly Scope[] = SCOPES,
): readonly ConcurrencyLimit[] {
  const entries = reader.objects(name);
  if (entries.length > max) reader.note(name, `may have ${max} of them, and this one has ${entries.length}`);
  return entries.flatMap((entry) => readLimit(entry, check, scopes));
}

function readLimit(
  reader: FieldReader,
  check: CheckExpression,
  scopes: readonly Scope[] = SCOPES,
): readonly ConcurrencyLimit[] {
  const limit = reader.raw('limit');
  const key = readExpression(reader, 'key', check);
  const written = reader.text('scope')?.toLowerCase() ?? 'fn';
  const scope = scopes.find((known) => known === written);
  if (scope === undefined) reader.note('scope', `must be ${scopes.join(' or ')}`);
  else if (scope !== 'fn' && key === undefined) reader.note('key', `is required where the scope is ${scope}`);
  return scope !== undefined && isLimit(limit) ? [compact<ConcurrencyLimit>({ limit, key, scope })] : [];
}

function isLimit(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0;
}

/**
 * How fast runs start. Contract: semantics 2, 13; sizes are not checked.
 *     { limit, period, burst?, key? }      at least 1, whole seconds from 1 on, 0 when absent
 */
export function readThrottle(fn: FieldReader): FunctionConfig['throttle'] {
  const reader = fn.object('throttle');
  if (!reader) return undefined;
  const limit = required(reader, 'limit', reader.whole('limit'));
  const periodMs = required(reader, 'period', reader.duration('period'));
  const burst = reader.whole('burst') ?? 0;
  return compact<NonNullable<FunctionConfig['throttle']>>({
    limit: Math.max(1, limit),
    periodMs: wholeSeconds(periodMs),
    burst: Math.max(0, burst),
    key: reader.text('key'),
  });
}

/**
 * How many runs there may be. Contract: semantics 2, 9.
 *     { limit, period, key? }      from 1 on, up to 24 h; a period of 0 limits nothing
 */
export function readRateLimit(fn: FieldReader, check: CheckExpression): FunctionConfig['rateLimit'] {
  const reader = fn.object('rateLimit');
  if (!reader) return undefined;
  const limit = required(reader, 'limit', reader.whole('limit'), 1);
  const periodMs = required(reader, 'period', reader.duration('period'));
  if (limit < 1) reader.note('limit', 'must be at least 1');
  if (periodMs < 0 || periodMs > DAY) reader.note('period', 'must not be longer than 24 h, nor negative');
  const key = readExpression(reader, 'key', check);
  return periodMs === 0 ? undefined : compact<NonNullable<FunctionConfig['rateLimit']>>({ limit, periodMs, key });
}

/**
 * How long a function waits for events to calm down. Contract: semantics 2, 10.
 *     { period, key?, timeout? }      1 s to 7 d; whole seconds from 1 on, and one that cannot be read is none
 */
export function readDebounce(fn: FieldReader, check: CheckExpression): FunctionConfig['debounce'] {
  const reader = fn.object('debounce');
  if (!reader) return undefined;
  const periodMs = required(reader, 'period', reader.duration('period'), SECOND);
  if (periodMs < SECOND || periodMs > 7 * DAY) reader.note('period', 'must lie in 1 s to 7 d');
  const timeoutMs = positive(reader, 'timeout');
  return compact<NonNullable<FunctionConfig['debounce']>>({
    periodMs,
    key: readExpression(reader, 'key', check),
    timeoutMs: timeoutMs === undefined ? undefined : wholeSeconds(timeoutMs),
  });
}

/**
 * How events are gathered. Contract: semantics 2, 8, 11.
 *     { maxSize, timeout, key?, if? }      from 2 on; from 1 s on, in Go's units
 */
export function readBatch(fn: FieldReader, check: CheckExpression): FunctionConfig['batch'] {
  const reader = fn.object('batchEvents');
  if (!reader) return undefined;
  const maxSize = required(reader, 'maxSize', reader.whole('maxSize'), 2);
  const timeoutMs = required(reader, 'timeout', reader.duration('timeout', true), SECOND);
  if (maxSize < 2) reader.note('maxSize', 'must be at least 2');
  if (timeoutMs < SECOND) reader.note('timeout', 'must be at least 1 s');
  return compact<NonNullable<FunctionConfig['batch']>>({
    maxSize,
    timeoutMs,
    key: readExpression(reader, 'key', check),
    if: readExpression(reader, 'if', check),
  });
}

/**
 * One run at a time. Contract: semantics 6.1, 12; the key is not compiled at sync.
 *     { key?, mode?: "skip" | "cancel" }
 */
export function readSingleton(fn: FieldReader): FunctionConfig['singleton'] {
  const reader = fn.object('singleton');
  if (!reader) return undefined;
  const mode = reader.text('mode')?.toLowerCase() ?? 'skip';
  if (mode !== 'skip' && mode !== 'cancel') return reader.note('mode', 'must be skip or cancel');
  return compact<NonNullable<FunctionConfig['singleton']>>({ key: reader.text('key'), mode });
}

/** Contract: semantics 15: `{ run }`, CEL. */
export function readPriority(fn: FieldReader, check: CheckExpression): string | undefined {
  const reader = fn.object('priority');
  return reader && readExpression(reader, 'run', check);
}

/** Contract: semantics 20: `{ start?, finish? }`; what cannot be read is no timeout. */
export function readTimeouts(fn: FieldReader): FunctionConfig['timeouts'] {
  const reader = fn.object('timeouts');
  if (!reader) return {};
  return compact<FunctionConfig['timeouts']>({
    startMs: positive(reader, 'start'),
    finishMs: positive(reader, 'finish'),
  });
}

/** What may not stand together. Contract: semantics 8. */
export function checkMix(
  fn: FieldReader,
  config: Pick<FunctionConfig, 'batch' | 'cancelOn' | 'debounce' | 'priority' | 'singleton'>,
): void {
  if (!config.batch) return;
  if (config.debounce) fn.note('batchEvents', 'cannot be combined with debounce');
  if (config.singleton) fn.note('batchEvents', 'cannot be combined with singleton');
  if (config.cancelOn.length > 0) fn.note('batchEvents', 'cannot be combined with cancel');
  if (config.priority !== undefined) fn.note('batchEvents', 'cannot be combined with priority');
}

/** Notes a field that is not there. What stands in for it, `otherwise`, is never seen: the function is refused. */
function required(reader: FieldReader, name: string, value: number | undefined, otherwise = 1): number {
  if (!reader.says(name)) reader.note(name, 'is required');
  return value ?? otherwise;
}

/** A length of time that is not checked at sync: one that cannot be read, or is not above 0, counts as absent. */
function positive(reader: FieldReader, name: string): number | undefined {
  const ms = parseDuration(reader.text(name) ?? '');
  return ms !== undefined && ms > 0 ? ms : undefined;
}

function wholeSeconds(ms: number): number {
  return Math.max(1, Math.floor(ms / SECOND)) * SECOND;
}
