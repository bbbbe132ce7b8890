import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openDataDir, type DataDir } from '#adapters/local-log/data-dir.js';
import { LocalEventLog } from '#adapters/local-log/local-event-log.js';
import { Fault } from '#core/faults.js';
import { DEFAULT_ENV, type Position } from '#core/words.js';
import type { LogRecord } from '#ports/event-log.port.js';
import { HISTORY_WANTED } from '#ports/history-gate.port.js';
import { NO_ROWS, type HistoryBatch, type HistoryPositions } from '#ports/history.port.js';
import { Ownership, type Owner } from '#ports/ownership.port.js';
import { Wire } from '#ports/wire.port.js';
import { ManualClock, settle } from '#testkit/manual-clock.js';
import { MemoryHistory } from '#testkit/memory-history.js';
import { StripedLog } from '#testkit/striped-log.js';
import { Projector, type ProjectorOptions } from './projector.js';
import { RemoteGate } from './remote-gate.js';
import { AT, completed, event, idOf, quiet, scheduled, started } from './told.records.js';

const PARTITIONS = 4;
const ALL = Array.from({ length: PARTITIONS }, (_, partition) => partition);

/** Remembers what it was given; fails one append, before or after the rows are in. */
class WatchedHistory extends MemoryHistory {
  batches: HistoryBatch[] = [];
  asked = 0;
  failNext: 'before' | 'after' | undefined;
  /** Appends wait for it. */
  held: Promise<void> | undefined;

  override async append(batch: HistoryBatch, next: HistoryPositions, held?: HistoryPositions): Promise<void> {
    await this.held;
    const fails = this.failNext;
    this.failNext = undefined;
    if (fails === 'before') throw new Fault('history_unavailable');
    await super.append(batch, fails === 'after' ? {} : next, held);
    this.batches.push(batch);
    if (fails === 'after') throw new Fault('history_unavailable');
  }

  override positions(reader: string): Promise<readonly Position[]> {
    this.asked++;
    return super.positions(reader);
  }
}

/** Hands partitions to its owner when it is told. */
class HandedOwnership extends Ownership {
  owner: Owner | undefined;
  readonly taken = new Set<number>();

  override open(owner: Owner): Promise<void> {
    this.owner = owner;
    return Promise.resolve();
  }

  async take(...partitions: number[]): Promise<void> {
    for (const partition of partitions) {
      this.taken.add(partition);
      await this.owner!.take(partition);
    }
  }

  async give(...partitions: number[]): Promise<void> {
    for (const partition of partitions) this.taken.delete(partition);
    await Promise.all(partitions.map((partition) => this.owner!.give(partition)));
  }

  override close(): Promise<void> {
    return this.give(...this.taken);
  }
}

/** Everybody is in one process. */
class NearWire extends Wire {
  said = 0;
  private readonly ears = new Map<string, Set<(message: string) => void>>();

  override say(channel: string, message: string): Promise<void> {
    this.said++;
    for (const hear of this.ears.get(channel) ?? []) hear(message);
    return Promise.resolve();
  }

  override listen(channel: string, hear: (message: string) => void): Promise<() => void> {
    const ears = this.ears.get(channel) ?? new Set();
    this.ears.set(channel, ears.add(hear));
    return Promise.resolve(() => void ears.delete(hear));
  }
}

let path: string;
let dirs: DataDir[];
let log: StripedLog;
let clock: ManualClock;
let history: WatchedHistory;
let wire: NearWire;
let opened: Projector[];

beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), 'millrace-projector-'));
  clock = new ManualClock(AT);
  dirs = ALL.map((partition) => openDataDir(join(path, `${partition}`), { create: true }));
  log = new StripedLog(dirs.map((dir) => LocalEventLog.open(dir, { clock })));
  history = new WatchedHistory();
  wire = new NearWire();
  opened = [];
});

afterEach(async () => {
  await Promise.all(opened.map((projector) => projector.close()));
  await log.close();
  for (const dir of dirs) await dir.close();
  await rm(path, { recursive: true });
});

