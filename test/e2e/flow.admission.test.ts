import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { RunView } from '../harness/api.client.js';
import { until } from '../harness/until.js';
import { stageOf } from './world.js';

const DAY_MS = 24 * 60 * 60 * 1_000;
const text = expect.any(String) as string;
const times = (count: number, data: object) => Array.from({ length: count }, (_, n) => ({ ...data, n: n + 1 }));

describe.each(['v4', 'v3'] as const)('an event of %s', (variant) => {
  const stage = stageOf(variant);
  const { api, log } = stage;
  const slug = (fn: string) => `${stage.id}-${fn}`;
  const typesOf = async (eventIds: readonly string[], ...types: string[]) =>
    (await Promise.all(eventIds.map((id) => api.decided(id, ...types)))).map(({ type }) => type);
  /** A run that invokes a function, and what came of it. */
  const invoke = (target: string, payload: object) => stage.start('flow.invoke', { target, payload });

  describe('over a rate limit', () => {
    it('is dropped: a tenth of the limit and one more are let in at once, for each value of the key', async () => {
      const [a, b] = [randomUUID(), randomUUID()];
      const ofA = await stage.emitAll('flow.rated', times(5, { customer: a }));
      const ofB = await stage.emitAll('flow.rated', times(4, { customer: b }));
      const [charged, limited] = ['RateCharged', 'RateLimited'];
      expect(await typesOf(ofA, charged, limited)).toEqual([charged, charged, charged, limited, limited]);
      expect(await typesOf(ofB, charged, limited)).toEqual([charged, charged, charged, limited]);
      for (const id of [...ofA.slice(0, 3), ...ofB.slice(0, 3)]) expect((await api.endOf(id)).status).toBe('Completed');
      for (const id of [...ofA.slice(3), ...ofB.slice(3)]) expect(await api.runsOf(id)).toEqual([]);
      expect(await api.decided(ofA[4] ?? '', limited)).toMatchObject({
        function_slug: slug('rated'),
        key: a,
        limit: 25,
        period_ms: DAY_MS,
        next_at: text,
      });
    });

    it.each([
      ['is missing', {}, 'rateLimit.key is missing in the event; it does not apply to this run'],
      ['is false', { customer: false }, 'rateLimit.key is false; it does not apply to this run'],
    ])('is let in all the same where its key %s, and the run says so', async (_, data, note) => {
      const sent = await stage.emitAll('flow.strict', times(3, data));
      for (const id of sent) {
        const { run_id: runId, status } = await api.endOf(id);
        expect([status, await api.notesOf(runId)]).toEqual(['Completed', [note]]);
      }
    });

    it('is dropped by each function for itself', async () => {
      const sent = await stage.emitAll('flow.pair', times(2, {}));
      const [first = '', second = ''] = sent;
      for (const fn of ['pair-a', 'pair-b']) expect((await api.endOf(first, slug(fn))).status).toBe('Completed');
      await api.decided(second, 'RateLimited');
      await until(async () => ((await api.decisions(second)).length === 2 ? true : undefined), {
        what: 'both functions to have decided',
      });
      expect((await api.decisions(second)).map(({ type, key }) => [type, key])).toEqual([
        ['RateLimited', ''],
        ['RateLimited', ''],
      ]);
      expect(await api.runsOf(second)).toEqual([]);
    });

    it('fails the step that invoked, at once', async () => {
      const customer = randomUUID();
      const [first, second] = [
        await (await invoke('strict', { customer, n: 1 })).ended(),
        await (await invoke('strict', { customer, n: 2 })).ended(),
      ];
      expect(first.output).toEqual({ n: 1, ns: [1] });
      expect(second).toMatchObject({
        status: 'Completed',
        output: { caught: expect.stringContaining('invoked function is rate limited') as string },
      });
    });
  });

  describe('that has an id of its own', () => {
    it('starts each function once, however often it comes, and whatever it carries', async () => {
      const id = randomUUID();
      const first = await stage.emit('flow.twin', { n: 1 }, { id });
      for (const fn of ['twin-a', 'twin-b'])
        expect(await api.endOf(first, slug(fn))).toMatchObject({ status: 'Completed', output: { n: 1 } });
      for (const n of [2, 3]) {
        const again = await stage.emit('flow.twin', { n }, { id });
        const decisions = await until(
          async () => {
            const all = await api.decisions(again);
            return all.length === 2 ? all : undefined;
          },
          { what: 'both functions to have refused it' },
        );
        expect(decisions.map(({ function_slug: of }) => of).sort()).toEqual([slug('twin-a'), slug('twin-b')]);
        for (const each of decisions) expect(each).toMatchObject({ type: 'EventRepeated', key: id, first });
        expect(await api.runsOf(again)).toEqual([]);
      }
    });

    it('may come again when a rate limit has dropped it', async () => {
      const [id, customer, other, third] = [randomUUID(), randomUUID(), randomUUID(), randomUUID()];
      await api.endOf(await stage.emit('flow.strict', { customer }));
      await api.decided(await stage.emit('flow.strict', { customer }, { id }), 'RateLimited');
      const again = await stage.emit('flow.strict', { customer: other, n: 2 }, { id });
      const run = await api.endOf(again);
      expect(run).toMatchObject({ status: 'Completed', output: { n: 2 } });
      expect((await api.decisions(again)).map(({ type }) => type).sort()).toEqual(['EventIdTaken', 'RateCharged']);
      // Now it has started the function.
      const late = await stage.emit('flow.strict', { customer: third }, { id });
      expect(await api.decided(late, 'EventIdRefused')).toMatchObject({ key: id, run_id: run.run_id });
      expect(await api.runsOf(late)).toEqual([]);
    });
  });

  describe('for a batch', () => {
    it('waits for others, with which it starts one run, in the order they came', async () => {
      const [a, b] = [randomUUID(), randomUUID()];
      const data = [1, 2, 3].flatMap((n) => [
        { customer: a, n, key: `${a} ${n}` },
        { customer: b, n: n + 10 },
      ]);
      const sent = await stage.emitAll('flow.batched', data);
      const ofA = sent.filter((_, at) => at % 2 === 0);
      const run = await api.endOf(ofA[0] ?? '');
      expect(run).toMatchObject({
        status: 'Completed',
        output: { n: 1, ns: [1, 2, 3] },
        event_id: ofA[0],
        event_ids: ofA,
        batch_id: text,
      });
      // Whichever of its events one asks, it is that run.
      for (const id of ofA) expect((await api.runsOf(id)).map(({ run_id: runId }) => runId)).toEqual([run.run_id]);
      expect(await log.seen({ kind: 'call', runId: run.run_id })).toMatchObject([{ key: `${a} 1`, events: 3 }]);
      expect((await api.endOf(sent[1] ?? '')).output).toEqual({ n: 11, ns: [11, 12, 13] });
      const types = async (id = '') => (await api.decisions(id)).map(({ type }) => type);
      expect(await types(ofA[0])).toEqual(['BatchOpened', 'BatchFired']);
      expect(await types(ofA[2])).toEqual(['BatchJoined', 'BatchFired']);
    });

    it('counts though its id has been there, as one that was sent twice does not', async () => {
      const [id, customer, other] = [randomUUID(), randomUUID(), randomUUID()];
      const first = await stage.admit('flow.batched', { customer, n: 1 }, { id });
      for (const n of [2, 3, 4]) await stage.admit('flow.batched', { customer, n }, { id });
      expect((await api.endOf(first)).output).toEqual({ n: 1, ns: [1, 2, 3] });

      const seed = {
        'x-inngest-event-id-seed': `${Date.now()},${Buffer.from(randomUUID().slice(0, 10)).toString('base64')}`,
      };
      const event = { name: stage.event('flow.batched'), data: { customer: other, n: 1 } };
      const [once, twice] = [await api.send(event, seed), await api.send(event, seed)];
      expect(twice.body.ids).toEqual(once.body.ids);
      await api.decided(once.body.ids[0] ?? '', 'BatchOpened');
      for (const n of [2, 3]) await stage.admit('flow.batched', { customer: other, n });
      expect((await api.endOf(once.body.ids[0] ?? '')).output).toEqual({ n: 1, ns: [1, 2, 3] });
    });

    it('goes alone where the condition says so, and one dated in the future does not wait for its time', async () => {
      const customer = randomUUID();
      const alone = await stage.emit('flow.batched-if', { customer, n: 1, alone: true });
      expect(await api.endOf(alone)).toMatchObject({ output: { n: 1, ns: [1] }, batch_id: null, event_ids: [alone] });
      const ts = Date.now() + DAY_MS;
      const first = await stage.admit('flow.batched-if', { customer, n: 2 }, { ts });
      const second = await stage.emit('flow.batched-if', { customer, n: 3 }, { ts });
      expect(await api.endOf(first)).toMatchObject({ output: { n: 2, ns: [2, 3] }, event_ids: [first, second] });
    });

    it('is not charged to a rate limit', async () => {
      const customer = randomUUID();
      const sent = await stage.emitAll('flow.batched-rated', times(4, { customer }));
      expect((await api.endOf(sent[0] ?? '')).output).toEqual({ n: 1, ns: [1, 2] });
      expect((await api.endOf(sent[2] ?? '')).output).toEqual({ n: 3, ns: [3, 4] });
    });

    it('fills it by its size, too', async () => {
      const customer = randomUUID();
      const filler = 'x'.repeat(2_900_000);
      const sent: string[] = [];
      for (const n of [1, 2, 3, 4]) sent.push(await stage.admit('flow.batched-large', { customer, n, filler }));
      expect((await api.endOf(sent[0] ?? '')).output).toEqual({ n: 1, ns: [1, 2, 3, 4] });
      expect(await api.decided(sent[0] ?? '', 'BatchFired')).toMatchObject({ by: 'bytes', size: 4 });
    });

    it('brings the result to each of those who invoked', async () => {
      const customer = randomUUID();
      const callers = await Promise.all([1, 2, 3].map((n) => invoke('batched', { customer, n })));
      for (const caller of callers) {
        const { status, output } = await caller.ended();
        expect(status).toBe('Completed');
        expect([...(output as { ns: number[] }).ns].sort()).toEqual([1, 2, 3]);
      }
    });
  });

  describe('of a function that runs alone', () => {
    /** A run that holds the singleton of a customer. */
    const hold = async (fn: string, does: 'hold' | 'wait' = 'wait') => {
      const customer = randomUUID();
      const story = await stage.start(`flow.${fn}`, { customer, does, n: 1 });
      if (does === 'wait') await story.waiting('wake');
      return { customer, story };
    };
    const wake = (story: { key: string }) => stage.emit('flow.wake', { key: story.key });

    it('leaves a run that was skipped, and says for which', async () => {
      const { customer, story } = await hold('skipping');
      const second = await stage.emit('flow.skipping', { customer, n: 2 });
      const skipped = await api.endOf(second);
      expect(skipped).toMatchObject({
        status: 'Skipped',
        skip_reason: 'Singleton',
        skipped_for: story.runId,
        ended_at: skipped.queued_at,
        output: null,
      });
      expect(await api.decided(second, 'SingletonSkipped')).toMatchObject({
        key: customer,
        run_id: skipped.run_id,
        holder: story.runId,
      });
      // Another customer's is another's.
      const other = await stage.emit('flow.skipping', { customer: randomUUID(), n: 3 });
      expect((await api.endOf(other)).output).toMatchObject({ n: 3 });
      await wake(story);
      expect((await story.ended()).output).toMatchObject({ n: 1 });
      expect(await log.seen({ kind: 'call', runId: skipped.run_id })).toEqual([]);
      const finished = await api.events('name=inngest/function.finished&limit=100');
      expect(finished.filter(({ data }) => data['run_id'] === skipped.run_id)).toEqual([]);
    });

    it.each(['completes', 'fails', 'is cancelled', 'takes too long'])('runs once the one before it %s', async (how) => {
      const customer = randomUUID();
      const fn = how === 'takes too long' ? 'flow.skipping-bound' : 'flow.skipping';
      const story = await stage.start(fn, { customer, does: how === 'fails' ? 'throw' : 'wait' });
      if (how === 'completes' || how === 'is cancelled') await story.waiting('wake');
      if (how === 'completes') await wake(story);
      if (how === 'is cancelled') await api.cancel(story.runId);
      const { status } = await story.ended();
      expect(status).toBe({ completes: 'Completed', fails: 'Failed' }[how] ?? 'Cancelled');
      expect((await api.endOf(await stage.emit(fn, { customer, n: 2 }))).output).toMatchObject({ n: 2 });
    });

    it.each([
      ['is missing', () => ({}), 'singleton.key is missing in the event; it does not apply to this run'],
      ['is false', () => ({ customer: false }), 'singleton.key is false; it does not apply to this run'],
    ])('runs beside others where the key %s, and says so', async (_, data, note) => {
      const story = await stage.start('flow.skipping', { ...data(), does: 'wait' });
      await story.waiting('wake');
      const second = await api.endOf(await stage.emit('flow.skipping', { ...data(), n: 2 }));
      expect(second.status).toBe('Completed');
      for (const runId of [story.runId, second.run_id]) expect(await api.notesOf(runId)).toEqual([note]);
      await wake(story);
      expect((await story.ended()).status).toBe('Completed');
    });

    it('cancels the one before it where it is to, which tells of its end', async () => {
      const { customer, story } = await hold('cancelling');
      const second = await stage.emit('flow.cancelling', { customer, n: 2 });
      expect(await story.ended()).toMatchObject({ status: 'Cancelled', output: null });
      const run = await api.endOf(second);
      expect(run).toMatchObject({ status: 'Completed', output: { n: 2 } });
      expect(await api.decided(second, 'SingletonTaken')).toMatchObject({
        key: customer,
        run_id: run.run_id,
        from: story.runId,
      });
      const told = await until(
        async () =>
          (await api.events('name=inngest/function.cancelled&limit=100')).find(
            ({ data }) => data['run_id'] === story.runId,
          ),
        { what: 'the end to be told' },
      );
      expect(told.data).toMatchObject({ function_id: slug('cancelling'), _inngest: { status: 'Cancelled' } });
    });

    it('does not cancel the run that it started, when it comes again', async () => {
      const [id, customer, key] = [randomUUID(), randomUUID(), randomUUID()];
      const event = { customer, key, does: 'wait', n: 1 };
      const { run_id: runId } = await api.runOf(await stage.emit('flow.cancelling', event, { id }));
      await api.waiting(runId, 'wake');
      await api.decided(await stage.emit('flow.cancelling', event, { id }), 'EventRepeated');
      await wake({ key });
      expect(await api.ended(runId)).toMatchObject({ status: 'Completed', output: { n: 1 } });
    });

    it('is the last of fifty: one completes, and the others are cancelled', async () => {
      const customer = randomUUID();
      const sent = await stage.emitAll('flow.cancelling', times(50, { customer, key: customer, does: 'hold' }));
      const ofThese = async () => {
        const { body } = await api.request<{ data: readonly RunView[] }>(
          'GET',
          `/v1/runs?function=${slug('cancelling')}&limit=100`,
        );
        return body.data.filter(({ event_id: id }) => sent.includes(id));
      };
      const [last] = await until(
        async () => {
          const active = (await ofThese()).filter(({ ended_at: end }) => end === null);
          return (await ofThese()).length === 50 && active.length === 1 ? active : undefined;
        },
        { what: 'all but one to have ended' },
      );
      expect(last?.event_id).toBe(sent.at(-1));
      await log.open(`${customer} work`);
      expect(await api.ended(last?.run_id ?? '')).toMatchObject({ status: 'Completed', output: { n: 50 } });
      const statuses = (await ofThese()).map(({ status }) => status).sort();
      expect(statuses).toEqual([...Array<string>(49).fill('Cancelled'), 'Completed']);
      expect(await log.seen({ kind: 'did', app: stage.id, name: 'ran', fn: 'cancelling', n: 50 })).toHaveLength(1);
    });

    it('fails the step that invoked and finds it running, or takes its place', async () => {
      const skipping = await hold('skipping');
      const refused = await (await invoke('skipping', { customer: skipping.customer })).ended();
      expect(refused).toMatchObject({
        status: 'Completed',
        output: { caught: expect.stringContaining('did not run') as string },
      });
      await wake(skipping.story);
      const cancelling = await hold('cancelling');
      expect(
        (await (await invoke('cancelling', { customer: cancelling.customer, n: 2 })).ended()).output,
      ).toMatchObject({
        n: 2,
      });
      expect((await cancelling.story.ended()).status).toBe('Cancelled');
      expect((await skipping.story.ended()).status).toBe('Completed');
    });

    it('holds what it invoked by itself: a caller hears when that is cancelled for another', async () => {
      const customer = randomUUID();
      const key = randomUUID();
      const caller = await invoke('cancelling', { customer, key, does: 'wait' });
      const [call] = await log.wait({ kind: 'call', app: stage.id, fn: 'cancelling', key });
      await api.waiting(call?.runId ?? '', 'wake');
      await api.endOf(await stage.emit('flow.cancelling', { customer, n: 2 }));
      expect((await caller.ended()).output).toMatchObject({
        caught: expect.stringContaining('cancelled') as string,
      });
    });
  });
});
