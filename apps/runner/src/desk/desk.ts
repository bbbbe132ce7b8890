import type { Command } from '#core/effects.js';
import { Fault } from '#core/faults.js';
import type { Origins } from '#core/origin.js';
import { cancelWatchId } from '#core/run/run.owed.js';
import type { Run } from '#core/run/run.state.js';
import type { Placed, Position } from '#core/words.js';
import type { AggregateStore, AggregateWrite } from '#ports/aggregate-store.port.js';
import type { Clock } from '#ports/clock.port.js';
import type { EventLog, LogRecord, PlacedRecord } from '#ports/event-log.port.js';
import type { Answer } from '#ports/letterbox.port.js';
import type { Logger } from '#ports/logger.port.js';
import { deadLetter, recordOfCommand, recordOfDeadLetter, recordOfEvent } from '#ports/records.js';
import type { Changes } from '../recovery/changes.js';
import { mustReopen } from '../recovery/must.reopen.js';
import { aboutCommand, type DeskWatch } from './desk.watch.js';
import type { Hands } from './hands.js';
import type { Aggregate, AnyRoom, RoomDecision } from './room.js';
import { ROOMS } from './rooms.js';
import { isOver, ORIGINS, roomOf, rule } from './rules.js';
import type { Scribe, Written } from './scribe.js';

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

export interface DeskParts {
  readonly log: EventLog;
  readonly store: AggregateStore;
  readonly hands: Hands;
  readonly scribe: Scribe;
  /** Absent: nobody takes snapshots of what changes. */
  readonly changes?: Changes | undefined;
  readonly watch?: DeskWatch | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The stores have lost what they held: the partition is to be opened anew. */
  readonly lost: () => void;
  /** Whoever asked is told what became of his command. */
  readonly tell: (ask: string, answer: Answer) => void;
}

export interface Recovered {
  readonly next: Position;
  readonly restored: boolean;
}

/** So many records may be on their way to the log before the desk waits for them. */
const BEHIND_MAX = 5_000;
const AGAIN_MS = 50;
const AGAIN_MS_MAX = 2_000;
/** Commands that make room elsewhere. */
const FREES: ReadonlySet<string> = new Set<Command['type']>(['ReleaseSingleton']);

/**
 * The one desk of a partition: takes commands in log order, decides, and lets follow what follows. What it acts on is durable and its
 * decisions are deterministic, so a crash at any line means that a command is taken again, to the same end. The position is saved last.
 */
export class Desk {
  private readonly hot = new Map<string, Hot>();
  private readonly recent = new Map<string, Aggregate>();
  private origins: Origins = {};
  private originsDirty = false;
  private next: Position;
  private savedAt = 0;
  private saved: Position;
  private alarm: (() => void) | undefined;
  private saving: Promise<void> = Promise.resolve();
  /** The first command whose effects the queue does not reflect; undefined while effects are left to a restoration. */
  private reflected: number | undefined;
  private closing = false;
  private folding = false;
  /** Resolves when the batch that is being taken has been taken. */
  private folded: Promise<void> = Promise.resolve();
  /** A checkpoint that waits for the batch that is being taken. */
  private wanted: PromiseWithResolvers<void> | undefined;

  constructor(
    private readonly partition: number,
    private readonly parts: DeskParts,
    private readonly options: DeskOptions,
  ) {
    this.next = this.saved = { partition, offset: 0 };
  }

  /** An aggregate as it stands: active, or ended a short while ago. */
  async peek(space: string, id: string): Promise<Aggregate | undefined> {
    const hot = this.hot.get(id);
    // What is over and has been written is only a tombstone that a late command has brought back.
    const isTombstone = hot?.state && hot.room.isOver(hot.state) && !hot.dirty;
    if (hot?.room.space === space && hot.state && !isTombstone) return hot.state;
    const recent = this.recent.get(id);
    if (recent) return recent;
    const stored = await this.parts.store.load({ space, partition: this.partition }, id);
    return stored?.state ? (JSON.parse(stored.state) as Aggregate) : undefined;
  }

  /** How many aggregates are in memory. */
  get hotCount(): number {
    return this.hot.size;
  }

  /** The first command that is not decided. */
  get position(): Position {
    return this.next;
  }

  /** Where the checkpoint stands: commands before it are not needed any more. */
  get checkpoint(): Position {
    return this.saved;
  }

