import { randomUUID } from 'node:crypto';
import { describe, expect, inject, it } from 'vitest';
import { Api } from '../harness/api.client.js';
import { done, ops, RawApp } from '../harness/raw-app.js';
import { stageOf } from './world.js';

/** A text and a number have no order, so this fails for an event whose `n` is a text. */
const FAILS = "event.data.n > 1 ? 'many' : 'few'";
const BROKEN = { n: 'a text' };
const says = (text: string) => expect.stringContaining(text) as string;

describe('an expression that fails', () => {
  const api = new Api(inject('world').serverUrl);
  /** A function under a control. */
  const under = async (config: object, output = 'ran') => {
    const app = await RawApp.start(api);
    await app.add('f', {
      config: config as Record<string, unknown>,
      answers: async ({ body }) => {
        const { gate } = body.event.data;
        if (typeof gate === 'string') await app.gate(gate);
        return done(output);
      },
    });
    return { app, send: (data: object = BROKEN) => api.emit(app.event('f'), data) };
  };
  const completed = { status: 'Completed', output: 'ran' };

  it('as the condition of a trigger: the event does not match, and the next trigger is asked', async () => {
    await using app = await RawApp.start(api);
    const event = app.event('f');
    const broken = { event, expression: 'event.data.n > 1' };
    await app.add('f', { config: { triggers: [broken] }, answers: () => done('never') });
    await app.add('g', { config: { triggers: [broken, { event }] }, answers: () => done('ran') });
    const sent = await api.emit(event, BROKEN);
    expect(await api.endOf(sent)).toMatchObject({ ...completed, function_slug: `${app.id}-g` });
    expect(await api.runsOf(sent)).toHaveLength(1);
  });

  it.each([
    ['rateLimit.key', { rateLimit: { limit: 1, period: '24h', key: FAILS } }],
    ['idempotency', { idempotency: FAILS }],
    ['batchEvents.key', { batchEvents: { maxSize: 2, timeout: '60s', key: FAILS } }],
  ])('as %s: there is no run, and the event says why', async (control, config) => {
    const { app, send } = await under(config);
    await using _ = app;
    const sent = await send();
    expect(await api.decided(sent, 'ExpressionRefused')).toMatchObject({
      function_slug: `${app.id}-f`,
      control,
      error: says('order'),
    });
    expect(await api.runsOf(sent)).toEqual([]);
    const caller = await stageOf('v4').play('flow.invoke', { app: app.id, target: 'f', payload: BROKEN });
    expect(caller.run.output).toEqual({ caught: says(`${control} failed`) });
  });

  it('as debounce.key: all such events share one', async () => {
    const { app, send } = await under({ debounce: { period: '1s', key: FAILS } });
    await using _ = app;
    const first = await send();
    const second = await send({ n: 'another text' });
    expect((await api.decided(first, 'DebounceOpened')).key).toBe('<invalid>');
    expect(await api.decided(second, 'DebounceMoved', 'DebounceOpened')).toMatchObject({ key: '<invalid>' });
    const run = await api.endOf(second);
    expect(run).toMatchObject(completed);
    expect(await api.notesOf(run.run_id)).toEqual([says('debounce.key failed')]);
  });

  it('as batchEvents.if: the event runs on its own', async () => {
    const { app, send } = await under({ batchEvents: { maxSize: 2, timeout: '60s', if: 'event.data.n > 1' } });
    await using _ = app;
    const run = await api.endOf(await send());
    expect(run).toMatchObject({ ...completed, batch_id: null });
    expect(await api.notesOf(run.run_id)).toEqual([says('batchEvents.if failed')]);
  });

  it.each([FAILS, 'event.data.'])('as singleton.key: the run is beside others (%s)', async (key) => {
    const { app, send } = await under({ singleton: { mode: 'skip', key } });
    await using _ = app;
    const first = await send({ ...BROKEN, gate: 'go' });
    const second = await api.endOf(await send());
    expect(second).toMatchObject(completed);
    expect(await api.notesOf(second.run_id)).toEqual([says('singleton.key failed')]);
    app.open('go');
    expect(await api.endOf(first)).toMatchObject(completed);
  });

  it.each([FAILS, 'event.data.'])('as throttle.key: all such runs share one (%s)', async (key) => {
    const { app, send } = await under({ throttle: { limit: 1, period: '1h', key } });
    await using _ = app;
    const first = await api.endOf(await send());
    expect(first).toMatchObject(completed);
    expect(await api.notesOf(first.run_id)).toEqual([says('throttle.key failed')]);
    const { run_id: second } = await api.runOf(await send({ n: 'another text' }));
    expect(await api.held(second, 'throttle')).toMatchObject({ key: 'false', expression: key });
    expect((await api.run(second)).flow?.notes).toEqual([says('throttle.key failed')]);
    await api.cancel(second);
  });

  it.each([
    ['requests', { concurrency: { limit: 1, key: FAILS } }, 'concurrency', 'concurrency.key failed'],
    ['whole runs', { concurrency: { fn: [{ limit: 1, key: FAILS }] } }, 'run_concurrency', 'concurrency.fn.key failed'],
  ] as const)('as a key of %s: all such runs share one', async (_, config, cause, note) => {
    const { app, send } = await under(config);
    await using __ = app;
    const first = await api.runOf(await send({ ...BROKEN, gate: 'go' }));
    const { run_id: second } = await api.runOf(await send({ n: 'another text' }));
    expect(await api.held(second, cause)).toMatchObject({ key: 'false', holders: [first.run_id] });
    expect((await api.run(second)).flow?.notes).toEqual([says(note)]);
    app.open('go');
    expect(await api.ended(second)).toMatchObject(completed);
  });

  it.each([
    ['fails', 'event.data.n > 1 ? 7 : 8', BROKEN],
    ['is no number', 'event.data.n', BROKEN],
    ['is half a second', 'event.data.n', { n: 0.5 }],
    ['is missing', 'event.data.m', {}],
  ])('as priority.run, or %s: it counts as 0', async (_, run, data) => {
    const { app, send } = await under({ priority: { run } });
    await using __ = app;
    const ended = await api.endOf(await send(data));
    expect(ended).toMatchObject(completed);
    expect(await api.notesOf(ended.run_id)).toEqual([says('it counts as 0')]);
  });

  it('as cancelOn.if: nothing is cancelled', async () => {
    await using app = await RawApp.start(api);
    const cancel = [
      { event: app.event('cancel'), if: 'async.data.n > event.data.n' },
      { event: app.event('stop'), if: 'async.data.key == event.data.key' },
    ];
    const nap = { id: 'a'.repeat(40), op: 'Sleep', name: '1h', displayName: 'nap' };
    await app.add('f', { config: { cancel }, answers: () => ops(nap) });
    const key = randomUUID();
    const runId = await app.begin('f', { n: 1 });
    await api.waiting(runId, 'nap');
    await api.emit(app.event('cancel'), BROKEN);
    const marker = await app.begin('f', { n: 1 });
    await api.waiting(marker, 'nap');
    expect((await api.run(runId)).status).toBe('Running');
    await api.emit(app.event('cancel'), { n: 2, key });
    for (const each of [runId, marker]) expect((await api.ended(each)).status).toBe('Cancelled');
  });

  it('as the condition of a wait: no event matches; one that does not compile fails the run', async () => {
    await using app = await RawApp.start(api);
    const wait = (expression: string) => ({
      id: 'a'.repeat(40),
      op: 'WaitForEvent',
      name: app.event('go'),
      displayName: 'go',
      opts: { timeout: '1h', if: expression },
    });
    await app.add('f', ({ body }) =>
      Object.keys(body.steps).length === 0 ? ops(wait(String(body.event.data['if']))) : done('went'),
    );
    const runId = await app.begin('f', { if: 'async.data.n > 1' });
    await api.waiting(runId, 'go');
    await api.emit(app.event('go'), BROKEN);
    const broken = await app.play('f', { if: 'async.data. == 1' });
    expect(broken.run.status).toBe('Failed');
    expect((await api.run(runId)).status).toBe('Running');
    await api.emit(app.event('go'), { n: 2 });
    expect((await api.ended(runId)).output).toBe('went');
  });
});

