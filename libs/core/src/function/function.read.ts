import { compact, FieldReader } from '../fields.read.js';
import { LIMITS } from '../limits.js';
import { normalUrl } from './app.url.js';
import type { FunctionConfig } from './function.config.js';
import type { CheckExpression } from './function.expressions.js';
import {
  checkMix,
  readBatch,
  readConcurrency,
  readDebounce,
  readPriority,
  readRateLimit,
  readSingleton,
  readThrottle,
  readTimeouts,
} from './function.flow.read.js';
import { readCancelOn, readExpression, readTriggers } from './function.triggers.read.js';

const STEP_SCHEMES = ['http', 'https', 'ws', 'wss'];

/** The functions of an app, or everything that is wrong with any of them: `functions[2].triggers[0].cron: ...`. */
export type FunctionsRead =
  | { readonly functions: readonly FunctionConfig[]; readonly mistakes?: undefined }
  | { readonly mistakes: readonly string[]; readonly functions?: undefined };

/**
 * Reads the functions that an app registers. Contract: http.md 6.1, semantics 2, 5, 8 to 15, 20, 21, 24.2; sdk-differences.md for the habits
 * of each SDK. All or nothing: one mistake, and there are no functions. None at all is no mistake.
 * @param value the list as it came; null, as Go writes an empty one, has none
 */
export function readFunctions(value: unknown, check: CheckExpression): FunctionsRead {
  const mistakes: string[] = [];
  const readers = new FieldReader({ functions: value }, '', mistakes).objects('functions');
  const functions = readers.map((reader) => readFunction(reader, check));
  const seen = new Set<string>();
  functions.forEach(({ slug }, index) => {
    if (slug !== '' && seen.has(slug)) readers[index]?.note('id', `there are two functions "${slug}"`);
    seen.add(slug);
  });
  return mistakes.length > 0 ? { mistakes } : { functions };
}

/** The function as far as it can be read; where a mistake was noted it is not to be used. */
function readFunction(fn: FieldReader, check: CheckExpression): FunctionConfig {
  const name = fn.text('name');
  const slug = fn.text('id') ?? slugify(name ?? '');
  if (slug === '') fn.note('id', 'is required');
  const config = compact<FunctionConfig>({
    slug,
    name: name ?? slug,
    triggers: readTriggers(fn, check),
    ...readStep(fn),
    concurrency: readConcurrency(fn, check),
    throttle: readThrottle(fn),
    rateLimit: readRateLimit(fn, check),
    debounce: readDebounce(fn, check),
    batch: readBatch(fn, check),
    singleton: readSingleton(fn),
    idempotency: readExpression(fn, 'idempotency', check),
    priority: readPriority(fn, check),
    cancelOn: readCancelOn(fn, check),
    timeouts: readTimeouts(fn),
    checkpoint: fn.raw('checkpoint'),
  });
  checkMix(fn, config);
  return config;
}

/** As SDKs make a slug of a name. */
function slugify(name: string): string {
  return name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '');
}

/**
 * The one step that every SDK registers, which stands for the whole function.
 *     { <any>: { runtime: { type?, url }, retries?: { attempts } } }
 */
function readStep(fn: FieldReader): Pick<FunctionConfig, 'url' | 'retries'> {
  const steps = fn.object('steps');
  const [name = '', ...others] = steps?.names ?? [];
  if (!fn.has('steps') || (steps && (!steps.has(name) || others.length > 0))) {
    fn.note('steps', 'there must be exactly one step');
  }
  const step = steps?.object(name);
  if (step && !step.has('runtime')) step.note('runtime', 'is required');
  const runtime = step?.object('runtime');
  return {
    url: runtime ? readUrl(runtime) : '',
    retries: (step && readRetries(step)) ?? readRetries(fn) ?? LIMITS.retriesDefault,
  };
}

function readUrl(runtime: FieldReader): string {
  const url = normalUrl(runtime.text('url') ?? '', STEP_SCHEMES);
  if (url === undefined) runtime.note('url', `must be an absolute URL of ${STEP_SCHEMES.join(', ')}`);
  return url ?? '';
}

/** `retries: { attempts }`, the attempts beyond the first, or just the number. Higher ones than there may be are cut. */
function readRetries(of: FieldReader): number | undefined {
  const isPlain = typeof of.raw('retries') === 'number';
  const reader = isPlain ? of : of.object('retries');
  const attempts = reader?.whole(isPlain ? 'retries' : 'attempts');
  if (attempts === undefined || !reader) return undefined;
  if (attempts < 0) return reader.note(isPlain ? 'retries' : 'attempts', 'must not be negative');
  return Math.min(attempts, LIMITS.retriesMax);
}
