import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { openDataDir, type DataDir } from '#adapters/local-log/data-dir.js';
import { LocalEventLog } from '#adapters/local-log/local-event-log.js';
import { SqliteAggregateStore } from '#adapters/local-log/sqlite-aggregate-store.js';
import { SqliteSeenEvents } from '#adapters/local-log/sqlite-seen-events.js';
import { StateFile } from '#adapters/local-log/state.file.js';
import { MemoryPauseIndex } from '#adapters/memory/memory-pause-index.js';
import { MemoryWorkQueue } from '#adapters/memory/memory-work-queue.js';
import { SoleOwnership } from '#adapters/memory/sole-ownership.js';
import type { StoredEvent } from '#core/event/event.js';
import type { FunctionConfig, FunctionVersion } from '#core/function/function.config.js';
import { canonical } from '#core/json.js';
import { callView } from '#core/run/run.call.js';
import type { Op } from '#core/run/run.ops.js';
import { isEnded } from '#core/run/run.state.js';
import type { PlacedTransition } from '#core/run/run.transitions.js';
import { DEFAULT_ENV } from '#core/words.js';
import { LogCatalog } from '#platform/log-catalog.js';
import { LogLetterbox } from '#platform/log-letterbox.js';
import type { EventLog, PlacedRecord } from '#ports/event-log.port.js';
import { recordOfEvent } from '#ports/records.js';
import type { RunViews } from '#ports/run-views.port.js';
import { ManualClock } from '#testkit/manual-clock.js';
import { SeededIds } from '#testkit/seeded-ids.js';
import type { Desk } from './desk/desk.js';
import type { Scribe } from './desk/scribe.js';
import type { PartitionRunner } from './partition-runner.js';
import { Runner } from './runner.js';

/** Notes what goes wrong in a process for as long as it lives. */
class Failures {
  dead = false;
  readonly debug = () => undefined;
  readonly info = () => undefined;
  readonly warn = () => undefined;
  readonly error = (data: object, sentence: string) => {
    if (!this.dead) failures.push(`${sentence} ${String((data as { err?: unknown }).err)}`);
  };
}
let failures: string[] = [];

type Script = (view: { steps: ReadonlyMap<string, string>; target: string; plan: boolean; attempt: number }) => Op[];

/** A process with a runner on a real log, and apps that answer by script. `kill` leaves everything as it lies on the disk. */
class World {
  readonly clock = new ManualClock();
  readonly executed = new Map<string, number>();
  private readonly ids = new SeededIds();
  private readonly path = mkdtempSync(join(tmpdir(), 'runner-'));
  private dir!: DataDir;
  private stores: { close(): Promise<void> }[] = [];
  private stop!: AbortController;
  private workers: Promise<void>[] = [];
  private events = 0;
  private appending = 0;
  log!: EventLog;
  logger!: Failures;
  letterbox!: LogLetterbox;
  runner!: Runner;
  queue!: MemoryWorkQueue;
  pauses!: MemoryPauseIndex;
  catalog!: LogCatalog;
  views: RunViews | undefined;

  constructor(
    private readonly scripts: Readonly<Record<string, Script>>,
    private readonly functions: readonly FunctionVersion[],
    private readonly checkpointMs = 1_000,
    private readonly snapshotMs?: number,
  ) {}

  async open(): Promise<this> {
    const { clock, ids } = this;
    this.logger = new Failures();
    this.dir = openDataDir(this.path, { create: true });
    this.log = LocalEventLog.open(this.dir, { clock });
    const append = this.log.append.bind(this.log);
    this.log.append = (...records) => {
      this.appending++;
      return append(...records).finally(() => this.appending--);
    };
    const state = StateFile.open(this.dir);
    this.queue = new MemoryWorkQueue(clock, ids, 1e12); // The clock is turned while calls are under way.
    this.pauses = new MemoryPauseIndex();
    this.catalog = new LogCatalog(this.log);
    const [end] = await this.log.ends('config');
    if (end?.offset === 0) await this.declare(...this.functions);
    await this.catalog.open();
    const { log, queue, pauses, catalog } = this;
    const aggregates = new SqliteAggregateStore(state);
    const seen = new SqliteSeenEvents(state);
    this.stores = [aggregates, seen];
    this.letterbox = await LogLetterbox.open(log, clock, ids);
    const { letterbox, checkpointMs, snapshotMs } = this;
    this.runner = new Runner(
      { log, aggregates, seen, queue, pauses, catalog, letterbox, clock, logger: this.logger, views: this.views },
      new SoleOwnership(1),
      { checkpointMs, snapshotMs },
    );
    await this.runner.open();
    this.stop = new AbortController();
    this.workers = Array.from({ length: 4 }, () => this.work(this.stop.signal));
    return this;
  }

