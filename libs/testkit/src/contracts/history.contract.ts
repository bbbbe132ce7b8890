import fc from 'fast-check';
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Position } from '#core/words.js';
import {
  NO_ROWS,
  type DecisionRow,
  type EventFilter,
  type EventRow,
  type History,
  type HistoryBatch,
  type HistoryPositions,
  type RunFilter,
  type RunRow,
  type TransitionRow,
} from '#ports/history.port.js';
import { MemoryHistory } from '../memory-history.js';

export interface HistoryUnderTest {
  readonly history: History;
  /** Closes it and opens the same data again; absent where nothing is kept. */
  reopen?(): Promise<History>;
  dispose(): Promise<void>;
}

const START = Date.UTC(2026, 0, 31, 12);
const HOUR = 3_600_000;

/** Sorts as the n-th. */
const idOf = (n: number): string => `01KG${String(n).padStart(22, '0')}`;

function anEvent(env: string, n: number, over: Partial<EventRow> = {}): EventRow {
  return {
    internalId: idOf(n),
    env,
    id: `user-${n}`,
    name: 'shop/order.placed',
    ts: START + n,
    receivedAt: START + n,
    source: 'api',
    payload: `{"data":{"n":${n}},"name":"shop/order.placed"}`,
    position: { partition: 0, offset: n },
    ...over,
  };
}

function aRun(env: string, n: number, over: Partial<RunRow> = {}): RunRow {
  return {
    runId: idOf(n),
    env,
    functionId: '5f1e3c0a-0000-5000-8000-000000000001',
    functionSlug: 'shop-charge',
    functionVersion: 1,
    appId: '5f1e3c0a-0000-5000-8000-000000000002',
    appName: 'shop',
    status: 'Scheduled',
    eventName: 'shop/order.placed',
    eventIds: [idOf(n)],
    cron: '',
    batchId: '',
    queuedAt: START + n * HOUR,
    startAt: START + n * HOUR,
    startedAt: null,
    endedAt: null,
    output: null,
    skipReason: '',
    skippedFor: '',
    version: n,
    ...over,
  };
}

function aTransition(
  env: string,
  run: number,
  offset: number,
  index = 0,
  over: Partial<TransitionRow> = {},
): TransitionRow {
  return {
    env,
    runId: idOf(run),
    functionId: '5f1e3c0a-0000-5000-8000-000000000001',
    partition: 0,
    offset,
    index,
    type: 'StepCompleted',
    at: START + offset * HOUR,
    stepId: 'a94a8fe5ccb19ba61c4c0873d391e987982fbbd3',
    stepName: 'charge',
    body: `{"at":${START + offset},"type":"StepCompleted"}`,
    ...over,
  };
}

function aDecision(env: string, event: number, offset: number, over: Partial<DecisionRow> = {}): DecisionRow {
  return {
    env,
    eventId: idOf(event),
    functionId: '5f1e3c0a-0000-5000-8000-000000000001',
    key: `rate:${env}:5f1e3c0a-0000-5000-8000-000000000001:=k`,
    topic: 'commands',
    partition: 0,
    offset,
    index: 0,
    type: 'RateLimited',
    at: START + offset,
    runId: '',
    body: `{"at":${START + offset},"type":"RateLimited"}`,
    ...over,
  };
}

const at = (partition: number, offset: number): Position => ({ partition, offset });

const batch = (rows: Partial<HistoryBatch>): HistoryBatch => ({ ...NO_ROWS, ...rows });

