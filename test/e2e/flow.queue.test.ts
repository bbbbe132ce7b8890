import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, inject, it } from 'vitest';
import { Api } from '../harness/api.client.js';
import { done, ops, RawApp } from '../harness/raw-app.js';
import { until } from '../harness/until.js';
import { stageOf } from './world.js';

const CUSTOMER = 'event.data.customer';

describe.each(['v4', 'v3'] as const)('a run of %s', (variant) => {
  const stage = stageOf(variant);
  const { api, log } = stage;
  const slug = (fn: string) => `${stage.id}-${fn}`;
  /** A run whose first step is under way, until its gate is opened. */
  const hold = async (fn: string, data: object) => {
    const story = await stage.start(`flow.${fn}`, { ...data, does: 'hold' });
    await story.happened('working');
    return story;
  };
  /** A run that cannot start yet. */
  const queue = async (fn: string, data: object) => {
    const key = randomUUID();
    const { run_id: runId } = await api.runOf(await stage.emit(`flow.${fn}`, { ...data, key }));
    return { key, runId, open: (gate: string) => log.open(`${key} ${gate}`) };
  };
  const working = (runId: string) => log.wait({ kind: 'did', name: 'working', runId });
  const hasCalls = async (runId: string) => (await log.seen({ kind: 'call', runId })).length > 0;

  describe('waits for room', () => {
    it('where only so many requests may be made for its key, and says who is in its way', async () => {
      const customer = randomUUID();
      const first = await hold('keyed', { customer, n: 1 });
      const second = await queue('keyed', { customer, n: 2 });
      const third = await queue('keyed', { customer, n: 3 });
      const other = await api.endOf(await stage.emit('flow.keyed', { customer: randomUUID(), n: 4 }));
      expect(other.output).toMatchObject({ n: 4 });
      expect(await api.held(second.runId, 'concurrency')).toEqual({
        cause: 'concurrency',
        scope: 'fn',
        expression: CUSTOMER,
        key: customer,
        limit: 1,
        in_use: 1,
        holders: [first.runId],
        place: 1,
      });
      expect((await api.held(third.runId, 'concurrency')).place).toBe(2);
      expect(await api.run(third.runId)).toMatchObject({
        status: 'Scheduled',
        started_at: null,
        queue: [{ step_id: 'step', status: 'queued', attempt: 0 }],
        flow: { priority: 0, keys: [{ limit: 'step', scope: 'fn', expression: CUSTOMER, value: customer }], notes: [] },
      });
      const { running, ready, lines } = await api.backlog(slug('keyed'));
      expect([running >= 1, ready >= 2]).toEqual([true, true]);
      expect(lines.find(({ keys }) => keys[0]?.value === customer)).toMatchObject({
        keys: [{ limit: 'step', expression: CUSTOMER, value: customer }],
        ready: 2,
        running: 1,
        wait: { cause: 'concurrency', holders: [first.runId], place: 1 },
      });
      await first.open('work');
      for (const { runId } of [second, third]) expect((await api.ended(runId)).status).toBe('Completed');
      const ran = await log.seen({ kind: 'did', name: 'ran', runId: [first.runId, second.runId, third.runId] });
      expect(ran.map(({ runId }) => runId)).toEqual([first.runId, second.runId, third.runId]);
      // What it had waited for stays with it.
      const started = (await api.transitions(second.runId)).find(({ type }) => type === 'CallStarted');
      expect(started).toMatchObject({ waited: { cause: 'concurrency', key: customer, limit: 1 } });
    });

    it('under each of two limits', async () => {
      const [a, b, c, d] = [randomUUID(), randomUUID(), randomUUID(), randomUUID()];
      const ofA = await hold('twofold', { customer: a });
      const ofB = await hold('twofold', { customer: b });
      const secondOfA = await queue('twofold', { customer: a, does: 'hold' });
      expect(await api.held(secondOfA.runId, 'concurrency')).toMatchObject({ key: a, limit: 1, holders: [ofA.runId] });
      const ofC = await hold('twofold', { customer: c });
      const ofD = await queue('twofold', { customer: d, does: 'hold' });
      const wait = await api.held(ofD.runId, 'concurrency');
      expect(wait).toMatchObject({ key: '', expression: null, limit: 3, in_use: 3 });
      expect([...(wait.holders ?? [])].sort()).toEqual([ofA.runId, ofB.runId, ofC.runId].sort());
      await ofB.open('work');
      await working(ofD.runId);
      expect(await hasCalls(secondOfA.runId)).toBe(false);
      await ofA.open('work');
      await working(secondOfA.runId);
      for (const each of [ofC, ofD, secondOfA]) await each.open('work');
      for (const { runId } of [ofA, ofB, ofC, ofD, secondOfA])
        expect((await api.ended(runId)).status).toBe('Completed');
    });

    it.each(['account', 'env'])('with other functions of its %s, each by its own number', async (scope) => {
      const customer = randomUUID();
      const ofOne = await hold(`${scope}-one`, { customer });
      const ofTwo = await hold(`${scope}-two`, { customer });
      const [laterOne, laterTwo] = [
        await queue(`${scope}-one`, { customer, does: 'hold' }),
        await queue(`${scope}-two`, { customer, does: 'hold' }),
      ];
      const one = await api.held(laterOne.runId, 'concurrency');
      expect(one).toMatchObject({ scope, key: customer, limit: 1, in_use: 2 });
      expect([...(one.holders ?? [])].sort()).toEqual([ofOne.runId, ofTwo.runId].sort());
      expect(await api.held(laterTwo.runId, 'concurrency')).toMatchObject({ scope, limit: 2, in_use: 2 });
      await ofOne.open('work');
      await working(laterTwo.runId);
      expect(await api.held(laterOne.runId, 'concurrency')).toMatchObject({ limit: 1, in_use: 2 });
      await ofTwo.open('work');
      await laterTwo.open('work');
      await working(laterOne.runId);
      await laterOne.open('work');
      for (const { runId } of [ofOne, ofTwo, laterOne, laterTwo])
        expect((await api.ended(runId)).status).toBe('Completed');
    });

    it('and takes none while it waits for an event', async () => {
      const customer = randomUUID();
      const first = await stage.start('flow.keyed', { customer, does: 'wait', n: 1 });
      await first.waiting('wake');
      expect((await api.endOf(await stage.emit('flow.keyed', { customer, n: 2 }))).output).toMatchObject({ n: 2 });
      await stage.emit('flow.wake', { key: first.key });
      expect((await first.ended()).output).toMatchObject({ n: 1 });
    });

    it('with each of its parallel steps', async () => {
      const story = await stage.start('flow.fan', { customer: randomUUID() });
      const [one, two] = (await story.happened('working', 2)).map((entry) => String(entry['step']));
      const wait = await api.held(story.runId, 'concurrency');
      expect(wait).toMatchObject({ limit: 2, in_use: 2, place: 1 });
      expect(new Set(wait.holders)).toEqual(new Set([story.runId]));
      await story.open(one ?? '');
      const third = (await story.happened('working', 3))[2];
      for (const name of [two, third?.['step']]) await story.open(String(name));
      expect(await story.ended()).toMatchObject({ status: 'Completed', output: ['a', 'b', 'c'] });
    });

    it('once more when it is tried again', async () => {
      const customer = randomUUID();
      const first = await stage.start('flow.shaky', { customer, does: 'retry', n: 1 });
      await first.happened('shaky');
      const second = await queue('shaky', { customer, does: 'hold', n: 2 });
      await api.held(second.runId, 'concurrency');
      await first.open('shaky'); // It fails, and is to come again in two seconds.
      await working(second.runId);
      expect(await api.held(first.runId, 'concurrency')).toMatchObject({ holders: [second.runId] });
      expect(await first.times('shaky')).toBe(1);
      await second.open('work');
      expect((await first.ended()).output).toMatchObject({ n: 1 });
      expect((await api.ended(second.runId)).output).toMatchObject({ n: 2 });
    });

    it('and is cancelled when it does not get it in time', async () => {
      const customer = randomUUID();
      const first = await hold('hasty', { customer });
      const second = await queue('hasty', { customer });
      expect(await api.ended(second.runId)).toMatchObject({ status: 'Cancelled', started_at: null });
      await first.open('work');
      expect((await first.ended()).status).toBe('Completed');
      expect(await hasCalls(second.runId)).toBe(false);
    });

    it('where it was invoked, too; its caller has time', async () => {
      const customer = randomUUID();
      const first = await hold('keyed', { customer, n: 1 });
      const payload = { customer, n: 2, key: randomUUID() };
      const caller = await stage.start('flow.invoke', { target: 'keyed', payload });
      const invoked = await until(
        async () =>
          (
            await api.request<{ data: readonly { run_id: string; status: string; function_slug: string }[] }>(
              'GET',
              `/v1/runs?function=${slug('keyed')}&status=Scheduled&limit=100`,
            )
          ).body.data.find(({ run_id: runId }) => runId !== first.runId && runId > caller.runId),
        { what: 'the run that was invoked' },
      );
      expect((await api.held(invoked.run_id, 'concurrency')).place).toBeGreaterThanOrEqual(1);
      expect((await api.run(caller.runId)).status).toBe('Running');
      await first.open('work');
      expect((await caller.ended()).output).toMatchObject({ n: 2 });
    });

    it('under the key of its first event, where it has a batch of them', async () => {
      const [customer, batch] = [randomUUID(), randomUUID()];
      const key = randomUUID();
      const [first] = await stage.emitAll('flow.batched-keyed', [
        { customer, batch, n: 1, key, does: 'hold' },
        { customer: randomUUID(), batch, n: 2 },
      ]);
      const { run_id: holder } = await api.runOf(first ?? '');
      await working(holder);
      const [third] = await stage.emitAll('flow.batched-keyed', [
        { customer, batch, n: 3 },
        { customer: randomUUID(), batch, n: 4 },
      ]);
      const { run_id: waits } = await api.runOf(third ?? '');
      expect(await api.held(waits, 'concurrency')).toMatchObject({ key: customer, holders: [holder] });
      await log.open(`${key} work`);
      expect((await api.ended(waits)).output).toMatchObject({ ns: [3, 4] });
    });

    it('and is the only one of its kind in line, where it is to run alone', async () => {
      const [shop, customer] = [randomUUID(), randomUUID()];
      const first = await hold('alone-in-line', { shop, customer: randomUUID() });
      const second = await queue('alone-in-line', { shop, customer, n: 2 });
      await api.held(second.runId, 'concurrency');
      const third = await api.endOf(await stage.emit('flow.alone-in-line', { shop, customer, n: 3 }));
      expect(third).toMatchObject({ status: 'Skipped', skipped_for: second.runId });
      await first.open('work');
      expect((await api.ended(second.runId)).output).toMatchObject({ n: 2 });
    });
  });

  it('that was cancelled keeps its room until the app has answered', async () => {
    const customer = randomUUID();
    const first = await hold('keyed', { customer, n: 1 });
    const second = await queue('keyed', { customer, n: 2 });
    await api.held(second.runId, 'concurrency');
    await api.cancel(first.runId);
    expect((await first.ended()).status).toBe('Cancelled');
    await api.endOf(await stage.emit('flow.keyed', { customer: randomUUID(), n: 3 })); // There would have been time.
    expect(await api.held(second.runId, 'concurrency')).toMatchObject({ in_use: 1, holders: [first.runId] });
    await first.open('work');
    expect((await api.ended(second.runId)).output).toMatchObject({ n: 2 });
  });

  it('that is cancelled in line is not called, and those behind it move up', async () => {
    const customer = randomUUID();
    const first = await hold('keyed', { customer, n: 1 });
    const second = await queue('keyed', { customer, n: 2 });
    const third = await queue('keyed', { customer, n: 3 });
    expect((await api.held(third.runId, 'concurrency')).place).toBe(2);
    await api.cancel(second.runId);
    expect(await api.ended(second.runId)).toMatchObject({ status: 'Cancelled', started_at: null });
    expect((await api.held(third.runId, 'concurrency')).place).toBe(1);
    await first.open('work');
    expect((await api.ended(third.runId)).output).toMatchObject({ n: 3 });
    expect(await hasCalls(second.runId)).toBe(false);
  });

  it('that is cancelled in line lets the next one of its kind in', async () => {
    const [shop, customer] = [randomUUID(), randomUUID()];
    const first = await hold('alone-in-time', { shop, customer: randomUUID() });
    const second = await queue('alone-in-time', { shop, customer, n: 2 });
    expect(await api.ended(second.runId)).toMatchObject({ status: 'Cancelled', started_at: null });
    const third = await api.runOf(await stage.emit('flow.alone-in-time', { shop, customer, n: 3 }));
    expect((await api.ended(third.run_id)).status).toBe('Cancelled');
    await first.open('work');
    await first.ended();
    const fourth = await stage.emit('flow.alone-in-time', { shop, customer, n: 4 });
    expect((await api.endOf(fourth)).output).toMatchObject({ n: 4 });
  });

  describe('has its turn', () => {
    it('by its priority, in seconds', async () => {
      const customer = randomUUID();
      const holder = await hold('ranked', { customer, n: 0 });
      const factors = [0, 0, -5, 5, 20];
      const sent = await stage.emitAll(
        'flow.ranked',
        factors.map((factor, at) => ({ customer, factor, n: at + 1 })),
      );
      const runs = await Promise.all(sent.map((id) => api.runOf(id)));
      const places = await Promise.all(
        runs.map(async ({ run_id: runId }) => (await api.held(runId, 'concurrency')).place),
      );
      expect(places).toEqual([3, 4, 5, 2, 1]);
      expect((await api.run(runs[4]?.run_id ?? '')).flow).toMatchObject({ priority: 20 });
      await holder.open('work');
      const ran = await log.wait({ kind: 'did', name: 'ran', runId: runs.map(({ run_id: runId }) => runId) }, 5);
      expect(ran.map(({ runId }) => factors[runs.findIndex(({ run_id: id }) => id === runId)])).toEqual([
        20, 5, 0, 0, -5,
      ]);
    });

    it('before younger ones with each of its steps', async () => {
      const customer = randomUUID();
      const first = await stage.start('flow.keyed', { customer, does: 'row', n: 1 });
      await first.happened('working');
      const rest = [await queue('keyed', { customer, n: 2 }), await queue('keyed', { customer, n: 3 })];
      for (const { runId } of rest) await api.held(runId, 'concurrency');
      await first.open('work');
      const all = [first.runId, ...rest.map(({ runId }) => runId)];
      const ran = await log.wait({ kind: 'did', name: 'ran', runId: all }, 3);
      expect(ran.map(({ runId }) => runId)).toEqual(all);
    });

    it('before younger ones, though it was asleep while they stood in line', async () => {
      const customer = randomUUID();
      const oldest = await stage.start('flow.keyed', { customer, does: 'wait', n: 1 });
      await oldest.waiting('wake');
      const holder = await hold('keyed', { customer, n: 2 });
      const youngest = await queue('keyed', { customer, n: 3 });
      expect((await api.held(youngest.runId, 'concurrency')).place).toBe(1);
      await stage.emit('flow.wake', { key: oldest.key });
      expect((await api.held(oldest.runId, 'concurrency')).place).toBe(1);
      expect((await api.held(youngest.runId, 'concurrency')).place).toBe(2);
      await holder.open('work');
      const ran = await log.wait({ kind: 'did', name: 'ran', runId: [oldest.runId, youngest.runId] }, 2);
      expect(ran.map(({ runId }) => runId)).toEqual([oldest.runId, youngest.runId]);
    });
  });
});

