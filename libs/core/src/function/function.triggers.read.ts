import { parseCron } from '../cron/cron.parse.js';
import { unquote } from '../duration.js';
import { compact, type FieldReader } from '../fields.read.js';
import { canonical } from '../json.js';
import { LIMITS } from '../limits.js';
import type { CancelOn, Trigger } from './function.config.js';
import type { CheckExpression } from './function.expressions.js';

const EVENT_NAME_CHARS_MAX = 255;
const JITTER_MS_MIN = 1_000;
const JITTER_MS_MAX = 5 * 60_000;

/** Reads an expression and notes it where it does not compile. */
export function readExpression(
  reader: FieldReader,
  name: string,
  check: CheckExpression,
  use: 'event' | 'match' = 'event',
): string | undefined {
  const text = reader.text(name);
  const flaw = text === undefined ? undefined : check(text, use);
  if (flaw !== undefined) reader.note(name, `the expression does not compile: ${flaw}`);
  return text;
}

/**
 * What starts a function. Contract: semantics 2, 5, http.md 6.1.
 *     { event, expression? } | { cron, jitter? }      0 to 10 of them; with none the function can only be invoked
 */
export function readTriggers(fn: FieldReader, check: CheckExpression): readonly Trigger[] {
  const readers = fn.objects('triggers');
  if (readers.length > LIMITS.triggersPerFunctionMax) {
    fn.note(
      'triggers',
      `a function may have ${LIMITS.triggersPerFunctionMax} triggers, and this one has ${readers.length}`,
    );
  }
  const seen = new Set<string>();
  return readers.flatMap((reader) => {
    const trigger = readTrigger(reader, check);
    if (!trigger) return [];
    // A second trigger of the same cron would not tick more often, whatever its jitter.
    const key = 'cron' in trigger ? `cron ${trigger.cron}` : canonical(trigger);
    if (seen.has(key)) reader.noteAll('the same trigger stands before it');
    seen.add(key);
    return [trigger];
  });
}

function readTrigger(reader: FieldReader, check: CheckExpression): Trigger | undefined {
  const event = reader.text('event');
  const cron = reader.text('cron');
  if (event !== undefined && cron !== undefined) return reader.noteAll('a trigger is an event or a cron, not both');
  if (cron !== undefined) return readCronTrigger(reader, cron);
  if (event === undefined) return reader.noteAll('a trigger needs an event or a cron');
  if (event.length > EVENT_NAME_CHARS_MAX) {
    reader.note('event', `must not be longer than ${EVENT_NAME_CHARS_MAX} characters`);
  }
  return compact<Trigger>({ event, expression: readExpression(reader, 'expression', check) });
}

function readCronTrigger(reader: FieldReader, cron: string): Trigger {
  const parsed = parseCron(cron);
  if ('mistake' in parsed) reader.note('cron', parsed.mistake);
  const jitterMs = reader.duration('jitter') ?? 0;
  if (jitterMs !== 0 && (jitterMs < JITTER_MS_MIN || jitterMs > JITTER_MS_MAX)) {
    reader.note('jitter', 'must be 0, or lie in 1 s to 5 min');
  }
  return compact<Trigger>({ cron, jitterMs: jitterMs === 0 ? undefined : jitterMs });
}

/**
 * Which events cancel a run. Contract: semantics 2, 6.1, 21, http.md 6.1.
 *     { event, if?, timeout? }      up to 5; a timeout that cannot be read is no mistake
 */
export function readCancelOn(fn: FieldReader, check: CheckExpression): readonly CancelOn[] {
  const readers = fn.objects('cancel');
  if (readers.length > LIMITS.cancelOnMax) {
    fn.note('cancel', `a function may have ${LIMITS.cancelOnMax} of them, and this one has ${readers.length}`);
  }
  return readers.flatMap((reader) => {
    const event = reader.text('event');
    const condition = readExpression(reader, 'if', check, 'match');
    const timeout = unquote(reader.text('timeout') ?? '');
    if (event === undefined) reader.note('event', 'is required');
    return event === undefined
      ? []
      : [compact<CancelOn>({ event, if: condition, timeout: timeout === '' ? undefined : timeout })];
  });
}
