import { Fault } from '#core/faults.js';
import type { EpochMs, Position } from '#core/words.js';
import type { Clock } from '#ports/clock.port.js';
import type { EventLog, PlacedRecord, Subscription } from '#ports/event-log.port.js';
import { NO_ROWS, type History } from '#ports/history.port.js';
import { HISTORY_WANTED, HistoryGate } from '#ports/history-gate.port.js';
import type { Logger } from '#ports/logger.port.js';
import type { Owner, Ownership } from '#ports/ownership.port.js';
import type { Wire } from '#ports/wire.port.js';
import { appendPiecewise } from './append.piecewise.js';
import { Bell } from './bell.js';
import { deadLetter, Gathered, PROJECTED, type ProjectedTopic } from './gathered.js';
import { Reached } from './reached.js';
import { RunBook, type RunRows } from './run-book.js';

export interface ProjectorOptions {
  /** Starts once so many records were appended since it was opened, or with the first question; 0: at once. Until then History is not touched. */
  readonly startWhen: number;
  /** Rows are handed over when so many records have gathered, */
  readonly recordsMax: number;
  /** or so many characters of them, */
  readonly charsMax: number;
  /** or after so long, or as soon as somebody asks. */
  readonly lingerMs: number;
  /** Rows of active runs that are kept in memory. */
  readonly runsMax: number;
  /** So often it is looked whether History still has what it had, while nothing is handed over. Absent: nobody else can take it away. */
  readonly checkMs: number | undefined;
}

const DEFAULTS: ProjectorOptions = {
  startWhen: 1,
  recordsMax: 5_000,
  charsMax: 16 * 1024 * 1024,
  lingerMs: 2_000,
  runsMax: 20_000,
  checkMs: undefined,
};

/** Records are made to rows in portions that leave others their turn. */
const PORTION = 200;
/** What others see of History is not asked for more often than so. */
const SURE_MS = 1_000;
const BACKOFF_MS = 250;
const BACKOFF_MAX_MS = 30_000;

/** How far History is behind the log. */
export interface Lag {
  readonly records: number;
  /** Since the oldest record that History does not have was appended. */
  readonly ms: number;
}

/** How far History is behind a partition. */
export interface Behind {
  readonly topic: ProjectedTopic;
  /** The first position that it does not have. */
  readonly from: Position;
  readonly records: number;
}

interface Waiting {
  /** Where the log ended when it was asked. */
  readonly ends: Ends;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

type Ends = ReadonlyMap<ProjectedTopic, readonly Position[]>;

/** A partition of both topics that is brought into History here, or all of them. */
interface Line {
  /** Undefined: all that there are. */
  readonly partition: number | undefined;
  readonly subscriptions: Subscription[];
  state: 'wanted' | 'followed' | 'given';
  /** For who gives it: resolved when History has what was read of it, or cannot take it now. */
  readonly left: PromiseWithResolvers<void>;
  isLeft: boolean;
}

/** It is being closed: not an error of anybody. */
class Closed extends Error {}

/**
 * Brings `events` and `transitions` into History, each partition in order, the rows of all of them in one batch; waits for as long as
 * History cannot be written, and the log goes on meanwhile. The positions are kept by History, behind the rows: after a crash some rows are
 * added again, to no effect. So two that have one partition for a moment do no harm either.
 *
 * History may be emptied or put back to an older copy at any time: where it stands before what was handed over, all begins again from where it
 * stands.
 */
export class Projector extends HistoryGate implements Owner {
  private readonly options: ProjectorOptions;
  private readonly book: RunBook;
  private readonly bell = new Bell();
  private readonly reached = new Reached();
  /** What History said that it has, or took: it is there for good, unless it was lost. */
  private readonly held = new Reached();
  private readonly endsAtOpen = new Reached();
  /** By partition; `undefined` is the one of all. */
  private readonly lines = new Map<number | undefined, Line>();
  /** Given away; something that was read of them may still be on its way to History. */
  private readonly leaving = new Set<Line>();
  private gathered = new Gathered();
  /** What is being handed over. */
  private writing: Gathered | undefined;
  private waiting: Waiting[] = [];
  private watches: Subscription[] = [];
  private running: Promise<void> | undefined;
  private ended = false;
  private broken: Fault | undefined;
  private closing = false;
  private ownership: Ownership | undefined;
  private urged: Promise<void> | undefined;
  /** It is to be looked whether History still has what it had. */
  private inDoubt = false;
  private sureAt = -Infinity;
  private unlisten: (() => void) | undefined;

