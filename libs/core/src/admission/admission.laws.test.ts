import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { utf8Bytes } from '../json.js';
import type { RunCommand } from '../run/run.commands.js';
import type { Position } from '../words.js';
import type { Admission, AdmissionCommand, Offer, Stage, StageOf } from './admission.js';
import { decideAdmission } from './admission.decide.js';
import { REMEMBERED_MS, type AdmissionDecision } from './admission.decision.js';
import { admissionOwed } from './admission.owed.js';
import { BATCH, DEBOUNCE, ENV, eventOf, FN_ID, frozen, offerOf, ONCE, RATE, SKIP, START } from './admission.story.js';

/** Of the law of a kind; others that it has are played less. */
const RUNS = 10_000;
const DAY = 24 * 3_600_000;

/** What comes one after the other. What a control does not know is passed over. */
type Move =
  | {
      readonly move: 'offer';
      /** After what was before, and how late its clock is. */
      readonly inMs: number;
      readonly lagMs: number;
      /** Of the event, before now. */
      readonly agedMs: number;
      readonly receivedMs: number;
      readonly origin: number;
      readonly size: number;
      /** The run is that of an earlier offer. */
      readonly sameRun: boolean;
      readonly invoked: boolean;
      readonly mode: 'skip' | 'cancel';
    }
  /** A command is posted again, or the last ones are decided again from what was stored. */
  | { readonly move: 'again' | 'crash'; readonly back: number }
  | { readonly move: 'jump'; readonly inMs: number }
  /** So long after the time that is owed. */
  | { readonly move: 'fire'; readonly lateMs: number; readonly turn: 'seen' | 'old' | 'other'; readonly gone: boolean }
  | { readonly move: 'release'; readonly who: 'holder' | 'other' }
  | { readonly move: 'spend'; readonly tatMs: number }
  | { readonly move: 'forget'; readonly lateMs: number };

type OfferMove = Extract<Move, { move: 'offer' }>;
type FireMove = Extract<Move, { move: 'fire' }>;

const anyOffer: fc.Arbitrary<Move> = fc.record({
  move: fc.constant('offer' as const),
  inMs: fc.constantFrom(0, 0, 1, 7, 300, 999, 1_000, 2_500),
  lagMs: fc.constantFrom(0, 0, 0, 5, 40),
  agedMs: fc.constantFrom(0, 0, 1, 500, 3_000, -60_000),
  receivedMs: fc.constantFrom(0, 0, 3, 900, 20_000, 600_000),
  origin: fc.nat(2),
  size: fc.nat(9),
  sameRun: fc.boolean(),
  invoked: fc.boolean(),
  mode: fc.constantFrom('skip', 'cancel'),
});

const anyMove: fc.Arbitrary<Move> = fc.oneof(
  { weight: 10, arbitrary: anyOffer },
  { weight: 2, arbitrary: fc.record({ move: fc.constantFrom('again', 'crash'), back: fc.nat(5) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      move: fc.constant('jump' as const),
      inMs: fc.constantFrom(5_000, 31 * 60_000, DAY - 1, DAY),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      move: fc.constant('fire' as const),
      lateMs: fc.constantFrom(-1, 0, 0, 1, 4_000),
      turn: fc.constantFrom('seen', 'seen', 'seen', 'old', 'other'),
      gone: fc.constantFrom(false, false, false, true),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ move: fc.constant('release' as const), who: fc.constantFrom('holder', 'other') }),
  },
  { weight: 1, arbitrary: fc.record({ move: fc.constant('spend' as const), tatMs: fc.nat(9_000) }) },
  { weight: 1, arbitrary: fc.record({ move: fc.constant('forget' as const), lateMs: fc.constantFrom(-1, 0, 1) }) },
);

const anyMoves = fc.array(anyMove, { maxLength: 30, size: 'medium' });

