import { createHash } from 'node:crypto';
import { describe, expect, inject, it } from 'vitest';
import { Api, type EventView, type RunView } from '../harness/api.client.js';
import { done, ops, RawApp, type Answer } from '../harness/raw-app.js';
import { until } from '../harness/until.js';

const api = new Api(inject('world').serverUrl);
const hash = (name: string) => createHash('sha1').update(name).digest('hex');
const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

interface List<T> {
  readonly data: readonly T[];
  readonly metadata: { readonly fetched_at: string; readonly cached_until: string | null };
}
const runs = async (query: string) => (await api.request<List<RunView>>('GET', `/v1/runs?${query}`)).body.data;

describe('REST v1', () => {
  it('shows a run as it is: what it waits for, what it came to', async () => {
    await using app = await RawApp.start(api);
    const wait = {
      id: hash('w'),
      op: 'WaitForEvent',
      name: app.event('go'),
      displayName: 'w',
      opts: { timeout: '1h', if: 'async.data.ok' },
    };
    await app.add('f', ({ body }) =>
      Object.keys(body.steps).length === 0 ? ops(wait) : done({ nested: [1.5, null, 'ü'] }),
    );
    const runId = await app.begin('f');
    const waiting = await api.waiting(runId, 'w');
    expect(waiting).toMatchObject({
      run_id: runId,
      function_slug: `${app.id}-f`,
      function_version: 1,
      status: 'Running',
      queued_at: expect.stringMatching(ISO) as string,
      started_at: expect.stringMatching(ISO) as string,
      ended_at: null,
      output: null,
      waiting_for: [
        {
          step_id: hash('w'),
          name: 'w',
          kind: 'wait',
          event: app.event('go'),
          expression: 'async.data.ok',
          until: expect.stringMatching(ISO) as string,
        },
      ],
    });
    expect(await api.jobs(runId)).toEqual([]);
    await api.emit(app.event('go'), { ok: true });
    const { status, body, headers } = await until(
      async () => {
        const reply = await api.request<{ data: RunView; metadata: List<unknown>['metadata'] }>(
          'GET',
          `/v1/runs/${runId}`,
        );
        return reply.body.data.status === 'Completed' ? reply : undefined;
      },
      { what: 'the run to end' },
    );
    expect([status, headers.get('x-inngest-server-kind')]).toEqual([200, 'dev']);
    expect(body.data).toMatchObject({
      output: { nested: [1.5, null, 'ü'] },
      ended_at: expect.stringMatching(ISO) as string,
    });
    expect(body.data).not.toHaveProperty('waiting_for');
    expect(body.metadata).toMatchObject({ fetched_at: expect.stringMatching(ISO) as string, cached_until: null });
  });

  it('shows the calls of a run that are under way or to come', async () => {
    await using app = await RawApp.start(api);
    let answer: (answer: Answer) => void = () => undefined;
    await app.add('f', () => new Promise<Answer>((resolve) => (answer = resolve)));
    const runId = await app.begin('f');
    expect(await api.jobs(runId)).toMatchObject([{ run_id: runId, step_id: 'step', attempt: 0, status: 'running' }]);
    answer(done());
    await api.ended(runId);
    expect(await api.jobs(runId)).toEqual([]);
  });

  it('tells what happened to a run, in order', async () => {
    await using app = await RawApp.start(api);
    await app.add('f', ({ body }, nth) => {
      if (nth === 1) return { status: 500, body: { name: 'E', message: 'once' } };
      return Object.keys(body.steps).length === 0
        ? ops({ id: hash('a'), op: 'StepRun', displayName: 'a', data: 1 })
        : done(2);
    });
    const { runId } = await app.play('f');
    const transitions = await until(
      async () => {
        const told = await api.transitions(runId);
        return told.some(({ type }) => type === 'RunCompleted') ? told : undefined;
      },
      { what: 'all of it to be told' },
    );
    const types = transitions.map(({ type }) => type);
    const order = ['RunScheduled', 'RunStarted', 'CallErrored', 'StepCompleted', 'RunCompleted'];
    expect(types.filter((type) => order.includes(type))).toEqual(order);
    expect(transitions.find(({ type }) => type === 'CallErrored')).toMatchObject({
      attempt: 0,
      fault: { name: 'E', message: 'once' },
    });
  });

  it('lists runs by function, status, event and time, newest first, page by page', async () => {
    await using app = await RawApp.start(api);
    await app.add('good', () => done(1));
    await app.add('bad', { retries: 0, answers: () => ({ status: 400, body: { message: 'no' } }) });
    const from = Date.now();
    const good: string[] = [];
    for (let n = 0; n < 5; n++) good.push((await app.play('good')).runId);
    const bad = (await app.play('bad')).runId;
    const idsOf = async (query: string) => (await runs(query)).map(({ run_id: id }) => id);
    const of = `app=${app.id}`;
    await until(async () => ((await idsOf(of)).length === 6 ? true : undefined), { what: 'all runs to be listed' });
    expect(await idsOf(of)).toEqual([bad, ...good.toReversed()]);
    expect(await idsOf(`function=${app.id}-good&limit=2`)).toEqual([good[4], good[3]]);
    expect(await idsOf(`function=${app.id}-good&limit=2&cursor=${good[3]}`)).toEqual([good[2], good[1]]);
    expect(await idsOf(`function=${app.id}-good&limit=2&cursor=${good[1]}`)).toEqual([good[0]]);
    await until(async () => ((await idsOf(`${of}&status=failed`)).length === 1 ? true : undefined), {
      what: 'the failure to be listed',
    });
    expect(await idsOf(`${of}&status=failed`)).toEqual([bad]);
    expect((await idsOf(`${of}&status=completed`)).length).toBe(5);
    expect((await idsOf(`${of}&status=completed,failed`)).length).toBe(6);
    expect(await idsOf(`${of}&status=cancelled`)).toEqual([]);
    expect((await idsOf(`event=${encodeURIComponent(app.event('good'))}`)).length).toBe(5);
    expect((await idsOf(`${of}&from=${new Date(from).toISOString()}`)).length).toBe(6);
    expect(await idsOf(`${of}&until=${new Date(from).toISOString()}`)).toEqual([]);
  });

  it('shows events and the runs that they started; internal ones only on request', async () => {
    await using app = await RawApp.start(api);
    await app.add('f', () => done(1));
    await app.add('g', { config: { triggers: [{ event: app.event('f') }] }, answers: () => done(2) });
    const eventId = await api.emit(app.event('f'), { n: 1 }, { user: { id: 7 }, v: '2' });
    const found = await until(
      async () => {
        const both = await api.runsOf(eventId);
        return both.length === 2 ? both : undefined;
      },
      { what: 'both runs' },
    );
    for (const { run_id: id } of found) await api.ended(id);
    expect(found.map(({ function_slug: slug }) => slug).sort()).toEqual([`${app.id}-f`, `${app.id}-g`]);
    const { body } = await api.request<{ data: EventView }>('GET', `/v1/events/${eventId}`);
    expect(body.data).toMatchObject({
      internal_id: eventId,
      id: eventId,
      name: app.event('f'),
      data: { n: 1 },
      user: { id: 7 },
      v: '2',
    });
    const [listed] = await api.events(`name=${encodeURIComponent(app.event('f'))}`);
    expect(listed).toEqual(body.data);
    expect((await api.events('limit=100')).every(({ name }) => !name.startsWith('inngest/'))).toBe(true);
    expect((await api.events('limit=100&internal=true')).some(({ name }) => name.startsWith('inngest/'))).toBe(true);
    expect(await api.events(`name=${encodeURIComponent(app.event('f'))}&received_before=2020-01-01T00:00:00Z`)).toEqual(
      [],
    );
  });

  it('takes what SDKs attach to a run', async () => {
    await using app = await RawApp.start(api);
    let answer: (answer: Answer) => void = () => undefined;
    await app.add('f', () => new Promise<Answer>((resolve) => (answer = resolve)));
    const runId = await app.begin('f');
    const metadata = { target: { run_id: runId }, metadata: [{ kind: 'userland.x', op: 'merge', values: { a: 1 } }] };
    expect(await api.request('POST', `/v1/runs/${runId}/metadata`, metadata)).toMatchObject({ status: 200, text: '' });
    expect(
      (
        await api.request('POST', `/v1/runs/${runId}/metadata`, {
          ...metadata,
          metadata: [{ kind: 'userland.x', op: 'merge', values: { a: 'x'.repeat(2_000_000) } }],
        })
      ).status,
    ).toBe(413);
    answer(done());
    await api.ended(runId);
    const told = await until(async () => (await api.transitions(runId)).find(({ type }) => type === 'MetadataAdded'), {
      what: 'the metadata to be told',
    });
    expect(JSON.stringify(told)).toContain('userland.x');
  });

  it('passes the sessions of an event on: to its function, and to what tells of its end', async () => {
    await using app = await RawApp.start(api);
    await app.add('f', () => done());
    await api.emit(
      app.event('f'),
      { key: 'sessions' },
      { meta: { sessions: { mine: 7, gone: null }, propagated_sessions: { theirs: 'b', gone: 'c' } } },
    );
    const call = await until(() => app.calls[0], { what: 'a call' });
    const sessions = { mine: '7', theirs: 'b' };
    expect(call.body.event).toMatchObject({ meta: { sessions } });
    const runId = call.body.ctx.run_id;
    await api.ended(runId);
    const finished = await until(
      async () =>
        (await api.events('name=inngest/function.finished&limit=100')).find(({ data }) => data['run_id'] === runId),
      { what: 'the event of its end' },
    );
    expect(finished).toMatchObject({ meta: { sessions } });
  });

  it('names the caller in the end of an invoked run', async () => {
    await using app = await RawApp.start(api);
    const invoke = {
      id: hash('i'),
      op: 'InvokeFunction',
      displayName: 'i',
      opts: { function_id: `${app.id}-child`, payload: { data: { n: 1 } }, timeout: '1h' },
    };
    await app.add('f', ({ body }) => (body.steps[hash('i')] === undefined ? ops(invoke) : done(body.steps[hash('i')])));
    await app.add('child', { config: { triggers: [] }, answers: ({ body }) => done(body.event.data['n']) });
    const { run, runId } = await app.play('f');
    expect(run.output).toEqual({ data: 1 });
    const ended = await until(
      async () =>
        (await api.events('name=inngest/function.finished&limit=100')).find(
          ({ data }) => data['correlation_id'] === `${runId}.${hash('i')}`,
        ),
      { what: 'the end of the child' },
    );
    expect(ended.data).toMatchObject({ function_id: `${app.id}-child`, result: 1, _inngest: { status: 'Completed' } });
    const invoked = app.calls.find(({ fn }) => fn === 'child');
    expect(invoked?.body.event).toMatchObject({
      name: 'inngest/function.invoked',
      data: { n: 1, _inngest: { correlation_id: `${runId}.${hash('i')}` } },
    });
  });
});
