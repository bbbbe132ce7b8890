import type { Admission } from '#core/admission/admission.js';
import type { EpochMs, Position } from '#core/words.js';
import type { Run } from '#core/run/run.state.js';
import type { PlacedTransition } from '#core/run/run.transitions.js';
import type { AggregateStore } from '#ports/aggregate-store.port.js';
import type { Catalog } from '#ports/catalog.port.js';
import type { Clock } from '#ports/clock.port.js';
import type { EventLog, Subscription } from '#ports/event-log.port.js';
import type { Ids } from '#ports/ids.port.js';
import type { Logger } from '#ports/logger.port.js';
import type { PauseIndex } from '#ports/pause-index.port.js';
import { RunStates } from '#ports/run-states.port.js';
import type { SeenEvents } from '#ports/seen-events.port.js';
import type { WorkQueue } from '#ports/work-queue.port.js';
import { Alarms, type Alarm } from './clock/alarms.js';
import { Crons } from './clock/crons.js';
import { Limits } from './clock/limits.js';
import { Timers } from './clock/timers.js';
import { Desk, DESK } from './desk/desk.js';
import { DeskLetterbox } from './desk/desk-letterbox.js';
import { Hands } from './desk/hands.js';
import { ADMISSION, ROOMS } from './desk/rooms.js';
import { Intake } from './intake/intake.js';
import { forgetAdmissions } from './recovery/forget-admissions.js';
import { Snapshots } from './recovery/snapshots.js';

export interface RunnerPorts {
  readonly log: EventLog;
  readonly aggregates: AggregateStore;
  readonly seen: SeenEvents;
  readonly queue: WorkQueue;
  readonly pauses: PauseIndex;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly logger: Logger;
}

export interface RunnerOptions {
  readonly checkpointMs: number;
  readonly hotMax?: number;
}

const RECENT_MAX = 2_000;
const HOT_MAX = 50_000;
const BATCH_MAX = 500;

/** The owner of a partition: intake, desk, timers and crons, put together and opened in the order that recovery wants. */
export class Runner extends RunStates {
  readonly letterbox: DeskLetterbox;
  readonly desk: Desk;
  private readonly timers: Timers<Alarm>;
  private readonly crons: Crons;
  private readonly limits: Limits;
  private readonly intake: Intake;
  private readonly snapshots: Snapshots;
  private subscriptions: Subscription[] = [];

  constructor(
    private readonly ports: RunnerPorts,
    options: RunnerOptions,
  ) {
    super();
    const { log, aggregates, seen, queue, pauses, catalog, clock, ids, logger } = ports;
    this.letterbox = new DeskLetterbox(log, clock, ids);
    const alarms = new Alarms(
      this.letterbox,
      catalog,
      clock,
      logger,
      (key) => this.desk.peek(ADMISSION, key) as Promise<Admission | undefined>,
    );
    this.timers = new Timers(clock, (due) => alarms.ring(due));
    this.desk = new Desk(ROOMS, log, aggregates, new Hands(queue, pauses, this.timers), clock, logger, {
      checkpointMs: options.checkpointMs,
      hotMax: options.hotMax ?? HOT_MAX,
      recentMax: RECENT_MAX,
    });
    this.crons = new Crons(this.letterbox, catalog, clock, logger);
    this.limits = new Limits(this.letterbox, catalog, aggregates, queue, clock, logger, () => this.desk.save());
    this.snapshots = new Snapshots(
      log,
      aggregates,
      ROOMS.map(({ space }) => space),
    );
    this.intake = new Intake(log, seen, pauses, catalog, clock, logger);
  }

  override get(runId: string): Promise<Run | undefined> {
    return this.desk.peek('run', runId) as Promise<Run | undefined>;
  }

  async open(): Promise<void> {
    const { log, aggregates, seen, clock } = this.ports;
    await this.limits.open();
    if (!(await aggregates.position(DESK))) {
      const mark = await this.snapshots.restore(DESK, clock.now());
      if (mark?.events && !(await seen.position())) await seen.commit([], mark.events, clock.now());
    }
    const next = await this.desk.recover(await lastDecided(log));
    this.letterbox.serve(this.desk);
    const options = { batchMax: BATCH_MAX };
    this.subscriptions.push(
      await log.subscribe('commands', next, (batch) => this.desk.take(batch), {
        ...options,
        onError: this.again('desk'),
      }),
    );
    await this.limits.resume();
    await this.crons.open();
    const from = await this.intake.position();
    this.subscriptions.push(
      await log.subscribe('events', from, (batch) => this.intake.take(batch), {
        ...options,
        onError: this.again('intake'),
      }),
    );
  }

  /** Stops taking records, then writes the last checkpoint: the next start folds nothing twice. */
  async close(): Promise<void> {
    this.desk.stop();
    this.crons.close();
    this.limits.close();
    for (const subscription of this.subscriptions.reverse()) await subscription.close();
    this.timers.close();
    await this.desk.close();
  }

  /** The first event that intake has not taken. */
  taken(): Promise<Position | undefined> {
    return this.intake.position();
  }

  /** Before commands older than `before` are trimmed: what they made is put on the log as it stands. */
  async snapshot(before: EpochMs): Promise<void> {
    if (!(await this.snapshots.due(before))) return;
    await this.desk.save();
    await this.snapshots.write({ commands: this.desk.checkpoint, events: await this.taken() }, this.ports.clock.now());
  }

  /** Forgets what no rule needs any more. */
  async prune(): Promise<void> {
    await this.intake.prune();
    await forgetAdmissions(this.ports.aggregates, this.letterbox, this.ports.clock.now());
    await this.ports.aggregates.prune(this.ports.clock.now() - TOMBSTONE_MS);
  }

  /** A room that cannot go on says so, waits a little and takes the same batch again. */
  private again(room: string): (error: unknown) => Promise<void> {
    return (error) => {
      this.ports.logger.error({ err: error, room }, 'cannot go on; trying again');
      return new Promise((resolve) => this.ports.clock.at(this.ports.clock.now() + 1_000, resolve));
    };
  }
}

/** A day longer than event ids are remembered: nothing can ask to schedule the run again by then. */
const TOMBSTONE_MS = 48 * 60 * 60 * 1_000;

const PAGE = 500;

/**
 * Offset of the last command whose transitions are on the log; commands behind it are decided again. Decisions of the intake, which stand
 * among them, are of no command.
 */
async function lastDecided(log: EventLog): Promise<number> {
  const [end] = await log.ends('transitions');
  for (let until = end?.offset ?? 0; end && until > 0; until = Math.max(0, until - PAGE)) {
    const from = Math.max(0, until - PAGE);
    const page = await log.read('transitions', { ...end, offset: from }, until - from);
    const decided = page.findLast(({ body }) => (body as Partial<PlacedTransition> | undefined)?.command !== undefined);
    if (decided) return (decided.body as PlacedTransition).command.offset;
  }
  return -1;
}
