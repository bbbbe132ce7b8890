import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { Api } from '../harness/api.client.js';
import { RawApp, done, ops, type RawCall } from '../harness/raw-app.js';
import { SdkApps } from '../harness/sdk-app.process.js';
import { Stage, type Story } from '../harness/stage.js';

const { serverUrl } = inject('world');
const api = new Api(serverUrl);
const functions = ['test/e2e/functions/checkpoints.mjs'];
const opened: SdkApps[] = [];

async function open(id: string, client: Record<string, unknown> = {}): Promise<{ apps: SdkApps; stage: Stage }> {
  const apps = await SdkApps.start([{ id, variant: 'v4', functions, client }], { INNGEST_DEV: serverUrl });
  opened.push(apps);
  await apps.sync(id);
  return { apps, stage: new Stage('v4', api, apps.log, id) };
}

afterAll(async () => {
  for (const apps of opened) await apps[Symbol.asyncDispose]();
});

describe('checkpointing', () => {
  let stage: Stage;
  beforeAll(async () => {
    ({ stage } = await open('cp'));
  });
  const checkpoints = async (story: Story) =>
    (await stage.log.seen({ kind: 'sent', runId: story.runId })).map(({ steps, status }) => [steps, status]);
  const all = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
  const once = async (story: Story, names: readonly string[]) => {
    for (const name of names) expect([name, await story.times(name)]).toEqual([name, 1]);
  };

  it('stores each step as it is done, in one request', async () => {
    const story = await stage.play('single');
    expect(story.run).toMatchObject({ status: 'Completed', output: 7 });
    await once(story, all);
    expect(await checkpoints(story)).toEqual(all.map((name) => [[`StepRun ${name}`], 200]));
    expect(await story.answers()).toMatchObject([
      { status: 206, ops: ['RunComplete 0737c22d3bfae812339732d14d8c7dbd6dc4e09c'] },
    ]);
  });

  it('shows what is stored while the request goes on', async () => {
    const story = await stage.start('single', { holds: 'd' });
    await story.happened('d begins');
    const stored = await api.request<Record<string, unknown>>('GET', `/v0/runs/${story.runId}/actions`);
    expect(Object.values(stored.body)).toEqual([{ data: 'a' }, { data: 'b' }, { data: 'c' }]);
    await story.open('d');
    expect((await story.ended()).output).toBe(7);
  });

  it('stores several steps at once where they are buffered', async () => {
    const story = await stage.play('buffered');
    expect(story.run).toMatchObject({ status: 'Completed', output: 7 });
    await once(story, all);
    expect(await checkpoints(story)).toEqual([
      [['StepRun a', 'StepRun b', 'StepRun c'], 200],
      [['StepRun d', 'StepRun e', 'StepRun f'], 200],
    ]);
    const [answer] = await story.answers();
    expect(answer?.['ops']).toEqual(['StepRun g', expect.stringMatching(/^RunComplete/)]);
  });

  it('stores what is buffered when its time has come', async () => {
    const story = await stage.play('timed', { ms: 300 });
    expect(story.run).toMatchObject({ status: 'Completed', output: 3 });
    await once(story, ['a', 'b', 'c']);
    expect((await checkpoints(story)).length).toBeGreaterThan(0);
  });

  it('goes on in another request when one has lasted too long', async () => {
    const story = await stage.play('short', { ms: 200 });
    expect(story.run).toMatchObject({ status: 'Completed', output: 6 });
    await once(story, ['a', 'b', 'c', 'd', 'e', 'f']);
    expect((await story.calls()).length).toBeGreaterThan(1);
  });

  it('stores what is buffered before it sleeps, and goes on with parallel steps', async () => {
    const story = await stage.play('mixed');
    expect(story.run).toMatchObject({ status: 'Completed', output: ['e', 'f', 'g'] });
    await once(story, ['a', 'b', 'c', 'd']);
  });

  it('does not store a step that failed; it is tried again, and then what follows it', async () => {
    const story = await stage.play('shaky');
    expect(story.run).toMatchObject({ status: 'Completed', output: 'done' });
    await once(story, ['a', 'c']);
    expect((await story.happened('b', 3)).map(({ attempt }) => attempt)).toEqual([0, 1, 2]);
    expect((await story.happened('body', 3)).length).toBe(3);
  });

  it('gives the steps with the answer when checkpoints do not get through', async () => {
    const { apps, stage: lost } = await open('cp-lost');
    await apps.log.set({ 'cp-lost checkpoint': 500 });
    const story = await lost.start('single');
    await apps.log.wait({ kind: 'answer', runId: story.runId });
    await apps.log.set({ 'cp-lost checkpoint': 0 });
    expect(await story.ended()).toMatchObject({ status: 'Completed', output: 7 });
    for (const name of all) expect([name, await story.times(name)]).toEqual([name, 1]);
    expect((await story.answers())[0]).toMatchObject({ status: 206, ops: ['StepRun a'] });
  });
});