interface Entry {
  readonly before: Admission | undefined;
  readonly command: AdmissionCommand;
  readonly position: Position;
  readonly decision: AdmissionDecision;
}

/** One control and all that happened to it. What goes for every decision is looked at with each. */
class History {
  state: Admission | undefined;
  now = START;
  /** All that was offered and not ignored, by internal id. */
  readonly offers = new Map<string, Offer>();
  private entries: Entry[] = [];
  private all: Entry[] = [];
  private count = 0;
  private readonly offsets = [0, 0, 0];

  constructor(private readonly key: string) {}

  take(command: AdmissionCommand): AdmissionDecision {
    const before = frozen(this.state);
    const position = { partition: 1, offset: ++this.count };
    const decision = decideAdmission(before, frozen(command), position);
    const entry = { before, command, position, decision };
    this.entries.push(entry);
    this.all.push(entry);
    this.state = decision.next;
    looked(entry);
    if (command.type === 'OfferRun' && decision.ignored === undefined)
      this.offers.set(command.offer.event.internalId, command.offer);
    return decision;
  }

  /** @returns what was offered, by which clock, and what was decided */
  offer(
    stage: Stage,
    move: OfferMove,
    runId?: string,
  ): { readonly offer: Offer; readonly at: number; readonly decision: AdmissionDecision } {
    this.now += move.inMs;
    const at = this.now - move.lagMs;
    const id = `e${this.count}`;
    const event = {
      ...eventOf(id, {
        ts: this.now - move.agedMs,
        receivedAt: at - move.receivedMs,
        ...(move.invoked ? { parent: { runId: `caller-of-${id}`, stepId: 's' } } : {}),
      }),
      payload: `"${'é'.repeat(move.size)}"`,
    };
    const offer = offerOf(event, runId === undefined ? {} : { run: { runId } });
    const origin = move.origin % 3;
    this.offsets[origin] = (this.offsets[origin] ?? 0) + 1 + move.size;
    const source = {
      topic: origin === 2 ? 'commands' : 'events',
      partition: origin % 2,
      offset: this.offsets[origin],
    } as const;
    return { offer, at, decision: this.take(this.command(at, { type: 'OfferRun', stage, offer, source })) };
  }

  /** Changes nothing: the same command, at a later place. */
  again({ back }: { readonly back: number }): void {
    const { command } = this.entries.at(-1 - back) ?? {};
    if (!command || command.type === 'ForgetAdmission') return;
    // A run that gives back what it has taken once more: that is another word.
    if (command.type === 'ReleaseSingleton' && holderOf(this.state) === command.runId) return;
    const { state } = this;
    const decision = this.take(command);
    must(decision.ignored !== undefined && this.state === state, `${command.type} changes nothing when it comes again`);
  }

  /** The last commands are decided once more, from the state that was stored before them. */
  crash({ back }: { readonly back: number }): void {
    const lost = this.all.slice(-1 - back);
    let state = lost[0]?.before && copied(lost[0].before);
    for (const { command, position, decision } of lost) {
      const once = decideAdmission(frozen(state), frozen(copied(command)), position);
      same(once, decision);
      state = once.next;
    }
    if (lost.length > 0) same(state, this.state);
    this.state = state;
  }

  fire(
    { lateMs, turn, gone }: FireMove,
    runId = `fired-${this.count}`,
  ): { readonly at: number; readonly decision: AdmissionDecision; readonly seen: boolean } {
    const [owed] = admissionOwed(this.state);
    if (owed) this.now = Math.max(this.now, owed.at + lateMs);
    const present = turnOf(this.state);
    const said = turn === 'seen' ? present : turn === 'old' ? present - 1 : present + 1_000;
    const offer = this.offers.get(waiting(this.state)[0] ?? '') ?? offerOf(eventOf('none'));
    const planned = { ...offer, run: { ...offer.run, runId } };
    const command = this.command(this.now, { type: 'FireAdmission', turn: said, ...(gone ? {} : { offer: planned }) });
    return { at: this.now, decision: this.take(command), seen: turn === 'seen' };
  }

