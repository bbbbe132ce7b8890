import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openChdbHistory } from '#adapters/chdb/chdb-history.js';
import { openDataDir, type DataDir } from '#adapters/local-log/data-dir.js';
import { LocalEventLog } from '#adapters/local-log/local-event-log.js';
import { Fault } from '#core/faults.js';
import type { AdmissionTransition, IntakeTransition, PlacedDecision } from '#core/admission/admission.js';
import { DEFAULT_ENV, type Position } from '#core/words.js';
import type { DeadLetter, EventLog, LogRecord } from '#ports/event-log.port.js';
import { NO_ROWS, type HistoryBatch, type HistoryPositions } from '#ports/history.port.js';
import { ManualClock, settle } from '#testkit/manual-clock.js';
import { MemoryHistory } from '#testkit/memory-history.js';
import { Projector, type ProjectorOptions } from './projector.js';
import { AT, completed, event, idOf, quiet, scheduled, started, START, transition } from './told.records.js';

const skipped = (run: number, offset: number): LogRecord =>
  transition(run, offset, { type: 'RunSkipped', at: AT, reason: 'singleton', blockedBy: idOf(99) }, 1);

const decision = (
  key: string,
  place: Pick<PlacedDecision, 'command' | 'event'>,
  told: AdmissionTransition | IntakeTransition,
  index = 0,
): LogRecord => {
  const body: PlacedDecision = { runId: key, ...place, index, transition: told };
  return { topic: 'transitions', key, type: told.type, schema: 1, env: DEFAULT_ENV, at: told.at, body };
};
const command = (offset: number) => ({ command: { partition: 0, offset } });
const told = (n: number, at = AT) => ({ at, functionId: 'f', eventId: idOf(n) });
const repeated = (n: number, at = AT): LogRecord =>
  decision(
    `intake:${DEFAULT_ENV}:f`,
    { event: { partition: 0, offset: n } },
    { type: 'EventRepeated', ...told(n, at), key: 'order-1', first: idOf(0) },
  );
const limited = (n: number, offset: number, key = 'k'): LogRecord =>
  decision(`rate:${DEFAULT_ENV}:f:=k`, command(offset), {
    type: 'RateLimited',
    ...told(n),
    key,
    limit: 1,
    periodMs: 60_000,
    nextAt: AT + 60_000,
  });
const moved = (n: number, superseded: number, offset: number): LogRecord =>
  decision(`debounce:${DEFAULT_ENV}:f:=k`, command(offset), {
    type: 'DebounceMoved',
    ...told(n),
    key: 'k',
    dueAt: AT + 1_000,
    superseded: idOf(superseded),
  });
const released = (offset: number): LogRecord =>
  decision(`singleton:${DEFAULT_ENV}:f:=k`, command(offset), {
    type: 'SingletonReleased',
    at: AT,
    functionId: 'f',
    runId: idOf(1),
  });

/** Counts what is asked of it, and can be made to fail. */
class WatchedHistory extends MemoryHistory {
  calls = 0;
  batches: HistoryBatch[] = [];
  refused: (batch: HistoryBatch) => boolean = () => false;

  override append(batch: HistoryBatch, next: HistoryPositions): Promise<void> {
    this.calls++;
    if (this.refused(batch)) return Promise.reject(new Fault('record_unreadable'));
    if (!this.fault) this.batches.push(batch);
    return super.append(batch, next);
  }

  override positions(reader: string): Promise<readonly Position[]> {
    this.calls++;
    return super.positions(reader);
  }
}

let path: string;
let dir: DataDir;
let log: EventLog;
let clock: ManualClock;
let history: WatchedHistory;
let opened: Projector[];

const open = async (options: Partial<ProjectorOptions> = {}): Promise<Projector> => {
  const projector = new Projector(log, history, clock, quiet, options);
  opened.push(projector);
  await projector.open();
  return projector;
};

beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), 'millrace-projector-'));
  clock = new ManualClock(AT);
  dir = openDataDir(path, { create: true });
  log = LocalEventLog.open(dir, { clock });
  history = new WatchedHistory();
  opened = [];
});

afterEach(async () => {
  await Promise.all(opened.map((projector) => projector.close()));
  await log.close();
  await dir.close();
  await rm(path, { recursive: true });
});

/** Turns the clock until History has it; what waits for the disk takes its own time. */
async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await clock.turn(100);
}

const idsOf = async (): Promise<string[]> =>
  (await history.events(DEFAULT_ENV, { limit: 10_000 })).map(({ internalId }) => internalId);