  /** @param wire others say on it that they wait for History */
  constructor(
    private readonly log: EventLog,
    private readonly history: History,
    private readonly clock: Clock,
    private readonly logger: Logger,
    options: Partial<ProjectorOptions> = {},
    private readonly wire?: Wire,
  ) {
    super();
    this.options = { ...DEFAULTS, ...options };
    this.book = new RunBook(history, this.options.runsMax);
  }

  /**
   * Looks out for records; does not touch History yet.
   * @param ownership shares the partitions out among several projectors; absent: all are brought on by this one
   */
  async open(ownership?: Ownership): Promise<void> {
    if (!ownership) this.lines.set(undefined, lineOf(undefined));
    this.unlisten = await this.wire?.listen(HISTORY_WANTED, () => this.urge());
    this.ownership = ownership;
    if (ownership) return ownership.open(this);
    const { startWhen } = this.options;
    const ends = await this.ends();
    for (const [topic, positions] of ends) for (const end of positions) this.endsAtOpen.set(topic, end);
    if (startWhen <= 0) return this.wake();
    let appended = 0;
    for (const [topic, positions] of ends) {
      if (this.running) return;
      const watch = await this.log.subscribe(topic, positions, (batch) => {
        appended += batch.length;
        if (appended >= startWhen) this.wake();
      });
      this.watches.push(watch);
    }
  }

  /** Starts it, if it has not started. */
  wake(): void {
    if (this.running || this.closing) return;
    this.running = this.run()
      .catch((error: unknown) => {
        if (error instanceof Closed) return;
        this.broken = unavailable(error);
        this.logger.error({ err: error }, 'History is not kept up any more');
        this.refuse(this.broken);
      })
      .finally(() => {
        this.ended = true;
        this.excuse();
      });
  }

  /** Brings a partition on from now on, from where History stands: with some patience where that cannot be asked. */
  take(partition: number): Promise<void> {
    if (this.broken) return Promise.reject(this.broken);
    if (!this.lines.has(partition)) this.lines.set(partition, lineOf(partition));
    this.wake();
    this.bell.ring();
    return Promise.resolve();
  }

  /** Reads no more of a partition; resolves when History has what was read of it, or cannot take it now. */
  async give(partition: number): Promise<void> {
    const line = this.lines.get(partition);
    if (!line) return;
    this.lines.delete(partition);
    line.state = 'given';
    this.leaving.add(line);
    this.bell.ring();
    await Promise.all(line.subscriptions.map((subscription) => subscription.close()));
    if (this.ended || !this.running) this.excuse();
    await line.left.promise;
  }

  /** Of the partitions that are brought on here. */
  override async caughtUp(): Promise<void> {
    this.wake();
    let ends: Ends;
    try {
      ends = await this.ends();
    } catch (error) {
      throw unavailable(error);
    }
    if (this.closing) throw unavailable(new Closed('the projector is closed'));
    if (this.broken) throw this.broken;
    return new Promise((resolve, reject) => {
      this.waiting.push({ ends, resolve, reject });
      this.bell.ring();
    });
  }

  /** The first position of a partition that is not in History; undefined while that is not known. */
  position(topic: ProjectedTopic, partition: number): Position | undefined {
    return this.reached.get(topic, partition);
  }

  /** Of the partitions that are brought on here. While it has not started: counted from when it was opened. */
  async lag(): Promise<Lag> {
    const behind = await this.behind();
    const now = this.clock.now();
    const oldest = await Promise.all(
      behind
        .filter(({ records }) => records > 0)
        .map(async ({ topic, from }) => {
          const known = [this.writing, this.gathered].map((some) => some?.stretch(topic, from.partition)?.oldestAt);
          return known.find((at) => at !== undefined) ?? (await this.log.read(topic, from, 1))[0]?.at ?? now;
        }),
    );
    const records = behind.reduce((sum, one) => sum + one.records, 0);
    return { records, ms: oldest.reduce((most, at) => Math.max(most, now - at), 0) };
  }

  /** By partition, and from where. Neither this nor `lag` touches History. */
  async behind(): Promise<readonly Behind[]> {
    return [...(await this.ends())].flatMap(([topic, positions]) =>
      positions.map(({ partition, offset }): Behind => {
        const from = this.reached.get(topic, partition) ?? this.endsAtOpen.from(topic, partition);
        return { topic, from, records: Math.max(0, offset - from.offset) };
      }),
    );
  }

