import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { done, RawApp } from '../harness/raw-app.js';
import { until } from '../harness/until.js';
import { stageOf } from './world.js';

describe.each(['v4', 'v3'] as const)('a function of %s that is paused', (variant) => {
  const stage = stageOf(variant);
  const { api, log } = stage;
  const slug = (fn: string) => `${stage.id}-${fn}`;
  const wake = (key: string) => stage.emit('flow.wake', { key });

  it('leaves skipped runs, and holds those under way until it is resumed', async () => {
    const waiting = await stage.start('flow.held-back', { does: 'wait', n: 1 });
    await waiting.waiting('wake');
    const given = await stage.start('flow.held-back', { does: 'wait', n: 2 });
    await given.waiting('wake');
    const working = await stage.start('flow.held-back', { does: 'hold', n: 3 });
    await working.happened('working');
    const dated = await api.runOf(await stage.emit('flow.held-back', { n: 4 }, { ts: Date.now() + 3_600_000 }));
    await api.pause(slug('held-back'), 'hold');
    expect((await api.request('GET', `/v1/functions/${slug('held-back')}`)).body).toMatchObject({
      data: { paused: { running: 'hold' } },
    });

    const missed = await stage.emit('flow.held-back', { n: 5 });
    const skipped = await api.endOf(missed);
    expect(skipped).toMatchObject({
      status: 'Skipped',
      skip_reason: 'FunctionPaused',
      skipped_for: null,
      output: null,
    });
    const caller = await stage.play('flow.invoke', { target: 'held-back', payload: { n: 6 } });
    expect(caller.run.output).toEqual({ caught: expect.stringContaining('did not run') as string });

    await wake(waiting.key);
    expect(await api.held(waiting.runId, 'paused')).toMatchObject({ cause: 'paused', place: 1 });
    expect(await api.backlog(slug('held-back'))).toMatchObject({ lines: [{ wait: { cause: 'paused' } }] });
    // A request under way is let finish.
    await working.open('work');
    await log.wait({ kind: 'answer', runId: working.runId });
    await api.cancel(given.runId);
    expect((await given.ended()).status).toBe('Cancelled');
    await api.cancel(dated.run_id);
    expect((await api.ended(dated.run_id)).status).toBe('Cancelled');

    expect(await waiting.times('ran')).toBe(0);
    await api.resume(slug('held-back'));
    expect((await waiting.ended()).output).toMatchObject({ n: 1 });
    expect((await working.ended()).output).toMatchObject({ n: 3 });
    expect((await api.endOf(await stage.emit('flow.held-back', { n: 7 }))).output).toMatchObject({ n: 7 });
    expect(await api.run(skipped.run_id)).toMatchObject({ status: 'Skipped' });
    expect(await log.seen({ kind: 'call', runId: skipped.run_id })).toEqual([]);
  });

  it('cancels those under way where it is to', async () => {
    const waiting = await stage.start('flow.called-off', { does: 'wait' });
    await waiting.waiting('wake');
    const working = await stage.start('flow.called-off', { does: 'hold' });
    await working.happened('working');
    const dated = await api.runOf(await stage.emit('flow.called-off', {}, { ts: Date.now() + 3_600_000 }));
    await api.pause(slug('called-off'), 'cancel');
    for (const runId of [waiting.runId, working.runId, dated.run_id])
      expect((await api.ended(runId)).status).toBe('Cancelled');
    await working.open('work');
    await api.resume(slug('called-off'));
    expect((await api.endOf(await stage.emit('flow.called-off', { n: 2 }))).output).toMatchObject({ n: 2 });
  });

  it('skips what its singleton would not have let run either, and nothing of it stands after', async () => {
    await api.pause(slug('shut'));
    for (const n of [1, 2])
      expect(await api.endOf(await stage.emit('flow.shut', { n }))).toMatchObject({
        status: 'Skipped',
        skip_reason: 'FunctionPaused',
      });
    await api.resume(slug('shut'));
    expect((await api.endOf(await stage.emit('flow.shut', { n: 3 }))).output).toMatchObject({ n: 3 });
  });
});

describe('a pause', () => {
  const stage = stageOf('v4');
  const { api } = stage;

  it.each([
    ['of a function that there is not', 'nowhere-f', {}, 404],
    ['that says nothing sensible of what runs', 'v4-twin-b', { running: 'faster' }, 400],
    ['with a body that is no object', 'v4-twin-b', '[]', 400],
  ])('%s is refused', async (_, slug, body, status) => {
    const reply = await api.request<{ code: string }>('POST', `/v1/functions/${slug}/pause`, body);
    expect([reply.status, typeof reply.body.code]).toEqual([status, 'string']);
  });

  it('outlasts a sync, also one that changes the function', async () => {
    await using app = await RawApp.start(api);
    await app.add('f', () => done('as it was'));
    await api.pause(`${app.id}-f`);
    await app.add('f', { retries: 1, answers: () => done('as it is') });
    expect((await api.endOf(await api.emit(app.event('f')))).status).toBe('Skipped');
    await api.resume(`${app.id}-f`);
    expect((await app.play('f')).run.output).toBe('as it is');
  });

  it('may come twice, and so may its end', async () => {
    const slug = 'v4-asleep';
    for (const running of ['hold', 'hold'] as const) await api.pause(slug, running);
    for (let times = 0; times < 2; times++) await api.resume(slug);
    const event = await stage.emit('flow.asleep', { customer: randomUUID() });
    expect((await until(async () => (await api.decisions(event))[0], { what: 'it to be debounced' })).type).toBe(
      'DebounceOpened',
    );
  });
});
