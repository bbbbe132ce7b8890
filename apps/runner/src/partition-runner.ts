import type { Admission } from '#core/admission/admission.js';
import type { Run } from '#core/run/run.state.js';
import type { PlacedTransition } from '#core/run/run.transitions.js';
import type { EpochMs, Position } from '#core/words.js';
import type { AggregateStore } from '#ports/aggregate-store.port.js';
import type { Catalog } from '#ports/catalog.port.js';
import type { Clock } from '#ports/clock.port.js';
import type { EventLog, Subscription } from '#ports/event-log.port.js';
import type { Answers, Letterbox } from '#ports/letterbox.port.js';
import type { Logger } from '#ports/logger.port.js';
import type { Metrics } from '#ports/metrics.port.js';
import type { PauseIndex } from '#ports/pause-index.port.js';
import type { RunViews } from '#ports/run-views.port.js';
import type { SeenEvents } from '#ports/seen-events.port.js';
import type { Tracing } from '#ports/tracing.port.js';
import type { WorkQueue } from '#ports/work-queue.port.js';
import { Alarms, type Alarm } from './clock/alarms.js';
import { Crons } from './clock/crons.js';
import { Limits } from './clock/limits.js';
import { Timers } from './clock/timers.js';
import { Desk, DESK } from './desk/desk.js';
import { DeskWatch } from './desk/desk.watch.js';
import { Hands } from './desk/hands.js';
import { ADMISSION, ROOMS } from './desk/rooms.js';
import { ORIGINS, roomOf } from './desk/rules.js';
import { Scribe } from './desk/scribe.js';
import { Intake } from './intake/intake.js';
import { Changes } from './recovery/changes.js';
import { mustReopen } from './recovery/must.reopen.js';
import { forgetAdmissions } from './recovery/forget-admissions.js';
import { Snapshots, type SnapshotMark } from './recovery/snapshots.js';

export interface RunnerPorts {
  readonly log: EventLog;
  readonly aggregates: AggregateStore;
  readonly seen: SeenEvents;
  readonly queue: WorkQueue;
  readonly pauses: PauseIndex;
  /** Absent: nobody outside this process looks at its runs. */
  readonly views?: RunViews | undefined;
  readonly catalog: Catalog;
  readonly letterbox: Letterbox & Answers;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics?: Metrics;
  readonly tracing?: Tracing;
}

export interface RunnerOptions {
  readonly checkpointMs: number;
  /**
   * How often what has changed is put on the log as it stands, ms: for stores that may be lost while it runs. Absent: only before commands
   * are trimmed.
   */
  readonly snapshotMs?: number | undefined;
  readonly hotMax?: number;
  /** The stores may be lost without a word: each partition is looked after. */
  readonly looksAfterStores?: boolean;
}

const RECENT_MAX = 2_000;
const HOT_MAX = 50_000;
const BATCH_MAX = 500;
const AGAIN_MS = 1_000;
/** The reader under whose name stands how far snapshots reach. */
const SNAPSHOTS = 'snapshots';

/** The owner of one partition: intake, desk, timers and crons, put together and opened in the order that recovery wants. */
export class PartitionRunner {
  private readonly desk: Desk;
  private readonly scribe: Scribe;
  private readonly timers: Timers<Alarm>;
  private readonly crons: Crons;
  private readonly limits: Limits;
  private readonly intake: Intake;
  private readonly snapshots: Snapshots;
  private readonly changes: Changes | undefined;
  private subscriptions: Subscription[] = [];
  private cancelSnapshot: (() => void) | undefined;
  private snapshotting: Promise<void> = Promise.resolve();
  /** Behind this offset of `snapshots` stands what was written since the last snapshot began, which was of the command `of`. */
  private lastSnapshot = { end: 0, of: -1 };
  private closing = false;