/** The promises of the History port. @param numRuns how many random histories are compared with the model */
export function historyContract(name: string, open: () => Promise<HistoryUnderTest>, numRuns = 200): void {
  describe(`History: ${name}`, () => {
    let opened: HistoryUnderTest;
    let history: History;
    let env: string;

    beforeAll(async () => {
      opened = await open();
      history = opened.history;
    });
    afterAll(() => opened.dispose());
    // Every test has an environment of its own, so that one engine serves all.
    beforeEach(() => {
      env = randomUUID();
    });

    const add = (rows: Partial<HistoryBatch>, next: HistoryPositions = {}): Promise<void> =>
      history.append(batch(rows), next);

    describe('events', () => {
      it('gives back what was added, to the letter', async () => {
        const odd = anEvent(env, 1, {
          id: `it's "quoted" \\ back \t tab \n line \0 nul  separator é 日本 😀 {brace:String}`,
          name: `odd/'name"\\`,
          ts: Date.UTC(1980, 0, 1),
          payload: `{"data":{"text":"line\\nend \\ud800 '\\\\"}}`,
          source: 'internal',
          position: { partition: 3, offset: 2 ** 50 },
        });
        const late = anEvent(env, 2, {
          ts: Date.UTC(2100, 0, 1) - 1,
          payload: JSON.stringify({ data: 'x'.repeat(3_000_000) }),
        });
        await add({ events: [odd, late] });

        expect(await history.event(env, odd.internalId)).toEqual(odd);
        expect(await history.event(env, late.internalId)).toEqual(late);
        expect(await history.events(env, { limit: 10 })).toEqual([late, odd]);
        expect(await history.events(env, { name: odd.name, limit: 10 })).toEqual([odd]);
      });

      it('keeps environments apart', async () => {
        await add({ events: [anEvent(env, 1)] });
        const other = randomUUID();

        expect(await history.event(other, idOf(1))).toBeUndefined();
        expect(await history.events(other, { limit: 10 })).toEqual([]);
      });

      it('hides internal events unless they are asked for', async () => {
        const finished = anEvent(env, 1, { name: 'inngest/function.finished' });
        const own = anEvent(env, 2);
        await add({ events: [finished, own] });

        expect(await history.events(env, { limit: 10 })).toEqual([own]);
        expect(await history.events(env, { limit: 10, internal: true })).toEqual([own, finished]);
        expect(await history.events(env, { limit: 10, name: finished.name })).toEqual([finished]);
        expect(await history.event(env, finished.internalId)).toEqual(finished);
      });

      it('takes the received window as [after, before)', async () => {
        const rows = [1, 2, 3].map((n) => anEvent(env, n));
        await add({ events: rows });

        const window = { receivedAfter: START + 2, receivedBefore: START + 3, limit: 10 };
        expect(await history.events(env, window)).toEqual([rows[1]]);
      });

      it('shows one row for one internal id: that of the last delivery', async () => {
        const first = anEvent(env, 1, { receivedAt: START, position: { partition: 0, offset: 1 } });
        // The sender tried again in the next month: a different part of the table.
        const second = anEvent(env, 1, { receivedAt: START + 48 * HOUR, position: { partition: 0, offset: 9 } });
        await add({ events: [second] });
        await add({ events: [first] });
        await add({ events: [second, first] });

        expect(await history.event(env, idOf(1))).toEqual(second);
        expect(await history.events(env, { limit: 10 })).toEqual([second]);
      });
    });

    describe('runs', () => {
      it('gives back what was added, to the letter', async () => {
        const run = aRun(env, 1, {
          status: 'Failed',
          eventIds: [idOf(7), `it's "odd" \\ 😀`, ''],
          cron: '0 5 * * *',
          batchId: idOf(3),
          startAt: Date.UTC(2099, 0, 1),
          startedAt: START + 1,
          endedAt: START + 2,
          output: `{"message":"it's \\"broken\\"\\n","name":"Error"}`,
          version: 2 ** 50,
        });
        await add({ runs: [run] });

        expect(await history.run(env, run.runId)).toEqual(run);
        expect(await history.runs(env, { limit: 1 })).toEqual([run]);
      });

      it('says of a skipped one why, and finds it by its status', async () => {
        const scheduled = aRun(env, 1, { version: 10 });
        const why = { skipReason: 'Singleton', skippedFor: idOf(9), endedAt: scheduled.queuedAt };
        const skipped: RunRow = { ...scheduled, status: 'Skipped', ...why };
        await add({ runs: [skipped] });
        await add({ runs: [scheduled, aRun(env, 2)] });

        expect(await history.run(env, idOf(1))).toEqual(skipped);
        expect(await history.runs(env, { limit: 10, statuses: ['Skipped'] })).toEqual([skipped]);
        expect(await history.runs(env, { limit: 10, statuses: ['Scheduled'] })).toEqual([aRun(env, 2)]);
      });

      it('shows a run as it stands at its highest version, whatever order the rows came in', async () => {
        const scheduled = aRun(env, 1, { version: 10 });
        const running = aRun(env, 1, { version: 11, status: 'Running', startedAt: START });
        const completed = aRun(env, 1, {
          version: 12,
          status: 'Completed',
          startedAt: START,
          endedAt: START + 5,
          output: '1',
        });
        await add({ runs: [completed] });
        await add({ runs: [scheduled] });
        await add({ runs: [running, scheduled] });

        expect(await history.run(env, completed.runId)).toEqual(completed);
        expect(await history.runs(env, { limit: 10 })).toEqual([completed]);
        expect(await history.runs(env, { limit: 10, statuses: ['Scheduled', 'Running'] })).toEqual([]);
        expect(await history.runs(env, { limit: 10, statuses: ['Completed'] })).toEqual([completed]);
        expect(await history.runsOfEvent(env, idOf(1))).toEqual([completed]);
      });

      it('shows, of two rows of one version, the one that is further along', async () => {
        const completed = aRun(env, 1, { version: 10, status: 'Completed', endedAt: START });
        const running = aRun(env, 1, { version: 10, status: 'Running' });
        await add({ runs: [completed] });
        await add({ runs: [running] });

        expect(await history.run(env, completed.runId)).toEqual(completed);
        expect(await history.runs(env, { limit: 10 })).toEqual([completed]);
      });

      it('finds the runs that an event is among the triggers of', async () => {
        const batched = aRun(env, 2, { eventIds: [idOf(100), idOf(101)] });
        const single = aRun(env, 3, { eventIds: [idOf(101)] });
        await add({ runs: [batched, single, aRun(env, 4)] });

        expect(await history.runsOfEvent(env, idOf(101))).toEqual([single, batched]);
        expect(await history.runsOfEvent(env, idOf(100))).toEqual([batched]);
        expect(await history.runsOfEvent(env, 'nobody')).toEqual([]);
      });

      it('gives many runs at once, each as it stands', async () => {
        const runs = [1, 2, 3].map((n) => aRun(env, n, { version: 10 + n, status: 'Running' }));
        await add({ runs: [...runs, ...runs.map((run) => ({ ...run, status: 'Scheduled' as const, version: 5 }))] });

        const found = await history.runsById(env, [idOf(1), idOf(3), 'nobody', `it's`]);
        expect([...found].sort((a, b) => (a.runId < b.runId ? -1 : 1))).toEqual([runs[0], runs[2]]);
        expect(await history.runsById(env, [])).toEqual([]);
        expect(await history.runsById(randomUUID(), [idOf(1)])).toEqual([]);
      });

      it('says undefined of a run that it does not know', async () => {
        expect(await history.run(env, idOf(1))).toBeUndefined();
      });

      it('takes values of a filter as values', async () => {
        await add({ runs: [aRun(env, 1)], events: [anEvent(env, 1)] });

        for (const hostile of [`' OR 1=1 --`, `\\' OR 1=1 --`, `{env:String}`, `x\n\t\0`]) {
          expect(await history.runs(env, { limit: 10, appName: hostile })).toEqual([]);
          expect(await history.runs(env, { limit: 10, functionSlugs: [hostile, `'`] })).toEqual([]);
          expect(await history.events(env, { limit: 10, name: hostile })).toEqual([]);
          expect(await history.run(hostile, idOf(1))).toBeUndefined();
        }
      });
    });

    describe('transitions', () => {
      it('come in the order they were accepted, each once, with nothing lost of them', async () => {
        const odd = aTransition(env, 1, 1_000, 0, {
          stepName: `it's "odd" \\ 😀`,
          body: `{"text":"\\n'\\\\"}`,
          stepId: '',
          partition: 4,
        });
        const rows = [
          aTransition(env, 1, 5),
          aTransition(env, 1, 20),
          aTransition(env, 1, 20, 1),
          aTransition(env, 1, 20, 10),
          odd,
        ];
        const [a, b, c, d] = rows as [TransitionRow, TransitionRow, TransitionRow, TransitionRow];
        await add({ transitions: [d, odd, b] });
        await add({ transitions: [c, a, d] });
        await add({ transitions: rows });
        await add({ transitions: [aTransition(env, 2, 6)] });

        expect(await history.transitions(env, idOf(1))).toEqual(rows);
        expect(await history.transitions(randomUUID(), idOf(1))).toEqual([]);
      });
    });

    describe('decisions', () => {
      it('come in the order they were made, each once, with nothing lost of them', async () => {
        const one = aDecision(env, 1, 1);
        const odd = aDecision(env, 1, 2 ** 50, {
          at: START + 30,
          key: `it's "odd" \\ \0 😀 {brace:String}`,
          runId: idOf(3),
          partition: 4,
          index: 7,
          body: JSON.stringify({ error: `\n'\\ ${'x'.repeat(2_000_000)}` }),
        });
        const same = { at: START + 20 };
        const rows = [
          one,
          aDecision(env, 1, 90, { ...same, topic: 'events', key: 'intake:a' }),
          aDecision(env, 1, 90, { ...same, topic: 'events', key: 'intake:b' }),
          aDecision(env, 1, 2, same),
          aDecision(env, 1, 10, same),
          aDecision(env, 1, 10, { ...same, index: 2 }),
          aDecision(env, 1, 10, { ...same, index: 11 }),
          aDecision(env, 1, 1, { ...same, partition: 1 }),
          odd,
        ];
        await add({ decisions: [odd, rows[4]!, rows[2]!] });
        await add({ decisions: [...rows].reverse() });
        await add({ decisions: [one, aDecision(env, 2, 1)] });

        expect(await history.decisionsOfEvent(env, idOf(1))).toEqual(rows);
        expect(await history.decisionsOfEvent(env, idOf(2))).toEqual([aDecision(env, 2, 1)]);
        expect(await history.decisionsOfEvent(env, idOf(3))).toEqual([]);
        expect(await history.decisionsOfEvent(randomUUID(), idOf(1))).toEqual([]);
        expect(await history.decisionsOfEvent(env, `' OR 1=1 --`)).toEqual([]);
      });

      it('that were made again are told as they were made last', async () => {
        const first = aDecision(env, 1, 5, { topic: 'events', at: START });
        // In the next month: a different part of the table.
        const again = { ...first, at: START + 48 * HOUR, type: 'EventRepeated', body: '{}' };
        const between = aDecision(env, 1, 6, { at: START + HOUR });
        await add({ decisions: [again] });
        await add({ decisions: [first, between] });
        await add({ decisions: [again, first] });

        expect(await history.decisionsOfEvent(env, idOf(1))).toEqual([between, again]);
      });
    });

    describe('positions', () => {
      it('are those of the last append, each reader and partition its own, and never go back', async () => {
        const [events, transitions] = [`${env}/events`, `${env}/transitions`];
        expect(await history.positions(events)).toEqual([]);

        await add({}, { [events]: [at(0, 5), at(11, 1), at(2, 9)], [transitions]: [at(2, 1)] });
        await add({}, { [events]: [at(0, 2 ** 40)] });
        await add({}, { [events]: [at(2, 10), at(0, 7)], [transitions]: [] });

        expect(await history.positions(events)).toEqual([at(0, 2 ** 40), at(2, 10), at(11, 1)]);
        expect(await history.positions(transitions)).toEqual([at(2, 1)]);
      });

      it('of a partition that two readers were on for a moment is that of the one who got further', async () => {
        const rows = [1, 2, 3].map((n) => anEvent(env, n));
        await Promise.all([
          add({ events: rows }, { [env]: [at(1, 3)] }),
          add({ events: rows.slice(0, 2) }, { [env]: [at(1, 2)] }),
          add({ events: rows.slice(1) }, { [env]: [at(1, 3), at(0, 0)] }),
        ]);

        expect(await history.events(env, { limit: 10 })).toEqual([...rows].reverse());
        expect(await history.positions(env)).toEqual([at(0, 0), at(1, 3)]);
      });

      it('an append that was cut short before its position is made again without a trace', async () => {
        const rows = {
          events: [anEvent(env, 1)],
          runs: [aRun(env, 1)],
          transitions: [aTransition(env, 1, 1)],
          decisions: [aDecision(env, 1, 1)],
        };
        await add(rows);
        expect(await history.positions(env)).toEqual([]);

        await add(rows, { [env]: [at(0, 2)] });

        expect(await history.events(env, { limit: 10 })).toEqual(rows.events);
        expect(await history.runs(env, { limit: 10 })).toEqual(rows.runs);
        expect(await history.transitions(env, idOf(1))).toEqual(rows.transitions);
        expect(await history.decisionsOfEvent(env, idOf(1))).toEqual(rows.decisions);
        expect(await history.positions(env)).toEqual([at(0, 2)]);
      });
    });

    it('reads as the model does, whatever was added in whatever pieces and order, page after page', async () => {
      await fc.assert(
        fc.asyncProperty(anyHistory, async ({ rows, order, pieces, filters, eventFilters, limit }) => {
          const own = randomUUID();
          const model = new MemoryHistory();
          const all = {
            runs: rows.map((row) => aRun(own, row.n, row.run)),
            events: rows.map((row) =>
              anEvent(own, row.n, { ...row.event, position: { partition: 0, offset: row.run.version } }),
            ),
            decisions: rows.map((row) => aDecision(own, row.n % 3, row.run.version, row.decision)),
          };
          await model.append(batch(all), {});
          for (const piece of inPieces(order, pieces)) {
            const at = (index: number): number => index % Math.max(1, rows.length);
            const some = rows.length === 0 ? [] : piece.map(at);
            await add({
              runs: some.map((i) => all.runs[i]!),
              events: some.map((i) => all.events[i]!),
              decisions: some.map((i) => all.decisions[i]!),
            });
          }
          await add(all);

          for (const filter of filters) {
            const read = (from: History) =>
              pages(
                (page) => from.runs(own, { ...filter, ...page, limit }),
                limit,
                ({ runId }) => runId,
              );
            expect(await read(history)).toEqual(await read(model));
          }
          for (const filter of eventFilters) {
            const read = (from: History) =>
              pages(
                (page) => from.events(own, { ...filter, ...page, limit }),
                limit,
                ({ internalId }) => internalId,
              );
            expect(await read(history)).toEqual(await read(model));
          }
          for (const event of [0, 1, 2].map(idOf))
            expect(await history.decisionsOfEvent(own, event)).toEqual(await model.decisionsOfEvent(own, event));
        }),
        { numRuns },
      );
    });

    it('adds at the same time as it answers', async () => {
      const count = 20;
      await Promise.all(
        Array.from({ length: count }, async (_, n) => {
          await add({ runs: [aRun(env, n)], events: [anEvent(env, n)] }, { [`${env}/${n}`]: [at(0, n + 1)] });
          expect(await history.run(env, idOf(n))).toEqual(aRun(env, n));
          expect((await history.events(env, { name: 'shop/order.placed', limit: 1 })).length).toBe(1);
        }),
      );
      expect((await history.runs(env, { limit: 100 })).length).toBe(count);
    });

    it('moves nobody on who counts on what it does not have', async () => {
      await add({}, { [env]: [at(0, 5), at(1, 3)] });
      const lost = { code: 'state_lost' };
      const from = (...held: readonly Position[]) => history.append(NO_ROWS, { [env]: [at(0, 9)] }, { [env]: held });

      await expect(from(at(0, 6))).rejects.toMatchObject(lost);
      await expect(from(at(0, 5), at(1, 4))).rejects.toMatchObject(lost);
      await expect(from(at(2, 1))).rejects.toMatchObject(lost);
      await expect(history.append(NO_ROWS, { [env]: [at(0, 9)] }, { nobody: [at(0, 1)] })).rejects.toMatchObject(lost);
      expect(await history.positions(env)).toEqual([at(0, 5), at(1, 3)]);

      await from(at(0, 5), at(1, 2), at(2, 0));
      expect(await history.positions(env)).toEqual([at(0, 9), at(1, 3)]);
    });

    it('forgets everything where it is emptied, and all begin anew', async () => {
      const rows = {
        events: [anEvent(env, 1)],
        runs: [aRun(env, 1)],
        transitions: [aTransition(env, 1, 1)],
        decisions: [aDecision(env, 1, 1)],
      };
      await add(rows, { [env]: [at(0, 9)] });

      await history.empty();

      expect(await history.events(env, { limit: 10 })).toEqual([]);
      expect(await history.runs(env, { limit: 10 })).toEqual([]);
      expect(await history.transitions(env, idOf(1))).toEqual([]);
      expect(await history.decisionsOfEvent(env, idOf(1))).toEqual([]);
      expect(await history.positions(env)).toEqual([]);
      const next = { [env]: [at(0, 2)] };
      await expect(history.append(NO_ROWS, next, { [env]: [at(0, 9)] })).rejects.toMatchObject({ code: 'state_lost' });
      await history.append(batch(rows), next);
      expect(await history.positions(env)).toEqual(next[env]);
      expect(await history.events(env, { limit: 10 })).toEqual(rows.events);
      await history.empty();
      await history.empty();
      expect(await history.positions(env)).toEqual([]);
    });

    it('keeps what it acknowledged over a close', async (context) => {
      if (!opened.reopen) return context.skip('keeps nothing by design');
      const rows = {
        events: [anEvent(env, 1)],
        runs: [aRun(env, 1)],
        transitions: [aTransition(env, 1, 1)],
        decisions: [aDecision(env, 1, 1)],
      };
      await add(rows, { [env]: [at(0, 2)] });

      history = await opened.reopen();

      expect(await history.events(env, { limit: 10 })).toEqual(rows.events);
      expect(await history.run(env, idOf(1))).toEqual(rows.runs[0]);
      expect(await history.transitions(env, idOf(1))).toEqual(rows.transitions);
      expect(await history.decisionsOfEvent(env, idOf(1))).toEqual(rows.decisions);
      expect(await history.positions(env)).toEqual([at(0, 2)]);
    });
  });
}