  /**
   * Folds what was decided before, up to the end of the log at this moment. Records of commands that were decided but whose transitions may
   * not be on the log are appended again. What a queue that has outlived its owner does not reflect yet is brought to it; where it has
   * lost what it held, everything that is owed is put out.
   * @param reflected the first command that the queue does not reflect; undefined: it knows nothing
   * @returns the position to go on from, and whether everything was put out
   */
  async recover(transitionsUpTo: number, reflected: number | undefined): Promise<Recovered> {
    const { log, store, logger } = this.parts;
    const { partition } = this;
    const from = await store.position(DESK, partition);
    if (from) this.next = this.saved = from;
    const known = await store.load({ space: ORIGINS, partition }, ORIGINS);
    if (known?.state) this.origins = JSON.parse(known.state) as Origins;
    // Behind the checkpoint there is no telling what has changed since.
    this.reflected = reflected !== undefined && reflected >= this.next.offset ? reflected : undefined;
    const end = (await log.ends('commands'))[partition];
    while (end && this.next.offset < end.offset) {
      const page = await log.read('commands', this.next, 1_000);
      if (page.length === 0) break;
      await this.fold(page, transitionsUpTo);
    }
    await this.save();
    const restored = this.reflected === undefined;
    const active = restored ? await this.restore() : await this.remember();
    this.reflected = this.next.offset;
    logger.debug({ partition, active, restored, position: this.next.offset }, 'desk recovered');
    return { next: this.next, restored };
  }

  /** Puts out all that is owed. @returns how many aggregates are active */
  private async restore(): Promise<number> {
    const { hands } = this.parts;
    let active = 0;
    for (const room of ROOMS) {
      for await (const { id, aggregate } of this.active(room)) {
        active++;
        hands.settle(room, id, aggregate, [], room.owed(aggregate));
        if (room.space === 'run') hands.show(aggregate as Run, this.next);
        if (active % RESTORE_PAGE === 0) await this.sure(() => hands.restore(this.partition));
      }
      await this.sure(() => hands.restore(this.partition));
    }
    return active;
  }

  /** The queue is whole: only what this process keeps for itself is made again. @returns how many aggregates are active */
  private async remember(): Promise<number> {
    const { hands } = this.parts;
    let active = 0;
    for (const room of ROOMS) {
      for await (const { id, aggregate } of this.active(room)) {
        active++;
        hands.settle(room, id, aggregate, [], room.owed(aggregate));
        hands.forget();
      }
    }
    return active;
  }

  private async *active(room: AnyRoom): AsyncIterable<{ readonly id: string; readonly aggregate: Aggregate }> {
    const { store } = this.parts;
    for await (const { id, state } of store.active({ space: room.space, partition: this.partition })) {
      if (state === null) continue;
      const aggregate = JSON.parse(state) as Aggregate;
      if (this.hot.size < this.options.hotMax) this.hot.set(id, { room, state: aggregate, dirty: false });
      yield { id, aggregate };
    }
  }

  /**
   * Takes a batch of commands. What is owed goes out at once; the records of it are on their way to the log when this returns.
   * @throws state_lost: the queue has lost what it held, and the partition is to be opened anew
   */
  async take(batch: readonly PlacedRecord[]): Promise<void> {
    const folded = Promise.withResolvers<void>();
    this.folding = true;
    this.folded = folded.promise;
    try {
      await this.fold(batch, -1);
      while (this.parts.scribe.behind > BEHIND_MAX) await this.parts.scribe.settled();
    } catch (error) {
      // It may be the last batch: who waits for its end is told now.
      this.wanted?.reject(error);
      this.wanted = undefined;
      throw error;
    } finally {
      this.folding = false;
      folded.resolve();
    }
    const { wanted } = this;
    this.wanted = undefined;
    if (wanted || this.hot.size > 2 * this.options.hotMax) {
      const saved = this.save();
      void saved.then(wanted?.resolve, wanted?.reject);
      await saved;
    }
    this.alarm ??= this.parts.clock.at(this.savedAt + this.options.checkpointMs, () => void this.checkpointSoon());
  }

