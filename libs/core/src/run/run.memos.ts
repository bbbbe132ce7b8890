import { canonical } from '../json.js';
import type { Json } from '../words.js';
import { fault } from './run.faults.js';
import type { StepFault } from './run.ops.js';

/**
 * What calls carry under a step's id: execution.md section 3. A wrapped value has exactly one key, or SDKs take it for data.
 *     {"data": X}       done                      null            slept, or waited in vain
 *     {"error": {...}}  failed for good           {"name": ...}   the event that ended a wait, as it is
 *     {"input": [...]}  to be run, with these arguments
 */
export const NOTHING: Json = 'null';

export function dataMemo(data: Json): Json {
  return `{"data":${data}}`;
}

export function faultMemo({ json }: StepFault): Json {
  return `{"error":${json}}`;
}

export function inputMemo(args: Json): Json {
  return `{"input":${args}}`;
}

export function signalMemo(signal: string, data: Json): Json {
  return dataMemo(`{"data":${data},"signal":${JSON.stringify(signal)}}`);
}

/** An answer that `step.fetch` got, whatever its status. Header names as Go writes them: `Content-Type`. */
export function fetchMemo(reply: {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly url: string;
}): Json {
  const headers = Object.fromEntries(Object.entries(reply.headers).map(([name, value]) => [headerName(name), value]));
  return dataMemo(canonical({ body: reply.body, headers, status_code: reply.status, url: reply.url }));
}

function headerName(name: string): string {
  return name.toLowerCase().replace(/(^|-)[a-z]/g, (start) => start.toUpperCase());
}

/** `step.fetch` got no answer. @param reason why, without secrets */
export function fetchFault(reason: string): StepFault {
  return fault('GatewayError', `Error making gateway request: ${reason}`);
}

/** `step.ai.infer` failed. @param answer what the provider said: JSON when it was, and the body as it came */
export function inferFault(reason: string, answer: { readonly data?: Json; readonly text?: string } = {}): StepFault {
  const name = 'AIGatewayError';
  const message = `Error making AI request: ${reason}`;
  const stack = answer.text === undefined ? '' : `,"stack":${JSON.stringify(answer.text)}`;
  const json = `{"data":${answer.data ?? 'null'},"message":${JSON.stringify(message)},"name":"${name}"${stack}}`;
  return { name, message, json };
}

export function invokeUnknown(functionRef: string): StepFault {
  return fault('Error', `could not find function with ID: ${functionRef}`);
}

export const invokeCancelled: StepFault = fault('Error', 'The invoked function was cancelled');

/** The invoked function did not run: rate limited, skipped, debounced away, a duplicate. Quirk 12: said at once, instead of a time-out. */
export function invokeRefused(reason: string): StepFault {
  return fault('Error', `The invoked function did not run: ${reason}`);
}

/** The invoked run failed: its own error, and the class that the server gives it (`invalid status code: 500`). */
export function invokeFailed(failed: StepFault, errorClass: string): StepFault {
  return { name: failed.name, message: failed.message, json: withClass(failed, errorClass) };
}

/** The error object of a failed run in events and memos: its `error` is the class, unless the server made the error and named it. */
export function withClass({ json }: StepFault, errorClass: string): Json {
  return canonical({ error: errorClass, ...(JSON.parse(json) as object) });
}

export const signalConflict: StepFault = fault('Error', 'Signal conflict; signal wait already exists for another run');