describe('a limit', () => {
  const api = new Api(inject('world').serverUrl);
  /** An app whose function waits at a gate of the event's key in each call. */
  const gated = async (config: object) => {
    const app = await RawApp.start(api);
    const declare = (changed: object) =>
      app.add('f', {
        config: { ...changed },
        answers: async ({ body }) => {
          await app.gate(String(body.event.data['key']));
          return done(body.event.data['n']);
        },
      });
    await declare(config);
    const send = async (n: number, more: object = {}) => {
      const { run_id: runId } = await api.runOf(await api.emit(app.event('f'), { n, key: `${n}`, ...more }));
      return runId;
    };
    const called = (runId: string) =>
      until(() => (app.callsOf(runId).length > 0 ? true : undefined), { what: `run ${runId} to be called` });
    return { app, declare, send, called };
  };

  it.each([
    ['the requests of a function', (limit: number) => ({ concurrency: limit }), 'concurrency'],
    ['the requests of a key', (limit: number) => ({ concurrency: { limit, key: CUSTOMER } }), 'concurrency'],
    ['whole runs', (limit: number) => ({ concurrency: { fn: [{ limit }] } }), 'run_concurrency'],
    [
      'whole runs of a key',
      (limit: number) => ({ concurrency: { fn: [{ limit, key: CUSTOMER }] } }),
      'run_concurrency',
    ],
  ] as const)(
    'on %s applies to what waits already, when it is raised, lowered and removed',
    async (_, limit, cause) => {
      const { app, declare, send, called } = await gated(limit(1));
      await using __ = app;
      const customer = randomUUID();
      const runs: string[] = [];
      for (const n of [1, 2, 3, 4, 5, 6]) runs.push(await send(n, { customer }));
      const [first = '', second = '', third = '', fourth = '', fifth = '', sixth = ''] = runs;
      await called(first);
      expect(await api.held(second, cause)).toMatchObject({ limit: 1, in_use: 1, holders: [first] });
      await declare(limit(3));
      for (const each of [second, third]) await called(each);
      expect(await api.held(fourth, cause)).toMatchObject({ limit: 3, in_use: 3, place: 1 });
      await declare(limit(2));
      expect(await api.held(fourth, cause)).toMatchObject({ limit: 2, in_use: 3 });
      app.open('1');
      await api.ended(first);
      expect(await api.held(fourth, cause)).toMatchObject({ limit: 2, in_use: 2 });
      expect(app.callsOf(fourth)).toEqual([]);
      app.open('2');
      await called(fourth);
      await api.held(fifth, cause);
      await declare({});
      for (const each of [fifth, sixth]) await called(each);
      for (const n of [3, 4, 5, 6]) app.open(`${n}`);
      for (const runId of runs) expect((await api.ended(runId)).status).toBe('Completed');
    },
  );

  it('on a key counts for those that have it, when the function has another', async () => {
    const { app, declare, send, called } = await gated({ concurrency: { limit: 1, key: CUSTOMER } });
    await using _ = app;
    const customer = randomUUID();
    const first = await send(1, { customer });
    await called(first);
    const second = await send(2, { customer });
    await api.held(second, 'concurrency');
    await declare({ concurrency: { limit: 1, key: 'event.data.n' } });
    const third = await send(3, { customer });
    await called(third); // Its key is another.
    expect(await api.held(second, 'concurrency')).toMatchObject({ expression: CUSTOMER, key: customer, limit: 1 });
    app.open('1');
    await called(second);
    for (const n of [2, 3]) app.open(`${n}`);
    for (const runId of [first, second, third]) expect((await api.ended(runId)).status).toBe('Completed');
  });

  it('on requests counts those that the server makes for a run', async () => {
    const gate = Promise.withResolvers<void>();
    const far = createServer((_request, response) => void gate.promise.then(() => response.end('far')));
    await new Promise<void>((resolve) => far.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(far.address() as AddressInfo).port}/`;
    await using app = await RawApp.start(api);
    const fetches = {
      id: 'a'.repeat(40),
      op: 'Gateway',
      name: 'far',
      displayName: 'far',
      opts: { url, method: 'GET' },
    };
    await app.add('f', {
      config: { concurrency: 1 },
      answers: ({ body }) => (Object.keys(body.steps).length === 0 ? ops(fetches) : done('fetched')),
    });
    const first = await app.begin('f');
    await api.waiting(first, 'far');
    const { run_id: second } = await api.runOf(await api.emit(app.event('f')));
    expect(await api.held(second, 'concurrency')).toMatchObject({ holders: [first] });
    gate.resolve();
    for (const runId of [first, second]) expect((await api.ended(runId)).output).toBe('fetched');
    far.close();
  });

  it('on whole runs holds from the first request to the end, whatever the run does between', async () => {
    await using app = await RawApp.start(api);
    const wait = (name: string) => ({
      id: 'a'.repeat(40),
      op: 'WaitForEvent',
      name,
      displayName: 'go',
      opts: { timeout: '1h', if: 'async.data.key == event.data.key' },
    });
    await app.add('f', {
      config: { concurrency: { fn: [{ limit: 1, key: CUSTOMER }] } },
      answers: ({ body }) => (Object.keys(body.steps).length === 0 ? ops(wait(app.event('go'))) : done('gone')),
    });
    const customer = randomUUID();
    const send = async (key: string, of = customer) =>
      (await api.runOf(await api.emit(app.event('f'), { key, customer: of }))).run_id;
    const first = await send('1');
    await api.waiting(first, 'go');
    const second = await send('2');
    expect(await api.held(second, 'run_concurrency')).toMatchObject({
      scope: 'fn',
      expression: CUSTOMER,
      key: customer,
      limit: 1,
      in_use: 1,
      holders: [first],
      place: 1,
    });
    await api.waiting(await send('3', randomUUID()), 'go'); // Of another customer.
    expect(app.callsOf(second)).toEqual([]);
    await api.emit(app.event('go'), { key: '1' });
    expect((await api.ended(first)).output).toBe('gone');
    await api.waiting(second, 'go');
    const third = await send('4');
    await api.held(third, 'run_concurrency');
    await api.cancel(second);
    await api.waiting(third, 'go');
    await api.emit(app.event('go'), { key: '4' });
    expect((await api.ended(third)).output).toBe('gone');
  });

  it('on whole runs and one on requests apply together', async () => {
    const { app, send, called } = await gated({
      concurrency: { step: [{ limit: 1, key: CUSTOMER }], fn: [{ limit: 2 }] },
    });
    await using _ = app;
    const [a, b, c] = [randomUUID(), randomUUID(), randomUUID()];
    const first = await send(1, { customer: a });
    await called(first);
    const second = await send(2, { customer: a });
    expect(await api.held(second, 'concurrency')).toMatchObject({ key: a, holders: [first] });
    const third = await send(3, { customer: b });
    await called(third);
    const fourth = await send(4, { customer: c });
    expect(await api.held(fourth, 'run_concurrency')).toMatchObject({ key: '', limit: 2, in_use: 2 });
    for (const n of [1, 2, 3, 4]) app.open(`${n}`);
    for (const runId of [first, second, third, fourth]) expect((await api.ended(runId)).status).toBe('Completed');
  });
});