/** All pages of a list, one after another by the cursor that the last row of a page is. */
async function pages<T>(
  read: (page: { readonly cursor?: string }) => Promise<readonly T[]>,
  limit: number,
  cursorOf: (row: T) => string,
): Promise<T[][]> {
  const all: T[][] = [];
  for (let page = {}; ;) {
    const rows = await read(page);
    all.push([...rows]);
    const last = rows.at(-1);
    // More pages than there can be: a page that starts where the one before did.
    if (rows.length < limit || last === undefined || all.length > 100) return all;
    page = { cursor: cursorOf(last) };
  }
}

/** Cuts a list in `count` pieces. */
function inPieces<T>(list: readonly T[], count: number): T[][] {
  const size = Math.max(1, Math.ceil(list.length / count));
  return Array.from({ length: Math.ceil(list.length / size) }, (_, i) => list.slice(i * size, (i + 1) * size));
}

const anyRunRow = fc
  .record({
    n: fc.integer({ min: 0, max: 12 }),
    step: fc.integer({ min: 0, max: 3 }),
    ended: fc.constantFrom('Completed' as const, 'Failed' as const, 'Cancelled' as const),
  })
  .map(({ n, step, ended }) => ({
    n,
    // What never changes of a run follows from its number, as it follows from its event in truth.
    run: {
      functionSlug: `shop-${n % 3}`,
      appName: n % 2 ? 'shop' : 'mail',
      eventName: `shop/${n % 4}`,
      version: n * 10 + step,
      status:
        step === 0
          ? ('Scheduled' as const)
          : step === 1
            ? ('Running' as const)
            : step === 2
              ? ended
              : ('Completed' as const),
      output: step < 2 ? null : `"${n}/${step}"`,
    },
    event: { name: n % 5 === 0 ? 'inngest/function.finished' : `shop/${n % 4}` },
    // Some are the same decision made again at another instant, some others at the same instant.
    decision: {
      topic: n % 2 ? ('events' as const) : ('commands' as const),
      offset: n,
      at: START + ((n * 10 + step) % 7) * HOUR,
      body: `"${n}/${step}"`,
    },
  }));