  /** It has given up for good: History is not kept up any more. */
  get hasGivenUp(): boolean {
    return this.broken !== undefined;
  }

  /** Hands over what it has read and stops. What it does not get rid of is read again another time. */
  async close(): Promise<void> {
    this.unlisten?.();
    await this.ownership?.close();
    this.closing = true;
    this.bell.ring();
    await this.running;
    const subscriptions = [...this.lines.values()].flatMap((line) => line.subscriptions);
    await Promise.all([...this.watches, ...subscriptions].map((subscription) => subscription.close()));
    this.refuse(unavailable(new Closed('the projector is closed')));
  }

  private async run(): Promise<void> {
    const watches = this.watches;
    this.watches = [];
    // Not awaited: it may be a watch that woke us.
    const watchesClosed = Promise.all(watches.map((watch) => watch.close()));
    await watchesClosed;
    while (!this.closing || this.gathered.records > 0)
      await this.turn().catch((error: unknown) => this.beginAgain(error));
  }

  /** Does what there is to do, and waits for something new where that is nothing. */
  private async turn(): Promise<void> {
    // Taken before the look around, so that what changes meanwhile is not missed.
    const changed = this.bell.heard();
    if (this.gathered.records > 0) await this.flush();
    this.leave();
    await this.follow();
    if (this.gathered.records > 0) return;
    if (this.inDoubt) await this.standing();
    await this.answerWhereNothingIsLeft();
    if (!this.closing) await this.idle(changed);
  }

  private async idle(changed: Promise<void>): Promise<void> {
    const { checkMs } = this.options;
    if (checkMs === undefined) return changed;
    const forget = this.clock.at(this.clock.now() + checkMs, () => this.doubt());
    await changed;
    forget();
  }

  private sure(): void {
    this.inDoubt = false;
    this.sureAt = this.clock.now();
  }

  private doubt(): void {
    this.inDoubt = true;
    this.bell.ring();
  }

  /** What was read and is known goes, and all partitions are read again from where History stands now. @throws any other error */
  private async beginAgain(error: unknown): Promise<void> {
    if (!isLost(error)) throw error;
    this.logger.warn({ err: error }, 'History has lost what it held; it is brought in again from the log');
    const lines = [...this.lines.values()];
    for (const line of lines) {
      this.lines.set(line.partition, lineOf(line.partition));
      line.state = 'given';
    }
    this.bell.ring();
    await Promise.all(lines.flatMap(({ subscriptions }) => subscriptions.map((subscription) => subscription.close())));
    this.gathered = new Gathered();
    this.writing = undefined;
    this.book.clear();
    this.reached.clear();
    this.held.clear();
  }

  /** Where History stands. @throws state_lost where it has not what it had */
  private async standing(): Promise<ReadonlyMap<ProjectedTopic, readonly Position[]>> {
    const standing = new Map<ProjectedTopic, readonly Position[]>();
    for (const topic of PROJECTED) {
      const positions = await this.trying(() => this.history.positions(topic));
      const lost = this.held.lostBy(topic, positions);
      if (lost) throw new Fault('state_lost', { topic, ...lost });
      standing.set(topic, positions);
    }
    this.sure();
    return standing;
  }

  /** Subscribes to the partitions that are wanted, from where History stands. */
  private async follow(): Promise<void> {
    const left = new Set([...this.leaving].map(({ partition }) => partition));
    const wanted = [...this.lines.values()].filter(
      ({ state, partition }) => state === 'wanted' && !left.has(partition),
    );
    if (wanted.length === 0 || this.closing) return;
    const partitions = new Set(wanted.map(({ partition }) => partition));
    for (const [topic, positions] of await this.standing()) {
      for (const position of positions) {
        if (!partitions.has(position.partition) && !partitions.has(undefined)) continue;
        this.reached.set(topic, position);
        this.held.set(topic, position);
      }
    }
    for (const line of wanted) {
      for (const topic of PROJECTED) if (!this.isOver(line)) await this.subscribe(line, topic);
      if (line.state === 'wanted') line.state = 'followed';
    }
  }

