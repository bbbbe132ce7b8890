import { Inngest, NonRetriableError, RetryAfterError, type GetStepTools } from 'inngest';
import { serve as serveStream } from 'inngest/cloudflare';
import { serve } from 'inngest/edge';
import { beforeEach, describe, expect, it } from 'vitest';
import { call, drive, DRIVE_KEY as KEY, DRIVE_VIEW as view, opsOf, send, type Handler } from '#testkit/sdk-drive.js';
import { readReply } from './call.reply.js';
import { readCheckpoint, type Checkpoint } from './checkpoint.read.js';

const silent = { info() {}, warn() {}, error() {}, debug() {} };

/** What we write and read, held against the SDK itself: in cloud mode, so that every call and answer is signed. */
describe('TypeScript v4', () => {
  let checkpoints: Checkpoint[];
  let checkpointStatus: number;
  beforeEach(() => {
    checkpoints = [];
    checkpointStatus = 200;
  });

  /** The API, as far as the SDK calls it. */
  const fetch: typeof globalThis.fetch = async (url, init) => {
    const { pathname } = new URL(url instanceof Request ? url.url : url);
    const [, runId] = /^\/v1\/checkpoint\/([^/]+)\/async$/.exec(pathname) ?? [];
    if (runId === undefined) throw new Error(`unexpected call of ${pathname}`);
    const body: unknown = await new Response(init?.body).json();
    if (checkpointStatus === 200) checkpoints.push(readCheckpoint(body, runId, Date.now()));
    return new Response('', { status: checkpointStatus });
  };
  const client = (checkpointing: boolean) =>
    new Inngest({ id: 'app', isDev: false, signingKey: KEY, eventKey: 'k', fetch, checkpointing, logger: silent });
  type Run = (told: {
    readonly event: { readonly data: unknown };
    readonly step: GetStepTools<Inngest.Any>;
  }) => unknown;

  function app(run: Run, checkpointing = false): Handler {
    const inngest = client(checkpointing);
    return serve({
      client: inngest,
      functions: [inngest.createFunction({ id: 'fn', triggers: [{ event: 't/x' }] }, run)],
    });
  }

  it('takes what we say, and we what it says', async () => {
    const callee = client(false).createFunction({ id: 'callee', triggers: [] }, () => ({ from: 'child' }));
    const handler = app(async ({ event, step }) => {
      const a = await step.run('a', () => ({ é: (event.data as { n: number }).n }));
      await step.sleep('nap', '1s');
      const waited = await step.waitForEvent('wait', { event: 't/y', timeout: '1h' });
      const child: unknown = await step.invoke('child', { function: callee, data: { q: 1 } });
      const caught = await step
        .run('bad', () => Promise.reject(new NonRetriableError('never')))
        .catch((error: Error) => error.message);
      return { a, waited: waited?.data as unknown, child, caught };
    });
    expect(await drive(handler)).toEqual({
      seen: [
        'StepDone a',
        'Sleep nap',
        'WaitForEvent wait',
        'InvokeFunction child',
        'StepFailed bad',
        'RunComplete complete',
      ],
      data: { a: { é: 1.5 }, waited: { n: 1.5, é: 'ü' }, child: { from: 'child' }, caught: 'never' },
    });
  });

  it('names its request version', async () => {
    const handler = app(() => 1);
    expect(await call(handler)).toMatchObject({ requestVersion: 2, outcome: { plain: true, ops: [{ data: '1' }] } });
  });

  it('finds parallel steps, and runs the one that is asked for', async () => {
    const handler = app(({ step }) => Promise.all([step.run('p1', () => 1), step.run('p2', () => 2)]));
    const planned = opsOf(await call(handler));
    expect(planned.map(({ op, name }) => `${op} ${name}`)).toEqual(['StepPlanned p1', 'StepPlanned p2']);
    const target = planned[1]?.id ?? '';
    const ran = opsOf(await call(handler, { target, disableImmediateExecution: true }));
    expect(ran).toMatchObject([{ op: 'StepDone', id: target, memo: '{"data":2}' }]);
  });

  it('reports errors of steps', async () => {
    const handler = app(({ step }) => step.run('s', () => Promise.reject(new RetryAfterError('later', '30s'))));
    expect((await call(handler)).outcome).toMatchObject({
      noRetry: false,
      retryAfterMs: 30_000,
      ops: [{ op: 'StepError', fault: { name: 'RetryAfterError', message: 'later' } }],
    });
    expect(opsOf(await call(handler, { attempt: 3 }))).toMatchObject([{ op: 'StepFailed' }]);
  });

  it('reports errors of functions', async () => {
    const handler = app(() => Promise.reject(new TypeError('kaput')));
    const error = { kind: 'error', fault: { name: 'TypeError', message: 'kaput' } };
    expect((await call(handler)).outcome).toMatchObject({ ...error, code: '500', noRetry: false });
    expect((await call(handler, { attempt: 3 })).outcome).toMatchObject({ ...error, code: '400', noRetry: true });
    expect((await call(handler, { functionSlug: 'app-gone' })).outcome).toMatchObject({
      kind: 'error',
      code: '500',
      noRetry: false,
    });
  });

  const twoSteps: Run = async ({ step }) => [await step.run('a', () => 'A'), await step.run('b', () => 'B')];

  it('tells on the way what is done, and goes on', async () => {
    expect(opsOf(await call(app(twoSteps, true)))).toMatchObject([{ op: 'RunComplete', data: '["A","B"]' }]);
    expect(checkpoints).toMatchObject([
      { qiId: view.qiId, generationId: 1, ops: [{ op: 'StepDone', name: 'a', memo: '{"data":"A"}' }] },
      { fnId: view.functionId, ops: [{ op: 'StepDone', name: 'b', memo: '{"data":"B"}' }] },
    ]);
  });

  it('stops when it is told that another call owns the work', async () => {
    checkpointStatus = 409;
    expect((await call(app(twoSteps, true))).outcome).toMatchObject({
      kind: 'error',
      code: 'stale_dispatch',
    });
  });

  it('streams, and signs what is inside', async () => {
    const inngest = client(false);
    const run: Run = ({ step }) => step.run('a', () => 'é');
    const streaming = serveStream({
      client: inngest,
      functions: [inngest.createFunction({ id: 'fn', triggers: [{ event: 't/x' }] }, run)],
      streaming: true,
    });
    const reply = await send((request) => (streaming as (worker: object) => Promise<Response>)({ request, env: {} }));
    expect(reply.status).toBe(201);
    expect(readReply(reply, { now: Date.now(), signingKeys: [KEY] })).toMatchObject({
      requestVersion: 2,
      outcome: { ops: [{ op: 'StepDone', memo: '{"data":"é"}' }] },
    });
    const other = readReply(reply, { now: Date.now(), signingKeys: ['signkey-test-00'] });
    expect(other.outcome).toMatchObject({ code: 'signature_invalid' });
  });

  it('has calls made for it', async () => {
    const handler = app(({ step }) => {
      const model = step.ai.models.gemini({ model: 'gemini-2.0-flash', apiKey: 'sk-hush' });
      return step.ai.infer('ask', { model, body: { contents: [] } });
    });
    const [op] = opsOf(await call(handler));
    expect(op).toMatchObject({ op: 'AIGateway', name: 'ask', type: 'step.ai.infer' });
    const request: unknown = op && 'request' in op && JSON.parse(op.request);
    expect(request).toMatchObject({ auth_key: 'sk-hush', format: 'gemini', body: { contents: [] } });
  });

  it('refuses what is not signed with its key', async () => {
    const handler = app(() => 1);
    const reply = await send(handler, {}, 'signkey-test-00');
    const { outcome } = readReply(reply, { now: Date.now(), signingKeys: [KEY] });
    expect(outcome).toMatchObject({ code: 'unauthorized', transport: true, noRetry: false });
  });
});
