import type { EpochMs } from '../words.js';
import { runNumber, stepNumber } from './flow.numbers.js';
import {
  Waiting,
  type Bucket,
  type Fn,
  type FlowState,
  type Gate,
  type Group,
  type Lane,
  type Stop,
  type Throttle,
} from './flow.state.js';
import { nextAt, throttleRate } from './gcra.js';

/** Who may go and who waits: how functions, groups and lanes come to their places and leave them. */

/** How many the function allows behind a gate. */
export function numberOf({ limits }: Fn, { kind, key }: Pick<Gate, 'kind' | 'key'>): number {
  return kind === 'step' ? stepNumber(limits, key) : runNumber(limits, key);
}

/** The first gate of a group without room. */
export function fullGate({ fn, gates }: Group): Gate | undefined {
  return gates.find((gate) => gate.bucket.inUse >= numberOf(fn, gate));
}

/** When the throttle of a lane lets the next one through; whenever the function throttles nothing now. */
export function opensAt({ line, throttle }: Lane): EpochMs {
  const rate = line.fn.limits.throttle;
  return throttle && rate ? nextAt(throttle.tat, throttleRate(rate)) : Number.NEGATIVE_INFINITY;
}

/** Puts a function among those that may go, or takes it away. To be called after whatever may change that. */
export function placeFn(state: FlowState, fn: Fn): void {
  const cause = fn.limits.paused ? 'paused' : fn.own.inUse >= fn.limits.concurrency ? 'concurrency' : undefined;
  const held = fn.stop?.ended === undefined ? fn.stop : undefined;
  if (held && held.by.cause !== cause) fn.stop = over(state, held);
  if (cause && held?.by.cause !== cause) {
    fn.stop = { by: cause === 'paused' ? { cause } : { cause, limit: fn.limits.concurrency, inUse: fn.own.inUse } };
  }
  if (!cause && fn.able.size > 0) state.turns.put(fn);
  else state.turns.remove(fn);
}

/** Puts a group where it belongs after its lanes have changed. An empty one is nowhere, and no scout. */
export function placeGroup(state: FlowState, group: Group): void {
  const home = group.waiting?.groups ?? group.fn.able;
  const first = group.lanes.peek();
  if (first) {
    group.turn = first.turn;
    home.put(group);
    if (isBehind(group, group.scoutOf?.groups.peek())) dismiss(state, group);
  } else {
    home.remove(group);
    if (group.waiting) leave(group.waiting, group);
    dismiss(state, group);
  }
  placeFn(state, group.fn);
}

/** Puts a lane where it belongs after its entries or its turn have changed. An empty one is nowhere, and no scout. */
export function placeLane(state: FlowState, lane: Lane): void {
  const home = lane.waits && lane.throttle ? lane.throttle.lanes : lane.group.lanes;
  if (lane.entries.size > 0) {
    lane.turn = lane.line.turn;
    home.put(lane);
    if (isBehind(lane, lane.throttle?.lanes.peek())) dismissLane(state, lane);
  } else {
    home.remove(lane);
    dismissLane(state, lane);
  }
  if (lane.waits && lane.throttle) placeThrottle(state, lane.throttle);
  else placeGroup(state, lane.group);
}

/** A group that came up and found a gate without room waits there. Whatever it was let out for goes to others. */
export function park(state: FlowState, group: Group, gate: Gate): void {
  group.fn.able.remove(group);
  group.waiting = waitingAt(gate, group.fn);
  group.waiting.groups.put(group);
  group.stop = { by: bucketStop(gate, group.fn) };
  dismiss(state, group);
  for (const lane of [...(group.scouts ?? [])]) dismissLane(state, lane);
  placeFn(state, group.fn);
}

/** A lane that came up and found its throttle closed waits there. */
export function parkLane(state: FlowState, lane: Lane, throttle: Throttle): void {
  const { group, line } = lane;
  group.lanes.remove(lane);
  lane.waits = true;
  throttle.lanes.put(lane);
  const { expression, value } = line.flow?.throttle ?? { value: '' };
  const limit = line.fn.limits.throttle?.limit;
  lane.stop = {
    by: { cause: 'throttle', ...named(expression, value), ...(limit ? { limit } : {}), until: opensAt(lane) },
  };
  dismissLane(state, lane);
  placeGroup(state, group);
  placeThrottle(state, throttle);
}

/** Room may have come: one group of each function that has room for it is let out, unless one is out already. */
export function rouse(state: FlowState, bucket: Bucket): void {
  for (const waiting of bucket.waiting?.values() ?? []) rouseOne(state, waiting);
}