  /** Only once it may: and then what was posted before is not posted again. */
  forget({ lateMs }: { readonly lateMs: number }): boolean {
    const { until } = this.state ?? {};
    if (until !== undefined) this.now = Math.max(this.now, until + lateMs);
    const { ignored } = this.take(this.command(this.now, { type: 'ForgetAdmission' }));
    const mayGo = until !== undefined && this.now >= until;
    same(ignored, mayGo ? undefined : this.state ? 'still_needed' : 'nothing_remembered');
    if (ignored === undefined) this.entries = [];
    return ignored === undefined;
  }

  release(runId: string): AdmissionDecision {
    return this.take(this.command(this.now, { type: 'ReleaseSingleton', runId }));
  }

  spend(tat: number): AdmissionDecision {
    return this.take(this.command(this.now, { type: 'SpendThrottle', runId: `r${this.count}`, tat }));
  }

  /** Every event that was offered is passed on, refused by name or waits: one of these, once. So is the word to the step that invoked it. */
  nothingIsLost(): void {
    const ends = new Map<string, string[]>();
    const heard = new Map<string, number>();
    const end = (id: string, how: string) => ends.set(id, [...(ends.get(id) ?? []), how]);
    const batches = new Map<string, string[]>();
    for (const { decision } of this.all) {
      for (const t of decision.transitions) {
        if (
          t.type === 'RateLimited' ||
          t.type === 'EventIdRefused' ||
          t.type === 'DebounceOutdated' ||
          t.type === 'DebounceDropped'
        )
          end(t.eventId, t.type);
        if (t.type === 'DebounceMoved') end(t.superseded, t.type);
        if (t.type === 'BatchOpened' || t.type === 'BatchJoined')
          batches.set(t.batchId, [...(batches.get(t.batchId) ?? []), t.eventId]);
        if (t.type === 'BatchDropped') for (const id of batches.get(t.batchId) ?? []) end(id, t.type);
      }
      for (const command of commandsOf(decision)) {
        if (command.type === 'ScheduleRun' || command.type === 'SkipRun') {
          for (const id of command.eventIds) end(id, command.type);
          for (const { runId } of command.parents) heard.set(runId, (heard.get(runId) ?? 0) + 1);
        }
        if (command.type === 'ResumeStep') heard.set(command.runId, (heard.get(command.runId) ?? 0) + 1);
      }
    }
    const pending = waiting(this.state);
    for (const id of pending) end(id, 'waits');
    for (const [id, offer] of this.offers) {
      if (ends.get(id)?.length !== 1) expect(ends.get(id), id).toHaveLength(1);
      const [parent] = offer.run.parents;
      if (parent) must((heard.get(parent.runId) ?? 0) === (pending.includes(id) ? 0 : 1), `${parent.runId} hears once`);
    }
    must(ends.size === this.offers.size, 'nothing comes of what was not offered');
  }

  private command<C extends Partial<AdmissionCommand>>(at: number, rest: C): AdmissionCommand {
    return { env: ENV, functionId: FN_ID, key: this.key, at, ...rest } as unknown as AdmissionCommand;
  }
}

/** What goes for every decision. */
function looked({ before, command, decision }: Entry): void {
  const { transitions, effects, next, ignored } = decision;
  if (ignored !== undefined) {
    must(next === before, 'what is ignored changes nothing');
    must(transitions.length + effects.length === 0, 'nothing follows from what is ignored');
    return;
  }
  must(transitions.length > 0, 'what is not ignored is told: the desk takes it for undone otherwise');
  must(
    transitions.every(({ at }) => at === command.at),
    'all is told by the clock of the command',
  );
  if (!next) return;
  const { until } = next;
  must((until === undefined) === standing(next), 'what stands for something is not to be forgotten, all else is');
  if (until === undefined) return;
  must(command.type !== 'OfferRun' || until >= command.at + REMEMBERED_MS, 'an offer is remembered for half an hour');
  must(next.kind !== 'rate' || until >= (next.tat ?? 0), 'a bucket is remembered until it is as good as new');
  must(next.kind !== 'once' || until >= next.freeAt, 'an id is remembered as long as it is taken');
}

