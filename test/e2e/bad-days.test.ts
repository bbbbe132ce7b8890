import { createHash } from 'node:crypto';
import { describe, expect, inject, it } from 'vitest';
import { Api } from '../harness/api.client.js';
import { done, ops, RawApp, type Answer, type Behaviour } from '../harness/raw-app.js';

/** The id that SDKs give a step. */
const hash = (name: string) => createHash('sha1').update(name).digest('hex');
const step = (name: string, op: string, more: object = {}) => ({
  id: hash(name),
  op,
  name,
  displayName: name,
  ...more,
});
const api = () => new Api(inject('world').serverUrl);

/** A run of a function that always answers so, with two attempts. */
async function playAlways(answer: Answer, retries = 1) {
  return playWith(() => answer, retries);
}

async function playWith(answers: Behaviour, retries = 1) {
  await using app = await RawApp.start(api());
  await app.add('f', { retries, answers });
  const played = await app.play('f');
  return { ...played, attempts: played.calls.map(({ body }) => body.ctx.attempt) };
}

function failed(message: RegExp, more: object = {}) {
  return {
    status: 'Failed',
    output: {
      error: expect.objectContaining({ message: expect.stringMatching(message) as string, ...more }) as object,
    },
  };
}

describe('an app that does not speak the protocol', () => {
  it('answers a page, as if all were well', async () => {
    const { run, attempts } = await playAlways({ status: 200, body: '<html>hello</html>', sdk: false });
    expect(attempts).toEqual([0, 1]);
    expect(run).toMatchObject({ status: 'Failed', output: '<html>hello</html>' });
    const [failure] = (await api().events(`name=inngest/function.failed&limit=100`)).filter(
      ({ data }) => data['run_id'] === run.run_id,
    );
    expect(failure?.data).toMatchObject({
      error: { message: expect.stringMatching(/did not come from an Inngest SDK/) as string },
    });
  });

  it('is a proxy that says 502', async () => {
    const { run, attempts } = await playAlways({ status: 502, body: '<h1>Bad gateway</h1>', sdk: false });
    expect(attempts).toEqual([0, 1]);
    expect(run).toMatchObject(failed(/HTTP 502/, { stack: expect.stringContaining('Bad gateway') as string }));
  });

  it('resets the connection', async () => {
    const { run, attempts } = await playAlways((request) => void request.socket.resetAndDestroy());
    expect(attempts).toEqual([0, 1]);
    expect(run).toMatchObject(failed(/reset|connection/i));
  });

  it('answers half a body', async () => {
    const { run, attempts } = await playAlways((_request, response) => {
      response.writeHead(206, { 'x-inngest-sdk': 'inngest-js:v4.24.0', 'content-length': '1000' });
      response.write('[{"id":"');
      setTimeout(() => response.destroy(), 20);
    });
    expect(attempts).toEqual([0, 1]);
    expect(run).toMatchObject(failed(/Your server reset the connection while we were reading the reply/));
  });

  it('answers something that is not HTTP', async () => {
    const { run, attempts } = await playAlways(
      (request, _response) => void request.socket.end('SSH-2.0-OpenSSH_9.6\r\n'),
    );
    expect(attempts).toEqual([0, 1]);
    expect(run.status).toBe('Failed');
  });

  it.each([
    ['JSON that is none, with status 200', { status: 200, body: '{"half":' }, /not JSON/],
    ['JSON that is none, with status 206', { status: 206, body: '[{"id"' }, /error reading generator opcode response/],
    [
      'an operation that nobody knows',
      ops(step('a', 'StepTeleport')),
      /error reading generator opcode response: unknown operation/,
    ],
    ['an operation without an id', ops({ op: 'StepRun', data: 1 }), /error reading generator opcode response/],
    [
      'an operation with the id of a method',
      ops({ op: 'StepRun', id: '__proto__', data: 1 }),
      /error reading generator opcode response/,
    ],
    ['an operation that is a number', { status: 206, body: [7] }, /error reading generator opcode response/],
    ['no operation at all', ops(), /without a result and without a step/],
    ['operations that mean nothing', ops(step('a', 'None')), /without a result and without a step/],
    ['a status out of the blue', { status: 299, body: {} }, /unexpected status 299/],
  ])('answers %s', async (_, answer, message) => {
    const { run, attempts } = await playAlways(answer);
    expect(attempts).toEqual([0, 1]);
    expect(run).toMatchObject(failed(message));
  });

  it.each([
    ['nests a hundred thousand deep', () => `${'['.repeat(100_000)}${']'.repeat(100_000)}`, /nests deeper/],
    ['is larger than 8 MB', () => JSON.stringify('x'.repeat(8 * 1024 * 1024)), /larger than 8388608/],
  ])('answers what %s', async (_, body, message) => {
    const { run, attempts } = await playAlways({ status: 200, body: body() });
    expect(attempts).toEqual([0, 1]);
    expect(run).toMatchObject(failed(message));
  });

  it('answers a step output of more than 4 MB', async () => {
    const { run, attempts } = await playAlways(ops(step('a', 'StepRun', { data: 'x'.repeat(4 * 1024 * 1024) })));
    expect(attempts).toEqual([0, 1]);
    expect(run).toMatchObject(failed(/output size is greater than the limit|output/));
  });
});