export function rouseOne(state: FlowState, waiting: Waiting): void {
  if (waiting.scout || waiting.gate.bucket.inUse >= numberOf(waiting.fn, waiting.gate)) return;
  const group = waiting.groups.pop();
  if (!group) return;
  group.waiting = undefined;
  if (group.stop) group.stop = over(state, group.stop);
  group.scoutOf = waiting;
  waiting.scout = group;
  placeGroup(state, group);
}

/** Throttles open for those that wait, and are forgotten once their time is past. */
export function openDue(state: FlowState, now: EpochMs): void {
  for (let first = state.openings.peek(); first && first.at <= now; first = state.openings.peek()) {
    if (first.tat !== undefined && first.tat <= now) first.tat = undefined;
    if (first.lanes.size > 0 && !first.scout) open(state, first);
    else placeThrottle(state, first);
  }
}

/** Lets out the lanes of a throttle that has opened, until one of them can come up: the others find it when their groups do. */
function open(state: FlowState, throttle: Throttle): void {
  while (!throttle.scout) {
    const lane = throttle.lanes.pop();
    if (!lane) break;
    lane.waits = false;
    if (lane.stop) lane.stop = over(state, lane.stop);
    lane.group.lanes.put(lane);
    if (!lane.group.waiting) {
      throttle.scout = lane;
      (lane.group.scouts ??= new Set()).add(lane);
    }
    placeGroup(state, lane.group);
  }
  placeThrottle(state, throttle);
}

/** A group that is no longer on its way for others that wait. */
export function dismiss(state: FlowState, group: Group): void {
  const waiting = group.scoutOf;
  if (!waiting) return;
  group.scoutOf = undefined;
  waiting.scout = undefined;
  rouseOne(state, waiting);
  dropWaiting(waiting);
}

/** A lane that is no longer on its way for others before its throttle. */
export function dismissLane(state: FlowState, lane: Lane): void {
  const { throttle } = lane;
  if (throttle?.scout !== lane) return;
  throttle.scout = undefined;
  lane.group.scouts?.delete(lane);
  placeThrottle(state, throttle);
}

/** Sets a throttle to when something is to be done about it, and forgets it when that is never. */
export function placeThrottle(state: FlowState, throttle: Throttle): void {
  const first = throttle.lanes.peek();
  if (first) throttle.fn?.throttles.add(throttle);
  else throttle.fn?.throttles.delete(throttle);
  const at = first && !throttle.scout ? opensAt(first) : throttle.tat;
  if (at !== undefined) {
    throttle.at = at;
    state.openings.put(throttle);
    return;
  }
  state.openings.remove(throttle);
  if (throttle.users === 0 && state.throttles.get(throttle.key) === throttle) state.throttles.delete(throttle.key);
}

/** A scout has had a turn, or has lost who was to have it: one that waits would come before it. */
function isBehind(scout: { readonly turn: number }, first: { readonly turn: number } | undefined): boolean {
  return first !== undefined && first.turn < scout.turn;
}

function waitingAt(gate: Gate, fn: Fn): Waiting {
  const name = `${fn.id} ${gate.key.limit}`;
  const { bucket } = gate;
  let waiting = bucket.waiting?.get(name);
  if (!waiting) {
    waiting = new Waiting(fn, name, gate);
    (bucket.waiting ??= new Map()).set(name, waiting);
    fn.waiting.add(waiting);
  }
  return waiting;
}

function leave(waiting: Waiting, group: Group): void {
  waiting.groups.remove(group);
  group.waiting = undefined;
  dropWaiting(waiting);
}

function dropWaiting(waiting: Waiting): void {
  if (waiting.groups.size > 0 || waiting.scout) return;
  waiting.gate.bucket.waiting?.delete(waiting.name);
  waiting.fn.waiting.delete(waiting);
}

function over(state: FlowState, { by }: Stop): Stop {
  return { by, ended: ++state.tick };
}

function bucketStop(gate: Gate, fn: Fn): Stop['by'] {
  const { expression, value } = gate.key;
  return {
    cause: gate.kind === 'step' ? 'concurrency' : 'run_concurrency',
    ...named(expression, value),
    limit: numberOf(fn, gate),
    inUse: gate.bucket.inUse,
  };
}

function named(expression: string | undefined, key: string): { expression?: string; key?: string } {
  return expression === undefined ? {} : { expression, key };
}