function standing(state: Admission): boolean {
  return waiting(state).length > 0 || holderOf(state) !== undefined;
}

function turnOf(state: Admission | undefined): number {
  return state?.kind === 'debounce' || state?.kind === 'batch' ? state.turn : 0;
}

function holderOf(state: Admission | undefined): string | undefined {
  return state?.kind === 'singleton' ? state.holder : undefined;
}

/** Internal ids of the events that wait. */
function waiting(state: Admission | undefined): readonly string[] {
  if (state?.kind === 'debounce') return state.window ? [state.window.event.internalId] : [];
  if (state?.kind === 'batch') return state.buffer?.chunks.flat().map(({ internalId }) => internalId) ?? [];
  return [];
}

function commandsOf({ effects }: AdmissionDecision): readonly RunCommand[] {
  return effects.flatMap((effect) => (effect.kind === 'command' ? [effect.command as RunCommand] : []));
}

/** Run ids of the runs that are scheduled. */
function runsOf(decision: AdmissionDecision): readonly string[] {
  return commandsOf(decision).flatMap((command) => (command.type === 'ScheduleRun' ? [command.runId] : []));
}

function copied<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T;
}

/** As `toEqual`, which is asked only where it will tell of a difference: a law looks some million times. */
function same(actual: unknown, expected: unknown): void {
  if (!isDeepStrictEqual(actual, expected)) expect(actual).toStrictEqual(expected);
}

function must(holds: boolean, what: string): void {
  if (!holds) expect.fail(what);
}

/** Plays a history; what is special about a kind is done by `each`. */
function play(history: History, moves: readonly Move[], each: (move: Move) => void): void {
  for (const move of moves) {
    if (move.move === 'again') history.again(move);
    else if (move.move === 'crash') history.crash(move);
    else if (move.move === 'jump') history.now += move.inMs;
    else each(move);
  }
  history.nothingIsLost();
}

function law(
  name: string,
  numRuns: number,
  check: (moves: readonly Move[], numbers: readonly [number, number, number]) => void,
): void {
  it(name, () => fc.assert(fc.property(anyMoves, fc.tuple(fc.nat(99), fc.nat(99), fc.nat(99)), check), { numRuns }));
}

describe('a rate limit', () => {
  /**
   * Contract 9, from all that was admitted: behind each of them so many may have come as the bucket holds at once, and one more for each
   * interval since. In whole numbers.
   */
  function mayPass(admitted: readonly number[], at: number, limit: number, intervalMs: number, slackMs = 0): boolean {
    const burst = Math.floor(limit / 10);
    return admitted.every((since, n) => (admitted.length - n - burst) * intervalMs <= at - since + slackMs);
  }

  law('admits what the contract admits, by the time of receipt', RUNS, (moves, [limit, interval]) => {
    const intervalMs = 100 + interval * 17;
    const stage: StageOf<'rate'> = { ...RATE, limit: limit + 1, periodMs: (limit + 1) * intervalMs };
    const history = new History(stage.key);
    const admitted: number[] = [];
    play(history, moves, (move) => {
      if (move.move === 'forget') history.forget(move);
      if (move.move !== 'offer') return;
      const { offer, decision } = history.offer(stage, move);
      const { receivedAt } = offer.event;
      const passes = mayPass(admitted, receivedAt, stage.limit, intervalMs);
      same(runsOf(decision), passes ? [offer.run.runId] : []);
      if (passes) admitted.push(receivedAt);
      const [told] = decision.transitions;
      if (told?.type !== 'RateCharged' && told?.type !== 'RateLimited') return expect.fail(told?.type);
      same(mayPass(admitted, told.nextAt, stage.limit, intervalMs), true);
      same(mayPass(admitted, told.nextAt - 1, stage.limit, intervalMs), false);
    });
  });

  law('is exact to a millisecond where its interval is no whole number', RUNS / 5, (moves, [limit, period]) => {
    const stage: StageOf<'rate'> = { ...RATE, limit: limit + 1, periodMs: 1_000 + period * 331 };
    const history = new History(stage.key);
    const admitted: number[] = [];
    play(history, moves, (move) => {
      if (move.move !== 'offer') return;
      const { offer, decision } = history.offer(stage, move);
      const { receivedAt } = offer.event;
      const passes = runsOf(decision).length === 1;
      const may = (slackMs: number) =>
        mayPass(admitted, receivedAt, stage.limit, stage.periodMs / stage.limit, slackMs);
      if (passes) same(may(0.01), true);
      else same(may(-1), false);
      if (passes) admitted.push(receivedAt);
    });
  });
});