const optional = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(arbitrary, { nil: undefined });
const anyInstant = fc.integer({ min: 0, max: 12 }).map((n) => START + n * HOUR);

function given<T extends object>(record: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined)) as never;
}

const anyRunFilter = fc
  .record({
    statuses: optional(
      fc.uniqueArray(
        fc.constantFrom('Scheduled' as const, 'Running' as const, 'Completed' as const, 'Failed' as const),
      ),
    ),
    functionSlugs: optional(fc.uniqueArray(fc.constantFrom('shop-0', 'shop-1', 'shop-9'))),
    appName: optional(fc.constantFrom('shop', 'mail')),
    eventName: optional(fc.constantFrom('shop/0', 'shop/1')),
    from: optional(anyInstant),
    until: optional(anyInstant),
    cursor: optional(fc.integer({ min: 0, max: 13 }).map(idOf)),
  })
  .map((filter): Omit<RunFilter, 'limit'> => given(filter));

const anyEventFilter = fc
  .record({
    name: optional(fc.constantFrom('shop/1', 'inngest/function.finished')),
    internal: optional(fc.boolean()),
    receivedAfter: optional(fc.integer({ min: 0, max: 12 }).map((n) => START + n)),
    receivedBefore: optional(fc.integer({ min: 0, max: 12 }).map((n) => START + n)),
    cursor: optional(fc.integer({ min: 0, max: 13 }).map(idOf)),
  })
  .map((filter): Omit<EventFilter, 'limit'> => given(filter));

const anyHistory = fc.record({
  // One row for one version of a run: two rows of a version that say different things cannot be.
  rows: fc.uniqueArray(anyRunRow, { maxLength: 30, selector: ({ run }) => run.version }),
  order: fc.array(fc.nat({ max: 29 }), { maxLength: 40 }),
  pieces: fc.integer({ min: 1, max: 4 }),
  filters: fc.array(anyRunFilter, { minLength: 1, maxLength: 4 }),
  eventFilters: fc.array(anyEventFilter, { minLength: 1, maxLength: 2 }),
  limit: fc.integer({ min: 1, max: 5 }),
});