const open = async (options: Partial<ProjectorOptions> = {}, ownership?: Ownership): Promise<Projector> => {
  const projector = new Projector(log, history, clock, quiet, options, wire);
  opened.push(projector);
  await projector.open(ownership);
  return projector;
};

/** One that shares partitions with others. */
const share = async (...partitions: number[]): Promise<{ projector: Projector; ownership: HandedOwnership }> => {
  const ownership = new HandedOwnership();
  const projector = await open({ lingerMs: Infinity }, ownership);
  await ownership.take(...partitions);
  return { projector, ownership };
};

/** Turns the clock until it holds; what waits for the disk takes its own time. */
async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await clock.turn(100);
}

const idsOf = async (): Promise<string[]> =>
  (await history.events(DEFAULT_ENV, { limit: 10_000 })).map(({ internalId }) => internalId);
const events = (count: number, from = 0): LogRecord[] => Array.from({ length: count }, (_, n) => event(from + n));
const newestFirst = (count: number): string[] => Array.from({ length: count }, (_, n) => idOf(count - 1 - n));
const partitionOfEvent = (n: number): number => log.partitionOf('events', `user-${n}`);
const partitionOfRun = (n: number): number => log.partitionOf('transitions', idOf(n));
/** The n-th event of a partition. */
const eventOf = (partition: number, n = 0): LogRecord =>
  events(200).filter((_, i) => partitionOfEvent(i) === partition)[n]!;

describe('many partitions', () => {
  it('go to History together, and each goes on where it stopped', async () => {
    const first = await open();
    await log.append([...events(40), ...Array.from({ length: 40 }, (_, n) => scheduled(n, n))]);
    await first.caughtUp();

    expect(await idsOf()).toEqual(newestFirst(40));
    expect((await history.runs(DEFAULT_ENV, { limit: 100 })).length).toBe(40);
    expect(history.batches.length).toBeLessThan(PARTITIONS);
    expect(await first.lag()).toEqual({ records: 0, ms: 0 });
    expect(await history.positions('events')).toEqual(await log.ends('events'));
    expect(await history.positions('transitions')).toEqual(await log.ends('transitions'));
    await first.close();
    history.batches = [];

    await log.append([event(40), started(3, 100)]);
    await (await open()).caughtUp();
    expect(history.batches.flatMap((batch) => batch.events.map(({ internalId }) => internalId))).toEqual([idOf(40)]);
    expect(history.batches.flatMap((batch) => batch.transitions.map(({ type }) => type))).toEqual(['RunStarted']);
    expect(await history.run(DEFAULT_ENV, idOf(3))).toMatchObject({ status: 'Running', functionSlug: 'shop-charge' });
  });

  it('keep to what may be held, all together', async () => {
    const projector = await open({ startWhen: 0, recordsMax: 300 });
    await projector.caughtUp();
    history.fault = new Fault('history_unavailable');
    await log.append(events(4_000));
    await expect(projector.caughtUp()).rejects.toMatchObject({ code: 'history_unavailable' });

    history.fault = undefined;
    await projector.caughtUp();
    expect((await idsOf()).length).toBe(4_000);
    for (const batch of history.batches) expect(batch.events.length).toBeLessThan(300 + 200);
  });

  it('go on exactly where they stood when History was away for an hour', async () => {
    const projector = await open({ startWhen: 0 });
    await log.append(events(50));
    await projector.caughtUp();
    history.fault = new Fault('history_unavailable');
    for (let minute = 0; minute < 60; minute++) {
      await log.append(events(10, 50 + minute * 10));
      await clock.turn(60_000);
    }
    expect((await projector.lag()).records).toBe(600);
    expect((await projector.lag()).ms).toBeGreaterThan(0);

    history.fault = undefined;
    await until(async () => (await idsOf()).length === 650);
    const rows = history.batches.flatMap((batch) => batch.events.map(({ internalId }) => internalId));
    expect(rows.sort().reverse()).toEqual(newestFirst(650));
    expect(await history.positions('events')).toEqual(await log.ends('events'));
  });

  it('are waited for where there is something to wait for, and no longer', async () => {
    await log.append([...events(40), { ...eventOf(1), body: {} }]);
    await log.trim('events', (await log.ends('events'))[2]!);
    const projector = await open();

    await projector.caughtUp();

    expect((await idsOf()).length).toBe(40 - events(40).filter((_, n) => partitionOfEvent(n) === 2).length);
    expect((await log.ends('dead-letters')).reduce((sum, { offset }) => sum + offset, 0)).toBe(1);
    expect(await projector.lag()).toEqual({ records: 0, ms: 0 });
  });
});