  /** As a sync does. */
  async declare(...functions: readonly FunctionVersion[]): Promise<void> {
    const at = this.clock.now();
    await this.log.append(
      functions.map((fn) => ({
        topic: 'config',
        key: `function:${fn.id}`,
        type: 'Function',
        schema: 1,
        env: fn.env,
        at,
        body: fn,
      })),
    );
  }

  /** The one partition of the log. */
  get served(): PartitionRunner {
    return this.runner.served[0] as PartitionRunner;
  }

  get desk(): { readonly parts: { readonly scribe: Scribe }; save(): Promise<void> } {
    return (this.served as unknown as { desk: Desk }).desk as never;
  }

  private async work(signal: AbortSignal): Promise<void> {
    for (let lease = await this.queue.claim(signal); lease; lease = await this.queue.claim(signal)) {
      const run = await this.runner.get(lease.item.runId);
      const call = run?.calls[lease.item.target];
      if (run && call && call.seq === lease.item.seq && call.generation === lease.item.generation) {
        const view = callView(run, call);
        const steps = new Map(view.steps.map(({ id, memo }) => [id, memo]));
        const ops = (this.scripts[run.functionSlug] as Script)({
          steps,
          target: view.target,
          plan: view.disableImmediateExecution,
          attempt: view.attempt,
        });
        for (const op of ops)
          if (op.op === 'StepDone')
            this.executed.set(`${run.id}/${op.id}`, (this.executed.get(`${run.id}/${op.id}`) ?? 0) + 1);
        if (signal.aborted) return;
        const at = this.clock.now();
        await this.letterbox.post([
          {
            key: run.id,
            command: {
              type: 'ReportCall',
              runId: run.id,
              env: run.env,
              at,
              work: { target: call.target, seq: call.seq, generation: call.generation },
              outcome: { kind: 'ops', ops, noRetry: false },
              startedAt: at,
              requestVersion: 2,
              dice: 0,
            },
          },
        ]);
      }
      await this.queue.complete(lease);
    }
  }

  /** The process is gone: nothing is saved, what was not durable is lost. */
  async kill(): Promise<void> {
    this.stop.abort();
    await Promise.all(this.workers);
    this.logger.dead = true;
    this.desk.parts.scribe.stop();
    for (const subscription of (this.served as unknown as { subscriptions: { close(): Promise<void> }[] })
      .subscriptions)
      await subscription.close();
    this.clock.silence();
    await this.shut();
  }

  async close(): Promise<void> {
    this.stop.abort();
    await Promise.all(this.workers);
    await this.runner.close();
    await this.shut();
  }

  private async shut(): Promise<void> {
    await this.catalog.close();
    await this.log.close();
    for (const store of this.stores) await store.close();
    await this.dir.close();
  }

  /** Drops the projection, as when its file is lost. */
  dropState(): void {
    for (const end of ['', '-wal', '-shm']) rmSync(join(this.path, `state.db${end}`), { force: true });
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }

  async send(name: string, data: object = {}, id?: string): Promise<StoredEvent> {
    const internalId = `01KE00000000000000000${String(++this.events).padStart(5, '0')}`;
    const now = this.clock.now();
    const event: StoredEvent = {
      internalId,
      env: DEFAULT_ENV,
      id: id ?? internalId,
      name,
      ts: now,
      receivedAt: now,
      payload: canonical({ data, id: id ?? internalId, name, ts: now, user: {} }),
      source: 'api',
    };
    await this.log.append([recordOfEvent(event)]);
    return event;
  }

  async all(topic: 'transitions' | 'events' | 'commands' | 'dead-letters'): Promise<PlacedRecord[]> {
    const all: PlacedRecord[] = [];
    for (;;) {
      const page = await this.log.read(topic, { partition: 0, offset: (all.at(-1)?.position.offset ?? -1) + 1 }, 1_000);
      if (page.length === 0) return all;
      all.push(...page);
    }
  }

  async transitions(type: string): Promise<PlacedTransition[]> {
    return (await this.all('transitions'))
      .filter((record) => record.type === type)
      .map((record) => record.body as PlacedTransition);
  }

  /** Nothing is under way: every record is taken and no call is being made. Only time can move things now. */
  private async idle(): Promise<boolean> {
    const { running, ready } = await this.queue.counts();
    const [commands] = await this.log.ends('commands');
    const [events] = await this.log.ends('events');
    const taken = (await this.served.taken())?.offset ?? 0;
    const { next, folding } = this.desk as unknown as { next: { offset: number }; folding: boolean };
    return (
      this.appending === 0 &&
      running + ready === 0 &&
      !folding &&
      this.desk.parts.scribe.behind === 0 &&
      commands?.offset === next.offset &&
      events?.offset === taken
    );
  }

