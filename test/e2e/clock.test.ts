import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Api, JobView } from '../harness/api.client.js';
import { done, ops, RawApp } from '../harness/raw-app.js';
import { SdkApps } from '../harness/sdk-app.process.js';
import { Server } from '../harness/server.process.js';
import { Stage } from '../harness/stage.js';
import { until } from '../harness/until.js';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** One server for all, so its clock is moved by one story at a time, and only while nothing is under way. */
describe('time', { concurrent: false }, () => {
  let server: Server;
  let apps: SdkApps;
  let old: SdkApps;
  let api: Api;
  let stage: Stage;
  let now = Date.now();

  beforeAll(async () => {
    server = await Server.start({ clocked: true, flags: { 'retry-interval': 0 } });
    const env = { INNGEST_DEV: server.url };
    const functions = ['steps', 'waits', 'clock'].map((name) => `test/e2e/functions/${name}.mjs`);
    apps = await SdkApps.start([{ id: 'v4', variant: 'v4', functions }], env);
    old = await SdkApps.start([{ id: 'v3', variant: 'v3', functions }], env);
    await apps.sync('v4');
    await old.sync('v3');
    api = server.api;
    stage = new Stage('v4', api, apps.log, 'v4');
    now = await server.shift(0);
  });
  afterAll(async () => {
    await apps[Symbol.asyncDispose]();
    await old[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });

  const shift = async (ms: number) => (now = await server.shift(ms));

  it('lets a run sleep for a month, and not a minute less', async () => {
    const story = await stage.start('clock.nap', { span: '30d' });
    await story.waiting('nap');
    await shift(30 * DAY - MINUTE);
    const marker = await stage.play('steps.none');
    expect(marker.run.status).toBe('Completed');
    expect((await api.run(story.runId)).status).toBe('Running');
    await shift(MINUTE);
    expect(await story.ended()).toMatchObject({ status: 'Completed', output: 'awake' });
    expect([await story.times('before'), await story.times('after')]).toEqual([1, 1]);
  });

  it('keeps a run over a restart and over what the log forgets', async () => {
    const story = await stage.start('clock.nap', { span: '200d' });
    await story.waiting('nap');
    for (let months = 0; months < 6; months++) {
      await shift(30 * DAY);
      expect((await stage.play('steps.none')).run.status).toBe('Completed');
    }
    await server.stop();
    await server.start();
    await shift(20 * DAY - MINUTE);
    expect((await stage.play('steps.none')).run.status).toBe('Completed');
    expect((await api.run(story.runId)).status).toBe('Running');
    await shift(MINUTE);
    expect(await story.ended()).toMatchObject({ status: 'Completed', output: 'awake' });
    expect([await story.times('before'), await story.times('after')]).toEqual([1, 1]);
  });

  it('gives up waiting when the time has come, not before', async () => {
    const story = await stage.start('waits.wait', { match: 'data.key', timeout: '7d' });
    const other = await stage.start('waits.wait', { match: 'data.key', timeout: '7d' });
    await story.waiting('answer');
    await other.waiting('answer');
    await shift(7 * DAY - MINUTE);
    await stage.emit('waits.answer', { key: other.key });
    expect((await other.ended()).output).toMatchObject({ data: { key: other.key } });
    await shift(MINUTE);
    expect(await story.ended()).toMatchObject({ status: 'Completed', output: null });
  });

  it('gives up on an invoked function after a year, or after the time that was given', async () => {
    const year = await stage.start('clock.patient');
    const week = await stage.start('clock.patient', { timeout: '7d' });
    for (const each of [year, week]) {
      const [call] = await apps.log.wait({ kind: 'call', fn: 'endless', key: `${each.key} child` });
      await api.waiting(call?.runId ?? '', 'never');
    }
    const caught = { caught: 'Timed out waiting for invoked function to complete' };
    await shift(7 * DAY);
    expect(await week.ended()).toMatchObject({ output: caught });
    await shift(357 * DAY);
    expect((await api.run(year.runId)).status).toBe('Running');
    await shift(DAY);
    expect(await year.ended()).toMatchObject({ output: caught });
  });

  it('starts the run of an event that is dated in the future when its time has come', async () => {
    const key = randomUUID();
    const eventId = await stage.emit('clock.nap', { key, span: '1s' }, { ts: now + 6 * HOUR });
    const { run_id: runId } = await api.runOf(eventId);
    expect(await api.run(runId)).toMatchObject({ status: 'Scheduled', started_at: null });
    expect(await api.jobs(runId)).toMatchObject([{ status: 'scheduled', at: new Date(now + 6 * HOUR).toISOString() }]);
    await shift(6 * HOUR - MINUTE);
    expect((await stage.play('steps.none')).run.status).toBe('Completed');
    expect(await apps.log.seen({ kind: 'call', key })).toEqual([]);
    await shift(MINUTE);
    const run = await api.ended(runId);
    expect(run).toMatchObject({ status: 'Completed' });
    expect(Date.parse(run.started_at ?? '') - Date.parse(run.queued_at)).toBeGreaterThanOrEqual(6 * HOUR - MINUTE);
  });

  it('resolves waits at once with an event that is dated in the future', async () => {
    const story = await stage.start('waits.wait', { match: 'data.key' });
    await story.waiting('answer');
    await stage.emit('waits.answer', { key: story.key }, { ts: now + DAY });
    expect((await story.ended()).output).toMatchObject({ ts: now + DAY });
  });

  it('cancels a run before it has started', async () => {
    const key = randomUUID();
    const eventId = await stage.emit('clock.watched', { key }, { ts: now + HOUR });
    const { run_id: runId } = await api.runOf(eventId);
    await stage.emit('clock.cancel', { key });
    expect(await api.ended(runId)).toMatchObject({ status: 'Cancelled', started_at: null });
    await shift(2 * HOUR);
    expect((await stage.play('steps.none')).run.status).toBe('Completed');
    expect(await apps.log.seen({ kind: 'call', key })).toEqual([]);
  });

  it('starts one run for an event id in a day, and another afterwards', async () => {
    const id = randomUUID();
    const first = await stage.play('steps.none', {}, { id });
    await shift(DAY - MINUTE);
    const again = await stage.emit('steps.none', { key: 'within a day' }, { id });
    expect((await stage.play('steps.none')).run.status).toBe('Completed');
    expect(await api.runsOf(again)).toEqual([]);
    await shift(2 * MINUTE);
    const next = await stage.play('steps.none', {}, { id });
    expect(next.runId).not.toBe(first.runId);
    expect(await apps.log.seen({ kind: 'call', key: 'within a day' })).toEqual([]);
  });

  it('watches for a cancelling event for as long as it was told, or a year', async () => {
    const stories = [await stage.start('clock.watched'), await stage.start('clock.watched')] as const;
    for (const each of stories) await each.waiting('nap');
    const [first, second] = stories;
    await shift(DAY - MINUTE);
    await stage.emit('clock.cancel', { key: first.key });
    expect((await first.ended()).status).toBe('Cancelled');
    await shift(MINUTE);
    await stage.emit('clock.cancel', { key: second.key });
    await stage.play('steps.none');
    expect((await api.run(second.runId)).status).toBe('Running');
    await shift(363 * DAY);
    await stage.emit('clock.cancel-always', { key: second.key });
    expect((await second.ended()).status).toBe('Cancelled');
  });

  it('ends a run that takes longer than it may', async () => {
    const story = await stage.start('clock.bounded');
    await story.waiting('nap');
    await shift(2 * HOUR);
    expect(await story.ended()).toMatchObject({ status: 'Cancelled' });
  });

  it('counts the time that a run takes from its start, not from its event', async () => {
    const key = randomUUID();
    const eventId = await stage.emit('clock.bounded', { key }, { ts: now + 3 * HOUR });
    const { run_id: runId } = await api.runOf(eventId);
    await shift(3 * HOUR);
    await api.waiting(runId, 'nap');
    await shift(HOUR);
    await stage.play('steps.none');
    expect((await api.run(runId)).status).toBe('Running');
    await shift(HOUR + MINUTE);
    expect((await api.ended(runId)).status).toBe('Cancelled');
  });

  it('minds that a limit changes while a run goes on', async () => {
    await using app = await RawApp.start(api);
    const nap = { id: 'a'.repeat(40), op: 'Sleep', name: '10d', displayName: 'nap' };
    const declare = (finish: string | undefined) =>
      app.add('f', { config: finish === undefined ? {} : { timeouts: { finish } }, answers: () => ops(nap) });
    await declare('2h');
    const extended = await app.begin('f');
    await api.waiting(extended, 'nap');
    await declare('4h');
    await shift(2 * HOUR + MINUTE);
    await stage.play('steps.none');
    expect((await api.run(extended)).status).toBe('Running');
    await shift(2 * HOUR);
    expect((await api.ended(extended)).status).toBe('Cancelled');

    const shortened = await app.begin('f');
    await api.waiting(shortened, 'nap');
    await shift(HOUR);
    await declare('30m'); // It is over already.
    expect((await api.ended(shortened)).status).toBe('Cancelled');

    const unbound = await app.begin('f');
    await api.waiting(unbound, 'nap');
    await declare(undefined);
    await shift(DAY);
    await stage.play('steps.none');
    expect((await api.run(unbound)).status).toBe('Running');
    await api.request('DELETE', `/v1/runs/${unbound}`);
  });

  it('comes back when a step asked for it, after a day at most', async () => {
    const story = await stage.start('clock.later');
    const job = await scheduled(story.runId);
    expect(Math.abs(Date.parse(job.at) - now - 20 * HOUR)).toBeLessThan(2 * MINUTE);
    await shift(20 * HOUR - 3 * MINUTE);
    await stage.play('steps.none');
    expect(await story.times('work')).toBe(1);
    await shift(6 * MINUTE);
    expect(await story.ended()).toMatchObject({ status: 'Completed', output: 'now' });
  });

  const scheduled = (runId: string, attempt = 1): Promise<JobView> =>
    until(async () => (await api.jobs(runId)).find((job) => job.attempt === attempt && job.status === 'scheduled'), {
      what: `attempt ${attempt} to be scheduled`,
    });

  it('waits longer and longer between attempts, with some chance', async () => {
    await using app = await RawApp.start(api);
    await app.add('f', { retries: 11, answers: () => ({ status: 500, body: { message: 'no' } }) });
    const runId = await app.begin('f');
    const bases = [
      15 * SECOND,
      30 * SECOND,
      MINUTE,
      2 * MINUTE,
      5 * MINUTE,
      10 * MINUTE,
      20 * MINUTE,
      40 * MINUTE,
      HOUR,
      2 * HOUR,
      2 * HOUR,
    ];
    const chances: number[] = [];
    for (const [attempt, base] of bases.entries()) {
      const { at } = await scheduled(runId, attempt + 1);
      const failedAt = app.callsOf(runId)[attempt]?.at ?? 0;
      const ahead = now - Date.now();
      const delay = Date.parse(at) - (failedAt + ahead);
      chances.push(delay - base);
      expect(delay).toBeGreaterThan(base - 5 * SECOND);
      expect(delay).toBeLessThan(base + 30 * SECOND + 30 * SECOND);
      await shift(Math.max(0, Date.parse(at) - (await shift(0))));
      await until(() => (app.callsOf(runId).length > attempt + 1 ? true : undefined), {
        what: `attempt ${attempt + 1}`,
      });
    }
    expect(await api.ended(runId)).toMatchObject({ status: 'Failed', output: { message: 'no' } });
    expect(app.callsOf(runId).map(({ body }) => body.ctx.attempt)).toEqual(Array.from({ length: 12 }, (_, at) => at));
    expect(Math.max(...chances) - Math.min(...chances)).toBeGreaterThan(SECOND);
  });

  describe('cron', { concurrent: false }, () => {
    /** Up to a moment before the next full half hour. */
    const toHalfHour = async () => {
      now = await server.shift(0);
      const left = 30 * MINUTE - (now % (30 * MINUTE)) - 5 * SECOND;
      return shift(left < 0 ? left + 30 * MINUTE : left);
    };

    it.each(['v4', 'v3'])('starts functions of %s at their time, in their zone, once each', async (variant) => {
      const { log } = variant === 'v4' ? apps : old;
      await toHalfHour();
      const due = Math.ceil(now / (30 * MINUTE)) * 30 * MINUTE; // Kolkata is 5:30 ahead: its half hours are ours.
      for (const scheduledAt of [due, due + 30 * MINUTE]) {
        await shift(scheduledAt === due ? 6 * SECOND : 30 * MINUTE);
        const [tick] = await log.wait({ kind: 'did', name: 'ticked', scheduledAt });
        expect(tick?.event).toMatchObject({
          name: 'inngest/scheduled.timer',
          ts: scheduledAt,
          data: {
            cron: 'TZ=Asia/Kolkata 0,30 * * * *',
            fireAt: (tick?.event as { data: { scheduledAt: string } }).data.scheduledAt,
          },
        });
        expect(await api.ended(tick?.runId ?? '')).toMatchObject({
          status: 'Completed',
          cron: 'TZ=Asia/Kolkata 0,30 * * * *',
        });
        await log.wait({ kind: 'did', name: 'saw tick', scheduledAt });
      }
      await stage.play('steps.none');
      for (const scheduledAt of [due, due + 30 * MINUTE])
        expect(await log.seen({ kind: 'did', name: 'ticked', scheduledAt })).toHaveLength(1);
    });

    it('does not make up for what was missed, beyond the one in line', async () => {
      await toHalfHour();
      const inLine = Math.ceil(now / (30 * MINUTE)) * 30 * MINUTE;
      await shift(6 * HOUR);
      await apps.log.wait({ kind: 'did', name: 'ticked', scheduledAt: inLine });
      await shift(6 * SECOND);
      await apps.log.wait({ kind: 'did', name: 'ticked', scheduledAt: inLine + 6 * HOUR });
      const ticks = (await apps.log.seen({ kind: 'did', name: 'ticked' })).map((entry) => Number(entry['scheduledAt']));
      expect(ticks.filter((at) => at >= inLine && at <= inLine + 6 * HOUR)).toEqual([inLine, inLine + 6 * HOUR]);
    });

    it('follows what the app declares: another time, none, and not again for the same', async () => {
      await using app = await RawApp.start(api);
      const cron = (text: string, more: object = {}) => ({ triggers: [{ cron: text, ...more }] });
      const add = (config: object) =>
        app.add('f', { config: config as Record<string, unknown>, answers: () => done() });
      const ticks = () => app.calls.map(({ body }) => body.event.data);
      const toNextMinute = async () => {
        now = await server.shift(0);
        await shift(MINUTE - (now % MINUTE) + SECOND);
      };
      await add(cron('* * * * *'));
      await toNextMinute();
      await until(() => (ticks().length === 1 ? true : undefined), { what: 'the first tick' });
      await app.register(app.payload()); // Nothing new.
      await toNextMinute();
      await until(() => (ticks().length === 2 ? true : undefined), { what: 'the second tick' });

      await add(cron('* * * * *', { jitter: '30s' }));
      await toNextMinute(); // Jitter is read anew with each sync: this one may be late.
      await shift(30 * SECOND);
      await until(() => (ticks().length === 3 ? true : undefined), { what: 'the third tick' });
      const third = ticks()[2] as { scheduledAt: string; fireAt: string };
      const late = Date.parse(third.fireAt) - Date.parse(third.scheduledAt);
      expect(late).toBeGreaterThanOrEqual(SECOND);
      expect(late).toBeLessThan(30 * SECOND);

      await add(cron('0 0 29 2 *'));
      await toNextMinute();
      await stage.play('steps.none');
      expect(ticks()).toHaveLength(3);

      await add(cron('* * * * *'));
      await toNextMinute();
      await until(() => (ticks().length === 4 ? true : undefined), { what: 'the fourth tick' });
      await app.register({ ...app.payload(), functions: [] });
      await toNextMinute();
      await stage.play('steps.none');
      expect(ticks()).toHaveLength(4);
    });
  });
});
