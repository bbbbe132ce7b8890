import { Fault } from '#core/faults.js';
import type { EpochMs, Position } from '#core/words.js';
import type { Clock } from '#ports/clock.port.js';
import type { EventLog, PlacedRecord, Subscription } from '#ports/event-log.port.js';
import { NO_ROWS, type History } from '#ports/history.port.js';
import { HistoryGate } from '#ports/history-gate.port.js';
import type { Logger } from '#ports/logger.port.js';
import { appendPiecewise } from './append.piecewise.js';
import { Bell } from './bell.js';
import { deadLetter, Gathered, PROJECTED, type ProjectedTopic } from './gathered.js';
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
}

const DEFAULTS: ProjectorOptions = {
  startWhen: 1,
  recordsMax: 5_000,
  charsMax: 16 * 1024 * 1024,
  lingerMs: 2_000,
  runsMax: 20_000,
};

/** Records are made to rows in portions that leave others their turn. */
const PORTION = 200;
const BACKOFF_MS = 250;
const BACKOFF_MAX_MS = 30_000;

/** How far History is behind the log. */
export interface Lag {
  readonly records: number;
  /** Since the oldest record that History does not have was appended. */
  readonly ms: number;
}

interface Waiting {
  /** Where the log ended when it was asked. */
  readonly ends: ReadonlyMap<ProjectedTopic, Position>;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** It is being closed: not an error of anybody. */
class Closed extends Error {}

/**
 * Brings `events` and `transitions` of one partition into History, in order, and waits for as long as History cannot be written; the
 * log goes on meanwhile. The position is kept by History, behind the rows: after a crash some rows are added again, to no effect.
 */
export class Projector extends HistoryGate {
  private readonly options: ProjectorOptions;
  private readonly book: RunBook;
  private readonly bell = new Bell();
  private readonly flushed = new Map<ProjectedTopic, Position>();
  private readonly endsAtOpen = new Map<ProjectedTopic, Position>();
  private gathered = new Gathered();
  /** What is being handed over. */
  private writing: Gathered | undefined;
  private waiting: Waiting[] = [];
  private subscriptions: Subscription[] = [];
  private running: Promise<void> | undefined;
  private broken: Fault | undefined;
  private closing = false;

  constructor(
    private readonly log: EventLog,
    private readonly history: History,
    private readonly clock: Clock,
    private readonly logger: Logger,
    options: Partial<ProjectorOptions> = {},
  ) {
    super();
    this.options = { ...DEFAULTS, ...options };
    this.book = new RunBook(history, this.options.runsMax);
  }

  /** Looks out for records; does not touch History yet. */
  async open(): Promise<void> {
    const { startWhen } = this.options;
    for (const [topic, end] of await this.ends()) this.endsAtOpen.set(topic, end);
    if (startWhen <= 0) return this.wake();
    let appended = 0;
    for (const [topic, end] of this.endsAtOpen) {
      if (this.running) return;
      const watch = await this.log.subscribe(topic, end, (batch) => {
        appended += batch.length;
        if (appended >= startWhen) this.wake();
      });
      this.subscriptions.push(watch);
    }
  }

  /** Starts it, if it has not started. */
  wake(): void {
    if (this.running || this.closing) return;
    this.running = this.run().catch((error: unknown) => {
      if (error instanceof Closed) return;
      this.broken = unavailable(error);
      this.logger.error({ err: error }, 'History is not kept up any more');
      this.refuse(this.broken);
    });
  }

  override async caughtUp(): Promise<void> {
    this.wake();
    const ends = await this.ends();
    if (this.closing) throw unavailable(new Closed('the projector is closed'));
    if (this.broken) throw this.broken;
    return new Promise((resolve, reject) => {
      this.waiting.push({ ends, resolve, reject });
      this.bell.ring();
    });
  }

  /** The first position of the topic that is not in History; undefined while that is not known. */
  position(topic: ProjectedTopic): Position | undefined {
    return this.flushed.get(topic);
  }

