import { Fault } from '#core/faults.js';
import { canonical, isOver } from '#core/json.js';
import { LIMITS } from '#core/limits.js';
import { retryAfterMs } from '#core/retry-after.js';
import { dataMemo, fetchFault, fetchMemo, inferFault } from '#core/run/run.memos.js';
import type { Op, Outcome, StepFault } from '#core/run/run.ops.js';
import type { EpochMs, Json } from '#core/words.js';
import { cut } from './call.error.js';
import type { CallReply } from './call.reply.js';
import { fieldsOf, parseJson, textOf, type Fields } from './json.read.js';

/** Which of the calls that the server makes for a function: `step.ai.infer` or `step.fetch`. */
export type GatewayKind = 'ai' | 'fetch';

/** The step that a call is made for. */
export interface GatewayStep {
  readonly id: string;
  readonly name: string;
  readonly kind: GatewayKind;
}

export interface GatewayRequest {
  readonly method: string;
  readonly url: string;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Texts that no error may repeat. */
  readonly secrets: readonly string[];
}

/** What belongs to a connection, and to us. */
const NOT_OURS = new Set([
  ...[
    'connection',
    'content-length',
    'expect',
    'host',
    'keep-alive',
    'proxy-connection',
    'te',
    'trailer',
    'transfer-encoding',
    'upgrade',
  ],
]);
const SECRET_HEADERS = new Set([
  'api-key',
  'authorization',
  'cookie',
  'proxy-authorization',
  'x-api-key',
  'x-goog-api-key',
]);

/**
 * The request that an operation asks for. execution.md section 5.2, contract 17.7.
 *     Gateway      {url, method?, headers?, body?}                        body as it is; GET when no method is named
 *     AIGateway    {url, format?, auth_key?, headers?, body}              always POST, JSON
 * The key of a provider goes where its format has it; headers that the function gave come last and win:
 *     openai-chat and what is not known   Authorization: Bearer <key>     gemini    ?key=<key>
 *     anthropic                           x-api-key: <key>                bedrock   Authorization: <key>
 * @returns a fault for what cannot be sent
 */
export function gatewayRequest(kind: GatewayKind, request: Json): GatewayRequest | { readonly fault: StepFault } {
  const fields = fieldsOf(parseJson(request));
  const url = URL.parse(textOf(fields.url) ?? '');
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:')
    return { fault: faultOf(kind, 'the URL is no http or https URL') };
  const given = headersOf(fields);
  const method = kind === 'ai' ? 'POST' : (textOf(fields.method) ?? 'GET').toUpperCase();
  if (!/^[A-Z]{1,20}$/.test(method) || method === 'CONNECT' || method === 'TRACE') {
    return { fault: faultOf(kind, 'the method is none that can be sent') };
  }
  const key = kind === 'ai' ? textOf(fields.auth_key) : undefined;
  const format = textOf(fields.format);
  if (key !== undefined && format === 'gemini') url.searchParams.set('key', key);
  const body = bodyOf(fields.body);
  return {
    method,
    url: url.href,
    headers: {
      'user-agent': 'Inngest',
      ...(kind === 'ai' ? { 'content-type': 'application/json' } : {}),
      ...(key === undefined ? {} : keyHeader(format, key)),
      ...given,
    },
    ...(body === undefined || method === 'GET' || method === 'HEAD' ? {} : { body }),
    secrets: secretsOf(key, given, url),
  };
}

function headersOf({ headers }: Fields): Record<string, string> {
  const given: Record<string, string> = {};
  for (const [name, value] of Object.entries(fieldsOf(headers))) {
    const text = Array.isArray(value) ? value.filter((each) => typeof each === 'string').join(', ') : value;
    if (!NOT_OURS.has(name.toLowerCase()) && (typeof text === 'string' || typeof text === 'number'))
      given[name.toLowerCase()] = String(text);
  }
  return given;
}

function keyHeader(format: string | undefined, key: string): Record<string, string> {
  switch (format) {
    case 'gemini':
      return {};
    case 'anthropic':
      return { 'x-api-key': key };
    case 'bedrock':
      return { authorization: key };
    default:
      return { authorization: `Bearer ${key}` };
  }
}

function bodyOf(body: unknown): string | undefined {
  if (body === undefined || body === null) return undefined;
  return typeof body === 'string' ? body : canonical(body);
}

