import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Api } from '../harness/api.client.js';
import { ClockedWorld } from '../harness/clocked.world.js';
import { done, ops, RawApp } from '../harness/raw-app.js';
import type { SdkApps } from '../harness/sdk-app.process.js';
import type { Server } from '../harness/server.process.js';
import type { Stage } from '../harness/stage.js';
import { until } from '../harness/until.js';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

describe('a throttle', { concurrent: false }, () => {
  let world: ClockedWorld;
  let server: Server;
  let apps: SdkApps;
  let api: Api;
  let stage: Stage;

  beforeAll(async () => {
    world = await ClockedWorld.open('test/e2e/functions/flow.mjs');
    ({ server, apps, api, stage } = world);
  });
  afterAll(() => world.close());

  const shift = (ms: number) => world.shift(ms);
  const shiftTo = (at: number) => world.shiftTo(at);
  const runsOf = (eventIds: readonly string[]) => Promise.all(eventIds.map(async (id) => (await api.runOf(id)).run_id));
  /** Sends events whose runs line up in this order: each stands in line, or has started, before the next is sent. */
  const send = async (fn: string, all: readonly object[]) => {
    const runs: string[] = [];
    for (const data of all) {
      const { run_id: runId } = await api.runOf(await stage.emit(`flow.${fn}`, data));
      await api.runWhen(runId, 'in line', ({ started_at: at, queue = [] }) => at !== null || queue.length > 0);
      runs.push(runId);
    }
    return runs;
  };
  const numbered = (count: number, data: object) => Array.from({ length: count }, (_, n) => ({ ...data, n: n + 1 }));
  /** The runs start at once, one after the other. */
  const start = async (runIds: readonly string[]) => {
    for (const runId of runIds) await apps.log.wait({ kind: 'call', runId });
  };
  const called = async (runIds: readonly string[]) =>
    new Set((await apps.log.seen({ kind: 'call', runId: runIds })).map(({ runId }) => runId)).size;
  /** Moves the clock to when the next of a bucket may start. @returns that time */
  const toNext = async (runId: string): Promise<number> => {
    const at = Date.parse((await api.held(runId, 'throttle')).until ?? '');
    await shiftTo(at);
    return at;
  };

  it('lets its limit start at once, and one for each part of its period, in order', async () => {
    const runs = await send('throttled', numbered(7, {}));
    await start(runs.slice(0, 3));
    for (const runId of runs.slice(0, 3)) await api.ended(runId);
    expect(await api.held(runs[3] ?? '', 'throttle')).toEqual({
      cause: 'throttle',
      expression: null,
      key: '',
      limit: 3,
      period: '6h',
      burst: 0,
      until: expect.any(String) as string,
      place: 1,
    });
    expect((await api.held(runs[6] ?? '', 'throttle')).place).toBe(4);
    const { ready, lines, next_at: nextAt } = await api.backlog('v4-throttled');
    expect([ready, lines[0]?.keys]).toEqual([4, [{ limit: 'throttle', expression: null, value: '' }]]);
    expect(nextAt).toBe((await api.held(runs[3] ?? '', 'throttle')).until);
    const times: number[] = [];
    for (let at = 3; at < 7; at++) {
      expect(await called(runs)).toBe(at);
      times.push(await toNext(runs[at] ?? ''));
      await api.ended(runs[at] ?? '');
    }
    const gaps = times.slice(1).map((time, at) => time - (times[at] ?? 0));
    for (const gap of gaps) expect(Math.abs(gap - 2 * HOUR)).toBeLessThan(MINUTE);
    const ran = await apps.log.seen({ kind: 'did', name: 'ran', fn: 'throttled', runId: runs });
    expect(ran.map(({ runId }) => runId)).toEqual(runs);
  });

  it('lets more of them start at once where it has a burst, for each value of its key', async () => {
    const [a, b] = [randomUUID(), randomUUID()];
    const runs = await send('bursting', numbered(5, { customer: a }));
    const others = await send('bursting', numbered(3, { customer: b }));
    await start([...runs.slice(0, 3), ...others]);
    for (const runId of [...runs.slice(0, 3), ...others]) await api.ended(runId);
    const [fourth = '', fifth = ''] = runs.slice(3);
    expect(await api.held(fourth, 'throttle')).toMatchObject({ key: a, limit: 1, period: '3h', burst: 2, place: 1 });
    const first = await toNext(fourth);
    await api.ended(fourth);
    expect(Math.abs((await toNext(fifth)) - first - 3 * HOUR)).toBeLessThan(MINUTE);
    expect((await api.ended(fifth)).status).toBe('Completed');
  });

  it('stands after a power cut', async () => {
    const customer = randomUUID();
    const runs = await send('bursting', numbered(4, { customer }));
    for (const runId of runs.slice(0, 3)) await api.ended(runId);
    const { until: before } = await api.held(runs[3] ?? '', 'throttle');
    await server.kill();
    await server.start();
    expect((await api.held(runs[3] ?? '', 'throttle')).until).toBe(before);
    expect(await called(runs)).toBe(3);
    await toNext(runs[3] ?? '');
    expect((await api.ended(runs[3] ?? '')).status).toBe('Completed');
  });

  it('holds up none that has started, be it woken or tried again', async () => {
    const customer = randomUUID();
    const [sleeps, fails] = [randomUUID(), randomUUID()];
    const [sleeper = '', failing = '', , last = ''] = await send('bursting', [
      { customer, key: sleeps, does: 'wait' },
      { customer, key: fails, does: 'retry' },
      ...numbered(2, { customer }),
    ]);
    await api.waiting(sleeper, 'wake');
    await apps.log.wait({ kind: 'did', name: 'shaky', runId: failing });
    await api.held(last, 'throttle');
    await stage.emit('flow.wake', { key: sleeps });
    expect((await api.ended(sleeper)).status).toBe('Completed');
    await apps.log.open(`${fails} shaky`);
    await api.runWhen(failing, 'to be tried again', ({ queue = [] }) => queue[0]?.status === 'scheduled');
    await shift(3 * SECOND);
    expect((await api.ended(failing)).status).toBe('Completed');
    expect(await called([last])).toBe(0);
    await toNext(last);
    await api.ended(last);
  });

  it('applies to runs that were invoked; their callers have time', async () => {
    const customer = randomUUID();
    const invoke = (n: number) => stage.start('flow.invoke', { target: 'impatient', payload: { customer, n } });
    const first = await invoke(1);
    expect((await first.ended()).output).toMatchObject({ n: 1 });
    const second = await invoke(2);
    const invoked = await until(
      async () => {
        const { lines } = await api.backlog('v4-impatient');
        return lines.find(({ keys }) => keys[0]?.value === customer)?.wait ?? undefined;
      },
      { what: 'the run that was invoked to wait' },
    );
    expect(invoked).toMatchObject({ cause: 'throttle', key: customer, place: 1 });
    expect((await api.run(second.runId)).status).toBe('Running');
    await shiftTo(Date.parse(invoked.until ?? ''));
    expect((await second.ended()).output).toMatchObject({ n: 2 });
  });

  it('is not spent by one that cannot start for want of room', async () => {
    const customer = randomUUID();
    const nth = (n: number, more: object = {}) => ({ customer, n, ...more });
    const [first = ''] = await send('throttled-keyed', [nth(1, { does: 'hold', key: customer })]);
    await apps.log.wait({ kind: 'did', name: 'working', runId: first });
    const rest = await send('throttled-keyed', [nth(2), nth(3), nth(4)]);
    const [second = '', third = '', fourth = ''] = rest;
    // The throttle has one left, which is not taken before there is room.
    expect(await api.held(second, 'concurrency')).toMatchObject({ key: customer, holders: [first] });
    await apps.log.open(`${customer} work`);
    await api.ended(second);
    expect(await api.held(third, 'throttle')).toMatchObject({ key: customer, limit: 2, period: '4h' });
    await toNext(third);
    await api.ended(third);
    await toNext(fourth);
    expect((await api.ended(fourth)).status).toBe('Completed');
  });

  it('applies to what a debounce lets go, by the key of its event', async () => {
    const customer = randomUUID();
    const sent = await stage.emitAll('flow.debounced-throttled', [
      { customer, topic: randomUUID(), n: 1 },
      { customer, topic: randomUUID(), n: 2 },
    ]);
    const due = (await Promise.all(sent.map((id) => api.decided(id, 'DebounceOpened')))).map(
      ({ due_at: at = '' }) => at,
    );
    await shiftTo(Math.max(...due.map(Date.parse)));
    const [first = '', second = ''] = await runsOf(sent);
    const waits = await Promise.race([first, second].map(async (id) => [id, await api.held(id, 'throttle')] as const));
    expect(waits[1]).toMatchObject({ key: customer, limit: 1, period: '3h' });
    await api.ended(waits[0] === first ? second : first);
    await toNext(waits[0]);
    expect((await api.ended(waits[0])).status).toBe('Completed');
  });

  it('leaves to time those that do not start in time: they are cancelled when it is over, not later', async () => {
    const customer = randomUUID();
    const runs = await send('impatient', numbered(10, { customer }));
    await api.ended(runs[0] ?? '');
    for (const at of [1, 2]) {
      await toNext(runs[at] ?? '');
      expect((await api.ended(runs[at] ?? '')).status).toBe('Completed');
    }
    await shift(59 * MINUTE);
    expect((await api.held(runs[3] ?? '', 'throttle')).place).toBe(1);
    await shift(MINUTE);
    const statuses = (await Promise.all(runs.map((runId) => api.ended(runId)))).map(({ status }) => status);
    expect(statuses.filter((status) => status === 'Cancelled')).toHaveLength(7);
    expect(statuses.slice(0, 3)).toEqual(['Completed', 'Completed', 'Completed']);
    expect(await called(runs)).toBe(3);
  });

  it('may hold up a batch for longer than others have time to start', async () => {
    await using app = await RawApp.start(api);
    await app.add('f', {
      config: {
        batchEvents: { maxSize: 2, timeout: '60s' },
        throttle: { limit: 1, period: '2h' },
        timeouts: { start: '30m' },
      },
      answers: ({ body }) => done(body.events.length),
    });
    const pair = async () => (await api.send(Array(2).fill({ name: app.event('f') }))).body.ids[0] ?? '';
    expect((await api.endOf(await pair())).output).toBe(2);
    const { run_id: waits } = await api.runOf(await pair());
    await api.held(waits, 'throttle');
    await shift(HOUR);
    await stage.play('flow.keyed', { customer: randomUUID() });
    expect((await api.run(waits)).status).toBe('Scheduled');
    await toNext(waits);
    expect((await api.ended(waits)).output).toBe(2);
  });

  it('does not count the time up to which a run was to wait by its date', async () => {
    const ts = (await shift(0)) + 10 * HOUR;
    const [run = ''] = await runsOf([await stage.emit('flow.impatient', { customer: randomUUID() }, { ts })]);
    await shift(9 * HOUR);
    await stage.play('flow.keyed', { customer: randomUUID() });
    expect((await api.run(run)).status).toBe('Scheduled');
    await shiftTo(ts);
    expect((await api.ended(run)).status).toBe('Completed');
  });

  it('applies to what waits already when it is changed and removed', async () => {
    await using app = await RawApp.start(api);
    const declare = (throttle?: object) =>
      app.add('f', { config: throttle === undefined ? {} : { throttle }, answers: () => done() });
    await declare({ limit: 1, period: '6h' });
    const runs = await runsOf(await Promise.all([1, 2, 3, 4].map(() => api.emit(app.event('f')))));
    const left = async () =>
      (await Promise.all(runs.map((id) => api.run(id)))).filter(({ status }) => status === 'Scheduled');
    const after = async (count: number) =>
      until(async () => ((await left()).length === count ? await left() : undefined), { what: `${count} to be left` });
    const [second] = await after(3);
    const { until: late } = await api.held(second?.run_id ?? '', 'throttle');
    await declare({ limit: 1, period: '2h' });
    const sooner = await until(
      async () => {
        const { until: at, period } = (await api.held(second?.run_id ?? '', 'throttle')) as {
          until: string;
          period?: string;
        };
        return period === '2h' ? at : undefined;
      },
      { what: 'the new period to be in force' },
    );
    expect(Date.parse(sooner)).toBeLessThanOrEqual(Date.parse(late ?? ''));
    await shiftTo(Date.parse(sooner));
    await after(2);
    await declare();
    await after(0);
    for (const runId of runs) expect((await api.ended(runId)).status).toBe('Completed');
  });

  describe('and a limit on whole runs', () => {
    it('hold up the ticks of a cron', async () => {
      const nap = { id: 'a'.repeat(40), op: 'Sleep', name: '150m', displayName: 'nap' };
      await using app = await RawApp.start(api);
      const minute = 37;
      const triggers = [{ cron: `${minute} * * * *` }];
      await app.add('slow', { config: { triggers, throttle: { limit: 1, period: '90m' } }, answers: () => done() });
      await app.add('long', {
        config: { triggers, concurrency: { fn: [{ limit: 1 }] } },
        answers: ({ body }) => (Object.keys(body.steps).length === 0 ? ops(nap) : done()),
      });
      const runs = async (fn: string, count: number) =>
        until(
          async () => {
            const { body } = await api.request<{ data: readonly { run_id: string }[] }>(
              'GET',
              `/v1/runs?function=${app.id}-${fn}`,
            );
            return body.data.length === count ? body.data.map(({ run_id: id }) => id).sort() : undefined;
          },
          { what: `${count} runs of ${fn}` },
        );
      const tick = async () => {
        const now = await shift(0);
        await shift(HOUR - ((now - minute * MINUTE) % HOUR) + SECOND);
      };
      await tick();
      const [first = ''] = await runs('slow', 1);
      const [napping = ''] = await runs('long', 1);
      await api.ended(first);
      await api.waiting(napping, 'nap');
      await tick();
      const [, second = ''] = await runs('slow', 2);
      const [, waits = ''] = await runs('long', 2);
      expect(await api.held(waits, 'run_concurrency')).toMatchObject({ limit: 1, holders: [napping], key: '' });
      await api.held(second, 'throttle');
      await app.register({
        ...app.payload(),
        functions: (app.payload()['functions'] as object[]).map((fn) => ({ ...fn, triggers: [] })),
      });
      await toNext(second);
      expect((await api.ended(second)).status).toBe('Completed');
      await shift(HOUR + 10 * MINUTE);
      expect((await api.ended(napping)).status).toBe('Completed');
      await api.waiting(waits, 'nap');
    });
  });
});