  private async fold(batch: readonly PlacedRecord[], transitionsUpTo: number): Promise<void> {
    const { hands, scribe } = this.parts;
    const fresh = batch.filter(({ position }) => position.offset >= this.next.offset);
    // Everything that may fail for want of a store comes first: from here on nothing of the batch is left half decided.
    const wanted = new Map<string, AnyRoom>();
    for (const { key, type } of fresh) {
      const room = roomOf(type);
      if (room && !this.hot.has(key) && !wanted.has(key)) wanted.set(key, room);
    }
    await Promise.all(Array.from(wanted, ([key, room]) => this.fetch(room, key)));
    const answers: (() => void)[] = [];
    let frees = false;
    for (const record of fresh) {
      const written = this.one(record as Placed<PlacedRecord<Command>>, answers);
      if (record.position.offset > transitionsUpTo) scribe.put(written);
      frees ||= written.followUps.some(({ type }) => FREES.has(type));
      this.next = after(record.position);
    }
    // Whoever sees that the run has ended may count on its place: what he sends then comes behind this.
    if (frees) await scribe.settled();
    const { reflected } = this;
    if (reflected !== undefined && reflected < this.next.offset) {
      const stretch = { partition: this.partition, from: reflected, next: this.next.offset };
      await this.sure(() => hands.flush(stretch));
      this.reflected = this.next.offset;
    }
    // The commands are durable and deciding them again says the same: who asked need not wait for the transitions.
    for (const answer of answers) answer();
  }

  /** @returns what goes to the log: for a command that cannot be folded, its letter */
  private one(record: Placed<PlacedRecord<Command>>, answers: (() => void)[]): Written {
    try {
      return this.decided(record, answers);
    } catch (error) {
      const { clock, logger } = this.parts;
      const { env } = record;
      logger.error({ err: error, ...aboutCommand(record) }, 'command set aside: it cannot be folded');
      return {
        followUps: [recordOfDeadLetter(deadLetter(record, 'desk', error), env, clock.now())],
        transitions: [],
      };
    }
  }

