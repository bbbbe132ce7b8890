import { Fault } from '#core/faults.js';
import { canonical, isOver } from '#core/json.js';
import { LIMITS } from '#core/limits.js';
import { retryAfterMs } from '#core/retry-after.js';
import { fault, faultOutput, stepsOverflowed } from '#core/run/run.faults.js';
import type { Op, Outcome, StepFault } from '#core/run/run.ops.js';
import type { EpochMs } from '#core/words.js';
import { cut, readFault } from './call.error.js';
import { COMPLETE_ID, OpUnreadable, readOps } from './call.ops.js';
import { HEADER, isFromSdk } from './headers.js';
import { fieldsOf, isObject, parseJson, textOf, type Fields } from './json.read.js';
import { verifySignature } from './signing.js';

/** An answer to a call. Header names in lower case; the body as it came. */
export interface CallReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface ReplyContext {
  readonly now: EpochMs;
  /** A signed answer must be signed with one of these; without keys signatures are not looked at. */
  readonly signingKeys?: readonly string[];
}

export interface ReadReply {
  readonly outcome: Outcome;
  /** `x-inngest-req-version`, when the SDK named one. */
  readonly requestVersion?: number;
}

type Failure = Extract<Outcome, { kind: 'error' }>;

/**
 * What a function answered to a call. execution.md sections 4 to 7, http.md section 12, contract 19.1. Never throws, whatever came.
 *     200        any JSON                             the run's output
 *     201        filler, then an envelope             a stream: what is inside counts
 *     206        [{ id, op, ... }] or one of them     steps done, or to do next
 *     400..599   { name?, message?, stack?, ... }     the attempt failed; no-retry `true` says for good
 * Everything else, and everything that no SDK said, is a failed attempt.
 */
export function readReply(reply: CallReply, context: ReplyContext): ReadReply {
  try {
    return read(reply, context);
  } catch (error) {
    if (error instanceof OpUnreadable) return { outcome: unreadable(error) };
    if (error instanceof Fault && error.code === 'body_too_deep')
      return { outcome: failure('reply_unreadable', TOO_DEEP) };
    throw error;
  }
}

function read(reply: CallReply, context: ReplyContext): ReadReply {
  if (isOver(reply.body, LIMITS.replyBytesMax)) return { outcome: failure('output_too_large', TOO_LARGE) };
  if (!isFromSdk(reply.headers)) return { outcome: notSdk(reply, context.now) };
  const answer = reply.status === 201 ? unwrap(reply) : reply;
  if (!answer) return { outcome: failure('http_reset', BROKEN_STREAM) };
  const version = Number(answer.headers[HEADER.requestVersion]);
  return {
    outcome: wrongSignature(answer, context) ?? outcomeOf(answer, context.now),
    ...(Number.isInteger(version) && version > 0 && version < 1000 ? { requestVersion: version } : {}),
  };
}

/** The outcome of a call that brought no answer: `code` says why, `message` says it to people and holds no secret. */
export function unreachable(code: string, message: string): Failure {
  return failure(code, message);
}

function outcomeOf(answer: CallReply, now: EpochMs): Outcome {
  if (answer.status === 200) return result(answer);
  if (answer.status === 206) return operations(answer, now);
  if (answer.status >= 400) return sdkError(answer, now);
  return failure('reply_unreadable', `Your app answered with the unexpected status ${answer.status}`);
}

/** The function returned. Nothing in the body is a return of nothing. */
function result({ body }: CallReply): Outcome {
  const value = body.trim() === '' ? null : parseJson(body);
  if (value === undefined)
    return failure('reply_unreadable', 'error reading the function output: it is not JSON', cut(body));
  const data = canonical(value, LIMITS.jsonDepthMax);
  return {
    kind: 'ops',
    ops: [{ op: 'RunComplete', id: COMPLETE_ID, name: 'complete', data }],
    noRetry: false,
    plain: true,
  };
}

function operations({ body, headers }: CallReply, now: EpochMs): Outcome {
  const value = body.trim() === '' ? [] : parseJson(body);
  if (value === undefined) {
    return failure('reply_unreadable', 'error reading generator opcode response: it is not JSON', cut(body));
  }
  const ops = readOps(value, now);
  if (ops.filter(isNews).length > LIMITS.plannedPerReplyMax) return overflowed();
  // Only a step that is tried again has a use for a delay: Go sends one with its last failure too.
  const delay = ops.some(({ op }) => op === 'StepError') ? retryAfterMs(headers[HEADER.retryAfter], now) : undefined;
  return { kind: 'ops', ops, noRetry: saysNoRetry(headers), ...(delay === undefined ? {} : { retryAfterMs: delay }) };
}

function isNews({ op }: Op): boolean {
  return op !== 'DeferAdd' && op !== 'DeferAbort' && op !== 'RunComplete';
}

function overflowed(): Failure {
  return {
    ...failure('steps_overflowed', ''),
    fault: stepsOverflowed,
    output: faultOutput(stepsOverflowed),
    noRetry: true,
    transport: false,
  };
}