describe('a History that loses what it held', () => {
  const all = async () => ({
    events: await idsOf(),
    runs: await history.runs(DEFAULT_ENV, { limit: 100 }),
    transitions: await Promise.all([1, 2, 3].map((n) => history.transitions(DEFAULT_ENV, idOf(n)))),
    positions: [await history.positions('events'), await history.positions('transitions')],
  });
  const told = [...events(40), scheduled(1, 1), scheduled(2, 2), started(1, 3), started(2, 4)];
  const further = [event(40), completed(1, 5), scheduled(3, 6)];
  let whole: Awaited<ReturnType<typeof all>>;

  /** What there is where nothing is ever lost. */
  const withoutLoss = async (): Promise<void> => {
    const own = history;
    history = new WatchedHistory();
    await (await open()).caughtUp();
    whole = await all();
    history = own;
  };

  it.each([0, 1])(
    'gets it again with the next that is handed over, from where it stands (of %i batches)',
    async (kept) => {
      const projector = await open({ recordsMax: 20 });
      const putBack = [history.copy()];
      await log.append(told.slice(0, 20));
      await projector.caughtUp();
      putBack.push(history.copy());
      await log.append(told.slice(20));
      await projector.caughtUp();

      putBack[kept]!();
      await log.append(further);
      await projector.caughtUp();

      await withoutLoss();
      expect(await all()).toEqual(whole);
      expect(await projector.lag()).toEqual({ records: 0, ms: 0 });
    },
  );

  it('gets it again where it was emptied while rows were on their way', async () => {
    const projector = await open();
    await log.append(told);
    await projector.caughtUp();
    const { promise, resolve: release } = Promise.withResolvers<void>();
    history.held = promise;
    await log.append(further);
    const asked = projector.caughtUp();
    await settle();
    await history.empty();
    release();
    await asked;

    await withoutLoss();
    expect(await all()).toEqual(whole);
  });

  it('gets it again though nothing new comes, once somebody misses it', async () => {
    await share(0, 1);
    await share(2, 3);
    await log.append([...told, ...further]);
    const gate = new RemoteGate(log, history, wire, clock, { waitMsMax: 3_600_000 });
    const asked = async (): Promise<void> => {
      let isDone = false;
      const caughtUp = gate.caughtUp().then(() => (isDone = true));
      await until(() => isDone);
      await caughtUp;
    };
    await asked();
    await history.empty();
    await asked();

    await withoutLoss();
    expect(await all()).toEqual(whole);
  });

  it('gets it again though nobody asks, where it is looked after', async () => {
    const projector = await open({ checkMs: 5_000 });
    await log.append([...told, ...further]);
    await projector.caughtUp();
    await history.empty();
    await until(async () => (await idsOf()).length === 41 && (await history.run(DEFAULT_ENV, idOf(3))) !== undefined);

    await withoutLoss();
    expect(await all()).toEqual(whole);
  });

  it('is not looked after where nobody else can take it away', async () => {
    const projector = await open();
    await log.append(told);
    await projector.caughtUp();
    const { asked } = history;
    await clock.turn(3_600_000);
    expect(history.asked).toBe(asked);
  });

  it('is noticed by who takes a further partition', async () => {
    const { projector, ownership } = await share(0);
    await log.append(events(40));
    await projector.caughtUp();
    await history.empty();
    await ownership.take(1, 2, 3);
    await projector.caughtUp();
    expect(await idsOf()).toEqual(newestFirst(40));
  });
});

