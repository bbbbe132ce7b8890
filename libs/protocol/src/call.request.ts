import { isOver } from '#core/json.js';
import { LIMITS } from '#core/limits.js';
import type { CallView } from '#core/run/run.call.js';
import { DEFAULT_ACCOUNT, type EpochMs, type Json } from '#core/words.js';
import { HEADER } from './headers.js';
import { sign } from './signing.js';

/** A call to make: what the run says of it, and what its dispatch adds. */
export interface CallInput {
  readonly view: CallView;
  /** Where the function's step is, as registered. */
  readonly url: string;
  /** The app's SDK, as registered: `js:v4.24.0`. */
  readonly sdk: string;
  readonly serverKind: 'dev' | 'cloud';
  /** ULID of this request. */
  readonly requestId: string;
  /** Id of the work item in the queue. */
  readonly jobId: string;
  /** Name of the environment; the default one has none. */
  readonly env?: string;
  /** Absent: unsigned. */
  readonly signingKey?: string;
  readonly now: EpochMs;
  /** W3C trace context. */
  readonly traceparent?: string;
  readonly tracestate?: string;
}

export interface CallRequest {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Canonical JSON: what is signed is what is sent. */
  readonly body: Json;
  /** The state was left out; the SDK fetches it. */
  readonly useApi: boolean;
}

/**
 * The request that runs (part of) a function. execution.md section 1, http.md sections 8, 10 and 12.
 *     POST <step url>?fnId=<slug>&stepId=<step|hash>
 *     {"ctx":{"attempt":0,"disable_immediate_execution":false,"env":"","fn_id":"<uuid>","generation_id":1,"job_id":"","max_attempts":5,
 *             "qi_id":"","request_id":"","run_id":"","stack":{"current":1,"stack":["<hash>"]},"step_id":"step","use_api":false},
 *      "defers":{"<hash>":{"abortable":true}},"event":{},"events":[{}],"steps":{"<hash>":<memo>},"use_api":false,"version":-1}
 * Events and memos are canonical already and go in as they are stored; everything around them is written in canonical order, so that
 * the whole is canonical without being parsed.
 */
export function callRequest(input: CallInput): CallRequest {
  const { view, signingKey } = input;
  const { body, useApi } = callBody(input);
  const headers: Record<string, string> = {
    [HEADER.contentType]: 'application/json',
    [HEADER.userAgent]: 'Inngest',
    [HEADER.serverKind]: input.serverKind,
    [HEADER.requestVersion]: String(view.requestVersion),
    [HEADER.runId]: view.runId,
    [HEADER.requestId]: input.requestId,
    [HEADER.stepId]: view.target,
    [HEADER.jobId]: input.jobId,
    [HEADER.generationId]: String(view.generation),
    [HEADER.accountId]: DEFAULT_ACCOUNT,
  };
  if (signingKey !== undefined) headers[HEADER.signature] = sign(body, signingKey, input.now);
  if (input.traceparent !== undefined) headers[HEADER.traceparent] = input.traceparent;
  if (input.tracestate !== undefined) headers[HEADER.tracestate] = input.tracestate;
  return { url: callUrl(input.url, view.functionSlug, view.target), headers, body, useApi };
}

/** Above this size an SDK that can fetches the state by itself: execution.md section 9. */
function callBody(input: CallInput): { readonly body: Json; readonly useApi: boolean } {
  const { events, steps } = input.view;
  const whole = bodyText(input, events, stepsJson(steps), false);
  if (!fetchesState(input.sdk) || !isOver(whole, LIMITS.callBodyBytesMax)) return { body: whole, useApi: false };
  const withoutSteps = bodyText(input, events, '{}', true);
  if (!isOver(withoutSteps, LIMITS.callBodyBytesMax)) return { body: withoutSteps, useApi: true };
  return { body: bodyText(input, events.slice(0, 1), '{}', true), useApi: true };
}

/** Go and Kotlin do not read `use_api`: they get everything, whatever its size. */
function fetchesState(sdk: string): boolean {
  return /^(?:inngest-)?(?:js|py):/.test(sdk);
}

function bodyText(input: CallInput, events: readonly Json[], steps: Json, useApi: boolean): Json {
  const { view } = input;
  // Two readers, two flags: TypeScript looks into `ctx`, Python beside it.
  return (
    `{"ctx":{"attempt":${view.attempt},"disable_immediate_execution":${view.disableImmediateExecution}` +
    `,"env":${JSON.stringify(input.env ?? '')},"fn_id":${JSON.stringify(view.functionId)},"generation_id":${view.generation}` +
    `,"job_id":${JSON.stringify(input.jobId)},"max_attempts":${view.maxAttempts},"qi_id":${JSON.stringify(view.qiId)}` +
    `,"request_id":${JSON.stringify(input.requestId)},"run_id":${JSON.stringify(view.runId)}` +
    `,"stack":{"current":${view.stack.length},"stack":${JSON.stringify(view.stack)}},"step_id":"step","use_api":${useApi}}` +
    `,"defers":${defersText(view.defers)},"event":${events[0] ?? '{}'},"events":[${events.join(',')}]` +
    `,"steps":${steps},"use_api":${useApi},"version":${view.requestVersion}}`
  );
}

function stepsJson(steps: CallView['steps']): Json {
  return mapText(steps, ({ memo }) => memo);
}

function defersText(defers: CallView['defers']): Json {
  return mapText(defers, ({ abortable }) => `{"abortable":${abortable}}`);
}

/** An object by id, in canonical order: UTF-16 code units, which is how JavaScript compares. */
function mapText<T extends { readonly id: string }>(items: readonly T[], json: (item: T) => Json): Json {
  const sorted = [...items].sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
  let text = '{';
  let last: string | undefined;
  for (const item of sorted) {
    if (item.id === last) continue;
    last = item.id;
    text += `${text.length === 1 ? '' : ','}${JSON.stringify(item.id)}:${json(item)}`;
  }
  return text + '}';
}

/**
 * Where a call goes: the registered URL with all its parameters, `fnId` and `stepId` set to what is called. http.md section 12. Local host names
 * with a port become `localhost`, as contract 17.1 has it. A URL that is none is left for the transport to refuse.
 */
export function callUrl(registered: string, functionSlug: string, target: string): string {
  const key = `${registered}\n${functionSlug}\n${target}`;
  const known = urls.get(key);
  if (known !== undefined) return known;
  if (urls.size >= URLS_MAX) urls.clear();
  const url = makeUrl(registered, functionSlug, target);
  urls.set(key, url);
  return url;
}

/** The same few steps are called again and again, and a URL is dear to take apart. */
const urls = new Map<string, string>();
const URLS_MAX = 2_000;

function makeUrl(registered: string, functionSlug: string, target: string): string {
  const url = URL.parse(registered);
  if (!url) return registered;
  if (url.port !== '' && (url.hostname === '127.0.0.1' || url.hostname === '0.0.0.0')) url.hostname = 'localhost';
  url.searchParams.set('fnId', functionSlug);
  url.searchParams.set('stepId', target);
  return url.href;
}