describe('controls that a function declares together', () => {
  const api = new Api(inject('world').serverUrl);
  const batchEvents = { maxSize: 2, timeout: '5s' };
  const register = async (config: object) => {
    await using app = await RawApp.start(api);
    await app.add('right', () => done());
    const [right] = (app.payload() as { functions: object[] }).functions;
    return app.register({ ...app.payload(), functions: [right, { ...right, id: `${app.id}-f`, ...config }] });
  };

  it.each([
    ['a debounce', { debounce: { period: '5s' } }],
    ['a singleton', { singleton: { mode: 'cancel' } }],
    ['a cancelling event', { cancel: [{ event: 'x' }] }],
    ['a priority', { priority: { run: '1' } }],
  ])('are refused if they are a batch and %s', async (_, config) => {
    const { status, body } = await register({ batchEvents, ...config });
    expect(status).toBe(400);
    expect(body.error).toMatch(/functions\[1\]\.batchEvents.* cannot be combined with/);
  });

  it('are taken, each other mix of them', async () => {
    const all = {
      rateLimit: { limit: 1, period: '1h' },
      throttle: { limit: 1, period: '1s', burst: 1 },
      concurrency: { step: [{ limit: 2 }, { limit: 1, key: '"x"', scope: 'env' }], fn: [{ limit: 1 }] },
      idempotency: 'event.data.id',
      timeouts: { start: '1h', finish: '2h' },
    };
    expect((await register({ batchEvents, ...all })).status).toBe(200);
    const rest = { debounce: { period: '1s' }, singleton: { mode: 'skip' }, priority: { run: '1' } };
    expect((await register({ ...all, ...rest, cancel: [{ event: 'x' }] })).status).toBe(200);
  });
});