describe('projectors that share the partitions', () => {
  it('bring each its own', async () => {
    const [one, two] = [await share(0, 1), await share(2)];
    await log.append(events(40));
    await one.projector.caughtUp();
    await two.projector.caughtUp();
    const seen = events(40).filter((_, n) => partitionOfEvent(n) < 3).length;
    expect((await idsOf()).length).toBe(seen);

    await two.ownership.take(3);
    await until(async () => (await idsOf()).length > seen || (await two.projector.caughtUp()) === undefined);
    expect(await idsOf()).toEqual(newestFirst(40));
    const rows = history.batches.flatMap((batch) => batch.events);
    expect(rows.length).toBe(40);
    expect(one.projector.position('events', 2)).toBeUndefined();
  });

  it('hand over what they have read of a partition before they give it', async () => {
    const { projector, ownership } = await share(...ALL);
    await projector.caughtUp();
    await log.append(events(40));
    await settle();
    await until(async () => (await projector.lag()).records === 40);
    await ownership.give(1, 2);

    const given = events(40).flatMap((_, n) => ([1, 2].includes(partitionOfEvent(n)) ? [idOf(n)] : []));
    expect(await idsOf()).toEqual(expect.arrayContaining(given));
    const stood = await history.positions('events');

    await log.append([eventOf(1, 30), eventOf(2, 30), eventOf(3, 30)]);
    await projector.caughtUp();
    const moved = (await history.positions('events')).filter((at, i) => at.offset !== stood[i]!.offset);
    expect(moved.map(({ partition }) => partition)).toEqual([3]);
  });

  it('hand over also what they read while an earlier batch was on its way', async () => {
    const { projector, ownership } = await share(...ALL);
    const partition = partitionOfRun(1);
    await log.append([scheduled(1, 1)]);
    await projector.caughtUp();
    const { promise, resolve: release } = Promise.withResolvers<void>();
    history.held = promise;
    await log.append([event(1)]);
    const asked = projector.caughtUp();
    await settle();
    await log.append([started(1, 2)]);
    await until(async () => (await projector.lag()).records === 2);
    await settle();
    const given = ownership.give(partition);
    release();
    await given;

    expect(await history.run(DEFAULT_ENV, idOf(1))).toMatchObject({ status: 'Running' });
    await asked;
  });

  it('know nothing any more of what another has brought on meanwhile', async () => {
    const [one, two] = [await share(...ALL), await share()];
    const partition = partitionOfRun(1);
    await log.append([scheduled(1, 1)]);
    await one.projector.caughtUp();

    await one.ownership.give(partition);
    await two.ownership.take(partition);
    await log.append([started(1, 2)]);
    await two.projector.caughtUp();

    await two.ownership.give(partition);
    await one.ownership.take(partition);
    await log.append([completed(1, 3)]);
    await one.projector.caughtUp();

    expect(await history.run(DEFAULT_ENV, idOf(1))).toMatchObject({
      status: 'Completed',
      startedAt: AT + 1,
      endedAt: AT + 2,
      version: 3,
    });
  });

  it('give a partition also while History is away, and may take it again', async () => {
    const { projector, ownership } = await share(...ALL);
    await projector.caughtUp();
    history.fault = new Fault('history_unavailable');
    await log.append(events(40));
    await settle();
    await ownership.give(0, 3);
    await ownership.take(3);
    await ownership.give(3);
    await ownership.take(0, 3);

    history.fault = undefined;
    await projector.caughtUp();
    expect(await idsOf()).toEqual(newestFirst(40));
  });

  it('leave in order', async () => {
    const { projector } = await share(...ALL);
    await projector.caughtUp();
    await log.append(events(40));
    await until(async () => (await projector.lag()).records === 40);
    await projector.close();
    expect(await idsOf()).toEqual(newestFirst(40));
  });

  it('leave History the same, wherever partitions go, wherever it crashes, and whatever it loses', async () => {
    const anyPartition = fc.nat(PARTITIONS - 1);
    const anyWho = fc.nat(1);
    const anyTurn = fc.oneof(
      { weight: 6, arbitrary: fc.record({ moves: fc.array(fc.nat(7), { minLength: 1, maxLength: 6 }) }) },
      { weight: 1, arbitrary: fc.record({ again: fc.tuple(fc.nat(9), fc.nat(9)) }) },
      { weight: 2, arbitrary: fc.record({ ask: anyWho }) },
      { weight: 3, arbitrary: fc.record({ take: anyPartition, who: anyWho }) },
      { weight: 3, arbitrary: fc.record({ give: anyPartition, who: anyWho }) },
      { weight: 1, arbitrary: fc.record({ crash: anyWho }) },
      { weight: 1, arbitrary: fc.record({ copy: fc.constant(true) }) },
      { weight: 1, arbitrary: fc.record({ putBack: fc.constant(true) }) },
      { weight: 1, arbitrary: fc.record({ failNext: fc.constantFrom('before' as const, 'after' as const) }) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(anyTurn, { maxLength: 40 }), async (turns) => {
        // Each history has its own stretch of the log: what was there before is in History already.
        const [store, whole] = [new WatchedHistory(), new WatchedHistory()];
        for (const topic of ['events', 'transitions'] as const) {
          const ends = await log.ends(topic);
          for (const each of [store, whole]) await each.append(NO_ROWS, { [topic]: ends });
        }
        let putBack = store.copy();
        const ownWire = new NearWire();
        const start = async (on: MemoryHistory, ownership?: Ownership) => {
          const projector = new Projector(log, on, clock, quiet, { startWhen: 0, runsMax: 3, recordsMax: 4 }, ownWire);
          await projector.open(ownership);
          return projector;
        };
        const desk = new Desk();
        const ownerships = [new HandedOwnership(), new HandedOwnership()];
        const sharers = [await start(store, ownerships[0]), await start(store, ownerships[1])];
        for (const turn of turns) {
          if ('moves' in turn) await log.append(turn.moves.map((run) => desk.move(run)));
          else if ('again' in turn) await log.append(desk.again(...turn.again));
          else if ('ask' in turn) await sharers[turn.ask]!.caughtUp().catch(() => {});
          else if ('failNext' in turn) store.failNext = turn.failNext;
          else if ('copy' in turn) putBack = store.copy();
          else if ('putBack' in turn) putBack();
          else if ('take' in turn) await ownerships[turn.who]!.take(turn.take);
          else if ('give' in turn) await ownerships[turn.who]!.give(turn.give);
          else {
            store.failNext = 'after'; // The crash comes between the rows and the position.
            await sharers[turn.crash]!.close();
            store.failNext = undefined;
            ownerships[turn.crash] = new HandedOwnership();
            sharers[turn.crash] = await start(store, ownerships[turn.crash]);
          }
        }
        store.failNext = undefined;
        await ownerships[0]!.take(...ALL);
        let isDone = false;
        const gate = new RemoteGate(log, store, ownWire, clock, { waitMsMax: Infinity });
        const caughtUp = gate.caughtUp().then(() => (isDone = true));
        await until(() => isDone);
        await caughtUp;
        for (const sharer of sharers) await sharer.close();
        const clean = await start(whole);
        await clean.caughtUp();
        await clean.close();

        const seen = async (from: MemoryHistory) => ({
          events: await from.events(DEFAULT_ENV, { limit: 1_000 }),
          runs: await from.runs(DEFAULT_ENV, { limit: 1_000 }),
          transitions: await Promise.all(ALL_RUNS.map((n) => from.transitions(DEFAULT_ENV, idOf(n)))),
          positions: [await from.positions('events'), await from.positions('transitions')],
        });
        expect(await seen(store)).toEqual(await seen(whole));
        for (const row of (await seen(store)).runs) expect(row).toMatchObject(desk.stands(row.runId));
      }),
      { numRuns: 120 },
    );
  });
});