  /** @param lost the stores have lost what they held of the partition: it is to be closed, and opened anew */
  constructor(
    readonly partition: number,
    private readonly ports: RunnerPorts,
    private readonly options: RunnerOptions,
    private readonly lost: () => void,
  ) {
    const { log, aggregates, seen, queue, pauses, views, catalog, letterbox, clock, logger } = ports;
    const alarms = new Alarms(
      letterbox,
      catalog,
      clock,
      logger,
      (key) => this.desk.peek(ADMISSION, key) as Promise<Admission | undefined>,
    );
    const isOurs = (key: string) => log.partitionOf('commands', key) === partition;
    this.timers = new Timers(clock, (due) => alarms.ring(due));
    this.scribe = new Scribe(partition, log, clock, logger, lost);
    this.changes = options.snapshotMs === undefined ? undefined : new Changes();
    this.desk = new Desk(
      partition,
      {
        log,
        store: aggregates,
        hands: new Hands({ queue, pauses, views }, this.timers),
        scribe: this.scribe,
        changes: this.changes,
        watch: ports.metrics && ports.tracing && new DeskWatch({ metrics: ports.metrics, tracing: ports.tracing }),
        clock,
        logger,
        lost,
        tell: (ask, answer) => letterbox.tell(ask, answer),
      },
      { checkpointMs: options.checkpointMs, hotMax: options.hotMax ?? HOT_MAX, recentMax: RECENT_MAX },
    );
    this.crons = new Crons(letterbox, catalog, clock, logger, isOurs);
    this.limits = new Limits(letterbox, catalog, aggregates, queue, clock, logger, {
      partition,
      keeps: isOurs,
      save: () => this.desk.save(),
    });
    this.snapshots = new Snapshots(partition, log, aggregates, [...ROOMS.map(({ space }) => space), ORIGINS]);
    this.intake = new Intake(partition, log, seen, pauses, catalog, clock, logger);
  }

  /** An aggregate as it stands: active, or ended a short while ago. */
  run(runId: string): Promise<Run | undefined> {
    return this.desk.peek('run', runId) as Promise<Run | undefined>;
  }

  /** Where the checkpoint stands: commands before it are not needed any more. */
  get checkpoint(): Position {
    return this.desk.checkpoint;
  }

  /** The first command that is not decided. */
  get decided(): Position {
    return this.desk.position;
  }

  /** The first event that intake has not taken. */
  taken(): Promise<Position | undefined> {
    return this.intake.position();
  }

  async open(): Promise<void> {
    const { log, queue, pauses } = this.ports;
    const { partition } = this;
    await this.restoreStores();
    const { next, restored } = await this.desk.recover(await lastDecided(log, partition), await this.reflected());
    await this.limits.open();
    if (restored) {
      await pauses.restored(partition);
      await queue.restored(partition, next.offset);
    }
    const options = { batchMax: BATCH_MAX };
    this.subscriptions.push(
      await log.subscribe('commands', [next], (batch) => this.desk.take(batch), {
        ...options,
        onError: this.again('desk'),
      }),
    );
    await this.limits.resume();
    await this.crons.open();
    const from = (await this.intake.position()) ?? { partition, offset: 0 };
    this.subscriptions.push(
      await log.subscribe('events', [from], (batch) => this.intake.take(batch), {
        ...options,
        onError: this.again('intake'),
      }),
    );
    this.snapshotLater();
  }

  /**
   * Stops taking records, then writes the last checkpoint: the next start folds nothing twice.
   * @param how `left`: nothing is written any more
   */
  async close(how: 'saved' | 'left' = 'saved'): Promise<void> {
    this.closing = true;
    this.desk.stop();
    this.crons.close();
    this.limits.close();
    this.cancelSnapshot?.();
    for (const subscription of this.subscriptions.reverse()) await subscription.close();
    await this.snapshotting;
    this.timers.close();
    await this.desk.close(how);
  }

  /** Whether the queue and the pauses still hold what was put out. @throws state_unavailable */
  async isIntact(): Promise<boolean> {
    const { queue, pauses } = this.ports;
    const reflected = await queue.reflects(this.partition);
    return reflected !== undefined && (await pauses.intact(this.partition));
  }

  /** Before commands older than `before` are trimmed: what they made is put on the log as it stands. */
  async snapshot(before: EpochMs): Promise<void> {
    if (!(await this.snapshots.due(before))) return;
    await this.desk.atCheckpoint(async () => this.snapshots.write(await this.mark(), this.ports.clock.now()));
  }

  /** Forgets what no rule needs any more. */
  async prune(): Promise<void> {
    const { aggregates, letterbox, clock } = this.ports;
    await this.intake.prune();
    await forgetAdmissions(aggregates, this.partition, letterbox, clock.now());
    await aggregates.prune(this.partition, clock.now() - TOMBSTONE_MS);
  }

  /** Stores that have nothing of this partition get what the log has. */
  private async restoreStores(): Promise<void> {
    const { aggregates, seen, clock, queue, log } = this.ports;
    const { partition } = this;
    this.lastSnapshot = { end: await this.snapshots.end(), of: -1 };
    // All that stands there is asked first: until then the store goes by what it was seen to hold, and takes nothing where that is lost.
    const position = await aggregates.position(DESK, partition);
    const snapshotted = await aggregates.position(SNAPSHOTS, partition);
    const mark = position ? undefined : await this.snapshots.restore(DESK, clock.now());
    if (!(await seen.position(partition)) && mark?.events) await this.intake.remember(mark.events);
    // A queue that stands behind what is folded cannot be brought up to it.
    const reflected = position && (await queue.reflects(partition));
    if (reflected !== undefined && position && reflected < position.offset) await queue.clear();
    if (!this.changes) return;
    await noteKeys(log, mark?.commands ?? snapshotted ?? { partition, offset: 0 }, this.changes);
  }

