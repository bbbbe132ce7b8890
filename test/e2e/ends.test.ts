import { describe, expect, it } from 'vitest';
import type { Entry } from '../harness/sdk-app.process.js';
import type { Story } from '../harness/stage.js';
import { stageOf, VARIANTS } from './world.js';

interface Lifecycle {
  readonly name: string;
  readonly id: string;
  readonly ts: number;
  readonly data: { readonly error?: { readonly name: string; readonly message: string } } & Record<string, unknown>;
}

describe.each(VARIANTS)('the end of a run of %s', (variant) => {
  const stage = stageOf(variant);
  const { api, log } = stage;

  /** What the observer of the app saw of a run's end, in order. */
  async function saw(runId: string, count: number): Promise<readonly Lifecycle[]> {
    const entries = await log.wait({ kind: 'did', app: stage.id, name: 'saw', of: runId }, count);
    return entries.map(({ event }) => event as Lifecycle);
  }
  const handled = (story: Story, count = 1): Promise<readonly Entry[]> =>
    log.wait({ kind: 'did', app: stage.id, name: 'handled', of: story.runId }, count);

  it('tells that it completed', async () => {
    const { runId, run, eventId, key } = await stage.play('ends.end', {}, { user: { id: 1 } });
    const [finished] = await saw(runId, 1);
    expect(finished).toMatchObject({
      name: 'inngest/function.finished',
      ts: Date.parse(run.ended_at ?? ''),
      data: {
        _inngest: { status: 'Completed' },
        function_id: `${stage.id}-ender`,
        run_id: runId,
        result: { ok: true },
        event: { name: stage.event('ends.end'), id: eventId, data: { key }, user: { id: 1 } },
        events: [{ id: eventId }],
      },
    });
    expect(finished?.id).not.toBe(runId);
    expect(finished?.data).not.toHaveProperty('error');
    expect(finished?.data).not.toHaveProperty('correlation_id');
  });

  it.each([
    ['throw', 'went wrong', 'invalid status code: 500'],
    ['throw for good', 'went wrong for good', 'NonRetriableError'],
  ])('tells that it failed, where functions %s', async (does, message, errorClass) => {
    const { runId } = await stage.play('ends.end', { does });
    const seen = await saw(runId, 2);
    const of = (name: string) => seen.find((event) => event.name === name);
    const data = { _inngest: { status: 'Failed' }, function_id: `${stage.id}-ender`, run_id: runId };
    const error = { message, name: expect.any(String) as string, stack: expect.any(String) as string };
    expect(of('inngest/function.finished')).toMatchObject({ data: { ...data, error } });
    expect(of('inngest/function.failed')).toMatchObject({ id: runId, data: { ...data, error } });
    // v4 says on the last attempt that there is no use in another.
    const said = variant === 'v3' ? errorClass : 'NonRetriableError';
    expect(of('inngest/function.failed')?.data.error).toMatchObject({ error: said });
  });

  it('tells that it was cancelled', async () => {
    const story = await stage.start('ends.end', { does: 'sleep' });
    await story.waiting('nap');
    const reply = await api.request('DELETE', `/v1/runs/${story.runId}`);
    expect([reply.status, reply.text]).toEqual([200, '']);
    expect(await story.ended()).toMatchObject({ status: 'Cancelled', output: null });
    const seen = await saw(story.runId, 2);
    expect(seen.map(({ name }) => name).sort()).toEqual(['inngest/function.cancelled', 'inngest/function.finished']);
    const cancelled = seen.find(({ name }) => name === 'inngest/function.cancelled');
    expect(cancelled).toMatchObject({
      id: story.runId,
      data: { _inngest: { status: 'Cancelled' }, run_id: story.runId, event: { data: { key: story.key } } },
    });
    expect(cancelled?.data).not.toHaveProperty('result');
    expect((await api.request('DELETE', `/v1/runs/${story.runId}`)).status).toBe(200);
  });

  it('is not told of those who are told', async () => {
    const { runId } = await stage.play('ends.end', { does: 'throw for good' });
    const runs = (await log.wait({ kind: 'did', app: stage.id, name: 'saw', of: runId }, 2)).map(
      (entry) => entry.runId,
    );
    for (const each of runs) expect((await api.ended(each)).status).toBe('Completed');
    // Had they been told of, they would have been by the time that a later run is.
    const later = await stage.play('ends.end');
    await saw(later.runId, 1);
    const told = await Promise.all(
      ['finished', 'failed', 'cancelled'].map((name) => api.events(`name=inngest/function.${name}&limit=100`)),
    );
    const subjects = told.flat().map(({ data }) => data['run_id']);
    expect(subjects).toContain(later.runId);
    for (const each of runs) expect(subjects).not.toContain(each);
  });

  it('has its failure handler run once, with the error and the event', async () => {
    const story = await stage.play('ends.guarded', { n: 7 });
    expect(story.run.status).toBe('Failed');
    expect(await story.times('body')).toBe(2);
    const [told] = await handled(story);
    expect(told).toMatchObject({
      fn: 'guarded-failure',
      error: { message: 'failed with 7' },
      event: {
        name: 'inngest/function.failed',
        data: {
          function_id: `${stage.id}-guarded`,
          run_id: story.runId,
          event: { name: stage.event('ends.guarded'), data: { n: 7, key: story.key } },
        },
      },
    });
    expect(await api.ended(told?.runId ?? '')).toMatchObject({
      status: 'Completed',
      output: 'handled',
      function_slug: `${stage.id}-guarded-failure`,
    });
    expect(await handled(story)).toHaveLength(1);
  });

  it('has its failure handler tried again, and leaves it at that', async () => {
    const story = await stage.play('ends.guarded-badly', { n: 1 });
    const [first, second] = await handled(story, 2);
    expect([first?.attempt, second?.attempt]).toEqual([0, 1]);
    expect(first?.runId).toBe(second?.runId);
    expect(await api.ended(first?.runId ?? '')).toMatchObject({
      status: 'Failed',
      output: { message: 'the handler failed as well' },
    });
    await stage.play('ends.end');
    expect(await handled(story, 2)).toHaveLength(2);
  });

  it('has a failure handler that takes steps', async () => {
    const story = await stage.play('ends.guarded-durably', { n: 1 });
    const [told] = await handled(story);
    expect(await api.ended(told?.runId ?? '')).toMatchObject({ status: 'Completed', output: 'told' });
    expect(await handled(story)).toHaveLength(1);
  });

  describe('by cancellation', () => {
    it.each(['sleep', 'wait'])('comes by an event while it should %s', async (does) => {
      const story = await stage.start('ends.cancellable', { does });
      await story.waiting(does === 'sleep' ? 'nap' : 'answer');
      await stage.emit('ends.cancel', { key: 'of another' });
      await stage.emit('ends.cancel', { key: story.key });
      const run = await story.ended();
      expect(run).toMatchObject({ status: 'Cancelled', output: null });
      expect(Date.parse(run.ended_at ?? '')).toBeLessThanOrEqual(Date.now());
      expect(await api.jobs(story.runId)).toEqual([]);
      expect(await story.times('went on')).toBe(0);
    });

    it('comes by an event that meets the condition', async () => {
      const story = await stage.start('ends.cancellable', { does: 'sleep', floor: 3 });
      await story.waiting('nap');
      for (const n of [1, 3]) await stage.emit('ends.cancel-if', { to: story.key, n });
      await stage.emit('ends.cancel-if', { to: 'another', n: 9 });
      const other = await stage.start('ends.cancellable', { does: 'sleep', floor: 8 });
      await other.waiting('nap');
      expect((await api.run(story.runId)).status).toBe('Running');
      await stage.emit('ends.cancel-if', { to: story.key, n: 4 });
      expect((await story.ended()).status).toBe('Cancelled');
      expect((await api.run(other.runId)).status).toBe('Running');
      await api.request('DELETE', `/v1/runs/${other.runId}`);
    });

    it('comes by an event no more, once the watch is over', async () => {
      const story = await stage.start('ends.cancellable', { does: 'wait' });
      await story.waiting('answer');
      await new Promise((resolve) => setTimeout(resolve, 1_100)); // The watch lasts a second.
      await stage.emit('ends.cancel-soon', { key: story.key });
      const marker = await stage.start('ends.cancellable', { does: 'wait' });
      await marker.waiting('answer');
      expect((await api.run(story.runId)).status).toBe('Running');
      for (const each of [story, marker]) await stage.emit('ends.cancel', { key: each.key });
      for (const each of [story, marker]) expect((await each.ended()).status).toBe('Cancelled');
    });

    it('discards what a request under way comes to', async () => {
      const story = await stage.start('ends.cancellable', { does: 'work' });
      await story.happened('enter');
      await stage.emit('ends.cancel', { key: story.key });
      expect((await story.ended()).status).toBe('Cancelled');
      const calls = (await story.calls()).length;
      await story.open('work');
      await log.wait({ kind: 'answer', runId: story.runId }, calls);
      await stage.play('ends.end');
      expect(await story.calls()).toHaveLength(calls);
      expect(await api.run(story.runId)).toMatchObject({ status: 'Cancelled', output: null });
    });

    it('takes back a retry', async () => {
      const story = await stage.start('ends.cancellable', { does: 'retry' });
      await api.runWhen(story.runId, 'retried later', () => true);
      await log.wait({ kind: 'answer', runId: story.runId, status: 206 });
      await stage.emit('ends.cancel', { key: story.key });
      expect((await story.ended()).status).toBe('Cancelled');
      expect(await api.jobs(story.runId)).toEqual([]);
      expect(await story.times('shaky')).toBe(1);
    });

    it('leaves what it invoked running', async () => {
      const story = await stage.start('ends.cancellable', { does: 'invoke' });
      const [call] = await log.wait({ kind: 'call', app: stage.id, fn: 'sleeper', key: `${story.key} child` });
      await stage.emit('ends.cancel', { key: story.key });
      expect((await story.ended()).status).toBe('Cancelled');
      await api.waiting(call?.runId ?? '', 'release');
      await stage.emit('ends.release', { key: `${story.key} child` });
      expect(await api.ended(call?.runId ?? '')).toMatchObject({ status: 'Completed', output: 'slept' });
    });
  });

  describe('by a time limit', () => {
    it('comes when it takes too long', async () => {
      const story = await stage.play('ends.finishing', { does: 'sleep' });
      expect(story.run).toMatchObject({ status: 'Cancelled', output: null });
      expect(Date.parse(story.run.ended_at ?? '') - Date.parse(story.run.started_at ?? '')).toBeGreaterThanOrEqual(
        1_000,
      );
    });

    it('comes while a request is under way', async () => {
      const story = await stage.play('ends.finishing', { does: 'work' });
      expect(story.run.status).toBe('Cancelled');
      const calls = (await story.calls()).length;
      await story.open('work');
      await log.wait({ kind: 'answer', runId: story.runId }, calls);
      await stage.play('ends.end');
      expect(await story.calls()).toHaveLength(calls);
      // v4 goes on to the next step while its checkpoint is under way; that tells it to stop.
      if (stage.checkpoints)
        expect(await log.seen({ kind: 'sent', runId: story.runId })).toMatchObject([{ status: 409 }]);
      else expect(await story.times('went on')).toBe(0);
    });

    it('comes when it does not start in time', async () => {
      const first = await stage.start('ends.starting');
      const eventId = await stage.emit('ends.starting', {});
      const second = await api.runOf(eventId);
      expect(await api.ended(second.run_id)).toMatchObject({ status: 'Cancelled', started_at: null });
      await first.open('work');
      expect(await first.ended()).toMatchObject({ status: 'Completed', output: 'worked' });
    });
  });

  // v3 has no defer.
  it.each(stage.isV3 ? [] : ['return', 'throw'])(
    'starts what was deferred, and not what was withdrawn (%s)',
    async (does) => {
      const story = await stage.play('ends.defers', { does });
      expect(story.run.status).toBe(does === 'throw' ? 'Failed' : 'Completed');
      const [deferred] = await log.wait({ kind: 'did', app: stage.id, name: 'deferred', of: story.key });
      expect(await api.ended(deferred?.runId ?? '')).toMatchObject({ status: 'Completed', output: 'deferred' });
      await stage.play('ends.end');
      expect(await log.seen({ kind: 'did', app: stage.id, name: 'deferred', of: story.key })).toHaveLength(1);
    },
  );

  it('waits for room where only so many requests may be made at once', async () => {
    const [first, second] = await Promise.all([stage.start('ends.crowded'), stage.start('ends.crowded')]);
    for (const each of [first, second]) await each.happened('working');
    const third = await api.runOf(await stage.emit('ends.crowded', { key: `${first.key} third` }));
    expect(third).toMatchObject({ status: 'Scheduled', started_at: null });
    await first.open('work');
    await log.wait({ kind: 'did', name: 'working', runId: third.run_id });
    await second.open('work');
    await log.open(`${first.key} third work`);
    for (const runId of [first.runId, second.runId, third.run_id])
      expect(await api.ended(runId)).toMatchObject({ output: 'worked' });
    const together = (await log.seen({ kind: 'did', app: stage.id, fn: 'crowded', name: 'working' })).map(
      (entry) => entry['together'],
    );
    expect(together.sort()).toEqual([1, 2, 2]);
  });
});
