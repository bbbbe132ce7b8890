import type { Command } from '#core/effects.js';
import { Fault } from '#core/faults.js';
import type { Placed, Position } from '#core/words.js';
import type { AggregateStore, AggregateWrite } from '#ports/aggregate-store.port.js';
import type { Clock } from '#ports/clock.port.js';
import type { EventLog, LogRecord, PlacedRecord } from '#ports/event-log.port.js';
import type { Answer } from '#ports/letterbox.port.js';
import type { Logger } from '#ports/logger.port.js';
import { deadLetter, recordOfCommand, recordOfDeadLetter, recordOfEvent } from '#ports/records.js';
import type { Hands } from './hands.js';
import type { AnyRoom, Aggregate } from './room.js';

export const DESK = 'desk';

interface Hot {
  readonly room: AnyRoom;
  state: Aggregate | undefined;
  dirty: boolean;
}

export interface DeskOptions {
  /** Longest time between two checkpoints, ms. */
  readonly checkpointMs: number;
  /** Aggregates kept in memory; idle ones beyond go to the store and come back when wanted. */
  readonly hotMax: number;
  /** Ended aggregates that are still shown from memory while History catches up. */
  readonly recentMax: number;
}

/**
 * The one desk of a partition: takes commands in log order, decides, and lets follow what follows. What it acts on is durable and its
 * decisions are deterministic, so a crash at any line means that a command is taken again, to the same end. The position is saved last.
 */
export class Desk {
  private readonly roomOf = new Map<string, AnyRoom>();
  private readonly hot = new Map<string, Hot>();
  private readonly recent = new Map<string, Aggregate>();
  private readonly asked = new Map<string, (answer: Answer) => void>();
  private next: Position = { partition: 0, offset: 0 };
  private savedAt = 0;
  private saved: Position = this.next;
  private alarm: (() => void) | undefined;
  private saving: Promise<void> = Promise.resolve();
  private live = false;
  private closing = false;
  private folding = false;
  /** A checkpoint that waits for the batch that is being taken. */
  private wanted: PromiseWithResolvers<void> | undefined;
  /** Decided, and not yet durable on the log. */
  private unsettled: LogRecord[] = [];

  constructor(
    private readonly rooms: readonly AnyRoom[],
    private readonly log: EventLog,
    private readonly store: AggregateStore,
    private readonly hands: Hands,
    private readonly clock: Clock,
    private readonly logger: Logger,
    private readonly options: DeskOptions,
  ) {
    for (const room of rooms) for (const type of room.commands) this.roomOf.set(type, room);
  }

  /** Registers interest in a decision before its command is appended. */
  expect(ask: string, tell: (answer: Answer) => void): () => void {
    this.asked.set(ask, tell);
    return () => this.asked.delete(ask);
  }

  /** An aggregate as it stands: active, or ended a short while ago. */
  async peek(space: string, id: string): Promise<Aggregate | undefined> {
    const hot = this.hot.get(id);
    // What is over and has been written is only a tombstone that a late command has brought back.
    const isTombstone = hot?.state && hot.room.isOver(hot.state) && !hot.dirty;
    if (hot?.room.space === space && hot.state && !isTombstone) return hot.state;
    const recent = this.recent.get(id);
    if (recent) return recent;
    const stored = await this.store.load(space, id);
    return stored?.state ? (JSON.parse(stored.state) as Aggregate) : undefined;
  }

  /** How many aggregates are in memory. */
  get hotCount(): number {
    return this.hot.size;
  }

  /** Where the checkpoint stands: commands before it are not needed any more. */
  get checkpoint(): Position {
    return this.saved;
  }