describe('the projector', () => {
  it('leaves History alone until there is something for it', async () => {
    await log.append([event(1)]);
    const projector = await open();
    await clock.turn(60_000);
    expect(history.calls).toBe(0);
    expect(projector.position('events', 0)).toBeUndefined();

    await log.append([event(2)]);
    await until(async () => (await idsOf()).length === 2);
    expect(projector.position('events', 0)).toEqual({ partition: 0, offset: 2 });
  });

  it('starts after as many records as it is told', async () => {
    await open({ startWhen: 3 });
    await log.append([event(1), scheduled(1, 1)]);
    await clock.turn(60_000);
    expect(history.calls).toBe(0);

    await log.append([event(2)]);
    await until(async () => (await idsOf()).length === 2);
  });

  it('starts with the first question, which sees all that was on the log', async () => {
    await log.append([event(1), scheduled(1, 1)]);
    const projector = await open();

    await projector.caughtUp();

    expect(await idsOf()).toEqual([idOf(1)]);
    expect(await history.run(DEFAULT_ENV, idOf(1))).toMatchObject({ status: 'Scheduled' });
    expect(await projector.lag()).toEqual({ records: 0, ms: 0 });
  });

  it('answers at once where there is nothing', async () => {
    await (await open()).caughtUp();
    expect(await idsOf()).toEqual([]);
  });

  it('lets records gather for a while, and asks do not wait for it', async () => {
    const projector = await open({ startWhen: 0, lingerMs: 1_000 });
    await projector.caughtUp();
    await log.append([event(1)]);
    await settle();
    await clock.turn(900);
    expect(await idsOf()).toEqual([]);
    expect(await projector.lag()).toEqual({ records: 1, ms: 900 });

    await projector.caughtUp();
    expect(await idsOf()).toEqual([idOf(1)]);
  });

  it('hands over in bounded batches', async () => {
    const projector = await open({ recordsMax: 300 });
    const records = Array.from({ length: 2_000 }, (_, n) => event(n));
    await log.append(records);
    await projector.caughtUp();

    expect((await idsOf()).length).toBe(2_000);
    expect(history.batches.length).toBeGreaterThan(3);
    for (const { events } of history.batches) expect(events.length).toBeLessThan(300 + 200);
  });

  it('bounds a batch by the size of its payloads too', async () => {
    const projector = await open({ charsMax: 1_000 });
    const records = Array.from({ length: 600 }, (_, n) => event(n));
    await log.append(records);
    await projector.caughtUp();
    for (const { events } of history.batches) expect(events.length).toBeLessThanOrEqual(200);
  });

  it('goes on where it stopped', async () => {
    const first = await open();
    await log.append([event(1), scheduled(1, 1)]);
    await first.caughtUp();
    await first.close();
    history.batches = [];

    await log.append([event(2), started(1, 2)]);
    await (await open()).caughtUp();

    expect(history.batches.flatMap(({ events }) => events.map(({ internalId }) => internalId))).toEqual([idOf(2)]);
    expect(await history.run(DEFAULT_ENV, idOf(1))).toMatchObject({
      status: 'Running',
      functionSlug: 'shop-charge',
      version: 2,
    });
  });

  it('hands over what it has when it is closed', async () => {
    const projector = await open({ startWhen: 0, lingerMs: 60_000 });
    await projector.caughtUp();
    await log.append([event(1)]);
    await settle();
    await settle();
    await projector.close();
    expect(await idsOf()).toEqual([idOf(1)]);
    await expect(projector.caughtUp()).rejects.toMatchObject({ code: 'history_unavailable' });
  });

  it('does not hand over a run more often than it is read', async () => {
    const projector = await open();
    await log.append([scheduled(1, 1), started(1, 2), completed(1, 3), scheduled(2, 4)]);
    await projector.caughtUp();

    const runs = history.batches.flatMap((batch) => batch.runs);
    expect(runs.map(({ runId, status }) => [runId, status])).toEqual([
      [idOf(1), 'Completed'],
      [idOf(2), 'Scheduled'],
    ]);
    expect((await history.transitions(DEFAULT_ENV, idOf(1))).map(({ type, functionId }) => [type, functionId])).toEqual(
      [
        ['RunScheduled', 'f'],
        ['RunStarted', 'f'],
        ['RunCompleted', 'f'],
      ],
    );
  });

  it('finds a run again that it let go', async () => {
    const projector = await open({ runsMax: 1 });
    for (const record of [scheduled(1, 1), scheduled(2, 2), scheduled(3, 3), started(1, 4), completed(1, 5)]) {
      await log.append([record]);
      await projector.caughtUp();
    }
    expect(await history.run(DEFAULT_ENV, idOf(1))).toMatchObject({
      status: 'Completed',
      startedAt: AT + 1,
      functionSlug: 'shop-charge',
    });
  });

  it('takes a beginning that is told again for what it is', async () => {
    const projector = await open({ runsMax: 1 });
    const again = scheduled(1, 1);
    for (const record of [scheduled(1, 1), started(1, 2), scheduled(2, 3), again, completed(1, 5)]) {
      await log.append([record]);
      await projector.caughtUp();
    }
    expect(await history.run(DEFAULT_ENV, idOf(1))).toMatchObject({ status: 'Completed', startedAt: AT + 1 });
  });

  it('leaves out what is not of a run', async () => {
    const projector = await open();
    const record = { ...started(1, 1), key: `signal:${DEFAULT_ENV}:paid`, type: 'SignalClaimed' };
    await log.append([record]);
    await projector.caughtUp();
    expect(history.batches.every(({ transitions }) => transitions.length === 0)).toBe(true);
    expect(await log.read('dead-letters', START, 10)).toEqual([]);
  });
});