  /** Decides one command. State moves last, so a command that fails anywhere leaves nothing behind. */
  private decided(record: PlacedRecord<Command>, answers: (() => void)[]): Written {
    const { body: command, key } = record;
    const room = roomOf(record.type);
    const entry = this.hot.get(key);
    if (!room || !command || !entry || entry.room !== room) {
      throw new Fault('record_unreadable', { type: record.type, schema: record.schema });
    }
    const before = entry.state;
    const { decision, origins } = rule(room, before, this.origins, record);
    this.answer(command, decision, answers);
    if (this.folding) this.parts.watch?.decided(room, command, before, decision);
    this.originsDirty ||= origins !== this.origins;
    this.origins = origins;
    if (decision.transitions.length === 0) {
      this.leave(command, before);
      return NOTHING;
    }
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
      ...traceOf(record, decision.next),
    }));
    const [owedBefore, owedAfter] = [room.owed(before), room.owed(decision.next)];
    const { hands, changes } = this.parts;
    if (this.reflects(record.position)) {
      hands.settle(room, key, decision.next ?? before, owedBefore, owedAfter);
      if (room.space === 'run' && decision.next) hands.show(decision.next as Run, after(record.position));
    }
    changes?.note(room.space, key, { isNew: before === undefined, isOver: isOver(room, decision.next) });
    entry.state = decision.next;
    entry.dirty = true;
    return { followUps, transitions };
  }

  /** Whether effects of the command go out as they come: not those that are out already, nor those that a restoration will bring. */
  private reflects({ offset }: Position): boolean {
    return this.reflected !== undefined && offset >= this.reflected;
  }

  /** The intake puts watches out before a run is scheduled; one that comes for a run that is over would stay. */
  private leave(command: Command, before: Aggregate | undefined): void {
    if (command.type !== 'ScheduleRun' || command.cancelOn.length === 0) return;
    const room = roomOf(command.type);
    if (before && room && !room.isOver(before)) return;
    this.parts.hands.unwatch(command.cancelOn.map((_, index) => cancelWatchId(command.runId, index)));
  }

  private answer({ ask }: Command, decision: RoomDecision<Aggregate>, answers: (() => void)[]): void {
    if (ask === undefined) return;
    const transitions = (decision.transitions as Answer['transitions']).map(({ type, runId }) => {
      return { type, ...(runId === undefined ? {} : { runId }) };
    });
    const { ignored } = decision;
    answers.push(() => this.parts.tell(ask, { transitions, ...(ignored === undefined ? {} : { ignored }) }));
  }

  private async fetch(room: AnyRoom, id: string): Promise<void> {
    const stored = await this.parts.store.load({ space: room.space, partition: this.partition }, id);
    const state =
      stored === undefined
        ? undefined
        : stored.state === null
          ? room.tombstone(id)
          : (JSON.parse(stored.state) as Aggregate);
    this.hot.set(id, { room, state, dirty: false });
  }

  /** What has been decided must have its effects: while a store cannot be reached, nothing more is decided. */
  private async sure(does: () => Promise<void>): Promise<void> {
    const { clock, logger } = this.parts;
    for (let tries = 0; ; tries++) {
      try {
        return await does();
      } catch (error) {
        if (!(error instanceof Fault) || error.code !== 'state_unavailable' || this.closing) throw error;
        if (tries === 0)
          logger.error({ err: error, partition: this.partition }, 'the queue cannot be reached; waiting');
        const pauseMs = Math.min(AGAIN_MS_MAX, AGAIN_MS * 2 ** tries);
        await new Promise<void>((resolve) => clock.at(clock.now() + pauseMs, resolve));
      }
    }
  }

  private async checkpointSoon(): Promise<void> {
    this.alarm = undefined;
    try {
      await this.save();
    } catch (error) {
      if (mustReopen(error)) this.parts.lost();
      const about = { err: error, partition: this.partition };
      this.parts.logger.error(about, 'checkpoint failed; it is tried again with the next commands');
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

  /**
   * Has something done while the store stands still at the checkpoint: what it holds then is the state at `checkpoint`, no older and no newer.
   * The desk goes on deciding meanwhile.
   */
  async atCheckpoint(does: () => Promise<void>): Promise<void> {
    await this.save();
    const turn = this.saving.then(does, does);
    this.saving = turn.catch(() => undefined);
    await turn;
  }

  private async writeCheckpoint(): Promise<void> {
    // A position also says that the queue reflects what was decided before it.
    while (this.folding) await this.folded;
    const { changes } = this.parts;
    await (changes ? changes.with(() => this.commit()) : this.commit());
  }

  private async commit(): Promise<void> {
    const { store, scribe, clock } = this.parts;
    const next = this.next;
    this.savedAt = clock.now();
    if (next.offset === this.saved.offset) return;
    const writes: Record<string, AggregateWrite[]> = {};
    const written: [string, Hot, Aggregate | undefined][] = [];
    for (const [id, entry] of this.hot) {
      if (!entry.dirty) continue;
      const state = isOver(entry.room, entry.state) ? null : JSON.stringify(entry.state);
      (writes[entry.room.space] ??= []).push({ id, state });
      written.push([id, entry, entry.state]);
    }
    const { origins } = this;
    if (this.originsDirty) writes[ORIGINS] = [{ id: ORIGINS, state: JSON.stringify(origins) }];
    // A position says that what was decided before it is on the log.
    await scribe.settled();
    await store.commit(DESK, next, writes, this.savedAt);
    this.saved = next;
    if (this.origins === origins) this.originsDirty = false;
    for (const [id, entry, state] of written) {
      if (entry.state !== state) continue; // Changed meanwhile: it goes with the next checkpoint.
      entry.dirty = false;
      if (isOver(entry.room, state)) {
        this.hot.delete(id);
        if (state !== undefined) this.keep(id, state);
      }
    }
    this.evict();
  }

  private keep(id: string, state: Aggregate): void {
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

  /** A desk that is closing does not wait for a log or a store that cannot be reached. */
  stop(): void {
    this.closing = true;
    this.parts.scribe.stop();
  }

  /** @param how `saved`: with a last checkpoint; `left`: as it lies */
  async close(how: 'saved' | 'left'): Promise<void> {
    this.alarm?.();
    // What is decided but not on the log is decided again at the next start: the checkpoint does not step over it.
    if (how === 'saved') await this.save();
    else await this.saving.catch(() => undefined); // Whoever comes next reads what is there when nothing is under way.
  }
}

const RESTORE_PAGE = 500;
const NOTHING: Written = { followUps: [], transitions: [] };

function after({ partition, offset }: Position): Position {
  return { partition, offset: offset + 1 };
}

/** A run's transitions belong to its trace, whatever command brought them. */
function traceOf({ trace }: PlacedRecord, state: Aggregate | undefined): { readonly trace?: string } {
  const known = trace ?? (state as Partial<Run> | undefined)?.trace;
  return known === undefined ? {} : { trace: known };
}