describe('a debounce', () => {
  /** Contract 10: what waits, and until when, found anew from all that came since it fired last. */
  class Reference {
    private came: { readonly id: string; readonly ts: number; readonly at: number }[] = [];

    constructor(
      private readonly periodMs: number,
      private readonly timeoutMs: number,
    ) {}

    waits() {
      const [first] = this.came;
      const newest = this.came.filter(({ ts }, n) => this.came.slice(0, n).every((before) => before.ts <= ts)).at(-1);
      if (!first || !newest) return undefined;
      const dueAt = Math.min(newest.at + this.periodMs, first.at + this.timeoutMs);
      return { id: newest.id, dueAt, superseded: this.came.length - 1 };
    }

    offer(id: string, ts: number, at: number): void {
      this.came.push({ id, ts, at });
    }

    fire(at: number) {
      const waits = this.waits();
      if (!waits || at < waits.dueAt) return undefined;
      this.came = [];
      return waits;
    }
  }

  law('keeps the event and the time that the contract keeps, and fires it once', RUNS, (moves, [period, timeout]) => {
    const periodMs = 1_000 + (period % 5) * 500;
    const timeoutMs = timeout % 2 ? { timeoutMs: 1_000 * (1 + (timeout % 7)) } : {};
    const stage: StageOf<'debounce'> = { ...DEBOUNCE, periodMs, ...timeoutMs };
    const history = new History(stage.key);
    const reference = new Reference(periodMs, timeoutMs.timeoutMs ?? Number.POSITIVE_INFINITY);
    play(history, moves, (move) => {
      if (move.move === 'forget') history.forget(move);
      if (move.move === 'offer') {
        const { offer, at } = history.offer(stage, move);
        reference.offer(offer.event.internalId, offer.event.ts, at);
      }
      if (move.move === 'fire') {
        const { at, decision, seen } = history.fire(move);
        const fires = seen ? reference.fire(at) : undefined;
        const [told] = decision.transitions;
        same(told?.type, fires && (move.gone ? 'DebounceDropped' : 'DebounceFired'));
        if (fires)
          expect(told).toMatchObject({ eventId: fires.id, ...(move.gone ? {} : { superseded: fires.superseded }) });
        same(runsOf(decision).length, fires && !move.gone ? 1 : 0);
      }
      const window = history.state?.kind === 'debounce' ? history.state.window : undefined;
      const { event, dueAt, superseded } = window ?? {};
      same(window && { id: event?.internalId, dueAt, superseded }, reference.waits());
      same(
        admissionOwed(history.state).map(({ at }) => at),
        window ? [dueAt] : [],
      );
    });
  });

  law('owes another thing whenever another event waits', RUNS / 5, (moves, [timeout]) => {
    const stage: StageOf<'debounce'> = { ...DEBOUNCE, timeoutMs: 1_000 * (1 + (timeout % 3)) };
    const history = new History(stage.key);
    const owned = new Map<string, string>();
    play(history, moves, (move) => {
      if (move.move === 'offer') history.offer(stage, move);
      if (move.move === 'fire') history.fire(move);
      const [owed] = admissionOwed(history.state);
      const [event] = waiting(history.state);
      if (!owed || event === undefined) return;
      same(owned.get(owed.id) ?? event, event);
      owned.set(owed.id, event);
    });
  });
});

