import type { EpochMs } from '../words.js';
import { bucketKey, type FunctionLimits } from './flow.js';
import { backlogOf, countsOf, queuedItem } from './flow.explain.js';
import { freed, happen, hold, placeAgenda, putOut, release } from './flow.leases.js';
import { bucketAt, changeLane, dropBucket, fnAt, gatesOf, isStart, leave, throttleAt } from './flow.lines.js';
import { DEFAULT_LIMITS } from './flow.numbers.js';
import { Entry, FlowState, type Bucket, type Fn } from './flow.state.js';
import { handOut, nextLane } from './flow.turns.js';
import { openDue, placeFn, placeThrottle, rouseOne } from './flow.waits.js';
import type { Backlog, Lease, QueueCounts, QueuedItem, RunSlot, WorkItem } from './flow.work.js';

/**
 * The rules of the queue: concurrency, throttle, priority and fairness, by the contract, 13 to 15. Deterministic: time and tokens come in, plain
 * data goes out, so any other engine can be held to it step by step. What it keeps, and what is always true of that, stands at `FlowState`.
 *
 * An item waits until it is due, then in the line of its function and keys. In a line the lowest rank goes first, then arrival; lines of a
 * function take turns, and functions do. First requests and others of a line are told apart: when only the others can go, they go.
 *
 * `now` never falls from one call to the next.
 */
export class FlowModel {
  private readonly state = new FlowState();

  /**
   * Puts items out. One that is out already stays as it is; one that was withdrawn while under way is owed again.
   * @param leaseMs how long an item that is under way already counts
   */
  enqueue(items: readonly WorkItem[], now: EpochMs, leaseMs: number): void {
    const { state } = this;
    this.advance(now);
    for (const item of items) {
      const out = state.entries.get(item.id);
      if (out) {
        if (out.hold) out.hold.withdrawn = false;
        continue;
      }
      const entry = new Entry(item, fnAt(state, item.functionId), state.order++);
      this.remember(entry);
      if (item.underWay) hold(state, entry, gatesOf(state, item, isStart(state, item)), undefined, now + leaseMs);
      else putOut(state, entry, now, now);
    }
  }

  /** Takes items back. One under way does not come back when its lease ends. */
  withdraw(ids: readonly string[]): void {
    for (const id of ids) {
      const entry = this.state.entries.get(id);
      if (entry?.hold) {
        entry.hold.withdrawn = true;
      } else if (entry) {
        entry.fn.later.remove(entry);
        placeAgenda(this.state, entry.fn);
        leave(this.state, entry);
        this.forget(entry);
      }
    }
  }

  /** Hands out the item whose turn it is; undefined: none may go. */
  claim(now: EpochMs, token: string, leaseMs: number): Lease | undefined {
    this.advance(now);
    const lane = nextLane(this.state, now);
    return lane && handOut(this.state, lane, token, now, leaseMs);
  }

  /** @returns until when; undefined: the lease is lost */
  extend(token: string, now: EpochMs, leaseMs: number): EpochMs | undefined {
    this.advance(now);
    const entry = this.state.byToken.get(token);
    if (!entry?.hold) return undefined;
    entry.hold.until = now + leaseMs;
    entry.fn.leases.put(entry);
    placeAgenda(this.state, entry.fn);
    return entry.hold.until;
  }

  /** The item is done. @returns false: its lease was lost, and nothing has changed */
  complete(token: string, now: EpochMs): boolean {
    this.advance(now);
    const entry = this.state.byToken.get(token);
    if (!entry) return false;
    release(this.state, entry);
    this.forget(entry);
    return true;
  }

  /** The numbers of a function, from now on; undefined: the defaults. */
  limits(functionId: string, limits: FunctionLimits | undefined, now: EpochMs): void {
    const { state } = this;
    this.advance(now);
    const fn = fnAt(state, functionId);
    fn.limits = limits ?? DEFAULT_LIMITS;
    for (const waiting of fn.waiting) rouseOne(state, waiting);
    for (const throttle of [...fn.throttles]) placeThrottle(state, throttle);
    placeFn(state, fn);
    this.dropFn(fn);
  }

  /** These runs hold their slots until they are vacated, also beyond the limit. */
  occupy(slots: readonly RunSlot[]): void {
    const { state } = this;
    for (const { runId, env, functionId, key } of slots) {
      if (state.slots.has(runId)) continue;
      const bucket = bucketAt(state, bucketKey('run', env, functionId, key));
      bucket.occupy(runId);
      state.slots.set(runId, bucket);
      this.review(runId);
      freed(state, bucket);
    }
  }

