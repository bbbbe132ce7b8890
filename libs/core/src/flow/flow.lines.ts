import type { EpochMs } from '../words.js';
import { bucketKey, throttleKey, type RunFlow } from './flow.js';
import { groupName, lineName } from './flow.numbers.js';
import { Bucket, Entry, Fn, Group, Lane, Line, Throttle, type FlowState, type Gate } from './flow.state.js';
import { placeGroup, placeLane, placeThrottle } from './flow.waits.js';
import type { WorkItem } from './flow.work.js';

/** How items come into their lines and leave them. What is no longer referred to is dropped. */

/** Whether an item is the first request of its run: not once the run holds a slot, for then its start is a fact. */
export function isStart(state: FlowState, item: WorkItem): boolean {
  return item.starts === true && !state.slots.has(item.runId);
}

/** Puts an entry that is due into its line. A line or a function that had nothing to do begins at the end. */
export function enter(state: FlowState, entry: Entry, since: EpochMs): void {
  const { fn } = entry;
  const line = lineOf(entry);
  if (line.ready === 0) line.turn = ++state.turn;
  if (fn.ready === 0) fn.turn = ++state.turn;
  line.ready++;
  fn.ready++;
  entry.since = since;
  entry.tick = ++state.tick;
  intoLane(state, line, entry);
}

/** Takes an entry that waits out of its line. */
export function leave(state: FlowState, entry: Entry): void {
  const { line, lane, fn } = entry;
  if (!line || !lane) return;
  line.ready--;
  fn.ready--;
  entry.lane = undefined;
  lane.entries.remove(entry);
  placeLane(state, lane);
  if (lane.entries.size === 0) dropLane(state, lane);
  dropLine(line);
}

/** Its run has come to hold a slot, or holds none any more: the entry keeps its place in the line, in the other lane. */
export function changeLane(state: FlowState, entry: Entry): void {
  const { line, lane } = entry;
  if (!line || !lane) return;
  lane.entries.remove(entry);
  intoLane(state, line, entry);
  placeLane(state, lane);
  if (lane.entries.size === 0) dropLane(state, lane);
}

/** The line of an entry, for as long as it waits or is under way. */
export function lineOf(entry: Entry): Line {
  if (entry.line) return entry.line;
  const { fn, item } = entry;
  const name = lineName(item.flow);
  let line = fn.lines.get(name);
  if (!line) fn.lines.set(name, (line = new Line(fn, name, item.flow)));
  return (entry.line = line);
}

/** Where an item must pass and is counted, beside its function's own bucket. */
export function gatesOf(state: FlowState, { env, functionId, flow }: WorkItem, starts: boolean): Gate[] {
  const gates = (flow?.step ?? []).map((key): Gate => {
    return { kind: 'step', key, bucket: bucketAt(state, bucketKey('step', env, functionId, key)) };
  });
  if (starts && flow?.run) {
    const key = flow.run;
    gates.push({ kind: 'run', key, bucket: bucketAt(state, bucketKey('run', env, functionId, key)) });
  }
  return gates;
}

export function bucketAt(state: FlowState, key: string): Bucket {
  let bucket = state.buckets.get(key);
  if (!bucket) state.buckets.set(key, (bucket = new Bucket(key)));
  return bucket;
}

export function throttleAt(state: FlowState, key: string): Throttle {
  let throttle = state.throttles.get(key);
  if (!throttle) state.throttles.set(key, (throttle = new Throttle(key)));
  return throttle;
}

export function fnAt(state: FlowState, functionId: string): Fn {
  let fn = state.fns.get(functionId);
  if (!fn) {
    const own = bucketAt(state, bucketKey('step', '', functionId, { scope: 'fn', value: '', limit: 0 }));
    own.users++;
    state.fns.set(functionId, (fn = new Fn(functionId, own)));
  }
  return fn;
}

export function dropLine(line: Line): void {
  if (line.ready + line.running === 0) line.fn.lines.delete(line.name);
}

/** Whoever has held it longest may still have one that was dropped meanwhile, while another of its name is in use. */
export function dropBucket(state: FlowState, bucket: Bucket): void {
  if (bucket.users + bucket.inUse > 0 || state.buckets.get(bucket.key) !== bucket) return;
  state.buckets.delete(bucket.key);
}

function intoLane(state: FlowState, line: Line, entry: Entry): void {
  const starts = isStart(state, entry.item);
  const name = groupName(entry.item.flow, starts);
  const lane = line.lanes.find(({ group }) => group.name === name) ?? newLane(state, line, entry, name, starts);
  entry.lane = lane;
  lane.entries.put(entry);
  placeLane(state, lane);
}

function newLane(state: FlowState, line: Line, { item }: Entry, name: string, starts: boolean): Lane {
  const group = groupAt(state, line.fn, item, name, starts);
  const throttle = starts && item.flow?.throttle ? throttleFor(state, line.fn, item, item.flow.throttle) : undefined;
  const lane = new Lane(line, group, throttle);
  group.laneCount++;
  line.lanes = [...line.lanes, lane];
  return lane;
}

function groupAt(state: FlowState, fn: Fn, item: WorkItem, name: string, starts: boolean): Group {
  let group = fn.groups.get(name);
  if (!group) {
    group = new Group(fn, name, gatesOf(state, item, starts));
    for (const { bucket } of group.gates) bucket.users++;
    fn.groups.set(name, group);
  }
  return group;
}

function throttleFor(state: FlowState, fn: Fn, item: WorkItem, key: NonNullable<RunFlow['throttle']>): Throttle {
  const throttle = throttleAt(state, throttleKey(item.env, item.functionId, key));
  throttle.fn = fn;
  throttle.users++;
  return throttle;
}

function dropLane(state: FlowState, lane: Lane): void {
  const { line, group, throttle } = lane;
  line.lanes = line.lanes.filter((other) => other !== lane);
  if (throttle) {
    throttle.users--;
    placeThrottle(state, throttle);
  }
  if (--group.laneCount > 0) return;
  placeGroup(state, group);
  group.fn.groups.delete(group.name);
  for (const { bucket } of group.gates) {
    bucket.users--;
    dropBucket(state, bucket);
  }
}