describe('decisions before a run', () => {
  const typesOf = async (n: number): Promise<string[]> =>
    (await history.decisionsOfEvent(DEFAULT_ENV, idOf(n))).map(({ type }) => type);

  it('are told of each event they concern, and of nothing else', async () => {
    const projector = await open();
    await log.append([limited(1, 1), repeated(2), moved(3, 1, 4), released(5), started(9, 6)]);
    await projector.caughtUp();

    expect(await typesOf(1)).toEqual(['RateLimited', 'DebounceMoved']);
    expect(await typesOf(2)).toEqual(['EventRepeated']);
    expect(await typesOf(3)).toEqual(['DebounceMoved']);
    expect(history.batches.flatMap(({ decisions }) => decisions).length).toBe(4);
    expect(history.batches.flatMap(({ transitions }) => transitions).length).toBe(1);
    expect(await log.read('dead-letters', START, 10)).toEqual([]);
  });

  it('are told once, however often they stand on the log', async () => {
    const projector = await open();
    await log.append([limited(1, 1), limited(1, 1), repeated(2)]);
    await projector.caughtUp();
    // After a crash the intake takes the event again, at another instant.
    await log.append([limited(1, 1), repeated(2, AT + 5_000)]);
    await projector.caughtUp();

    expect(await typesOf(1)).toEqual(['RateLimited']);
    expect(await history.decisionsOfEvent(DEFAULT_ENV, idOf(2))).toMatchObject([{ at: AT + 5_000 }]);
  });

  it('of a type that is not known yet are rows as well', async () => {
    const projector = await open();
    const about = { type: 'RatePondered', ...told(1), thoughts: ['a', { b: 1 }] };
    const control = { type: 'RateForgiven', at: AT, functionId: 'f' };
    await log.append([about, control].map((one, i) => decision(`rate:${DEFAULT_ENV}:f:=k`, command(i), one as never)));
    await projector.caughtUp();

    const [row] = await history.decisionsOfEvent(DEFAULT_ENV, idOf(1));
    expect(JSON.parse(row!.body)).toEqual(about);
    expect(history.batches.flatMap(({ decisions }) => decisions).length).toBe(1);
    expect(await log.read('dead-letters', START, 10)).toEqual([]);
  });

  it('that nobody can read are set aside, and the others go in', async () => {
    const projector = await open();
    await log.append([limited(1, 1), { ...limited(1, 2), body: 'odd' }, { ...repeated(1), body: {} }, moved(3, 1, 4)]);
    await projector.caughtUp();

    expect(await typesOf(1)).toEqual(['RateLimited', 'DebounceMoved']);
    expect((await log.read('dead-letters', START, 10)).map(({ key }) => key)).toEqual([
      'transitions/0/1',
      'transitions/0/2',
    ]);
  });

  it('that History does not take are set aside once, with all their rows', async () => {
    history.refused = ({ decisions }) => decisions.some(({ type }) => type === 'DebounceMoved');
    const projector = await open();
    await log.append([limited(1, 1), moved(2, 1, 2), limited(2, 3)]);
    await projector.caughtUp();

    expect([await typesOf(1), await typesOf(2)]).toEqual([['RateLimited'], ['RateLimited']]);
    expect((await log.read('dead-letters', START, 10)).map(({ key }) => key)).toEqual(['transitions/0/1']);
  });

  it('count with their size', async () => {
    const projector = await open({ charsMax: 1_000_000 });
    const key = 'x'.repeat(10_000);
    for (let n = 0; n < 10; n++) await log.append(Array.from({ length: 100 }, (_, i) => limited(n, n * 100 + i, key)));
    await projector.caughtUp();

    expect((await history.decisionsOfEvent(DEFAULT_ENV, idOf(7))).length).toBe(100);
    expect(history.batches.length).toBeGreaterThan(2);
  });
});

