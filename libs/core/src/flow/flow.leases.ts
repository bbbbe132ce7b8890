import type { EpochMs } from '../words.js';
import { dropBucket, dropLine, enter, leave, lineOf } from './flow.lines.js';
import type { Bucket, Entry, Fn, FlowState, Gate, Hold } from './flow.state.js';
import { placeFn, rouse } from './flow.waits.js';

/** What is under way: how it is counted, and how that is given back. */

/** An entry goes under way, wherever it was: it counts in its function and behind these gates. */
export function hold(
  state: FlowState,
  entry: Entry,
  gates: readonly Gate[],
  token: string | undefined,
  until: EpochMs,
): void {
  const { fn, item } = entry;
  const buckets = [fn.own, ...gates.map(({ bucket }) => bucket)];
  const runBucket = gates.find(({ kind }) => kind === 'run')?.bucket;
  for (const bucket of buckets) bucket.take(item);
  entry.hold = { token, until, buckets, runBucket, withdrawn: false };
  lineOf(entry).running++;
  leave(state, entry);
  fn.leases.put(entry);
  if (token !== undefined) state.byToken.set(token, entry);
  placeAgenda(state, fn);
  placeFn(state, fn);
}

/** An entry is no longer under way: what it held is free for others. It is nowhere, until it enters its line again or is forgotten. */
export function release(state: FlowState, entry: Entry): Hold | undefined {
  const { fn, item, hold, line } = entry;
  if (!hold || !line) return undefined;
  fn.leases.remove(entry);
  if (hold.token !== undefined) state.byToken.delete(hold.token);
  entry.hold = undefined;
  entry.line = undefined;
  line.running--;
  dropLine(line);
  for (const bucket of hold.buckets) {
    bucket.giveBack(item);
    freed(state, bucket);
  }
  placeAgenda(state, fn);
  placeFn(state, fn);
  return hold;
}

/** Something was given back to a bucket. */
export function freed(state: FlowState, bucket: Bucket): void {
  rouse(state, bucket);
  dropBucket(state, bucket);
}

/** An entry is out: in its line once it is due. @param since when it was put out, or out again */
export function putOut(state: FlowState, entry: Entry, since: EpochMs, now: EpochMs): void {
  const { fn, item } = entry;
  if (item.dueAt <= now) {
    enter(state, entry, Math.max(since, item.dueAt));
  } else {
    fn.later.put(entry);
    placeAgenda(state, fn);
  }
}

/** Items fall due and leases end, all until now, in the order of time. @returns entries that are no longer owed */
export function happen(state: FlowState, now: EpochMs): readonly Entry[] {
  const gone: Entry[] = [];
  for (let next = state.agenda.peek(); next && next.at <= now; next = state.agenda.peek()) {
    const { fn, at } = next;
    const ended = fn.leases.peek();
    if (ended?.hold && ended.hold.until <= at) {
      if (release(state, ended)?.withdrawn) gone.push(ended);
      else putOut(state, ended, at, now);
    } else {
      const due = fn.later.pop();
      placeAgenda(state, fn);
      if (due) enter(state, due, at);
    }
  }
  return gone;
}

/** Sets a function to when something happens to it next. To be called after its leases or what is due later have changed. */
export function placeAgenda(state: FlowState, fn: Fn): void {
  const { agenda } = fn;
  const due = fn.later.peek()?.item.dueAt ?? Number.POSITIVE_INFINITY;
  const ends = fn.leases.peek()?.hold?.until ?? Number.POSITIVE_INFINITY;
  agenda.at = Math.min(due, ends);
  if (agenda.at === Number.POSITIVE_INFINITY) state.agenda.remove(agenda);
  else state.agenda.put(agenda);
}