  private async subscribe(line: Line, topic: ProjectedTopic): Promise<void> {
    const subscription = await this.trying(async () => {
      const { partition } = line;
      const partitions =
        partition === undefined ? (await this.log.ends(topic)).map((end) => end.partition) : [partition];
      return this.log.subscribe(
        topic,
        partitions.map((one) => this.reached.from(topic, one)),
        (batch) => this.receive(line, topic, batch),
        {
          batchMax: PORTION,
          onError: async (error) => {
            this.logger.error({ err: error, topic, partition }, 'the log cannot be read; trying again');
            await this.until(() => this.isOver(line), this.clock.now() + BACKOFF_MS);
          },
        },
      );
    });
    line.subscriptions.push(subscription);
    // Given away meanwhile: whoever did that could not know of this one.
    if (line.state === 'given') await subscription.close();
  }

  private async receive(line: Line, topic: ProjectedTopic, batch: readonly PlacedRecord[]): Promise<void> {
    // Looked at once more after each wait: others wait for the same room, and whoever is first takes it at once.
    while (this.isFull() && !this.isOver(line)) await this.bell.heard();
    if (this.isOver(line)) return; // Read again another time, here or elsewhere.
    for (const record of batch) this.gathered.take(topic, record);
    this.bell.ring();
  }

  private isOver(line: Line): boolean {
    return this.closing || line.state === 'given';
  }

  private isFull(): boolean {
    return this.gathered.records >= this.options.recordsMax || this.gathered.chars >= this.options.charsMax;
  }

  /** Whether partitions come or go, which waits for what has gathered to be handed over. */
  private isShifting(): boolean {
    return this.leaving.size > 0 || [...this.lines.values()].some(({ state }) => state === 'wanted');
  }

  /** Forgets the partitions that were given away, once nothing of them is left here: they may be taken again from then on. */
  private leave(): void {
    for (const line of this.leaving) {
      if (this.gathered.isOf(line.partition!)) continue;
      this.leaving.delete(line);
      this.book.forget(line.partition!);
      this.reached.forget(line.partition!);
      this.held.forget(line.partition!);
      letGo(line);
    }
  }

  /** Whoever gives a partition away does not wait for a History that cannot be written: the next owner brings the same. */
  private excuse(): void {
    for (const line of this.leaving) letGo(line);
  }

  private async flush(): Promise<void> {
    await this.until(
      () =>
        this.closing ||
        this.isFull() ||
        this.isShifting() ||
        this.waiting.some((one) => this.hasReached(one, this.gathered)),
      this.clock.now() + this.options.lingerMs,
    );
    const gathered = this.gathered;
    this.gathered = new Gathered();
    this.writing = gathered;
    this.bell.ring();

    if (gathered.unreadable.length > 0) {
      const places = gathered.unreadable.map(({ key }) => key);
      this.logger.error({ places }, 'records set aside: they cannot be read');
      await this.trying(() => this.log.append(gathered.unreadable));
    }
    await this.trying(() => this.book.prepare(gathered.runs));
    const rows = this.book.fold(gathered.runs);
    await this.trying(() => this.append(gathered, rows));

    this.book.settled();
    this.writing = undefined;
    this.sure();
    for (const topic of PROJECTED) {
      for (const next of gathered.next(topic)) {
        this.reached.set(topic, next);
        this.held.set(topic, next);
      }
    }
    this.answer();
  }

  private async append(gathered: Gathered, rows: RunRows): Promise<void> {
    const events = gathered.events.map(({ row }) => row);
    const decisions = gathered.decisions.flatMap((one) => one.rows);
    const next = Object.fromEntries(PROJECTED.map((topic) => [topic, gathered.next(topic)]));
    const held = Object.fromEntries(PROJECTED.map((topic) => [topic, this.held.of(topic)]));
    try {
      await this.history.append({ events, decisions, ...rows }, next, held);
    } catch (error) {
      if (!(error instanceof Fault) || error.code !== 'record_unreadable') throw error;
      const refused = await appendPiecewise(this.history, gathered, rows);
      for (const { record, reason } of refused) {
        this.logger.error(
          { err: reason, topic: record.topic, ...record.position },
          'record set aside: no row can be made of it',
        );
      }
      await this.log.append(refused.map(({ record, reason }) => deadLetter(record, reason)));
      await this.history.append(NO_ROWS, next, held);
    }
  }