describe('a batch', () => {
  /** Contract 11. */
  class Reference {
    readonly closed: { readonly ids: readonly string[]; readonly by: string }[] = [];
    open: { readonly id: string; readonly bytes: number; readonly at: number }[] = [];

    constructor(private readonly stage: StageOf<'batch'>) {}

    offer(id: string, bytes: number, at: number): void {
      this.open.push({ id, bytes, at });
      const all = this.open.reduce((sum, event) => sum + event.bytes, 0);
      if (this.open.length === this.stage.maxSize) this.close('size');
      else if (all >= this.stage.bytesMax) this.close('bytes');
    }

    fire(at: number, by: string): void {
      if (this.open[0] && at - this.open[0].at >= this.stage.timeoutMs) this.close(by);
    }

    private close(by: string): void {
      this.closed.push({ ids: this.open.map(({ id }) => id), by });
      this.open = [];
    }
  }

  law('gathers and closes as the contract says, in the order events came', RUNS, (moves, [size, bytes, timeout]) => {
    const stage: StageOf<'batch'> = {
      ...BATCH,
      maxSize: 2 + (size % 9),
      bytesMax: 12 + bytes,
      timeoutMs: 1_000 + (timeout % 5) * 1_000,
    };
    const history = new History(stage.key);
    const reference = new Reference(stage);
    const closed: { readonly ids: readonly string[]; readonly by: string }[] = [];
    const owing = new Map<string, string>();
    const seen = ({ transitions, effects }: AdmissionDecision) => {
      for (const t of transitions) if (t.type === 'BatchDropped') closed.push({ ids: pending, by: 'gone' });
      const fired = transitions.find(({ type }) => type === 'BatchFired');
      const [run] = commandsOf({ transitions, effects, next: undefined });
      same(run?.type === 'ScheduleRun', fired !== undefined);
      if (fired?.type !== 'BatchFired' || run?.type !== 'ScheduleRun') return;
      closed.push({ ids: run.eventIds, by: fired.by });
      same([run.runId, run.batchId], [fired.runId, fired.batchId]);
      same(
        run.events,
        run.eventIds.map((id) => history.offers.get(id)?.run.events[0]),
      );
      same(
        fired.bytes,
        run.events.reduce((sum, text) => sum + utf8Bytes(text), 0),
      );
    };
    let pending: readonly string[] = [];
    play(history, moves, (move) => {
      pending = waiting(history.state);
      if (move.move === 'forget') history.forget(move);
      if (move.move === 'offer') {
        const { offer, at, decision } = history.offer(stage, move);
        reference.offer(offer.event.internalId, utf8Bytes(offer.run.events[0] ?? ''), at);
        seen(decision);
      }
      if (move.move === 'fire') {
        const fired = history.fire(move);
        if (fired.seen) reference.fire(fired.at, move.gone ? 'gone' : 'timeout');
        seen(fired.decision);
      }
      same(closed, reference.closed);
      same(
        waiting(history.state),
        reference.open.map(({ id }) => id),
      );
      const [first] = reference.open;
      const [owed, ...more] = admissionOwed(history.state);
      same([owed?.at, more.length], [first && first.at + stage.timeoutMs, 0]);
      if (!first || !owed) return;
      // Events that join leave it as it is: nobody would set its timer once more.
      same(owing.get(first.id) ?? owed.id, owed.id);
      owing.set(first.id, owed.id);
    });
    const ids = closed.flatMap((batch) => batch.ids);
    same(new Set(ids).size, ids.length);
  });
});