function secretsOf(key: string | undefined, headers: Readonly<Record<string, string>>, url: URL): readonly string[] {
  const given = Object.entries(headers).flatMap(([name, value]) =>
    SECRET_HEADERS.has(name) ? [value, value.replace(/^\w+ +/, '')] : [],
  );
  return [key ?? '', url.password, url.searchParams.get('key') ?? '', ...given].filter((secret) => secret.length >= 4);
}

/**
 * What came of a call.
 *     fetch   {"data":{"body":"","headers":{},"status_code":200,"url":""}}, whatever the status
 *     ai      {"data":<provider's JSON>}; a status above 299 is a failed attempt, with what the provider said
 */
export function gatewayOutcome(
  step: GatewayStep,
  { secrets }: GatewayRequest,
  reply: CallReply & { readonly url: string },
  now: EpochMs,
): Outcome {
  if (step.kind === 'fetch') return done(step, fetchMemo({ ...reply, headers: plainHeaders(reply.headers) }));
  const { status } = reply;
  if (status >= 200 && status <= 299) {
    const data = jsonOf(reply.body);
    return data === undefined
      ? errored(step, inferFault('the provider did not answer in JSON'))
      : done(step, dataMemo(data));
  }
  const text = redact(cut(reply.body), secrets);
  const data = jsonOf(text);
  const fault = inferFault(`unsuccessful status code: ${status}`, { text, ...(data === undefined ? {} : { data }) });
  return errored(step, fault, retryAfterMs(reply.headers['retry-after'], now));
}

/** A text's JSON, canonical; undefined when it is none, or nests deeper than we keep. */
function jsonOf(text: string): Json | undefined {
  const value = parseJson(text);
  try {
    return value === undefined ? undefined : canonical(value, LIMITS.jsonDepthMax);
  } catch (error) {
    if (error instanceof Fault && error.code === 'body_too_deep') return undefined;
    throw error;
  }
}

/** A call that got no answer. `final`: another would fare no better. */
export function gatewayFailure(
  step: GatewayStep,
  { secrets }: GatewayRequest,
  message: string,
  final = false,
): Outcome {
  const fault = faultOf(step.kind, redact(message, secrets));
  return final ? settled(step, { op: 'StepFailed', fault }) : errored(step, fault);
}

/** A request that cannot be sent: the step fails for good. */
export function gatewayRefused(step: GatewayStep, fault: StepFault): Outcome {
  return settled(step, { op: 'StepFailed', fault });
}

function done(step: GatewayStep, memo: Json): Outcome {
  if (!isOver(memo, LIMITS.stepOutputBytesMax)) return settled(step, { op: 'StepDone', memo });
  return errored(step, faultOf(step.kind, `the reply is larger than ${LIMITS.stepOutputBytesMax} bytes`));
}

function errored(step: GatewayStep, fault: StepFault, delay?: number): Outcome {
  return settled(step, { op: 'StepError', fault }, delay);
}

type Settled =
  | { readonly op: 'StepDone'; readonly memo: Json }
  | { readonly op: 'StepError' | 'StepFailed'; readonly fault: StepFault };

function settled({ id, name }: GatewayStep, settled: Settled, delay?: number): Outcome {
  const op: Op = { id, name, ...settled };
  return { kind: 'ops', ops: [op], noRetry: false, ...(delay === undefined ? {} : { retryAfterMs: delay }) };
}

function faultOf(kind: GatewayKind, reason: string): StepFault {
  return kind === 'ai' ? inferFault(reason) : fetchFault(reason);
}

/** Headers of a reply, less those of its connection and, once it is unpacked, of its packing. */
function plainHeaders(headers: CallReply['headers']): Record<string, string> {
  const packed = headers['content-encoding'] !== undefined;
  return Object.fromEntries(
    Object.entries(headers).filter(([name]) =>
      name === 'content-length' || name === 'content-encoding' ? !packed : !NOT_OURS.has(name),
    ),
  );
}

/** Providers like to repeat what they refuse. */
function redact(text: string, secrets: readonly string[]): string {
  let clean = text;
  for (const secret of secrets) {
    const forms = [secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret.toWellFormed())];
    for (const form of forms) clean = clean.replaceAll(form, '[secret]');
  }
  return clean;
}

/** What may be logged and shown of a request: no key, no header, and of the URL neither credentials nor parameters. */
export function shownRequest(request: Json): Json {
  const { auth_key: _key, headers: _headers, url: text, ...shown } = fieldsOf(parseJson(request));
  const url = URL.parse(textOf(text) ?? '');
  return canonical(url ? { ...shown, url: `${url.protocol}//${url.host}${url.pathname}` } : shown);
}