describe('while History is away', () => {
  it('says so to who asks, tries again, loses nothing and keeps the order', async () => {
    const projector = await open();
    history.fault = new Fault('history_unavailable');
    await log.append([event(1), scheduled(1, 1)]);
    await expect(projector.caughtUp()).rejects.toBe(history.fault);
    await log.append([event(2), started(1, 2)]);
    await expect(projector.caughtUp()).rejects.toBe(history.fault);
    expect((await projector.lag()).records).toBe(4);

    history.fault = undefined;
    await projector.caughtUp();

    expect(await idsOf()).toEqual([idOf(2), idOf(1)]);
    expect(await history.run(DEFAULT_ENV, idOf(1))).toMatchObject({ status: 'Running' });
  });

  it('tries by itself, slower and slower', async () => {
    history.fault = new Fault('history_unavailable');
    await open({ startWhen: 0 });
    await log.append([event(1)]);
    await until(() => history.calls >= 3);
    await clock.turn(600_000);
    const calls = history.calls;
    await clock.turn(600_000);
    expect(history.calls - calls).toBeLessThanOrEqual(600_000 / 30_000 + 1);

    history.fault = undefined;
    await until(async () => (await idsOf()).length === 1);
  });

  it('may be closed', async () => {
    const projector = await open({ startWhen: 0 });
    await projector.caughtUp();
    history.fault = new Fault('history_unavailable');
    await log.append([event(1)]);
    await expect(projector.caughtUp()).rejects.toMatchObject({ code: 'history_unavailable' });
    await projector.close();

    history.fault = undefined;
    await (await open()).caughtUp();
    expect(await idsOf()).toEqual([idOf(1)]);
  });

  it('keeps to what it may hold', async () => {
    const projector = await open({ startWhen: 0, recordsMax: 300 });
    await projector.caughtUp();
    history.fault = new Fault('history_unavailable');
    await log.append(Array.from({ length: 2_000 }, (_, n) => event(n)));
    await expect(projector.caughtUp()).rejects.toMatchObject({ code: 'history_unavailable' });

    history.fault = undefined;
    await projector.caughtUp();
    expect((await idsOf()).length).toBe(2_000);
    for (const { events } of history.batches) expect(events.length).toBeLessThan(300 + 200);
  });

  it('of another log: says what to do', async () => {
    await history.append(NO_ROWS, { events: [{ partition: 0, offset: 99 }] });
    const projector = await open();
    await expect(projector.caughtUp()).rejects.toMatchObject({
      code: 'history_unavailable',
      message: expect.stringContaining('another log') as string,
    });
    await expect(projector.caughtUp()).rejects.toMatchObject({ code: 'history_unavailable' });
  });
});

describe('a record that cannot be taken', () => {
  const letters = async () =>
    (await log.read('dead-letters', START, 100)).map(({ key, body }) => ({ ...(body as DeadLetter), key }));

  it('is set aside with its reason, and the others go in', async () => {
    const projector = await open();
    await log.append([event(1), { ...event(2), body: { nothing: true } }, event(3), { ...started(1, 1), body: 'odd' }]);
    await projector.caughtUp();

    expect(await idsOf()).toEqual([idOf(3), idOf(1)]);
    expect(await letters()).toMatchObject([
      {
        key: 'events/0/1',
        origin: { topic: 'events', partition: 0, offset: 1 },
        type: 'Event',
        bytes: Buffer.from('{"nothing":true}').toString('base64'),
      },
      { key: 'transitions/0/0', origin: { topic: 'transitions', partition: 0, offset: 0 } },
    ]);
  });

  it('is found among the rows that History does not take', async () => {
    history.refused = ({ events, runs }) =>
      events.some(({ id }) => id === 'user-5') || runs.some(({ runId }) => runId === idOf(2));
    const projector = await open();
    await log.append([
      ...Array.from({ length: 9 }, (_, n) => event(n)),
      scheduled(1, 1),
      scheduled(2, 2),
      scheduled(3, 3),
    ]);
    await projector.caughtUp();

    expect(await idsOf()).toEqual([8, 7, 6, 4, 3, 2, 1, 0].map(idOf));
    expect((await history.runs(DEFAULT_ENV, { limit: 10 })).map(({ runId }) => runId)).toEqual([idOf(3), idOf(1)]);
    expect((await letters()).map(({ key }) => key).sort()).toEqual(['events/0/5', 'transitions/0/1']);
    expect(await history.positions('events')).toEqual([{ partition: 0, offset: 9 }]);
  });
});