  /** While it has not started: counted from when it was opened. */
  async lag(): Promise<Lag> {
    let records = 0;
    let oldestAt = Math.min(this.gathered.oldestAt, this.writing?.oldestAt ?? Infinity);
    for (const [topic, end] of await this.ends()) {
      const from = this.flushed.get(topic) ?? this.endsAtOpen.get(topic);
      const behind = Math.max(0, end.offset - (from?.offset ?? 0));
      records += behind;
      if (behind === 0 || Number.isFinite(oldestAt)) continue;
      const [oldest] = await this.log.read(topic, from, 1);
      if (oldest) oldestAt = oldest.at;
    }
    return { records, ms: records === 0 ? 0 : Math.max(0, this.clock.now() - Math.min(oldestAt, this.clock.now())) };
  }

  /** Hands over what it has read and stops. What it does not get rid of is read again another time. */
  async close(): Promise<void> {
    this.closing = true;
    this.bell.ring();
    await this.running;
    await Promise.all(this.subscriptions.map((subscription) => subscription.close()));
    this.refuse(unavailable(new Closed('the projector is closed')));
  }

  private async run(): Promise<void> {
    const watches = this.subscriptions;
    this.subscriptions = [];
    // Not awaited: it may be a watch that woke us.
    const watchesClosed = Promise.all(watches.map((watch) => watch.close()));
    await this.follow();
    await watchesClosed;
    while (!this.closing || this.gathered.records > 0) {
      // Taken before the look around, so that what changes meanwhile is not missed.
      const changed = this.bell.heard();
      if (this.gathered.records > 0) await this.flush();
      else {
        await this.answerWhereNothingIsLeft();
        await changed;
      }
    }
  }

  /** Subscribes from where History stands. */
  private async follow(): Promise<void> {
    for (const topic of PROJECTED) {
      const position = await this.trying(() => this.history.position(topic));
      if (position) this.flushed.set(topic, position);
    }
    for (const topic of PROJECTED) {
      const subscription = await this.log.subscribe(
        topic,
        this.flushed.get(topic),
        (batch) => this.take(topic, batch),
        {
          batchMax: PORTION,
          onError: async (error) => {
            this.logger.error({ err: error, topic }, 'the log cannot be read; trying again');
            await this.until(() => this.closing, this.clock.now() + BACKOFF_MS);
          },
        },
      );
      this.subscriptions.push(subscription);
    }
  }

  private async take(topic: ProjectedTopic, batch: readonly PlacedRecord[]): Promise<void> {
    await this.until(() => this.closing || !this.isFull());
    if (this.closing) return; // Read again another time.
    this.gathered.take(topic, batch);
    this.bell.ring();
  }

  private isFull(): boolean {
    return this.gathered.records >= this.options.recordsMax || this.gathered.chars >= this.options.charsMax;
  }

  private async flush(): Promise<void> {
    await this.until(
      () => this.closing || this.isFull() || this.waiting.some((one) => this.hasReached(one, this.gathered.next)),
      this.clock.now() + this.options.lingerMs,
    );
    const gathered = this.gathered;
    this.gathered = new Gathered();
    this.writing = gathered;
    this.bell.ring();

    if (gathered.unreadable.length > 0) {
      this.logger.error({ records: gathered.unreadable.length }, 'records set aside: they cannot be read');
      await this.trying(() => this.log.append(gathered.unreadable));
    }
    await this.trying(() => this.book.prepare(gathered.runs));
    const rows = this.book.fold(gathered.runs);
    await this.trying(() => this.append(gathered, rows));

    this.book.settled();
    this.writing = undefined;
    for (const topic of PROJECTED) {
      const next = gathered.next[topic];
      if (next) this.flushed.set(topic, next);
    }
    this.answer();
  }