  /** Does it again until it works, slower and slower; at once when somebody asks. @throws Closed, position_unknown, state_lost */
  private async trying<T>(does: () => Promise<T>): Promise<T> {
    for (let tries = 0; ; tries++) {
      try {
        const result = await does();
        if (tries > 0) this.logger.info({ tries }, 'History is kept up again');
        return result;
      } catch (error) {
        if (error instanceof Fault && error.code === 'position_unknown') throw error;
        if (isLost(error)) throw error;
        if (tries === 0) this.logger.warn({ err: error }, 'History cannot be kept up; trying again');
        this.refuse(unavailable(error));
        this.excuse();
        const pause = Math.min(BACKOFF_MAX_MS, BACKOFF_MS * 2 ** Math.min(tries, 10));
        const isWanted = () => this.closing || this.waiting.length > 0 || [...this.leaving].some((one) => !one.isLeft);
        await this.until(isWanted, this.clock.now() + pause);
        if (this.closing) throw new Closed('closed before it worked', { cause: error });
      }
    }
  }

  /** Resolves when the condition holds, looked at with each ring, or at the deadline. */
  private async until(condition: () => boolean, deadline: EpochMs): Promise<void> {
    let due = false;
    const forget = this.clock.at(deadline, () => {
      due = true;
      this.bell.ring();
    });
    while (!due && !condition()) await this.bell.heard();
    forget();
  }

  /** Somebody elsewhere waits for History. Who says so again while this goes on is heard again: they repeat it. */
  private urge(): void {
    // They see less than we have handed over: because it is on its way, or because it is gone.
    if (this.clock.now() - this.sureAt >= SURE_MS) this.doubt();
    this.urged ??= this.caughtUp()
      .catch(() => undefined) // They ask History themselves, and it is what they are told.
      .finally(() => (this.urged = undefined));
  }

  /** @param gathered what is handed over next */
  private hasReached({ ends }: Waiting, gathered?: Gathered): boolean {
    for (const [topic, positions] of ends) {
      for (const { partition, offset } of positions) {
        const next = gathered?.stretch(topic, partition)?.next ?? this.reached.from(topic, partition);
        if (offset > next.offset && this.isMine(partition)) return false;
      }
    }
    return true;
  }

  /** Tells those who have waited long enough. */
  private answer(): void {
    const { done = [], rest = [] } = Object.groupBy(this.waiting, (one) => (this.hasReached(one) ? 'done' : 'rest'));
    this.waiting = rest;
    for (const { resolve } of done) resolve();
  }

  /** The log may end in records that nobody can read, or that were let go: there is nothing to wait for then. */
  private async answerWhereNothingIsLeft(): Promise<void> {
    this.answer();
    if (this.waiting.length === 0) return;
    await this.trying(async () => {
      for (const [topic, positions] of await this.ends()) {
        const behind = positions.filter((end) => end.offset > this.reached.from(topic, end.partition).offset);
        await Promise.all(behind.map((end) => this.passWhereNothingIs(topic, end)));
      }
    });
    this.answer();
  }

  private async passWhereNothingIs(topic: ProjectedTopic, end: Position): Promise<void> {
    const from = this.reached.from(topic, end.partition);
    const [next] = await this.log.read(topic, from, 1);
    if (!next && this.isMine(end.partition)) this.reached.set(topic, end);
  }

  private refuse(fault: Fault): void {
    const waiting = this.waiting;
    this.waiting = [];
    for (const { reject } of waiting) reject(fault);
  }

  private isMine(partition: number): boolean {
    return this.lines.has(partition) || this.lines.has(undefined);
  }

  private async ends(): Promise<Ends> {
    const ends = new Map<ProjectedTopic, readonly Position[]>();
    for (const topic of PROJECTED) {
      ends.set(
        topic,
        (await this.log.ends(topic)).filter(({ partition }) => this.isMine(partition)),
      );
    }
    return ends;
  }
}

function lineOf(partition: number | undefined): Line {
  return { partition, subscriptions: [], state: 'wanted', left: Promise.withResolvers(), isLeft: false };
}

function letGo(line: Line): void {
  line.isLeft = true;
  line.left.resolve();
}

function isLost(error: unknown): boolean {
  return error instanceof Fault && error.code === 'state_lost';
}

const ANOTHER_LOG = 'History reflects another log than this one. It can be removed: it is made again from the log.';

function unavailable(error: unknown): Fault {
  if (error instanceof Fault && error.code === 'position_unknown') {
    return new Fault('history_unavailable', error.data, { message: ANOTHER_LOG, cause: error });
  }
  if (error instanceof Fault && error.code === 'history_unavailable') return error;
  return new Fault('history_unavailable', {}, { cause: error });
}