/** The function threw outside steps, or the SDK could not run it. Its error is the run's output, as it came. */
function sdkError({ status, headers, body }: CallReply, now: EpochMs): Failure {
  const value = parseJson(body);
  // Kotlin reports a state that it cannot read as an operation, with status 500.
  const reported: unknown = Array.isArray(value) && value.length === 1 ? (fieldsOf(value[0]).error ?? value[0]) : value;
  const noRetry = saysNoRetry(headers);
  const delay = retryAfterMs(headers[HEADER.retryAfter], now);
  const lost = isStepNotFound(reported);
  const error = readFault(reported === undefined ? cut(body) : reported, lost ? 'StepNotFound' : 'Error');
  return {
    kind: 'error',
    fault: error.message === '' ? fault(error.name, `Your app answered with status ${status}`) : error,
    output: value === undefined ? canonical(cut(body)) : canonical(value, LIMITS.jsonDepthMax),
    noRetry,
    ...(delay === undefined ? {} : { retryAfterMs: delay }),
    // A refused signature says nothing of the function.
    transport: status === 401,
    code: lost ? 'step_not_found' : codeOf(status, error, noRetry),
  };
}

/** The step of a targeted call is not in the code any more. Section 6, rule 9: TypeScript says what it looked for, Python gives a code. */
function isStepNotFound(reported: unknown): boolean {
  const { requestedStep, foundSteps, code } = fieldsOf(reported);
  return (typeof requestedStep === 'string' && Array.isArray(foundSteps)) || code === 'step_unexpected';
}

/** TypeScript stops with this error when a checkpoint was answered 409: another call owns the work item. Section 8. */
function codeOf(status: number, { name }: StepFault, noRetry: boolean): string {
  if (name === 'StaleDispatchError' && noRetry) return 'stale_dispatch';
  return status === 401 ? 'unauthorized' : String(status);
}

function unreadable({ code, message }: OpUnreadable): Failure {
  const said = code === 'step_not_found' ? message : `error reading generator opcode response: ${message}`;
  return { ...failure(code, said), transport: false };
}

/** A proxy, an error page, another program: what it said is kept for people to look at. */
function notSdk({ status, headers, body }: CallReply, now: EpochMs): Failure {
  if (status >= 200 && status <= 299) {
    return {
      ...failure('not_sdk', 'The response did not come from an Inngest SDK'),
      output: canonical(parseSmall(body) ?? cut(body)),
    };
  }
  const delay = retryAfterMs(headers[HEADER.retryAfter], now);
  const said = failure('http_error', `Server returned a fatal error: HTTP ${status}`, cut(body));
  return delay === undefined ? said : { ...said, retryAfterMs: delay };
}

/** Of what is no answer, only a small JSON is kept as such; it cannot nest deep. */
function parseSmall(body: string): unknown {
  return body.length <= 1024 ? parseJson(body) : undefined;
}

const BROKEN_STREAM =
  'Your server reset the connection while we were reading the reply: the stream ended before its result';
const TOO_DEEP = `error reading generator opcode response: it nests deeper than ${LIMITS.jsonDepthMax}`;
const TOO_LARGE = `The reply is larger than ${LIMITS.replyBytesMax} bytes`;

/**
 * The answer in a stream: its status was sent before it was known. http.md section 12.
 *     TypeScript, Python   {"status":206,"headers":{...},"body":"<text>"}                        the text is what a signature covers
 *     Go                   {"status":206,"headers":{...},"body":<JSON>,"retryAt"?,"noRetry"?}
 * @returns undefined when the stream ended early or holds something else
 */
function unwrap({ headers, body }: CallReply): CallReply | undefined {
  const envelope = parseJson(body);
  if (!isObject(envelope) || !Number.isInteger(envelope.status) || !('body' in envelope)) return undefined;
  const inner = headerTexts(fieldsOf(envelope.headers));
  const { [HEADER.signature]: _, ...outer } = headers;
  const merged: Record<string, string> = { ...outer, ...inner };
  const retryAt = textOf(envelope.retryAt);
  if (retryAt !== undefined) merged[HEADER.retryAfter] ??= retryAt;
  if (envelope.noRetry === true) merged[HEADER.noRetry] ??= 'true';
  const isText = typeof envelope.body === 'string' && !merged[HEADER.sdk]?.startsWith('go:');
  return {
    status: envelope.status as number,
    headers: merged,
    body: isText ? (envelope.body as string) : canonical(envelope.body, LIMITS.jsonDepthMax),
  };
}

function headerTexts(headers: Fields): Record<string, string> {
  const texts = Object.entries(headers).flatMap(([name, value]) => {
    // Go writes each header as a list.
    const text: unknown = Array.isArray(value) ? value[0] : value;
    return typeof text === 'string' ? [[name.toLowerCase(), text] as const] : [];
  });
  return Object.fromEntries(texts);
}

/** Of the SDKs only TypeScript and Python sign, so a signature is checked where there is one. http.md section 8. */
function wrongSignature({ headers, body }: CallReply, { signingKeys = [], now }: ReplyContext): Failure | undefined {
  const header = headers[HEADER.signature];
  if (header === undefined || signingKeys.length === 0) return undefined;
  const check = verifySignature(header, body, signingKeys, now);
  if (check.ok) return undefined;
  const why = check.reason === 'expired' ? 'it is older than 5 minutes; compare the clocks' : `it is ${check.reason}`;
  return failure('signature_invalid', `The signature of the reply does not hold: ${why}`);
}

function saysNoRetry(headers: CallReply['headers']): boolean {
  return headers[HEADER.noRetry]?.trim().toLowerCase() === 'true';
}

/** A failure that the server names. Its output follows contract section 16. */
function failure(code: string, message: string, stack?: string): Failure {
  const said = fault(code, message, stack === undefined ? {} : { stack });
  return { kind: 'error', fault: said, output: faultOutput(said), noRetry: false, transport: true, code };
}