  private async append(gathered: Gathered, rows: RunRows): Promise<void> {
    const events = gathered.events.map(({ row }) => row);
    const decisions = gathered.decisions.flatMap((one) => one.rows);
    try {
      await this.history.append({ events, decisions, ...rows }, gathered.next);
    } catch (error) {
      if (!(error instanceof Fault) || error.code !== 'record_unreadable') throw error;
      const refused = await appendPiecewise(this.history, gathered, rows);
      for (const { record, reason } of refused) {
        this.logger.error(
          { err: reason, topic: record.topic, offset: record.position.offset },
          'record set aside: no row can be made of it',
        );
      }
      await this.log.append(refused.map(({ record, reason }) => deadLetter(record, reason)));
      await this.history.append(NO_ROWS, gathered.next);
    }
  }

  /** Does it again until it works, slower and slower; at once when somebody asks. @throws Closed */
  private async trying<T>(does: () => Promise<T>): Promise<T> {
    for (let tries = 0; ; tries++) {
      try {
        const result = await does();
        if (tries > 0) this.logger.info({ tries }, 'History is kept up again');
        return result;
      } catch (error) {
        if (tries === 0) this.logger.warn({ err: error }, 'History cannot be kept up; trying again');
        this.refuse(unavailable(error));
        const pause = Math.min(BACKOFF_MAX_MS, BACKOFF_MS * 2 ** Math.min(tries, 10));
        if (!this.closing) await this.until(() => this.closing || this.waiting.length > 0, this.clock.now() + pause);
        if (this.closing) throw new Closed('closed before it worked', { cause: error });
      }
    }
  }

  /** Resolves when the condition holds, looked at with each ring, or at the deadline. */
  private async until(condition: () => boolean, deadline?: EpochMs): Promise<void> {
    let due = false;
    const forget =
      deadline === undefined
        ? undefined
        : this.clock.at(deadline, () => {
            due = true;
            this.bell.ring();
          });
    while (!due && !condition()) await this.bell.heard();
    forget?.();
  }

  /** @param gathered how far the records go that come next */
  private hasReached({ ends }: Waiting, gathered: Gathered['next'] = {}): boolean {
    return [...ends].every(([topic, end]) => end.offset <= ((gathered[topic] ?? this.flushed.get(topic))?.offset ?? 0));
  }

  /** Tells those who have waited long enough. */
  private answer(): void {
    const [done, rest] = [
      this.waiting.filter((one) => this.hasReached(one)),
      this.waiting.filter((one) => !this.hasReached(one)),
    ];
    this.waiting = rest;
    for (const { resolve } of done) resolve();
  }

  /** The log may end in records that nobody can read, or that were let go: there is nothing to wait for then. */
  private async answerWhereNothingIsLeft(): Promise<void> {
    this.answer();
    if (this.waiting.length === 0) return;
    await this.trying(async () => {
      for (const [topic, end] of await this.ends()) {
        const [next] = await this.log.read(topic, this.flushed.get(topic), 1);
        if (!next) this.flushed.set(topic, end);
      }
    });
    this.answer();
  }

  private refuse(fault: Fault): void {
    const waiting = this.waiting;
    this.waiting = [];
    for (const { reject } of waiting) reject(fault);
  }

  private async ends(): Promise<ReadonlyMap<ProjectedTopic, Position>> {
    const ends = new Map<ProjectedTopic, Position>();
    for (const topic of PROJECTED) for (const end of (await this.log.ends(topic)).slice(0, 1)) ends.set(topic, end);
    return ends;
  }
}

const ANOTHER_LOG = 'History reflects another log than this one. It can be removed: it is made again from the log.';

function unavailable(error: unknown): Fault {
  if (error instanceof Fault && error.code === 'position_unknown') {
    return new Fault('history_unavailable', error.data, { message: ANOTHER_LOG, cause: error });
  }
  if (error instanceof Fault && error.code === 'history_unavailable') return error;
  return new Fault('history_unavailable', {}, { cause: error });
}