describe('an app that is not there', () => {
  it('is called again until it is', async () => {
    await using app = await RawApp.start(api());
    await app.add('f', { retries: 20, answers: () => done('back') });
    await app.stop();
    const eventId = await api().emit(app.event('f'));
    const { run_id: runId } = await api().runOf(eventId);
    await api().runWhen(runId, 'started', ({ status }) => status === 'Running');
    await app.start();
    expect(await api().ended(runId)).toMatchObject({ status: 'Completed', output: 'back' });
    const [call] = app.callsOf(runId);
    expect(call?.body.ctx.attempt).toBeGreaterThan(0);
  });

  it('fails readably when it stays away', async () => {
    await using app = await RawApp.start(api());
    await app.add('f', { retries: 1, answers: () => done() });
    await app.stop();
    const { run_id: runId } = await api().runOf(await api().emit(app.event('f')));
    expect(await api().ended(runId)).toMatchObject({
      status: 'Failed',
      output: { error: { message: expect.stringMatching(/connect|refused/i) as string } },
    });
  });
});

describe('statuses', () => {
  it.each([400, 401, 403, 404, 410, 422, 429, 500, 503])('%i is tried again', async (status) => {
    const { run, attempts } = await playAlways({ status, body: { name: 'Wrong', message: `said ${status}` } });
    expect(attempts).toEqual([0, 1]);
    expect(run).toMatchObject({ status: 'Failed', output: { name: 'Wrong', message: `said ${status}` } });
  });

  it.each([400, 500])('%i is not tried again when the SDK says so', async (status) => {
    const answer = { status, body: { name: 'Wrong', message: 'for good' }, headers: { 'x-inngest-no-retry': 'true' } };
    const { run, attempts } = await playAlways(answer, 4);
    expect(attempts).toEqual([0]);
    expect(run).toMatchObject({ status: 'Failed', output: { message: 'for good' } });
  });

  it('an unknown function is tried again', async () => {
    let deployed = false;
    const { run, attempts } = await playWith(() => {
      if (deployed) return done('deployed');
      deployed = true;
      return { status: 410, body: { message: 'function not found' } };
    });
    expect(attempts).toEqual([0, 1]);
    expect(run).toMatchObject({ status: 'Completed', output: 'deployed' });
  });

  it.each([307, 308])('%i is followed, with body and query', async (status) => {
    await using app = await RawApp.start(api());
    let moved = 0;
    await app.add('f', {
      answers: () => {
        if (++moved > 1) return done('arrived');
        return { status, headers: { location: '/elsewhere' }, sdk: false };
      },
    });
    const { run, calls } = await app.play('f');
    expect(run).toMatchObject({ status: 'Completed', output: 'arrived' });
    expect(calls.map(({ body }) => body.ctx.attempt)).toEqual([0, 0]);
  });

  it('retries are capped at twenty', async () => {
    await using app = await RawApp.start(api());
    await app.add('f', { retries: 50, answers: () => done() });
    const { calls } = await app.play('f');
    expect(calls[0]?.body.ctx.max_attempts).toBe(21);
  });

  it.each([
    ['3600', 3_600],
    [new Date(Date.now() + 7_200_000).toUTCString(), 7_200],
    [new Date(Date.now() + 7_200_000).toISOString(), 7_200],
    ['9999999', 86_400],
    ['-5', 1],
  ])('a Retry-After of %s is kept to', async (retryAfter, seconds) => {
    await using app = await RawApp.start(api());
    await app.add('f', {
      answers: () => ({ status: 500, body: { message: 'later' }, headers: { 'retry-after': retryAfter } }),
    });
    const asked = Date.now();
    const runId = await app.begin('f');
    if (seconds === 1)
      return void expect(await api().runWhen(runId, 'tried again', () => app.callsOf(runId).length > 1)).toBeDefined();
    await api().runWhen(runId, 'answered', () => app.callsOf(runId).length > 0);
    const job = await waitForJob(runId);
    const inSeconds = (Date.parse(job.at) - asked) / 1_000;
    // A date is kept to as it is, seconds are counted from the answer.
    expect(inSeconds).toBeGreaterThan(seconds - 60);
    expect(inSeconds).toBeLessThan(seconds + 60);
    expect(job).toMatchObject({ attempt: 1, status: 'scheduled' });
    await api().request('DELETE', `/v1/runs/${runId}`);
  });
});