  /** Waits until something holds; turns the clock to the next alarm when nothing is under way. */
  async until<T>(look: () => Promise<T | undefined | false>, turn = true): Promise<T> {
    for (let tries = 0; tries < 20_000; tries++) {
      const found = await look();
      if (found !== undefined && found !== false) return found;
      await new Promise((resolve) => setImmediate(resolve));
      const next = this.clock.next();
      if (turn && next !== undefined && (await this.idle())) await this.clock.turnTo(next);
    }
    throw new Error(`it never came to hold; ${failures.join('; ')}`);
  }

  ended(count: number): Promise<PlacedTransition[]> {
    return this.until(async () => {
      const all = (await this.all('transitions'))
        .filter(({ type }) => /^Run(Completed|Failed|Cancelled)$/.test(type))
        .map(({ body }) => body as PlacedTransition);
      return all.length >= count && all;
    });
  }
}

function fn(slug: string, event: string, more: Partial<FunctionConfig> = {}): FunctionVersion {
  const config: FunctionConfig = {
    slug,
    name: slug,
    triggers: [{ event }],
    url: 'http://localhost/x',
    retries: 3,
    cancelOn: [],
    timeouts: {},
    ...more,
  };
  return { id: `id-${slug}`, env: DEFAULT_ENV, appId: 'app', appName: 'app', version: 1, config };
}

const step = (id: string): Op => ({ op: 'StepDone', id, name: id, memo: `{"data":"${id}"}` });
const planned = (id: string): Op => ({ op: 'StepPlanned', id, name: id });
const done = (data: unknown): Op => ({ op: 'RunComplete', id: 'complete', name: 'complete', data: canonical(data) });

/** a, then b and c in parallel, then a sleep, then done. */
const order: Script = ({ steps, target }) => {
  if (target !== 'step') return [step(target)];
  if (!steps.has('a')) return [step('a')];
  const open = ['b', 'c'].filter((id) => !steps.has(id));
  if (open.length > 0) return open.map(planned);
  if (!steps.has('nap')) return [{ op: 'Sleep', id: 'nap', name: 'nap', until: { at: Date.UTC(2026, 0, 1) + 60_000 } }];
  return [done([...steps.keys()].sort())];
};

/** Waits for `paid` of the same order. */
const wait: Script = ({ steps }) =>
  steps.has('w')
    ? [done({ got: JSON.parse(steps.get('w') as string) as unknown })]
    : [
        {
          op: 'WaitForEvent',
          id: 'w',
          name: 'w',
          event: 'paid',
          if: 'event.data.n == async.data.n',
          until: { at: Date.UTC(2026, 0, 2) },
        },
      ];

const nothing: Script = () => [done('nothing')];

let world: World | undefined;
afterEach(async () => {
  const last = world;
  world = undefined;
  await last?.close();
  last?.remove();
  expect(failures).toEqual([]);
  failures = [];
});

async function opened(
  scripts: Record<string, Script>,
  functions: readonly FunctionVersion[],
  checkpointMs?: number,
  snapshotMs?: number,
): Promise<World> {
  world = new World(scripts, functions, checkpointMs, snapshotMs);
  return world.open();
}