  /**
   * Folds what was decided before, up to the end of the log at this moment, then puts out everything that is owed. Effects of commands
   * that were decided but whose transitions may not be on the log are appended again.
   * @returns the position to go on from
   */
  async recover(transitionsUpTo: number): Promise<Position> {
    const from = await this.store.position(DESK);
    if (from) this.next = this.saved = from;
    const [end] = await this.log.ends('commands');
    while (end && this.next.offset < end.offset) {
      const page = await this.log.read('commands', this.next, 1_000);
      if (page.length === 0) break;
      await this.fold(page, transitionsUpTo);
    }
    await this.save();
    let restored = 0;
    for (const room of this.rooms) {
      for await (const { id, state } of this.store.active(room.space)) {
        if (state === null) continue;
        const aggregate = JSON.parse(state) as Aggregate;
        restored++;
        if (this.hot.size < this.options.hotMax) this.hot.set(id, { room, state: aggregate, dirty: false });
        this.hands.settle(room, id, aggregate, [], room.owed(aggregate));
      }
      await this.hands.flush();
    }
    this.live = true;
    this.logger.debug({ restored, position: this.next.offset }, 'desk recovered');
    return this.next;
  }

  /** Takes a batch of commands. What is owed goes out at once; returns when the transitions are durable too. */
  async take(batch: readonly PlacedRecord[]): Promise<void> {
    this.folding = true;
    try {
      await this.fold(batch, -1);
    } finally {
      this.folding = false;
    }
    const { wanted } = this;
    this.wanted = undefined;
    if (wanted || this.hot.size > 2 * this.options.hotMax) {
      const saved = this.save();
      void saved.then(wanted?.resolve, wanted?.reject);
      await saved;
    }
    this.alarm ??= this.clock.at(this.savedAt + this.options.checkpointMs, () => void this.checkpointSoon());
  }

  private async fold(batch: readonly PlacedRecord[], transitionsUpTo: number): Promise<void> {
    // Everything that may fail for want of a store comes first: from here on nothing of the batch is left half decided.
    for (const { key, type } of batch) {
      const room = this.roomOf.get(type);
      if (room && !this.hot.has(key)) await this.fetch(room, key);
    }
    const answers: (() => void)[] = [];
    for (const record of batch) {
      const quiet = record.position.offset <= transitionsUpTo;
      try {
        const records = this.one(record as Placed<PlacedRecord<Command>>, answers);
        if (!quiet) this.unsettled.push(...records);
      } catch (error) {
        if (!quiet)
          this.unsettled.push(recordOfDeadLetter(deadLetter(record, 'desk', error), record.env, this.clock.now()));
        this.logger.error(
          { err: error, key: record.key, type: record.type, offset: record.position.offset },
          'command set aside: it cannot be folded',
        );
      }
      this.next = { partition: record.position.partition, offset: record.position.offset + 1 };
    }
    if (this.live) await this.hands.flush();
    // The commands are durable and deciding them again says the same: who asked need not wait for the transitions.
    for (const answer of answers) answer();
    await this.settleAll();
  }

  /** Decides one command. State moves last, so a command that fails anywhere leaves nothing behind. @returns what goes to the log */
  private one(record: PlacedRecord<Command>, answers: (() => void)[]): readonly LogRecord[] {
    const { body: command, key } = record;
    const room = this.roomOf.get(record.type);
    const entry = this.hot.get(key);
    if (!room || !command || !entry || entry.room !== room) {
      throw new Fault('record_unreadable', { type: record.type, schema: record.schema });
    }
    const before = entry.state;
    const decision = room.decide(before, command, record.position);
    this.answer(command, decision, answers);
    if (decision.transitions.length === 0) return [];

    const followUps = room
      .effects(before, decision, command)
      .map((effect) =>
        effect.kind === 'event' ? recordOfEvent(effect.event) : recordOfCommand(effect.key, effect.command),
      );
    const transitions = decision.transitions.map((transition, index): LogRecord => ({
      topic: 'transitions',
      key,
      type: transition.type,
      schema: 1,
      env: record.env,
      at: transition.at,
      body: { runId: key, command: record.position, index, transition: room.publish(transition) },
      ...(record.trace === undefined ? {} : { trace: record.trace }),
    }));
    const [owedBefore, owedAfter] = [room.owed(before), room.owed(decision.next)];
    if (this.live) this.hands.settle(room, key, decision.next ?? before, owedBefore, owedAfter);
    entry.state = decision.next;
    entry.dirty = true;
    return [...followUps, ...transitions];
  }