describe('wherever it crashes', () => {
  it('History reads the same in the end', async () => {
    const anyTurn = fc.oneof(
      { weight: 6, arbitrary: fc.record({ moves: fc.array(fc.nat(5), { minLength: 1, maxLength: 5 }) }) },
      { weight: 1, arbitrary: fc.record({ again: fc.tuple(fc.nat(9), fc.nat(9)) }) },
      { weight: 2, arbitrary: fc.record({ ask: fc.constant(true) }) },
      { weight: 1, arbitrary: fc.record({ crash: fc.constant(true) }) },
      { weight: 1, arbitrary: fc.record({ failNext: fc.constantFrom('before' as const, 'after' as const) }) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(anyTurn, { maxLength: 40 }), async (turns) => {
        // Each history has its own stretch of the log: what was there before is in History already.
        const [store, whole] = [new HalfwayHistory(), new MemoryHistory()];
        for (const topic of ['events', 'transitions'] as const) {
          const ends = await log.ends(topic);
          for (const each of [store, whole]) await each.append(NO_ROWS, { [topic]: ends });
        }
        const start = async (on: MemoryHistory) => {
          const projector = new Projector(log, on, clock, quiet, { startWhen: 0, runsMax: 2, recordsMax: 4 });
          await projector.open();
          return projector;
        };
        const desk = new Desk();
        let projector = await start(store);
        for (const turn of turns) {
          if ('moves' in turn) await log.append(turn.moves.map((run) => desk.move(run)));
          else if ('again' in turn) await log.append(desk.again(...turn.again));
          else if ('ask' in turn) await projector.caughtUp().catch(() => {});
          else if ('failNext' in turn) store.failNext = turn.failNext;
          else {
            store.failNext = 'after'; // The crash comes between the rows and the position.
            await projector.close();
            store.failNext = undefined;
            projector = await start(store);
          }
        }
        store.failNext = undefined;
        await projector.caughtUp();
        await projector.close();
        const clean = await start(whole);
        await clean.caughtUp();
        await clean.close();

        const seen = async (from: MemoryHistory) => ({
          events: await from.events(DEFAULT_ENV, { limit: 1_000 }),
          runs: await from.runs(DEFAULT_ENV, { limit: 1_000 }),
          transitions: await Promise.all([0, 1, 2, 3, 4, 5].map((n) => from.transitions(DEFAULT_ENV, idOf(n)))),
          decisions: await Promise.all([0, 1, 2, 3, 4, 5].map((n) => from.decisionsOfEvent(DEFAULT_ENV, idOf(n)))),
        });
        expect(await seen(store)).toEqual(await seen(whole));
        for (const row of (await seen(store)).runs) expect(row).toMatchObject(desk.stands(row.runId));
      }),
      { numRuns: 150 },
    );
  });
});

/** Writes what a desk writes: every run's transitions in order of their commands, some of them more than once. */
class Desk {
  private offset = 0;
  private readonly written: LogRecord[] = [];
  private readonly steps = new Map<string, number>();

  /** A run's next transition; when it has ended, by turns an event and what was decided about one. */
  move(run: number): LogRecord {
    const step = this.steps.get(idOf(run)) ?? 0;
    this.steps.set(idOf(run), step + 1);
    const offset = ++this.offset;
    const make = [scheduled, started, completed][step];
    const record = make ? make(run, offset) : step % 2 ? event(offset) : moved(run, (run + 1) % 6, offset);
    this.written.push(record);
    return record;
  }

  /** A stretch of what it wrote, as after a crash, or from a zombie. */
  again(back: number, count: number): LogRecord[] {
    const from = Math.max(0, this.written.length - back);
    return this.written.slice(from, from + count);
  }

