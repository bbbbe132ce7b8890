import { describe, expect, it } from 'vitest';
import { stageOf, VARIANTS } from './world.js';

describe.each(VARIANTS)('steps of %s', (variant) => {
  const stage = stageOf(variant);

  it('runs a function without steps, with the event as it was sent', async () => {
    const id = `steps-none-${variant}`;
    const { run, eventId, key, runId } = await stage.play(
      'steps.none',
      { n: 1, list: ['ü'] },
      { id, v: '2', user: { id: 7 } },
    );
    expect(run).toMatchObject({
      status: 'Completed',
      event_id: eventId,
      output: {
        attempt: 0,
        runId,
        event: { name: stage.event('steps.none'), id, v: '2', user: { id: 7 }, data: { n: 1, list: ['ü'], key } },
      },
    });
  });

  it('runs each step once and remembers what it returned', async () => {
    const story = await stage.play('steps.run');
    expect(story.run.output).toEqual({
      value: { deep: { n: 1.5, text: 'zwölf ☃ \u0000', list: [1, null, true, 'x'] } },
      nothing: null,
      turns: [
        { i: 0, n: 1 },
        { i: 1, n: 2 },
        { i: 2, n: 3 },
      ],
      sum: 42,
    });
    expect(await story.times('value')).toBe(1);
    expect(await story.times('nothing')).toBe(1);
    expect((await story.calls()).length).toBe(stage.checkpoints ? 1 : 7);
  });

  it('sleeps, and not less than it should', async () => {
    const story = await stage.play('steps.sleep', { span: '1s' });
    const [before] = await story.happened('before');
    const [after] = await story.happened('after');
    expect((after?.at ?? 0) - (before?.at ?? 0)).toBeGreaterThanOrEqual(1_000);
    expect(story.run).toMatchObject({ status: 'Completed', output: null });
    expect([await story.times('before'), await story.times('after')]).toEqual([1, 1]);
  });

  it('sleeps until an instant', async () => {
    const until = Math.ceil(Date.now() / 1_000) * 1_000 + 1_000;
    const story = await stage.play('steps.sleep', { until });
    const [after] = await story.happened('after');
    expect(after?.at).toBeGreaterThanOrEqual(until);
  });

  it.each([{ span: '0s' }, { span: '-3s' }, { until: 0 }])('does not sleep at all for %j', async (how) => {
    const story = await stage.play('steps.sleep', how);
    expect(story.run.status).toBe('Completed');
    expect(await story.times('after')).toBe(1);
  });

  it('fails at once where it should sleep for longer than a year', async () => {
    const story = await stage.play('steps.sleep', { span: '367d' });
    const message = expect.stringContaining('52w3d') as string; // As the SDK writes it.
    expect(story.run).toMatchObject({
      status: 'Failed',
      output: { error: { name: 'InngestErrTimeoutTooLong', message } },
    });
    expect(await story.times('after')).toBe(0);
    expect(await story.calls()).toHaveLength(stage.checkpoints ? 1 : 2);
  });

  it('sends events from steps, and they start their runs', async () => {
    const story = await stage.play('steps.send');
    const output = story.run.output as { one: { ids: string[] }; many: { ids: string[] } };
    const ids = [...output.one.ids, ...output.many.ids];
    expect(ids).toHaveLength(3);
    for (const [at, name] of ['one', 'two', 'three'].entries()) {
      const [call] = await stage.log.wait({ kind: 'call', app: stage.id, key: `${story.key} ${name}` });
      expect(await stage.api.ended(call?.runId ?? '')).toMatchObject({
        event_id: ids[at],
        output: `${story.key} ${name}`,
      });
    }
  });

  describe('invoke', () => {
    const childOf = async (key: string) => {
      const [call] = await stage.log.wait({ kind: 'call', app: stage.id, fn: 'child', key: `${key} child` });
      return call?.runId ?? '';
    };

    it('returns what the function returned', async () => {
      const { run, key } = await stage.play('steps.invoke', { payload: { n: 1 } });
      expect(run.output).toMatchObject({
        result: { child: { n: 1, key: `${key} child` }, name: 'inngest/function.invoked' },
      });
    });

    it('finds a function by its name, also one of another app', async () => {
      const here = await stage.play('steps.invoke', { ref: 'child', payload: { n: 2 } });
      expect(here.run.output).toMatchObject({ result: { child: { n: 2 } } });
      const app = variant === 'v4' ? 'v3' : 'v4';
      const there = await stage.play('steps.invoke', { ref: 'child', app, payload: { n: 3 } });
      expect(there.run.output).toMatchObject({ result: { child: { n: 3 } } });
    });

    it('throws what the function threw', async () => {
      const story = await stage.play('steps.invoke', { payload: { does: 'throw' } });
      expect(story.run).toMatchObject({ status: 'Completed', output: { caught: { message: 'child went wrong' } } });
    });

    it('throws at once where there is no such function', async () => {
      const { run } = await stage.play('steps.invoke', { ref: 'nobody' });
      expect(run.output).toMatchObject({ caught: { message: `could not find function with ID: ${stage.id}-nobody` } });
    });

    it('throws when the function takes too long, and lets it go on', async () => {
      const story = await stage.play('steps.invoke', { payload: { does: 'wait' }, timeout: '1s' });
      expect(story.run.output).toMatchObject({
        caught: { message: 'Timed out waiting for invoked function to complete' },
      });
      const child = await childOf(story.key);
      await stage.api.waiting(child, 'release');
      await stage.emit('steps.release', { key: `${story.key} child` });
      expect((await stage.api.ended(child)).status).toBe('Completed');
      expect(await story.times('caught')).toBe(1);
    });

    it('throws when the function is cancelled', async () => {
      const story = await stage.start('steps.invoke', { payload: { does: 'wait' } });
      const child = await childOf(story.key);
      await stage.api.waiting(child, 'release');
      expect(await stage.api.request('DELETE', `/v1/runs/${child}`)).toMatchObject({ status: 200 });
      expect((await story.ended()).output).toMatchObject({
        caught: { message: expect.stringContaining('cancelled') as string },
      });
    });

    it('leaves the function running when the caller is cancelled', async () => {
      const story = await stage.start('steps.invoke', { payload: { does: 'wait' } });
      const child = await childOf(story.key);
      await stage.api.waiting(child, 'release');
      await stage.api.request('DELETE', `/v1/runs/${story.runId}`);
      expect((await story.ended()).status).toBe('Cancelled');
      await stage.emit('steps.release', { key: `${story.key} child` });
      expect((await stage.api.ended(child)).status).toBe('Completed');
    });
  });
});