  private answer({ ask }: Command, decision: ReturnType<AnyRoom['decide']>, answers: (() => void)[]): void {
    const tell = ask === undefined ? undefined : this.asked.get(ask);
    if (ask === undefined || !tell) return;
    this.asked.delete(ask);
    const transitions = decision.transitions as Answer['transitions'];
    answers.push(() => tell({ transitions, ...(decision.ignored === undefined ? {} : { ignored: decision.ignored }) }));
  }

  private async fetch(room: AnyRoom, id: string): Promise<Hot> {
    const stored = await this.store.load(room.space, id);
    const state =
      stored === undefined
        ? undefined
        : stored.state === null
          ? room.tombstone(id)
          : (JSON.parse(stored.state) as Aggregate);
    const entry: Hot = { room, state, dirty: false };
    this.hot.set(id, entry);
    return entry;
  }

  /** What has been decided must reach the log: while it cannot be written, nothing more is decided. */
  private async settleAll(): Promise<void> {
    for (let tries = 0; this.unsettled.length > 0; tries++) {
      const records = this.unsettled;
      try {
        await this.log.append(records);
        this.unsettled = [];
      } catch (error) {
        if (!(error instanceof Fault) || error.code !== 'log_unavailable') throw error;
        if (tries === 0)
          this.logger.error({ err: error, records: records.length }, 'the log cannot be written; waiting');
        if (this.closing) throw error;
        await new Promise<void>((resolve) =>
          this.clock.at(this.clock.now() + Math.min(5_000, 50 * 2 ** tries), resolve),
        );
      }
    }
  }

  private async checkpointSoon(): Promise<void> {
    this.alarm = undefined;
    try {
      await this.save();
    } catch (error) {
      this.logger.error({ err: error }, 'checkpoint failed; it is tried again with the next commands');
    }
  }

  /** Writes what changed since the last checkpoint, with the position it reflects: between two batches, when all of it is settled. */
  save(): Promise<void> {
    if (this.folding) return (this.wanted ??= Promise.withResolvers<void>()).promise;
    this.saving = this.saving.then(
      () => this.writeCheckpoint(),
      () => this.writeCheckpoint(),
    );
    return this.saving;
  }

  private async writeCheckpoint(): Promise<void> {
    const next = this.next;
    this.savedAt = this.clock.now();
    if (next.offset === this.saved.offset || this.unsettled.length > 0) return;
    const writes: Record<string, AggregateWrite[]> = {};
    const written: [string, Hot, Aggregate | undefined][] = [];
    for (const [id, entry] of this.hot) {
      if (!entry.dirty) continue;
      const over = entry.state === undefined || entry.room.isOver(entry.state);
      (writes[entry.room.space] ??= []).push({ id, state: over ? null : JSON.stringify(entry.state) });
      written.push([id, entry, entry.state]);
    }
    await this.store.commit(DESK, next, writes, this.savedAt);
    this.saved = next;
    for (const [id, entry, state] of written) {
      if (entry.state !== state) continue; // Changed meanwhile: it goes with the next checkpoint.
      entry.dirty = false;
      if (state === undefined || entry.room.isOver(state)) {
        this.hot.delete(id);
        if (state !== undefined) this.remember(id, state);
      }
    }
    this.evict();
  }

  private remember(id: string, state: Aggregate): void {
    this.recent.set(id, state);
    if (this.recent.size <= this.options.recentMax) return;
    for (const oldest of this.recent.keys()) {
      this.recent.delete(oldest);
      if (this.recent.size <= this.options.recentMax) return;
    }
  }

  private evict(): void {
    let surplus = this.hot.size - this.options.hotMax;
    if (surplus <= 0) return;
    for (const [id, entry] of this.hot) {
      if (entry.dirty) continue;
      this.hot.delete(id);
      if (--surplus <= 0) return;
    }
  }

  /** A desk that is closing does not wait for a log that cannot be written. */
  stop(): void {
    this.closing = true;
  }

  async close(): Promise<void> {
    this.alarm?.();
    // What is decided but not on the log is decided again at the next start: the checkpoint must not step over it.
    if (this.unsettled.length === 0) await this.save();
  }
}