  stands(runId: string): object {
    const step = this.steps.get(runId) ?? 0;
    const startedAt = step > 1 ? AT + 1 : null;
    return {
      status: step === 1 ? 'Scheduled' : step === 2 ? 'Running' : 'Completed',
      startedAt,
      endedAt: step > 2 ? AT + 2 : null,
    };
  }
}

/** Fails one append, before or after the rows are in. */
class HalfwayHistory extends MemoryHistory {
  failNext: 'before' | 'after' | undefined;

  override async append(batch: HistoryBatch, next: HistoryPositions): Promise<void> {
    const fails = this.failNext;
    this.failNext = undefined;
    if (fails === 'before') throw new Fault('history_unavailable');
    await super.append(batch, fails === 'after' ? {} : next);
    if (fails === 'after') throw new Fault('history_unavailable');
  }
}

describe('with the embedded engine', () => {
  it('brings runs from the log to a page of them, over a restart of both', async () => {
    const embedded = () => openChdbHistory({ path: join(path, 'history'), clock });
    let engine = embedded();
    let projector = new Projector(log, engine, clock, quiet);
    await projector.open();
    for (let n = 1; n <= 50; n++) await log.append([event(n), scheduled(n, n * 3), started(n, n * 3 + 1)]);
    await projector.caughtUp();
    await projector.close();
    await engine.close();

    await log.append([completed(7, 200), transition(8, 201, { type: 'RunCancelled', at: AT + 9, by: 'api' })]);
    engine = embedded();
    projector = new Projector(log, engine, clock, quiet);
    await projector.open();
    await projector.caughtUp();

    expect((await engine.events(DEFAULT_ENV, { limit: 100 })).length).toBe(50);
    expect((await engine.runs(DEFAULT_ENV, { limit: 100, statuses: ['Running'] })).length).toBe(48);
    expect(await engine.runs(DEFAULT_ENV, { limit: 100, statuses: ['Completed', 'Cancelled'] })).toMatchObject([
      { runId: idOf(8), status: 'Cancelled', startedAt: AT + 1, endedAt: AT + 9 },
      { runId: idOf(7), status: 'Completed', startedAt: AT + 1, output: '7' },
    ]);
    expect((await engine.transitions(DEFAULT_ENV, idOf(7))).map(({ type }) => type)).toEqual([
      'RunScheduled',
      'RunStarted',
      'RunCompleted',
    ]);
    await projector.close();
    await engine.close();
  });

  it('shows why there is no run of an event, and why a run was skipped', async () => {
    const engine = openChdbHistory({ path: join(path, 'history'), clock });
    const projector = new Projector(log, engine, clock, quiet);
    await projector.open();
    const huge = 'é"\0'.repeat(700_000);
    await log.append([
      limited(1, 1),
      repeated(1),
      moved(2, 1, 3),
      limited(2, 4, huge),
      { ...limited(2, 5), body: {} },
      scheduled(3, 5),
      skipped(3, 5),
      scheduled(4, 6),
    ]);
    await projector.caughtUp();
    await log.append([repeated(1, AT + 7), moved(2, 1, 3), skipped(3, 5)]);
    await projector.caughtUp();

    expect(await engine.decisionsOfEvent(DEFAULT_ENV, idOf(1))).toMatchObject([
      { type: 'RateLimited', topic: 'commands', offset: 1, functionId: 'f', at: AT },
      { type: 'DebounceMoved', topic: 'commands', offset: 3, key: `debounce:${DEFAULT_ENV}:f:=k` },
      { type: 'EventRepeated', topic: 'events', offset: 1, at: AT + 7 },
    ]);
    const [, large] = await engine.decisionsOfEvent(DEFAULT_ENV, idOf(2));
    expect((JSON.parse(large!.body) as { key: string }).key).toBe(huge);
    expect((await log.read('dead-letters', START, 10)).map(({ key }) => key)).toEqual(['transitions/0/4']);

    const run = { runId: idOf(3), status: 'Skipped', skipReason: 'Singleton', skippedFor: idOf(99) };
    expect(await engine.runs(DEFAULT_ENV, { limit: 10, statuses: ['Skipped'] })).toMatchObject([run]);
    expect(await engine.run(DEFAULT_ENV, idOf(3))).toMatchObject({
      ...run,
      startedAt: AT,
      endedAt: AT,
      output: null,
    });
    expect(await engine.run(DEFAULT_ENV, idOf(4))).toMatchObject({
      status: 'Scheduled',
      skipReason: '',
      skippedFor: '',
    });
    await projector.close();
    await engine.close();
  });
});