const ALL_RUNS = [0, 1, 2, 3, 4, 5, 6, 7];

/** Writes what desks write: every run's transitions in order of their commands, some of them more than once. */
class Desk {
  private offset = 0;
  private readonly written: LogRecord[] = [];
  private readonly steps = new Map<string, number>();

  /** A run's next transition; events when it has ended. */
  move(run: number): LogRecord {
    const step = this.steps.get(idOf(run)) ?? 0;
    this.steps.set(idOf(run), step + 1);
    const offset = ++this.offset;
    const make = [scheduled, started, completed][step];
    const record = make ? make(run, offset) : event(offset);
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
    return {
      status: step === 1 ? 'Scheduled' : step === 2 ? 'Running' : 'Completed',
      startedAt: step > 1 ? AT + 1 : null,
      endedAt: step > 2 ? AT + 2 : null,
    };
  }
}

describe('who asks from another process', () => {
  // Of the clock that is turned by hand, which does not wait for the disk.
  const gate = (waitMsMax = 3_600_000) => new RemoteGate(log, history, wire, clock, { waitMsMax });

  it('waits until History has what was on the log, which comes at once', async () => {
    await share(0, 1);
    await share(2, 3);
    await log.append(events(40));
    let seen: string[] = [];
    const asked = gate()
      .caughtUp()
      .then(async () => (seen = await idsOf()));
    await until(() => seen.length > 0);
    await asked;

    expect(seen).toEqual(newestFirst(40));
  });

  it('is answered without a word where nothing is missing', async () => {
    const { projector } = await share(...ALL);
    await log.append(events(10));
    await projector.caughtUp();
    await gate().caughtUp();
    expect(wire.said).toBe(0);
  });

  it('does not wait for what nobody can read, or what was let go', async () => {
    await share(...ALL);
    await log.append([...events(10), { ...eventOf(1), body: {} }]);
    await log.trim('events', (await log.ends('events'))[2]!);
    let isDone = false;
    const asked = gate()
      .caughtUp()
      .then(() => (isDone = true));
    await until(() => isDone);
    await asked;
  });

  it('is told when it takes too long', async () => {
    await log.append(events(10));
    const refused = expect(gate(5_000).caughtUp()).rejects.toMatchObject({ code: 'history_unavailable' });
    let isDone = false;
    void refused.then(() => (isDone = true));
    await until(() => isDone);
    expect(clock.now() - AT).toBeGreaterThanOrEqual(5_000);
    await refused;
  });

  it('is told at once when History is away, and the next one is served', async () => {
    const { projector } = await share(...ALL);
    const one = gate();
    history.fault = new Fault('history_unavailable');
    await expect(one.caughtUp()).rejects.toBe(history.fault);
    history.fault = undefined;
    await projector.caughtUp();
    await one.caughtUp();
  });

  it('does not count on what History had before it was emptied', async () => {
    await log.append(events(40));
    const [first, ...rest] = await log.ends('events');
    await history.append(NO_ROWS, { events: rest });
    let isDone = false;
    const asked = gate()
      .caughtUp()
      .then(() => (isDone = true));
    const looks = async () => {
      const { asked: before } = history;
      await until(() => history.asked > before + 20);
    };
    await looks();
    await history.empty();
    await looks();
    await history.append(NO_ROWS, { events: [first!] });
    await looks();
    expect(isDone).toBe(false);

    await history.append(NO_ROWS, { events: rest });
    await until(() => isDone);
    await asked;
  });

  it('shares its looks with all who ask', async () => {
    await log.append(events(10));
    const one = gate();
    let done = 0;
    const asked = Promise.all(Array.from({ length: 50 }, () => one.caughtUp().then(() => done++)));
    await settle();
    await clock.turn(500);
    await wire.say(HISTORY_WANTED, 'nobody hears it');
    await share(...ALL);
    await until(() => done === 50);
    await asked;
    expect(history.asked).toBeLessThan(100);
  });
});
