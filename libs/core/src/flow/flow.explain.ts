import type { EpochMs } from '../words.js';
import type { FlowKey, Wait } from './flow.js';
import { entryBefore, type Bucket, type Entry, type Fn, type Lane, type Line } from './flow.state.js';
import { fullGate, numberOf, opensAt } from './flow.waits.js';
import type { Backlog, BacklogLine, QueueCounts, QueuedItem } from './flow.work.js';

/** What the queue tells people. Looks at one line, or at the lines of one function. */

const HOLDERS_MAX = 10;

export function countsOf(fn: Fn | undefined): QueueCounts {
  return { running: fn?.leases.size ?? 0, ready: fn?.ready ?? 0, later: fn?.later.size ?? 0 };
}

export function queuedItem(entry: Entry, now: EpochMs): QueuedItem {
  const { item, hold, lane } = entry;
  return { ...item, leased: hold !== undefined, ...(lane ? { wait: waitOf(entry, lane, now) } : {}) };
}

export function backlogOf(fn: Fn | undefined, linesMax: number, now: EpochMs): Backlog {
  const lines = [...(fn?.lines.values() ?? [])].sort(longer);
  const nextAt = fn ? nextOf(fn, now) : Number.POSITIVE_INFINITY;
  return {
    ...countsOf(fn),
    lines: lines.slice(0, linesMax).map((line) => backlogLine(line, now)),
    lineCount: lines.length,
    ...(nextAt === Number.POSITIVE_INFINITY ? {} : { nextAt }),
  };
}

/** The first thing found that holds an entry, asked as things are now: it may have come up before that. */
function waitOf(entry: Entry, lane: Lane, now: EpochMs): Wait {
  const { fn, item } = entry;
  const { limits } = fn;
  const place = placeOf(entry, lane.line);
  if (limits.paused) return { cause: 'paused', place };
  if (fn.own.inUse >= limits.concurrency) {
    const key: FlowKey = { scope: 'fn', value: '', limit: limits.concurrency };
    return { cause: 'concurrency', ...held(key, limits.concurrency, fn.own), place };
  }
  const full = fullGate(lane.group);
  if (full) {
    const cause = full.kind === 'step' ? 'concurrency' : 'run_concurrency';
    return { cause, ...held(full.key, numberOf(fn, full), full.bucket), place };
  }
  const until = opensAt(lane);
  const throttle = item.flow?.throttle;
  if (until > now && throttle && limits.throttle) {
    const { expression, value: key } = throttle;
    const { limit, periodMs, burst } = limits.throttle;
    return { cause: 'throttle', ...named(expression), key, limit, periodMs, burst, until, place };
  }
  return { cause: 'turn', place };
}

function held({ scope, expression, value }: FlowKey, limit: number, bucket: Bucket) {
  return { scope, ...named(expression), key: value, limit, inUse: bucket.inUse, holders: bucket.holders(HOLDERS_MAX) };
}

/** Place among all that wait in the line. */
function placeOf(entry: Entry, { lanes }: Line): number {
  let place = 1;
  for (const { entries } of lanes) for (const other of entries.all()) if (entryBefore(other, entry)) place++;
  return place;
}

function longer(a: Line, b: Line): number {
  return b.ready - a.ready || b.running - a.running || (a.name < b.name ? -1 : 1);
}

function backlogLine({ flow, ready, running, lanes }: Line, now: EpochMs): BacklogLine {
  const keys: BacklogLine['keys'] = [
    ...(flow?.step ?? []).map(({ expression, value }) => ({ limit: 'step' as const, ...named(expression), value })),
    ...(flow?.run ? [{ limit: 'run' as const, ...named(flow.run.expression), value: flow.run.value }] : []),
    ...(flow?.throttle
      ? [{ limit: 'throttle' as const, ...named(flow.throttle.expression), value: flow.throttle.value }]
      : []),
  ];
  const [first, ...others] = lanes.flatMap(({ entries }) => entries.peek() ?? []);
  if (!first) return { keys, ready, running };
  const entry = others.reduce((lowest, other) => (entryBefore(other, lowest) ? other : lowest), first);
  return { keys, ready, running, ...(entry.lane ? { wait: waitOf(entry, entry.lane, now) } : {}) };
}

function nextOf(fn: Fn, now: EpochMs): EpochMs {
  let next = Math.min(
    fn.later.peek()?.item.dueAt ?? Number.POSITIVE_INFINITY,
    fn.leases.peek()?.hold?.until ?? Number.POSITIVE_INFINITY,
  );
  for (const { lanes } of fn.lines.values()) {
    for (const lane of lanes) {
      const at = opensAt(lane);
      if (at > now && at < next) next = at;
    }
  }
  return next;
}

function named(expression: string | undefined): { expression?: string } {
  return expression === undefined ? {} : { expression };
}