  /** These runs have ended: their slots come back, also what their first requests hold for them. */
  vacate(runIds: readonly string[]): void {
    const { state } = this;
    for (const runId of runIds) {
      const bucket = state.slots.get(runId);
      bucket?.vacate(runId);
      state.slots.delete(runId);
      this.review(runId);
      if (bucket) freed(state, bucket);
    }
  }

  /** These throttles stand there at least. */
  throttled(states: readonly { readonly key: string; readonly tat: number }[]): void {
    for (const { key, tat } of states) {
      const throttle = throttleAt(this.state, key);
      throttle.tat = Math.max(throttle.tat ?? tat, tat);
      placeThrottle(this.state, throttle);
    }
  }

  /** Lets happen what is due by now. @returns whether anything may go: false means that `claim` would return nothing */
  advance(now: EpochMs): boolean {
    for (const entry of happen(this.state, now)) this.forget(entry);
    openDue(this.state, now);
    return this.state.turns.size > 0;
  }

  /** When `advance` has something to do next; undefined: never, as things stand. */
  nextAt(): EpochMs | undefined {
    const [agenda, opening] = [this.state.agenda.peek()?.at, this.state.openings.peek()?.at];
    return agenda !== undefined && opening !== undefined ? Math.min(agenda, opening) : (agenda ?? opening);
  }

  counts(functionId?: string): QueueCounts {
    if (functionId !== undefined) return countsOf(this.state.fns.get(functionId));
    let [running, ready, later] = [0, 0, 0];
    for (const fn of this.state.fns.values()) {
      const counts = countsOf(fn);
      running += counts.running;
      ready += counts.ready;
      later += counts.later;
    }
    return { running, ready, later };
  }

  /** The items of a run that are out, by arrival. */
  ofRun(runId: string, now: EpochMs): readonly QueuedItem[] {
    this.advance(now);
    const entries = [...this.entriesOf(runId)].sort((a, b) => a.order - b.order);
    return entries.map((entry) => queuedItem(entry, now));
  }

  backlog(functionId: string, linesMax: number, now: EpochMs): Backlog {
    this.advance(now);
    return backlogOf(this.state.fns.get(functionId), linesMax, now);
  }

  /** How much is remembered, for what must not grow: a queue that is empty remembers the numbers of its functions and nothing else. */
  get size(): { fns: number; lines: number; groups: number; buckets: number; throttles: number } {
    const { fns, buckets, throttles } = this.state;
    let [lines, groups] = [0, 0];
    for (const fn of fns.values()) {
      lines += fn.lines.size;
      groups += fn.groups.size;
    }
    return { fns: fns.size, lines, groups, buckets: buckets.size, throttles: throttles.size };
  }

  /** Whether a run holds a slot has changed: its entries stand in the lane for that, and stand in for no slot themselves. */
  private review(runId: string): void {
    const touched = new Set<Bucket>();
    for (const entry of [...this.entriesOf(runId)]) {
      if (!entry.item.starts) continue;
      changeLane(this.state, entry);
      const { hold } = entry;
      if (!hold?.runBucket) continue;
      hold.runBucket.giveBack(entry.item);
      touched.add(hold.runBucket);
      hold.runBucket = undefined;
    }
    for (const bucket of touched) freed(this.state, bucket);
  }

  private *entriesOf(runId: string): Iterable<Entry> {
    for (let entry = this.state.byRun.get(runId); entry; entry = entry.next) yield entry;
  }

  private remember(entry: Entry): void {
    const { entries, byRun } = this.state;
    const { id, runId } = entry.item;
    const first = byRun.get(runId);
    if (first) first.previous = entry;
    entry.next = first;
    byRun.set(runId, entry);
    entries.set(id, entry);
  }

  private forget(entry: Entry): void {
    const { entries, byRun } = this.state;
    const { id, runId } = entry.item;
    const { next, previous } = entry;
    if (next) next.previous = previous;
    if (previous) previous.next = next;
    else if (next) byRun.set(runId, next);
    else byRun.delete(runId);
    entries.delete(id);
    this.dropFn(entry.fn);
  }

  private dropFn(fn: Fn): void {
    if (fn.limits !== DEFAULT_LIMITS || fn.ready + fn.later.size + fn.leases.size > 0) return;
    if (!this.state.fns.delete(fn.id)) return;
    fn.own.users--;
    dropBucket(this.state, fn.own);
  }
}
