import { canonical, isOver } from '#core/json.js';
import { LIMITS } from '#core/limits.js';
import type { StepFault } from '#core/run/run.ops.js';
import type { Json } from '#core/words.js';
import { fieldsOf, isObject, textOf } from './json.read.js';

/** Names longer than this are cut: they are shown, and stand on the log with every attempt. */
const NAME_CHARS_MAX = 1024;
/** What is left of a text in an error that is too large to keep whole. */
const CUT_CHARS = 64 * 1024;

/**
 * An error as SDKs report it, of a step or of a function. execution.md sections 3, 4 and 7; every part may be missing.
 *     TypeScript  {"name","message","stack","cause"?,"__serialized":true}
 *     Python      {"code","name","message","stack"}
 *     Go          {"message"}, of a step {"name":"Step error","message","data"}; over Connect a bare text
 *     Kotlin      {"message","cause":null,"stackTrace":[],"suppressed":[],"localizedMessage"}, of a step without a name
 * Kept are name, message, stack, cause and data; `data` is always there, for without it Go reads no memo at all.
 * @param nameDefault for an error without a name; memos of steps have an empty one then
 * @throws body_too_deep
 */
export function readFault(reported: unknown, nameDefault = ''): StepFault {
  const error = isObject(reported) ? reported : { message: reported };
  const name = cut(textOf(error.name) ?? nameDefault, NAME_CHARS_MAX);
  const message = textOf(error.message) ?? textOf(error.error) ?? textOf(fieldsOf(error.error).message) ?? '';
  const stack = textOf(error.stack);
  const whole = faultText({
    ...(error.cause === undefined || error.cause === null ? {} : { cause: error.cause }),
    data: error.data ?? null,
    message,
    name,
    ...(stack === undefined ? {} : { stack }),
  });
  const fits = !isOver(whole, LIMITS.stepOutputBytesMax - WRAPPING);
  const json = fits
    ? whole
    : faultText({ data: null, message: cut(message), name, ...(stack === undefined ? {} : { stack: cut(stack) }) });
  return { name, message: cut(message), json };
}

/** The memo's `{"error":}` around it. */
const WRAPPING = 10;

function faultText(error: object): Json {
  return canonical(error, LIMITS.jsonDepthMax);
}

/** The start of a text, never half a surrogate pair. */
export function cut(text: string, charsMax = CUT_CHARS): string {
  return text.length <= charsMax ? text : text.slice(0, charsMax).toWellFormed();
}
