import type { CallView } from '#core/run/run.call.js';
import type { Op } from '#core/run/run.ops.js';
import { readReply, type CallReply, type ReadReply } from '#protocol/call.reply.js';
import { callRequest } from '#protocol/call.request.js';

/** A served app, as runtimes with the web's own Request and Response hold it. */
export type Handler = (request: Request) => Promise<Response>;

/** The signing key of calls and answers: apps are driven in cloud mode. */
export const DRIVE_KEY = 'signkey-test-12345678abcdef00112233445566778899aabbccddeeff001122334455667788';
const DRIVE_EVENT = '{"data":{"n":1.5,"é":"ü"},"id":"E1","name":"t/x","ts":1795370533986,"user":{}}';

/** A first call of function `app-fn`. */
export const DRIVE_VIEW: CallView = {
  runId: '01M826RHBPP47SA1YZNBK2261F',
  functionId: '4c06f5a6-3a0b-549f-8d25-7237f71e8e14',
  functionSlug: 'app-fn',
  target: 'step',
  attempt: 0,
  maxAttempts: 4,
  generation: 1,
  qiId: '01M826RHBPP47SA1YZNBK2261F.1',
  requestVersion: -1,
  disableImmediateExecution: false,
  events: [DRIVE_EVENT],
  steps: [],
  stack: [],
  defers: [],
};

/** Calls an app without a network. @returns its answer, unread */
export async function send(
  handler: Handler,
  changed: Partial<CallView> = {},
  signingKey = DRIVE_KEY,
): Promise<CallReply> {
  const { url, headers, body } = callRequest({
    view: { ...DRIVE_VIEW, ...changed },
    url: 'http://127.0.0.1:3000/api/inngest?fnId=app-fn&stepId=step',
    sdk: 'js:v4',
    serverKind: 'cloud',
    requestId: '01M826RHW940ZYCJ05VN9HJATV',
    jobId: 'J1',
    signingKey,
    now: Date.now(),
  });
  const request = new Request(url, { method: 'POST', headers: { ...headers, host: new URL(url).host }, body });
  const answer = await handler(request);
  return { status: answer.status, headers: Object.fromEntries(answer.headers), body: await answer.text() };
}

/** Calls an app and reads its answer, which it must have signed. */
export async function call(handler: Handler, changed: Partial<CallView> = {}): Promise<ReadReply> {
  const reply = await send(handler, changed);
  if (!('x-inngest-signature' in reply.headers)) throw new Error(`not signed: ${reply.status} ${reply.body}`);
  return readReply(reply, { now: Date.now(), signingKeys: [DRIVE_KEY] });
}

/** @throws when the answer is an error */
export function opsOf({ outcome }: ReadReply): readonly Op[] {
  if (outcome.kind === 'error') throw new Error(outcome.fault.message);
  return outcome.ops;
}

/** Calls until the function is done, as a run would that takes one step at a time. */
export async function drive(handler: Handler): Promise<{ readonly seen: readonly string[]; readonly data: unknown }> {
  const steps: { id: string; memo: string }[] = [];
  const seen: string[] = [];
  let requestVersion = -1;
  for (let calls = 0; calls < 20; calls++) {
    const reply = await call(handler, { steps, stack: steps.map(({ id }) => id), requestVersion });
    requestVersion = reply.requestVersion ?? -1;
    const [op] = opsOf(reply);
    if (!op) throw new Error('nothing to do');
    seen.push(`${op.op} ${op.name}`);
    if (op.op === 'RunComplete') return { seen, data: JSON.parse(op.data) };
    steps.push({ id: op.id, memo: memoOf(op) });
  }
  throw new Error('no end');
}

function memoOf(op: Op): string {
  switch (op.op) {
    case 'StepDone':
      return op.memo;
    case 'StepFailed':
      return `{"error":${op.fault.json}}`;
    case 'WaitForEvent':
      return DRIVE_EVENT.replace('t/x', op.event);
    case 'InvokeFunction':
      return '{"data":{"from":"child"}}';
    default:
      return 'null';
  }
}