describe('the runner', () => {
  it('takes an event to the end of its run', async () => {
    const w = await opened({ order }, [fn('order', 'go')]);
    await w.send('go');
    const [end] = await w.ended(1);
    expect(end?.transition).toMatchObject({ type: 'RunCompleted', output: '["a","b","c","nap"]' });
    expect([...w.executed.values()]).toEqual([1, 1, 1]);
    expect(await w.queue.counts()).toEqual({ running: 0, ready: 0, later: 0 });
    expect((await w.all('events')).map(({ body }) => (body as StoredEvent).name)).toEqual([
      'go',
      'inngest/function.finished',
    ]);
  });

  it('starts one run of a function for an event id, however often it comes', async () => {
    const w = await opened({ one: nothing, two: nothing }, [fn('one', 'go'), fn('two', 'go')]);
    await w.send('go', {}, 'same');
    await w.send('go', {}, 'same');
    await w.send('go', {}, 'other');
    await w.ended(4);
    await w.kill();
    await w.open();
    await w.send('go', {}, 'same');
    await w.send('go', {}, 'last');
    await w.ended(6);
    expect(await w.transitions('RunScheduled')).toHaveLength(6);
  });

  it('resumes every run that waits, by the value it waits for', async () => {
    const w = await opened({ wait }, [fn('wait', 'go')]);
    await w.send('go', { n: 1 });
    await w.send('go', { n: 1 });
    await w.send('go', { n: 2 });
    await w.until(async () => (await w.pauses.size()) === 3, false);
    await w.clock.turn(5);
    await w.send('paid', { n: 1 });
    const ends = await w.until(async () => {
      const all = await w.transitions('RunCompleted');
      return all.length === 2 && all;
    }, false);
    for (const { transition } of ends)
      expect(transition).toMatchObject({ output: expect.stringContaining('"name":"paid"') as string });
    expect(await w.pauses.size()).toBe(1);
  });

  it('cancels a run by an event that stands right behind its trigger', async () => {
    const w = await opened({ order }, [
      fn('order', 'go', { cancelOn: [{ event: 'stop', if: 'event.data.n == async.data.n' }] }),
    ]);
    const event = await w.send('go', { n: 7 });
    await w.send('stop', { n: 7 });
    const [end] = await w.ended(1);
    expect(end?.transition).toMatchObject({ type: 'RunCancelled', by: 'event' });
    expect(event.internalId).not.toBe((end?.transition as { cause?: string }).cause);
    expect(await w.pauses.size()).toBe(0);
    await w.until(async () => (await w.all('events')).length === 4, false);
    const names = (await w.all('events')).map(({ body }) => (body as StoredEvent).name);
    expect(names.slice(2)).toEqual(['inngest/function.finished', 'inngest/function.cancelled']);
  });

  it('shows a run as it ended, also when something comes late for it', async () => {
    const w = await opened({ nothing }, [fn('nothing', 'go')]);
    await w.send('go');
    const [end] = await w.ended(1);
    const runId = end?.runId ?? '';
    await w.desk.save(); // Its state goes from the store: what is over is needed no more.
    const late = await w.letterbox.ask(runId, {
      type: 'CancelRun',
      runId,
      env: DEFAULT_ENV,
      at: w.clock.now(),
      by: 'api',
    });
    expect(late.ignored).toBe('run_ended');
    expect(await w.runner.get(runId)).toMatchObject({
      state: 'completed',
      output: '"nothing"',
      functionSlug: 'nothing',
    });
  });

  it('invokes, and hands the result back; an unknown function is an error at once', async () => {
    const caller: Script = ({ steps }) =>
      steps.has('x') && steps.has('y')
        ? [done([...steps.values()].map((memo) => JSON.parse(memo) as unknown))]
        : [
            {
              op: 'InvokeFunction',
              id: 'x',
              name: 'x',
              functionRef: 'callee',
              payload: '{"data":{"q":1}}',
              until: { at: Date.UTC(2027, 0, 1) },
            },
            {
              op: 'InvokeFunction',
              id: 'y',
              name: 'y',
              functionRef: 'nobody',
              payload: '{}',
              until: { at: Date.UTC(2027, 0, 1) },
            },
          ];
    const w = await opened({ caller, callee: nothing }, [fn('caller', 'go'), fn('callee', 'never')]);
    await w.send('go');
    const ends = await w.ended(2);
    const output = (
      ends.find(({ transition }) => (transition as { output: string }).output !== '"nothing"')?.transition as {
        output: string;
      }
    ).output;
    expect(JSON.parse(output)).toEqual(
      expect.arrayContaining([
        { data: 'nothing' },
        { error: expect.objectContaining({ message: 'could not find function with ID: nobody' }) as object },
      ]),
    );
  });

  it('arms a cron once, ticks it, and catches up with the one that was due', async () => {
    const w = await opened({ tick: nothing }, [fn('tick', '-', { triggers: [{ cron: '*/5 * * * *' }] })], 1_000);
    await w.ended(2);
    const ticks = await w.transitions('CronTicked');
    await w.kill();
    await w.clock.turn(12 * 60_000);
    await w.open();
    await w.until(async () => (await w.transitions('CronTicked')).length > ticks.length);
    const after = (await w.transitions('CronTicked'))
      .slice(ticks.length)
      .map(({ transition }) => (transition as unknown as { scheduledAt: number }).scheduledAt);
    const last = (ticks.at(-1)?.transition as unknown as { scheduledAt: number }).scheduledAt;
    expect(after[0]).toBe(last + 5 * 60_000);
    expect(new Set(after).size).toBe(after.length);
  });

  it('sets a record aside that cannot be folded, and goes on', async () => {
    const w = await opened({ one: nothing }, [fn('one', 'go')]);
    await w.log.append([
      {
        topic: 'commands',
        key: 'x',
        type: 'NoSuchCommand',
        schema: 1,
        env: DEFAULT_ENV,
        at: 1,
        body: { type: 'NoSuchCommand' },
      },
    ]);
    await w.send('go');
    await w.ended(1);
    expect((await w.all('dead-letters')).map(({ body }) => body)).toMatchObject([
      { type: 'NoSuchCommand', origin: { topic: 'commands', offset: 0 } },
    ]);
    failures = [];
  });

  it('shows that a run has ended when the next one of its kind may start', async () => {
    const w = (world = new World({ one: nothing }, [fn('one', 'go', { singleton: { mode: 'skip' } })]));
    const released: boolean[] = [];
    w.views = {
      see: () => Promise.resolve(undefined),
      show: async (views) => {
        if (!views.some(({ run }) => run.state === 'completed')) return;
        released.push((await w.all('commands')).some(({ type }) => type === 'ReleaseSingleton'));
      },
    };
    await w.open();
    await w.send('go');
    await w.ended(1);
    expect(released[0]).toBe(true);
  });

  it('looks up what an event starts as its door knew it, or later', async () => {
    const w = await opened({ one: nothing }, []);
    const { catalog } = w;
    const reached = catalog.reached.bind(catalog);
    // What its door has seen comes here late.
    catalog.reached = async (revision) => {
      if (revision === 1) await w.declare(fn('one', 'go'));
      await reached(revision);
    };
    const event = { internalId: 'x', env: DEFAULT_ENV, id: 'x', name: 'go', ts: 1, receivedAt: 1, source: 'api' };
    await w.log.append([recordOfEvent({ ...event, payload: '{"name":"go"}', catalog: 1 })]);
    await w.ended(1);
  });

  it.each(['{', 'null', '7'])('starts nothing with an event whose payload is %s, and goes on', async (payload) => {
    const w = await opened({ one: nothing }, [fn('one', 'go')]);
    const event = { internalId: 'x', env: DEFAULT_ENV, id: 'x', name: 'go', ts: 1, receivedAt: 1, source: 'api' };
    await w.log.append([recordOfEvent({ ...event, payload })]);
    await w.send('go');
    await w.ended(1);
    expect((await w.all('dead-letters')).map(({ body }) => body)).toMatchObject([
      { type: 'Event', origin: { topic: 'events', offset: 0 } },
    ]);
    failures = [];
  });

  it.each([
    ['with its checkpoints', false, 20, undefined],
    ['without any checkpoint', false, 1_000_000_000, undefined],
    ['with its state dropped each time', true, 20, undefined],
    ['with its state made again from snapshots', true, 1_000_000_000, 2_000],
  ] as const)('ends the same wherever it is killed, %s', async (_how, drop, checkpointMs, snapshotMs) => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 25 }), { minLength: 1, maxLength: 4 }), async (kills) => {
        const w = await opened({ order, wait }, [fn('order', 'go'), fn('wait', 'go')], checkpointMs, snapshotMs);
        for (let n = 0; n < 4; n++) await w.send('go', { n });
        for (const pauses of kills) {
          for (let i = 0; i < pauses; i++) {
            if (snapshotMs !== undefined && i % 3 === 0) void w.clock.turn(snapshotMs);
            await new Promise((resolve) => setImmediate(resolve));
          }
          await w.kill();
          if (drop) w.dropState();
          await w.open();
        }
        await w.until(async () => (await w.pauses.size()) === 4, false);
        await w.clock.turn(5);
        for (let n = 0; n < 4; n++) await w.send('paid', { n });
        await w.ended(8);
        const [scheduled, ends] = [await w.transitions('RunScheduled'), await w.ended(8)];
        expect(new Set(scheduled.map(({ runId }) => runId)).size).toBe(8);
        expect(new Set(ends.map(({ runId, command }) => `${runId}@${command.offset}`)).size).toBe(8);
        expect(ends.every(({ transition }) => transition.type === 'RunCompleted')).toBe(true);
        const results = (await w.transitions('StepCompleted')).map(
          ({ runId, command, index, transition }) =>
            `${runId}/${(transition as { stepId: string }).stepId}@${command.offset}.${index}`,
        );
        expect(new Set(results.map((name) => name.split('@')[0])).size).toBe(new Set(results).size);
        const runs = await Promise.all(scheduled.map(({ runId }) => w.runner.get(runId)));
        for (const run of runs) if (run) expect(isEnded(run)).toBe(true);
        const last = world;
        world = undefined;
        await last?.close();
        last?.remove();
      }),
      { numRuns: 8 },
    );
  });
});