describe('an event id', () => {
  law('starts one run a day, and another behind that', RUNS, (moves) => {
    const history = new History(ONCE.key);
    let started: { readonly runId: string; readonly at: number }[] = [];
    play(history, moves, (move) => {
      if (move.move === 'forget' && history.forget(move)) {
        expect(history.now).toBeGreaterThanOrEqual((started.at(-1)?.at ?? 0) + DAY);
        started = [];
      }
      if (move.move !== 'offer') return;
      const last = started.at(-1);
      const { offer, at, decision } = history.offer(ONCE, move, move.sameRun ? last?.runId : undefined);
      const { runId } = offer.run;
      const isOver = !last || at - last.at >= DAY;
      same(runsOf(decision), isOver || last.runId === runId ? [runId] : []);
      if (isOver) started.push({ runId, at });
      else expect(decision.transitions).toMatchObject([{ runId: last.runId }]);
    });
  });
});

describe('a singleton', () => {
  law('has one holder at most, whatever comes', RUNS, (moves) => {
    const history = new History(SKIP.key);
    const alive = new Set<string>();
    play(history, moves, (move) => {
      if (move.move === 'forget') history.forget(move);
      const holder = holderOf(history.state);
      if (move.move === 'release') {
        const runId = move.who === 'holder' ? (holder ?? 'nobody') : `run-e${history.offers.size - 2}`;
        history.release(runId);
        alive.delete(runId);
      }
      if (move.move === 'offer') {
        const stage: StageOf<'singleton'> = { ...SKIP, mode: move.mode };
        const { offer, decision } = history.offer(stage, move, move.sameRun ? holder : undefined);
        const mine = offer.run.runId;
        for (const command of commandsOf(decision)) {
          if (command.type === 'CancelRun') alive.delete(command.runId);
          else if (command.type === 'ScheduleRun') alive.add(command.runId);
          must(alive.size <= 1, 'one at most is alive');
        }
        const passes = holder === undefined || holder === mine || move.mode === 'cancel';
        same(runsOf(decision), passes ? [mine] : []);
        if (!passes) expect(commandsOf(decision)).toMatchObject([{ type: 'SkipRun', runId: mine, blockedBy: holder }]);
      }
      same([...alive], holderOf(history.state) === undefined ? [] : [holderOf(history.state)]);
    });
  });

  law('that nobody gives back ends with the last of them, or with the first', RUNS / 5, (moves, [mode]) => {
    const history = new History(SKIP.key);
    const stage: StageOf<'singleton'> = { ...SKIP, mode: mode % 2 ? 'skip' : 'cancel' };
    const runs: string[] = [];
    const left = new Set<string>();
    play(history, moves, (move) => {
      if (move.move !== 'offer') return;
      const { offer, decision } = history.offer(stage, move);
      runs.push(offer.run.runId);
      for (const command of commandsOf(decision)) {
        if (command.type === 'ScheduleRun') left.add(command.runId);
        if (command.type === 'CancelRun') left.delete(command.runId);
      }
    });
    same([...left], runs.slice(mode % 2 ? 0 : -1).slice(0, 1));
  });
});

describe('a throttle', () => {
  law('stands where its latest start has left it', RUNS, (moves) => {
    const history = new History('throttle:k');
    let tat = Number.NEGATIVE_INFINITY;
    play(history, moves, (move) => {
      if (move.move === 'forget' && history.forget(move)) tat = Number.NEGATIVE_INFINITY;
      if (move.move !== 'spend') return;
      const to = history.now + move.tatMs / 7;
      same(history.spend(to).ignored, to > tat ? undefined : 'already_spent');
      tat = Math.max(tat, to);
      expect(history.state).toMatchObject({ kind: 'throttle', tat, until: Math.ceil(tat) });
    });
  });
});