describe('the door for checkpoints', () => {
  const hash = 'a'.repeat(40);
  const stepRun = { id: hash, op: 'StepRun', name: 'a', displayName: 'a', data: 'A' };

  /** A run whose call is under way, and the way to answer it. */
  async function underWay() {
    const app = await RawApp.start(api);
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    await app.add('f', async () => {
      await held;
      return done('ended');
    });
    const runId = await app.begin('f');
    const [call] = app.callsOf(runId) as [RawCall];
    const { fn_id, qi_id, request_id, generation_id } = call.body.ctx;
    const base = { run_id: runId, fn_id, qi_id, request_id, generation_id, ts: Date.now() };
    const checkpoint = (body: object) => api.request('POST', `/v1/checkpoint/${runId}/async`, { ...base, ...body });
    return { app, runId, release, checkpoint };
  }

  it('takes steps of the call under way, and refuses all else', async () => {
    const { app, runId, release, checkpoint } = await underWay();
    await using _ = app;
    expect(await checkpoint({ steps: [stepRun] })).toMatchObject({ status: 200, text: '' });
    expect(await checkpoint({ steps: [stepRun] })).toMatchObject({ status: 200 });
    // Whoever has another result than the one that counts must not go on with it.
    expect(await checkpoint({ steps: [{ ...stepRun, data: 'other' }] })).toMatchObject({ status: 409 });
    const actions = await api.request('GET', `/v0/runs/${runId}/actions`);
    expect(actions.body).toEqual({ [hash]: { data: 'A' } });

    expect(await checkpoint({ qi_id: 'nonsense', steps: [stepRun] })).toMatchObject({
      status: 400,
      body: { error: expect.any(String) as string },
    });
    for (const op of [
      'Sleep',
      'WaitForEvent',
      'InvokeFunction',
      'Gateway',
      'AIGateway',
      'WaitForSignal',
      'StepError',
    ]) {
      const { status } = await checkpoint({
        steps: [
          {
            id: 'b'.repeat(40),
            op,
            name: '1h',
            opts: { event: 'x', timeout: '1h', signal: 'x', function_id: 'x', url: 'http://x' },
          },
        ],
      });
      expect([op, status]).toEqual([op, 400]);
    }
    expect(await checkpoint({ generation_id: 99, steps: [{ ...stepRun, id: 'c'.repeat(40) }] })).toMatchObject({
      status: 409,
    });
    expect(
      await checkpoint({ steps: [{ ...stepRun, id: 'd'.repeat(40), data: 'x'.repeat(4 * 1024 * 1024 + 1) }] }),
    ).toMatchObject({ status: 413 });
    for (const body of ['', 'null', '[]', '7', '{"steps":7}', '{"run_id":']) {
      const { status } = await api.request('POST', `/v1/checkpoint/${runId}/async`, body);
      expect([body, status]).toEqual([body, 400]);
    }
    expect(
      (
        await api.request('POST', '/v1/checkpoint/01ARZ3NDEKTSV4RRFFQ69G5FAV/async', {
          run_id: '01ARZ3NDEKTSV4RRFFQ69G5FAV',
          qi_id: 'x',
          steps: [],
        })
      ).status,
    ).toBe(400);
    release();
    expect(await api.ended(runId)).toMatchObject({ status: 'Completed', output: 'ended' });
    const late = await checkpoint({ steps: [{ ...stepRun, id: 'e'.repeat(40) }] });
    expect(late.status).toBe(409);
  });

  it('counts attempts anew after a checkpoint: a call that dies afterwards has all of them again', async () => {
    await using app = await RawApp.start(api);
    await app.add('f', {
      retries: 1,
      answers: async ({ body: { ctx, steps } }) => {
        const known = Object.keys(steps).length;
        if (known === 3) return done('through');
        const { run_id, fn_id, qi_id, request_id, generation_id } = ctx;
        const told = {
          run_id,
          fn_id,
          qi_id,
          request_id,
          generation_id,
          steps: [{ ...stepRun, id: `${known}`.repeat(40) }],
        };
        if (ctx.attempt === 0) await api.request('POST', `/v1/checkpoint/${run_id}/async`, told);
        return (request) => void request.socket.destroy();
      },
    });
    const { run, calls } = await app.play('f');
    expect(run).toMatchObject({ status: 'Completed', output: 'through' });
    expect(calls.map(({ body }) => [body.ctx.attempt, Object.keys(body.steps).length])).toEqual([
      [0, 0],
      [0, 1],
      [0, 2],
      [0, 3],
    ]);
    expect(calls.map(({ body }) => body.ctx.generation_id)).toEqual([1, 2, 3, 4]);
  });

  it('ends a run that stores more steps than it may', async () => {
    const { app, runId, release, checkpoint } = await underWay();
    await using _ = app;
    const steps = (from: number, n: number) =>
      Array.from({ length: n }, (_unused, at) => ({ ...stepRun, id: `${from + at}`.padStart(40, '0') }));
    expect((await checkpoint({ steps: steps(0, 999) })).status).toBe(200);
    expect((await checkpoint({ steps: steps(999, 10) })).status).toBe(409);
    expect(await api.ended(runId)).toMatchObject({
      status: 'Failed',
      output: { error: { name: 'InngestErrFunctionOverflowed' } },
    });
    release();
  });

  it('drops the answer of an app that says it was told to stop', async () => {
    await using app = await RawApp.start(api);
    await app.add('f', (_call, nth) =>
      nth === 1
        ? {
            status: 400,
            body: { name: 'StaleDispatchError', message: 'Stale dispatch' },
            headers: { 'x-inngest-no-retry': 'true' },
          }
        : nth === 2
          ? ops({ ...stepRun })
          : done('went on'),
    );
    expect((await app.play('f')).run).toMatchObject({ status: 'Completed', output: 'went on' });
  });
});