async function waitForJob(runId: string) {
  for (;;) {
    const job = (await api().jobs(runId)).find(({ status }) => status === 'scheduled');
    if (job) return job;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe('an app that lies about steps', () => {
  const planned = ops(step('a', 'StepPlanned'), step('b', 'StepPlanned'));

  it('answers a call of one step as if the function had ended', async () => {
    await using app = await RawApp.start(api());
    await app.add('f', {
      retries: 1,
      answers: ({ target, body }) => {
        if (target === 'step') return Object.keys(body.steps).length < 2 ? planned : done(body.steps);
        return target === hash('a') ? ops(step('a', 'StepRun', { data: 'A' })) : done(null);
      },
    });
    const { run, calls } = await app.play('f');
    const toB = calls.filter(({ target }) => target === hash('b'));
    expect(toB.map(({ body }) => body.ctx.attempt)).toEqual([0, 1]);
    expect(run).toMatchObject({
      status: 'Completed',
      output: { [hash('a')]: { data: 'A' }, [hash('b')]: { error: { name: 'StepNotFound' } } },
    });
  });

  it('answers another step than the one that was asked for', async () => {
    await using app = await RawApp.start(api());
    await app.add('f', {
      retries: 1,
      answers: ({ target, body }) => {
        if (target === 'step') return Object.keys(body.steps).length < 2 ? planned : done(body.steps);
        return ops(step('a', 'StepRun', { data: 'A' }));
      },
    });
    const { run } = await app.play('f');
    expect(run).toMatchObject({
      status: 'Completed',
      output: { [hash('a')]: { data: 'A' }, [hash('b')]: { error: { name: 'StepNotFound' } } },
    });
  });

  it('says that the step is not in its code any more', async () => {
    await using app = await RawApp.start(api());
    await app.add('f', {
      retries: 0,
      answers: ({ target, body }) => {
        if (target === 'step') return Object.keys(body.steps).length < 2 ? planned : done(body.steps);
        if (target === hash('a')) return ops(step('a', 'StepRun', { data: 'A' }));
        return { status: 500, body: { error: 'not found', requestedStep: target, foundSteps: [], totalFoundSteps: 0 } };
      },
    });
    const { run } = await app.play('f');
    expect(run).toMatchObject({ status: 'Completed', output: { [hash('b')]: { error: { name: 'StepNotFound' } } } });
  });

  it('gives two results for one step: the first counts, in one answer as in two', async () => {
    await using app = await RawApp.start(api());
    await app.add('f', ({ body }) => {
      if (Object.keys(body.steps).length === 0)
        return ops(step('a', 'StepRun', { data: 'first' }), step('a', 'StepRun', { data: 'second' }));
      if (!body.steps[hash('b')])
        return ops(step('a', 'StepRun', { data: 'third' }), step('b', 'StepRun', { data: 'B' }));
      return done(body.steps);
    });
    const { run } = await app.play('f');
    expect(run.output).toEqual({ [hash('a')]: { data: 'first' }, [hash('b')]: { data: 'B' } });
  });

  it('plans a step again that is under way: it is run once', async () => {
    await using app = await RawApp.start(api());
    const race = { opts: { parallelMode: 'race' } };
    let finish: (answer: Answer) => void = () => undefined;
    const slow = new Promise<Answer>((resolve) => (finish = resolve));
    await app.add('f', ({ target, body }) => {
      if (target === hash('slow')) return slow;
      if (target === hash('quick')) return ops(step('quick', 'StepRun', { data: 1 }));
      if (body.steps[hash('slow')]) return done('both');
      if (body.steps[hash('quick')]) finish(ops(step('slow', 'StepRun', { data: 2 })));
      return ops(step('slow', 'StepPlanned', race), step('quick', 'StepPlanned', race));
    });
    const { run, calls } = await app.play('f');
    expect(run).toMatchObject({ status: 'Completed', output: 'both' });
    expect(calls.filter(({ target }) => target === hash('slow'))).toHaveLength(1);
  });

  it.each([
    ['an empty error', { error: {} }],
    ['no error', {}],
    ['an error that is a text', { error: 'kaput' }],
    ['an error of strange types', { error: { name: 7, message: { no: 'text' }, stack: [] } }],
  ])('reports a failed step with %s', async (_, error) => {
    await using app = await RawApp.start(api());
    await app.add('f', ({ body }) => {
      const memo = body.steps[hash('a')];
      return memo === undefined ? ops(step('a', 'StepFailed', error)) : done(memo);
    });
    const { run } = await app.play('f');
    expect(run.status).toBe('Completed');
    expect(run.output).toMatchObject({
      error: { name: expect.any(String) as string, message: expect.any(String) as string },
    });
    expect(run.output).toHaveProperty('error.data');
  });

  it.each([
    ['Sleep', { name: 'a while' }, 'InvalidDuration'],
    ['Sleep', { name: '9000d' }, 'InngestErrTimeoutTooLong'],
    ['WaitForEvent', { name: 'x', opts: { timeout: 'soon' } }, 'InvalidDuration'],
    ['WaitForEvent', { name: 'x', opts: { timeout: '1h', if: 'foo == 1' } }, 'InvalidExpression'],
    ['WaitForSignal', { name: 'x', opts: { signal: 'x', timeout: '2 apples' } }, 'InvalidDuration'],
  ])('asks for a %s of %j: the run fails at once', async (op, more, name) => {
    const { run, attempts } = await playAlways(ops(step('a', op, more)));
    expect(attempts).toEqual([0]);
    expect(run).toMatchObject({ status: 'Failed', output: { error: { name } } });
  });

  it('ends the function while steps are open: nothing more is called', async () => {
    await using app = await RawApp.start(api());
    await app.add('f', ({ body }) => {
      if (Object.keys(body.steps).length > 0) return done('early');
      const race = { parallelMode: 'race' };
      return ops(
        step('a', 'StepRun', { data: 1, opts: race }),
        step('nap', 'Sleep', { name: '1s', opts: race }),
        step('w', 'WaitForEvent', { name: app.event('go'), opts: { timeout: '1h', ...race } }),
      );
    });
    await app.add('after', () => done());
    const { run, runId } = await app.play('f');
    expect(run).toMatchObject({ status: 'Completed' });
    const before = app.callsOf(runId).length;
    await api().emit(app.event('go'));
    await app.play('after');
    expect(app.callsOf(runId)).toHaveLength(before);
  });

  it('answers after the run was cancelled: the answer is not used', async () => {
    await using app = await RawApp.start(api());
    let answer: (answer: Answer) => void = () => undefined;
    await app.add('f', () => new Promise<Answer>((resolve) => (answer = resolve)));
    await app.add('after', () => done());
    const runId = await app.begin('f');
    expect((await api().request('DELETE', `/v1/runs/${runId}`)).status).toBe(200);
    expect(await api().ended(runId)).toMatchObject({ status: 'Cancelled', output: null });
    answer(ops(step('a', 'StepRun', { data: 'late' })));
    await app.play('after');
    expect(await api().run(runId)).toMatchObject({ status: 'Cancelled', output: null });
    expect(app.callsOf(runId)).toHaveLength(1);
  });
});

describe('limits inside a run', () => {
  const many = (n: number, op: string, from = 0) =>
    Array.from({ length: n }, (_, at) => step(`s${from + at}`, op, { data: at }));

  it('fails a run that plans more than a thousand steps at once', async () => {
    const { run, attempts } = await playAlways(ops(...many(1_001, 'StepPlanned')));
    expect(attempts).toEqual([0]);
    expect(run).toMatchObject(
      failed(/exceeded the step limit of 1000 steps/, { name: 'InngestErrFunctionOverflowed' }),
    );
  });

  it('fails a run with more than a thousand steps', async () => {
    await using app = await RawApp.start(api());
    await app.add('f', ({ body }) => {
      const known = Object.keys(body.steps).length;
      return ops(...many(known < 900 ? 300 : 101, 'StepRun', known));
    });
    const { run } = await app.play('f');
    expect(run).toMatchObject(
      failed(/exceeded the step limit of 1000 steps/, { name: 'InngestErrFunctionOverflowed' }),
    );
  });

  it('completes a run with just a thousand steps less one', async () => {
    await using app = await RawApp.start(api());
    await app.add('f', ({ body }) =>
      Object.keys(body.steps).length === 999 ? done('all') : ops(...many(999, 'StepRun')),
    );
    const { run } = await app.play('f');
    expect(run).toMatchObject({ status: 'Completed', output: 'all' });
  });

  it('fails a run whose state is over 32 MB, and lets it read what is too large for a call', async () => {
    await using app = await RawApp.start(api());
    const seen: unknown[] = [];
    await app.add('f', async ({ body }) => {
      const { run_id: runId, use_api: useApi } = body.ctx;
      const memos = useApi
        ? (await api().request<Record<string, unknown>>('GET', `/v0/runs/${runId}/actions`)).body
        : body.steps;
      const known = Object.keys(memos).length;
      seen.push({ known, useApi, also: body.use_api, sent: Object.keys(body.steps).length });
      return ops(step(`s${known}`, 'StepRun', { data: 'x'.repeat(3_900_000) }));
    });
    const { run } = await app.play('f');
    expect(run).toMatchObject(
      failed(/exceeded the state size limit of 33554432 bytes/, { name: 'InngestErrStateOverflowed' }),
    );
    expect(seen.slice(0, 3)).toEqual([
      { known: 0, useApi: false, also: false, sent: 0 },
      { known: 1, useApi: false, also: false, sent: 1 },
      { known: 2, useApi: true, also: true, sent: 0 },
    ]);
    expect(seen).toHaveLength(9);
    const { run_id: runId } = run;
    expect(await api().request('GET', `/v0/runs/${runId}/actions`)).toMatchObject({
      status: 410,
      body: { status: 410, error: expect.any(String) as string },
    });
    expect(await api().request('GET', `/v0/runs/nonsense/batch`)).toMatchObject({ status: 400 });
  });
});

describe('streams', () => {
  const stream =
    (...parts: readonly (string | undefined)[]): Answer =>
    async (_request, response) => {
      response.writeHead(201, { 'x-inngest-sdk': 'inngest-js:v4.24.0', 'content-type': 'application/json' });
      for (const part of parts) {
        if (part === undefined) return void response.destroy();
        response.write(part);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      response.end();
    };
  const envelope = (status: number, body: unknown, headers: object = {}) =>
    JSON.stringify({ status, headers, body: JSON.stringify(body), version: 2 });

  it('reads the answer at the end of the stream', async () => {
    const { run } = await playAlways(stream(' ', ' ', '\n ', envelope(200, { streamed: true })));
    expect(run).toMatchObject({ status: 'Completed', output: { streamed: true } });
  });

  it('reads the error at the end of the stream', async () => {
    const { run, attempts } = await playAlways(
      stream(' ', envelope(400, { name: 'E', message: 'no' }, { 'x-inngest-no-retry': 'true' })),
    );
    expect(attempts).toEqual([0]);
    expect(run).toMatchObject({ status: 'Failed', output: { message: 'no' } });
  });

  it('reads an answer that is cut into pieces', async () => {
    const text = envelope(200, { text: 'zwölf ☃' });
    const { run } = await playAlways(
      stream(...[...text].map((char) => char).slice(0, 30), [...text].slice(30).join('')),
    );
    expect(run).toMatchObject({ status: 'Completed', output: { text: 'zwölf ☃' } });
  });

  it('reads an answer as Go streams it', async () => {
    const { run } = await playAlways(stream(' ', '{"status":200,"body":{"from":"go"},"headers":{}}'));
    expect(run).toMatchObject({ status: 'Completed', output: { from: 'go' } });
  });

  it.each([
    ['is cut off', [' ', '{"status":200,', undefined]],
    ['ends early', [' ', ' ']],
    ['holds nonsense', [' ', '{"hello":1}']],
  ])('tries again when the stream %s', async (_, parts) => {
    const { run, attempts } = await playAlways(stream(...parts));
    expect(attempts).toEqual([0, 1]);
    expect(run).toMatchObject(failed(/reset the connection while we were reading the reply/));
  });
});

describe('a call', () => {
  it('carries what SDKs of all languages need', async () => {
    await using app = await RawApp.start(api());
    await app.add('f', ({ body }) =>
      Object.keys(body.steps).length === 0 ? ops(step('a', 'StepRun', { data: { n: 1 } })) : done(1),
    );
    const { calls, run } = await app.play('f', { x: 1.5, ü: 'ö' });
    const [first, second] = calls;
    expect(first?.headers).toMatchObject({
      'content-type': 'application/json',
      'x-inngest-req-version': '-1',
      'x-run-id': run.run_id,
      'x-request-id': first?.body.ctx.request_id,
      'x-inngest-step-id': 'step',
    });
    expect(first?.body).toMatchObject({
      ctx: {
        run_id: run.run_id,
        fn_id: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/) as string,
        attempt: 0,
        max_attempts: 5,
        env: expect.any(String) as string,
        step_id: 'step',
        use_api: false,
        disable_immediate_execution: false,
        qi_id: expect.any(String) as string,
        generation_id: 1,
        stack: { stack: [], current: 0 },
      },
      event: {
        name: app.event('f'),
        data: { x: 1.5, ü: 'ö' },
        user: {},
        id: expect.any(String) as string,
        ts: expect.any(Number) as number,
      },
      steps: {},
      use_api: false,
      version: -1,
    });
    expect(first?.body.events).toHaveLength(1);
    expect(second?.headers['x-inngest-req-version']).toBe('2');
    expect(second?.body).toMatchObject({
      steps: { [hash('a')]: { data: { n: 1 } } },
      ctx: { stack: { stack: [hash('a')], current: 1 }, attempt: 0 },
      version: 2,
    });
    // Canonical JSON: what is signed is what is sent.
    expect(Object.keys(second?.body ?? {})).toEqual(Object.keys(second?.body ?? {}).sort());
    expect(second?.text).not.toMatch(/": /);
  });
});