  /** What the queue reflects, where the pauses are all there as well. */
  private async reflected(): Promise<number | undefined> {
    const { queue, pauses } = this.ports;
    const [reflected, isIntact] = await Promise.all([
      queue.reflects(this.partition),
      // Also where it does not matter: what is put in from now on counts from here.
      pauses.intact(this.partition),
    ]);
    return isIntact ? reflected : undefined;
  }

  /** Read in this order, so that no event is left out whose commands are not reflected. */
  private async mark(): Promise<SnapshotMark> {
    return { commands: this.desk.checkpoint, events: await this.taken() };
  }

  private snapshotLater(): void {
    const { snapshotMs } = this.options;
    const { clock, logger } = this.ports;
    if (snapshotMs === undefined || this.closing) return;
    this.cancelSnapshot = clock.at(clock.now() + snapshotMs, () => {
      this.snapshotting = this.snapshotChanged()
        .catch((error: unknown) => {
          if (mustReopen(error) && !this.closing) this.lost();
          logger.warn({ err: error, partition: this.partition }, 'snapshot failed; tried again');
        })
        .then(() => this.snapshotLater());
    });
  }

  private async snapshotChanged(): Promise<void> {
    const { changes } = this;
    if (changes) await this.desk.atCheckpoint(() => this.writeSnapshot(changes));
  }

  private async writeSnapshot(changes: Changes): Promise<void> {
    const { aggregates, clock } = this.ports;
    const changed = changes.take();
    try {
      const mark = await this.mark();
      const before = await aggregates.position(SNAPSHOTS, this.partition);
      const end = await this.snapshots.end();
      const strange = await this.snapshots.strange(this.lastSnapshot.end, this.lastSnapshot.of);
      if (before?.offset === mark.commands.offset && changed.length === 0 && strange.length === 0) return;
      const origins = { space: ORIGINS, id: ORIGINS, isNew: false };
      // The last of a key counts, and what is written by others is no news.
      const all = new Map([...changed, ...strange, origins].map((one) => [`${one.space}/${one.id}`, one]));
      await this.snapshots.writeChanged([...all.values()], mark, clock.now());
      this.lastSnapshot = { end, of: mark.commands.offset };
      await aggregates.commit(SNAPSHOTS, mark.commands, {}, clock.now());
    } catch (error) {
      changes.giveBack(changed);
      throw error;
    }
  }

  /** A room that cannot go on says so, waits a little and takes the same batch again. */
  private again(room: string): (error: unknown) => Promise<void> {
    return async (error) => {
      const { clock, logger } = this.ports;
      if (this.closing) return;
      if (mustReopen(error)) this.lost();
      logger.error({ err: error, room, partition: this.partition }, 'cannot go on; trying again');
      await new Promise<void>((resolve) => clock.at(clock.now() + AGAIN_MS, resolve));
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
async function lastDecided(log: EventLog, partition: number): Promise<number> {
  const end = (await log.ends('transitions'))[partition];
  for (let until = end?.offset ?? 0; end && until > 0; until = Math.max(0, until - PAGE)) {
    const from = Math.max(0, until - PAGE);
    const decided = await lastDecidedIn(log, { ...end, offset: from }, until);
    if (decided !== undefined) return decided;
  }
  return -1;
}

/** A page may be short: large records make it so. */
async function lastDecidedIn(log: EventLog, start: Position, until: number): Promise<number | undefined> {
  let last: number | undefined;
  for (let from = start; from.offset < until;) {
    const page = await log.read('transitions', from, until - from.offset);
    const end = page.at(-1);
    if (!end) break;
    for (const { body } of page) last = (body as Partial<PlacedTransition> | undefined)?.command?.offset ?? last;
    from = { ...start, offset: end.position.offset + 1 };
  }
  return last;
}

/** Aggregates that commands since a position were for: each may have changed, and may be in a snapshot. */
async function noteKeys(log: EventLog, since: Position, changes: Changes): Promise<void> {
  let from = since;
  for (;;) {
    const page = await log.read('commands', from, PAGE);
    const last = page.at(-1);
    if (!last) return;
    for (const { key, type } of page) {
      const room = roomOf(type);
      if (room) changes.note(room.space, key, { isNew: false, isOver: false });
    }
    from = { ...last.position, offset: last.position.offset + 1 };
  }
}
