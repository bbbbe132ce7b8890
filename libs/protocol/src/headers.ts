/**
 * Names of the headers between server and SDK, in lower case, as every reader here expects them. http.md section 10.
 *     S>  the server sends it       >S  an SDK sends it
 */
export const HEADER = {
  /** S> when there is a key; >S on answers of TypeScript and Python. Section 8. */
  signature: 'x-inngest-signature',
  /** S> `dev` or `cloud`, on everything the server says. */
  serverKind: 'x-inngest-server-kind',
  /** >S the kind that the SDK saw when it was asked to sync. */
  expectedServerKind: 'x-inngest-expected-server-kind',
  /** S> and >S `in_band` or `out_of_band`. */
  syncKind: 'x-inngest-sync-kind',
  /** >S `inngest-js:v4.24.0`, `inngest-py:v…`, `go:v…`, `inngest-kt:…`. */
  sdk: 'x-inngest-sdk',
  /** >S `true`: the SDK itself answered. Not sent by Python and Kotlin. */
  sdkHandled: 'x-inngest-sdk-handled',
  framework: 'x-inngest-framework',
  platform: 'x-inngest-platform',
  /** >S name of a branch environment. */
  env: 'x-inngest-env',
  /** S> `-1` until the SDK has answered with its version, then that. */
  requestVersion: 'x-inngest-req-version',
  /** >S `true`: do not call again for this error. */
  noRetry: 'x-inngest-no-retry',
  /** >S seconds or a date. */
  retryAfter: 'retry-after',
  /** S> with each call: run, request, step to run, queue item, try of the item. */
  runId: 'x-run-id',
  requestId: 'x-request-id',
  stepId: 'x-inngest-step-id',
  jobId: 'x-inngest-job-id',
  generationId: 'x-inngest-generation-id',
  /** S> re-entry of a durable endpoint: `true` plans steps instead of running them. */
  forceStepPlan: 'x-inngest-force-step-plan',
  /** >S with events: `<ms>,<base64 of 10 bytes>`. */
  eventIdSeed: 'x-inngest-event-id-seed',
  /** S> the one account; no SDK reads it. */
  accountId: 'account-id',
  traceparent: 'traceparent',
  tracestate: 'tracestate',
  authorization: 'authorization',
  contentType: 'content-type',
  userAgent: 'user-agent',
} as const;

/** Whether an answer came from an SDK and not from a proxy, a 404 page or another program. http.md sections 10 and 12. */
export function isFromSdk(headers: Readonly<Record<string, string>>): boolean {
  return Boolean(headers[HEADER.sdk]) || headers[HEADER.sdkHandled]?.trim().toLowerCase() === 'true';
}
