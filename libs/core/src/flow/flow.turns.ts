import type { EpochMs } from '../words.js';
import type { Waited } from './flow.js';
import { hold } from './flow.leases.js';
import { entryBefore, type Entry, type FlowState, type Lane, type Line, type Stop } from './flow.state.js';
import {
  fullGate,
  numberOf,
  openDue,
  opensAt,
  park,
  parkLane,
  placeFn,
  placeLane,
  placeThrottle,
} from './flow.waits.js';
import type { Grant, Lease } from './flow.work.js';
import { gcra, throttleRate } from './gcra.js';

/** Whose turn it is, and what a hand-out takes. */

/** The lane whose first entry goes next. Who comes up and cannot go is put where it waits. */
export function nextLane(state: FlowState, now: EpochMs): Lane | undefined {
  for (;;) {
    openDue(state, now);
    const group = state.turns.peek()?.able.peek();
    const lane = group?.lanes.peek();
    if (!group || !lane) return undefined;
    const full = fullGate(group);
    if (full) park(state, group, full);
    else if (lane.throttle && opensAt(lane) > now) parkLane(state, lane, lane.throttle);
    else return firstOf(lane.line, now) ?? lane;
  }
}

/** Hands out the first entry of a lane that can go. Its line and its function stand last from now on. */
export function handOut(state: FlowState, lane: Lane, token: string, now: EpochMs, leaseMs: number): Lease {
  const { line, group } = lane;
  const entry = lane.entries.peek() as Entry;
  const { item, fn } = entry;
  const until = now + leaseMs;
  const grant = grantOf(entry, lane, now);

  if (lane.throttle && grant?.throttle) lane.throttle.tat = grant.throttle.tat;
  hold(state, entry, group.gates, token, until);
  line.turn = ++state.turn;
  for (const other of line.lanes) placeLane(state, other);
  fn.turn = ++state.turn;
  placeFn(state, fn);
  if (lane.throttle) placeThrottle(state, lane.throttle);
  return { item, token, until, ...(grant ? { grant } : {}) };
}

/** Of the lanes of a line that can go, also of those that nobody has let out yet, the one with the lowest rank. */
function firstOf(line: Line, now: EpochMs): Lane | undefined {
  let first: Lane | undefined;
  for (const lane of line.lanes) {
    if (fullGate(lane.group) || opensAt(lane) > now) continue;
    if (!first || entryBefore(lane.entries.peek() as Entry, first.entries.peek() as Entry)) first = lane;
  }
  return first;
}

function grantOf(entry: Entry, lane: Lane, now: EpochMs): Grant | undefined {
  const { fn, gates } = lane.group;
  const rate = lane.throttle && fn.limits.throttle;
  const counted = gates.some((gate) => gate.kind === 'run' || numberOf(fn, gate) !== Number.POSITIVE_INFINITY);
  if (!fn.limits.declared && !counted && !rate) return undefined;
  const waited = waitedOf(entry, lane, now);
  return {
    ...(lane.throttle && rate
      ? { throttle: { key: lane.throttle.key, tat: gcra(lane.throttle.tat, now, throttleRate(rate)).tat } }
      : {}),
    ...(waited ? { waited } : {}),
  };
}

/** What held an entry last since it was ready: itself, its group or its whole function. */
function waitedOf(entry: Entry, lane: Lane, now: EpochMs): Waited | undefined {
  const ms = now - entry.since;
  if (ms <= 0) return undefined;
  let last: Stop | undefined;
  for (const stop of [entry.fn.stop, lane.group.stop, lane.stop]) {
    if (stop && ended(stop) > Math.max(entry.tick, last ? ended(last) : 0)) last = stop;
  }
  return { ms, ...(last?.by ?? { cause: 'turn' }) };
}

function ended(stop: Stop): number {
  return stop.ended ?? Number.POSITIVE_INFINITY;
}
