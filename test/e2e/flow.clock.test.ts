import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Api } from '../harness/api.client.js';
import { ClockedWorld } from '../harness/clocked.world.js';
import { done, RawApp, type Behaviour } from '../harness/raw-app.js';
import type { SdkApps } from '../harness/sdk-app.process.js';
import type { Server } from '../harness/server.process.js';
import type { Stage } from '../harness/stage.js';
import { until } from '../harness/until.js';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

describe('in time', { concurrent: false }, () => {
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
  const now = () => world.now();
  const shiftTo = (at: number) => world.shiftTo(at);
  const restart = async () => {
    await server.kill();
    await server.start();
  };
  const dueAt = async (eventId: string, type: string) => Date.parse((await api.decided(eventId, type)).due_at ?? '');
  /** An event's decisions, in order. */
  const typesOf = async (eventId: string) => (await api.decisions(eventId)).map(({ type }) => type);
  /** A function that has nothing to do with all this has run: what was under way before it has been decided. */
  const marker = async () => {
    expect((await api.endOf(await stage.emit('flow.twin'), 'v4-twin-a')).status).toBe('Completed');
  };

  describe('a rate limit', () => {
    it('lets one more in for each part of its period', async () => {
      const customer = randomUUID();
      const send = async () => api.decided(await stage.emit('flow.rated', { customer }), 'RateCharged', 'RateLimited');
      for (let n = 0; n < 3; n++) expect((await send()).type).toBe('RateCharged');
      for (let n = 0; n < 2; n++) {
        const { type, next_at: nextAt } = await send();
        expect(type).toBe('RateLimited');
        await shiftTo(Date.parse(String(nextAt)));
        expect((await send()).type).toBe('RateCharged');
      }
      expect((await send()).type).toBe('RateLimited');
      await shift(DAY); // No more than at first, however long it was quiet.
      const types: string[] = [];
      for (let n = 0; n < 4; n++) types.push((await send()).type);
      expect(types).toEqual(['RateCharged', 'RateCharged', 'RateCharged', 'RateLimited']);
    });

    it('stands after a power cut', async () => {
      const customer = randomUUID();
      const first = await stage.emit('flow.strict', { customer });
      await api.decided(first, 'RateCharged');
      await restart();
      expect((await api.endOf(first)).status).toBe('Completed');
      expect(
        (await api.decided(await stage.emit('flow.strict', { customer }), 'RateCharged', 'RateLimited')).type,
      ).toBe('RateLimited');
    });
  });

  describe('an event', () => {
    it('starts a function once a day for each value of its idempotency, whatever rate limit it has besides', async () => {
      const customer = randomUUID();
      const send = async () => {
        const id = await stage.emit('flow.idempotent', { customer });
        return { id, ...(await api.decided(id, 'RateCharged', 'RateLimited')) };
      };
      const first = await send();
      expect(first).toMatchObject({ type: 'RateCharged', limit: 1, period_ms: DAY, idempotency: true });
      expect((await api.endOf(first.id)).status).toBe('Completed');
      await shift(DAY - 2 * MINUTE);
      const second = await send();
      expect([second.type, await api.runsOf(second.id)]).toEqual(['RateLimited', []]);
      await shift(2 * MINUTE);
      expect((await send()).type).toBe('RateCharged');
      for (const data of [{}, {}, { customer: false }, { customer: false }])
        expect((await api.endOf(await stage.emit('flow.idempotent', data))).status).toBe('Completed');
    });

    it('may come again with its id after a day', async () => {
      const id = randomUUID();
      const send = () => stage.emit('flow.twin', {}, { id });
      const first = await send();
      await api.endOf(first, 'v4-twin-a');
      await shift(DAY - 2 * MINUTE);
      expect((await api.decided(await send(), 'EventRepeated')).first).toBe(first);
      await shift(3 * MINUTE);
      expect((await api.endOf(await send(), 'v4-twin-a')).status).toBe('Completed');
    });

    it('that is dated in the future holds its place as a singleton from when it came', async () => {
      const customer = randomUUID();
      const first = await stage.emit('flow.skipping', { customer, n: 1 }, { ts: (await now()) + HOUR });
      const { run_id: runId, status } = await api.runOf(first);
      expect(status).toBe('Scheduled');
      const second = await api.endOf(await stage.emit('flow.skipping', { customer, n: 2 }));
      expect(second).toMatchObject({ status: 'Skipped', skipped_for: runId });
      await shift(HOUR);
      expect(await api.ended(runId)).toMatchObject({ status: 'Completed', output: { n: 1 } });
    });
  });

  describe('a debounce', () => {
    it('ends a period after the last event, which has the run', async () => {
      const customer = randomUUID();
      const [first, second] = [
        await stage.admit('flow.debounced', { customer, n: 1 }),
        await stage.admit('flow.debounced', { customer, n: 2 }),
      ];
      await api.decided(second, 'DebounceMoved');
      await shift(8 * MINUTE);
      const third = await stage.emit('flow.debounced', { customer, n: 3 });
      const due = await dueAt(third, 'DebounceMoved');
      expect(due - (await dueAt(first, 'DebounceOpened'))).toBeGreaterThanOrEqual(8 * MINUTE);
      await shift(9 * MINUTE); // The first two's time is over.
      await marker();
      expect(await api.runsOf(third)).toEqual([]);
      await shiftTo(due);
      const run = await api.endOf(third);
      expect(run).toMatchObject({ status: 'Completed', output: { n: 3, ns: [3] }, event_ids: [third] });
      expect(Date.parse(run.queued_at)).toBeGreaterThanOrEqual(due);
      for (const id of [first, second]) expect(await api.runsOf(id)).toEqual([]);
      expect(await typesOf(third)).toEqual(['DebounceMoved', 'DebounceFired']);
      expect(await api.decided(third, 'DebounceFired')).toMatchObject({
        superseded: 2,
        run_id: run.run_id,
        key: customer,
      });
      // The next one opens another.
      const next = await stage.emit('flow.debounced', { customer, n: 4 });
      await shiftTo(await dueAt(next, 'DebounceOpened'));
      expect((await api.endOf(next)).output).toEqual({ n: 4, ns: [4] });
    });

    it('has one for each value of its key, and one for those without', async () => {
      const [a, b] = [randomUUID(), randomUUID()];
      const sent = await stage.emitAll('flow.debounced', [
        { customer: a, n: 1 },
        { customer: b, n: 2 },
        { n: 3 },
        { n: 4 },
      ]);
      const [ofA = '', ofB = '', third = '', fourth = ''] = sent;
      await shiftTo(await dueAt(fourth, 'DebounceMoved'));
      expect((await api.endOf(ofA)).output).toMatchObject({ n: 1 });
      expect((await api.endOf(ofB)).output).toMatchObject({ n: 2 });
      const run = await api.endOf(fourth);
      expect(run.output).toMatchObject({ n: 4 });
      expect(await api.notesOf(run.run_id)).toEqual([
        'debounce.key is missing in the event; all such runs share one bucket',
      ]);
      expect(await api.runsOf(third)).toEqual([]);
    });

    it('ends at last, if it has a time-out, though events go on', async () => {
      const customer = randomUUID();
      const first = await stage.emit('flow.capped', { customer, n: 1 });
      const opened = await api.decided(first, 'DebounceOpened');
      await shift(9 * MINUTE);
      const second = await stage.emit('flow.capped', { customer, n: 2 });
      const due = await dueAt(second, 'DebounceMoved');
      expect(due - Date.parse(opened.at)).toBe(15 * MINUTE);
      await shiftTo(due);
      expect((await api.endOf(second)).output).toMatchObject({ n: 2 });
      const third = await stage.emit('flow.capped', { customer, n: 3 });
      const again = await api.decided(third, 'DebounceOpened');
      expect(Date.parse(again.due_at ?? '') - Date.parse(again.at)).toBe(10 * MINUTE);
      await shiftTo(Date.parse(again.due_at ?? ''));
      expect((await api.endOf(third)).output).toMatchObject({ n: 3 });
    });

    it('goes by the time that events say of themselves', async () => {
      const customer = randomUUID();
      const ts = await now();
      const first = await stage.emit('flow.debounced', { customer, n: 1 }, { ts });
      const due = await dueAt(first, 'DebounceOpened');
      await shift(2 * MINUTE);
      const older = await stage.emit('flow.debounced', { customer, n: 2 }, { ts: ts - 1 });
      expect((await api.decided(older, 'DebounceOutdated')).kept).toBe(first);
      await shiftTo(due); // It has not been put off.
      expect((await api.endOf(first)).output).toMatchObject({ n: 1 });

      const [same, equal] = [
        await stage.admit('flow.debounced', { customer, n: 3 }, { ts }),
        await stage.admit('flow.debounced', { customer, n: 4 }, { ts }),
      ];
      await shiftTo(await dueAt(equal, 'DebounceMoved'));
      expect((await api.endOf(equal)).output).toMatchObject({ n: 4 });
      for (const id of [older, same]) expect(await api.runsOf(id)).toEqual([]);
    });

    it('has the run of an event that is dated in the future wait for its time', async () => {
      const customer = randomUUID();
      const ts = (await now()) + HOUR;
      const sent = await stage.emit('flow.debounced', { customer, n: 1 }, { ts });
      await shiftTo(await dueAt(sent, 'DebounceOpened'));
      const { run_id: runId } = await api.runOf(sent);
      expect(await api.run(runId)).toMatchObject({ status: 'Scheduled', started_at: null });
      await shift(40 * MINUTE);
      await marker();
      expect((await api.run(runId)).status).toBe('Scheduled');
      await shiftTo(ts);
      expect((await api.ended(runId)).output).toMatchObject({ n: 1 });
    });

    it('is ended after a power cut, too, be it over or not', async () => {
      const [customer, other] = [randomUUID(), randomUUID()];
      const first = await stage.emit('flow.debounced', { customer, n: 1 });
      await api.decided(first, 'DebounceOpened');
      await restart();
      const second = await stage.emit('flow.debounced', { customer, n: 2 });
      const due = await dueAt(second, 'DebounceMoved');
      // This one the server takes, and has no time for more.
      const third = await stage.emit('flow.debounced', { customer: other, n: 3 });
      await server.kill();
      await server.start();
      expect(await api.runsOf(second)).toEqual([]);
      await shiftTo(Math.max(due, await dueAt(third, 'DebounceOpened')));
      expect((await api.endOf(second)).output).toMatchObject({ n: 2 });
      expect((await api.endOf(third)).output).toMatchObject({ n: 3 });
      for (const n of [2, 3])
        expect(await apps.log.seen({ kind: 'did', name: 'ran', fn: 'debounced', n })).not.toEqual([]);
      expect(await api.runsOf(first)).toEqual([]);
      expect((await api.runsOf(second)).length).toBe(1);
    });

    it('has its rate limit charged by each event, and the time comes free', async () => {
      const customer = randomUUID(); // Two at once are let in.
      const sent: string[] = [];
      for (const n of [1, 2, 3]) sent.push(await stage.admit('flow.debounced-rated', { customer, n }));
      const [first = '', second = '', third = ''] = sent;
      await api.decided(third, 'RateLimited'); // So it does not even put off the others.
      await shiftTo(await dueAt(second, 'DebounceMoved'));
      expect((await api.endOf(second)).output).toMatchObject({ n: 2 });
      expect((await typesOf(first)).sort()).toEqual(['DebounceMoved', 'DebounceOpened', 'RateCharged']);
      expect((await typesOf(second)).sort()).toEqual(['DebounceFired', 'DebounceMoved', 'RateCharged']);
      expect(await typesOf(third)).toEqual(['RateLimited']);
    });

    it('asks for the singleton when its time is over, not before', async () => {
      const customer = randomUUID();
      const send = (n: number, more: object = {}) => stage.emit('flow.debounced-single', { customer, n, ...more });
      const key = randomUUID();
      const first = await send(1, { does: 'wait', key });
      await shiftTo(await dueAt(first, 'DebounceOpened'));
      const { run_id: holder } = await api.runOf(first);
      await api.waiting(holder, 'wake');
      const second = await send(2);
      await shiftTo(await dueAt(second, 'DebounceOpened'));
      expect(await api.endOf(second)).toMatchObject({ status: 'Skipped', skipped_for: holder });
      const third = await send(3);
      const due = await dueAt(third, 'DebounceOpened');
      await stage.emit('flow.wake', { key });
      await api.ended(holder);
      await shiftTo(due);
      expect((await api.endOf(third)).output).toMatchObject({ n: 3 });
    });

    it('asks for the event id when its time is over: one that was left behind may come again', async () => {
      const customer = randomUUID();
      const [left, taken] = [randomUUID(), randomUUID()];
      const send = (n: number, id: string) => stage.admit('flow.debounced', { customer, n }, { id });
      const first = await send(1, left);
      const second = await send(2, taken);
      await shiftTo(await dueAt(second, 'DebounceMoved'));
      const { run_id: runId } = await api.endOf(second);
      const again = await send(3, left);
      await shiftTo(await dueAt(again, 'DebounceOpened'));
      expect((await api.endOf(again)).output).toMatchObject({ n: 3 });
      const repeated = await send(4, taken);
      await shiftTo(await dueAt(repeated, 'DebounceOpened'));
      expect((await api.decided(repeated, 'EventIdRefused')).run_id).toBe(runId);
      for (const id of [first, repeated]) expect(await api.runsOf(id)).toEqual([]);
    });

    it('brings its result to the last who invoked, and tells the others at once that nothing comes of it', async () => {
      const customer = randomUUID();
      const invoke = (n: number) => stage.start('flow.invoke', { target: 'debounced', payload: { customer, n } });
      const first = await invoke(1);
      await first.waiting('target');
      const second = await invoke(2);
      expect((await first.ended()).output).toEqual({
        caught: expect.stringContaining('a later event took its place') as string,
      });
      expect((await api.run(second.runId)).status).toBe('Running');
      await shift(10 * MINUTE);
      expect((await second.ended()).output).toEqual({ n: 2, ns: [2] });
    });

    it('runs the function as it is then, and not at all when it is gone', async () => {
      await using app = await RawApp.start(api);
      const debounce = { period: '10m' };
      await app.add('changes', { config: { debounce }, answers: () => done('as it was') });
      await app.add('goes', { config: { debounce }, answers: () => done('went') });
      const [changes, goes] = [await api.emit(app.event('changes')), await api.emit(app.event('goes'))];
      const due = await dueAt(changes, 'DebounceOpened');
      await api.decided(goes, 'DebounceOpened');
      await app.add('changes', { config: { debounce: { period: '7d' } }, answers: () => done('as it is') });
      const { functions, ...payload } = app.payload() as { functions: { id: string }[] };
      await app.register({ ...payload, functions: functions.filter(({ id }) => id.endsWith('-changes')) });
      await shiftTo(due);
      expect((await api.endOf(changes)).output).toBe('as it is');
      expect(await api.decided(goes, 'DebounceDropped')).toMatchObject({ reason: 'function_gone' });
      expect(await api.runsOf(goes)).toEqual([]);
    });
  });

  describe('a batch', () => {
    it('closes some time after its first event, full or not', async () => {
      const customer = randomUUID();
      const first = await stage.emit('flow.batched', { customer, n: 1 });
      const due = await dueAt(first, 'BatchOpened');
      await shift(9 * MINUTE);
      const second = await stage.emit('flow.batched', { customer, n: 2 });
      expect(await dueAt(second, 'BatchJoined')).toBe(due);
      expect(await api.runsOf(first)).toEqual([]);
      await shiftTo(due);
      const run = await api.endOf(second);
      expect(run).toMatchObject({ output: { n: 1, ns: [1, 2] }, event_ids: [first, second] });
      expect(Date.parse(run.queued_at)).toBeGreaterThanOrEqual(due);
      expect(await api.decided(first, 'BatchFired')).toMatchObject({ by: 'timeout', size: 2 });
    });

    it('is complete after a power cut, whether it fills up or its time comes', async () => {
      const [fills, waits] = [randomUUID(), randomUUID()];
      const ofFirst = await stage.emitAll('flow.batched', [
        { customer: fills, n: 1 },
        { customer: fills, n: 2 },
      ]);
      const ofSecond = await stage.emitAll('flow.batched', [
        { customer: waits, n: 3 },
        { customer: waits, n: 4 },
      ]);
      await restart();
      await api.decided(ofFirst[1] ?? '', 'BatchJoined');
      const last = await stage.emit('flow.batched', { customer: fills, n: 5 });
      expect(await api.endOf(last)).toMatchObject({ output: { n: 1, ns: [1, 2, 5] }, event_ids: [...ofFirst, last] });
      await server.kill();
      await server.start();
      await shiftTo(await dueAt(ofSecond[1] ?? '', 'BatchJoined'));
      expect(await api.endOf(ofSecond[0] ?? '')).toMatchObject({ output: { n: 3, ns: [3, 4] }, event_ids: ofSecond });
    });

    it('is dropped when its function is gone, and those who invoked hear of it', async () => {
      await using app = await RawApp.start(api);
      const batchEvents = { maxSize: 10, timeout: '10m' };
      await app.add('goes', { config: { batchEvents }, answers: () => done('went') });
      const sent = await api.emit(app.event('goes'));
      const due = await dueAt(sent, 'BatchOpened');
      await app.register({ ...app.payload(), functions: [] });
      await shiftTo(due);
      expect(await api.decided(sent, 'BatchDropped')).toMatchObject({ reason: 'function_gone', size: 1 });
      expect(await api.runsOf(sent)).toEqual([]);
    });
  });

  describe('a pause', () => {
    it('stands after a power cut, and has what had gathered skipped when its time comes', async () => {
      const customer = randomUUID();
      const debounced = await stage.emit('flow.debounced', { customer, n: 1 });
      const batched = await stage.emitAll('flow.batched', [
        { customer, n: 2 },
        { customer, n: 3 },
      ]);
      const due = [await dueAt(debounced, 'DebounceOpened'), await dueAt(batched[1] ?? '', 'BatchJoined')];
      const sleeper = await stage.start('flow.twin', { does: 'wait' });
      await sleeper.waiting('wake');
      const paused = ['v4-debounced', 'v4-batched', 'v4-twin-a', 'v4-twin-b'];
      for (const slug of paused) await api.pause(slug);
      await restart();
      await shiftTo(Math.max(...due));
      const skipped = { status: 'Skipped', skip_reason: 'FunctionPaused' };
      expect(await api.endOf(debounced)).toMatchObject({ ...skipped, event_ids: [debounced] });
      expect(await api.endOf(batched[1] ?? '')).toMatchObject({ ...skipped, event_ids: batched });
      await stage.emit('flow.wake', { key: sleeper.key });
      expect((await api.held(sleeper.runId, 'paused')).cause).toBe('paused');
      for (const slug of paused) await api.resume(slug);
      expect((await sleeper.ended()).status).toBe('Completed');
      const later = await stage.emit('flow.debounced', { customer, n: 4 });
      await shiftTo(await dueAt(later, 'DebounceOpened'));
      expect((await api.endOf(later)).output).toMatchObject({ n: 4 });
    });
  });

  describe('a cron', () => {
    /** A function that ticks at a minute of every hour, its ticks, and a way to the next one. No two stories share a minute. */
    const ticking = async (minute: number, config: object, answers: Behaviour) => {
      const app = await RawApp.start(api);
      const cron = `TZ=Europe/Berlin ${minute} * * * *`;
      await app.add('f', { config: { triggers: [{ cron }], ...config }, answers });
      let count = 0;
      /** @returns the internal id of the event */
      const tick = async (): Promise<string> => {
        count++;
        await shift(HOUR - (((await now()) - minute * MINUTE) % HOUR) + SECOND);
        return until(
          async () => {
            const all = (await api.events('name=inngest/scheduled.timer&limit=100')).filter(
              ({ data }) => data['cron'] === cron,
            );
            return all.length === count ? all[0]?.internal_id : undefined;
          },
          { what: `tick ${count}` },
        );
      };
      const [f] = app.payload()['functions'] as object[];
      const stop = () => app.register({ ...app.payload(), functions: [{ ...f, triggers: [] }] });
      return { app, cron, tick, stop };
    };

    it('is charged to the rate limit', async () => {
      const rateLimit = { limit: 1, period: '24h' };
      const { app, tick, stop } = await ticking(11, { rateLimit }, () => done('ticked'));
      await using _ = app;
      expect((await api.endOf(await tick())).output).toBe('ticked');
      const second = await tick();
      await api.decided(second, 'RateLimited');
      expect(await api.runsOf(second)).toEqual([]);
      await stop();
    });

    it('is never put in a batch', async () => {
      const batchEvents = { maxSize: 9, timeout: '10h' };
      const { app, tick, stop } = await ticking(22, { batchEvents }, ({ body }) => done(body.events.length));
      await using _ = app;
      for (const tickId of [await tick(), await tick()])
        expect(await api.endOf(tickId)).toMatchObject({ output: 1, batch_id: null });
      await stop();
    });

    it('is debounced', async () => {
      const { app, tick, stop } = await ticking(33, { debounce: { period: '90m' } }, () => done('ticked'));
      await using _ = app;
      const first = await tick();
      await api.decided(first, 'DebounceOpened');
      const second = await tick();
      const due = await dueAt(second, 'DebounceMoved');
      await stop();
      await shiftTo(due);
      expect((await api.endOf(second)).output).toBe('ticked');
      expect(await api.runsOf(first)).toEqual([]);
      expect(app.calls).toHaveLength(1);
    });

    it('is skipped while its function is paused, and goes on after', async () => {
      const { app, cron, tick, stop } = await ticking(55, {}, () => done('ticked'));
      await using _ = app;
      await api.pause(`${app.id}-f`);
      expect(await api.endOf(await tick())).toMatchObject({ status: 'Skipped', skip_reason: 'FunctionPaused', cron });
      await api.resume(`${app.id}-f`);
      expect((await api.endOf(await tick())).output).toBe('ticked');
      await stop();
    });

    it('is skipped while the one before it runs, where it is to run alone', async () => {
      const nap = { id: 'a'.repeat(40), op: 'Sleep', name: '100m', displayName: 'nap' };
      const { app, cron, tick, stop } = await ticking(44, { singleton: { mode: 'skip' } }, ({ body }) =>
        Object.keys(body.steps).length === 0 ? { status: 206, body: [nap] } : done('rested'),
      );
      await using _ = app;
      const { run_id: holder } = await api.runOf(await tick());
      await api.waiting(holder, 'nap');
      expect(await api.endOf(await tick())).toMatchObject({ status: 'Skipped', skipped_for: holder, cron });
      await stop();
      await shift(HOUR);
      expect((await api.ended(holder)).output).toBe('rested');
    });
  });
});
