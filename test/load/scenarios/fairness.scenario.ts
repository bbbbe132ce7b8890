import { performance } from 'node:perf_hooks';
import { MemoryWorkQueue } from '#adapters/memory/memory-work-queue.js';
import { SystemClock } from '#platform/system-clock.js';
import { SystemIds } from '#platform/system-ids.js';
import { aWorkItem } from '#testkit/work-item.js';
import { now } from '../clock.ts';
import { goalsOf } from '../goals.ts';
import { EXACT, type Verdict } from '../ledger.ts';
import { KEYED_MS } from '../load.shapes.ts';
import type { Mark } from '../recorder.ts';
import { costs, type Row } from '../row.ts';
import type { Scenario } from '../scenario.ts';
import { chunked, type BenchEvent } from '../sender.ts';
import { median } from '../statistics.ts';

const KEYS = 10_000;
const BURST = 500;
const HOT = 'hot';

/**
 * B10: a limit of one for each of 10,000 keys, and one of them sends as much as all others together, ahead of them. Calls take a quarter of a second, so that
 * it is the server's order that decides who gets on. Counted from when all have been sent until each key has had its first turn, among those
 * that wait all the while.
 */
export const fairness: Scenario = {
  id: 'B10',
  alone: true,
  async run({ stage, size }) {
    const keys = size(KEYS);
    const numbers = stage.numbers(2 * keys);
    const keyOf = new Map<number, string>();
    const events = numbers.map((n, i): BenchEvent => {
      const key = i < keys ? HOT : `key-${i}`;
      keyOf.set(n, key);
      return { name: 'raw/keyed', data: { n, key } };
    });
    let sentAt = NaN;
    const cost = await stage.measured(async () => {
      for (const some of chunked(events, BURST)) await stage.sender.send(some);
      sentAt = now();
      await stage.raw.reached('raw-keyed', 'cold finished', keys, 300_000);
    });
    const marks = await stage.marks();
    const calls = callsOf(marks, keyOf);
    const firstTurns = new Map<string, number>();
    for (const { key, from } of calls) firstTurns.set(key, Math.min(firstTurns.get(key) ?? Infinity, from));
    const until = Math.max(...firstTurns.values());
    const within = calls.filter(({ from, to }) => to > sentAt && from <= until);
    const busyMs = within.reduce((sum, { from, to }) => sum + Math.min(to, until) - Math.max(from, sentAt), 0);
    const waited = within.filter(({ key, from }) => from > sentAt && (key === HOT || firstTurns.get(key) === from));
    const turns = [...Map.groupBy(waited, ({ key }) => key).values()].map((all) => all.length);
    const ofHot = waited.filter(({ key }) => key === HOT).length;
    const row: Row = {
      id: 'B10',
      title: `A limit of one for each of ${keys.toLocaleString('en')} keys, one of which sends half of the load, ahead of the others`,
      did: `${waited.length.toLocaleString('en')} calls of ${KEYED_MS} ms of ${turns.length.toLocaleString('en')} keys that waited; the one that sends half had ${ofHot} of them`,
      values: {
        jain: jain(turns),
        slotsPercent: (100 * busyMs) / (stage.millrace.workers * (until - sentAt)),
        violations: violations(calls),
      },
      ...costs(cost, calls.length),
      verdict: verdict(calls, keyOf),
      goals: goalsOf('B10', stage.mode),
      notes: [`${(cost.workMs / 1_000).toFixed(1)} s`],
    };
    return stage.mode === 'embedded' ? [row, await backlog()] : [row];
  },
};

interface KeyedCall {
  readonly n: number;
  readonly key: string;
  readonly from: number;
  readonly to: number;
}

/** A call that is still under way when the marks are taken ends with them. */
function callsOf(marks: readonly Mark[], keyOf: ReadonlyMap<number, string>): readonly KeyedCall[] {
  const takenAt = now();
  const ends = new Map<number, number>();
  for (const [, n, what, at] of marks) if (what !== 'entered') ends.set(n, at);
  return marks.flatMap(([, n, what, from]) =>
    what === 'entered' ? [{ n, key: keyOf.get(n) ?? '', from, to: ends.get(n) ?? takenAt }] : [],
  );
}

/** 1 where all had the same; 1/n where one had everything. */
function jain(shares: readonly number[]): number {
  const sum = shares.reduce((total, x) => total + x, 0);
  const squares = shares.reduce((total, x) => total + x * x, 0);
  return (sum * sum) / (shares.length * squares);
}

/** Calls that began while another of their key was under way. */
function violations(calls: readonly KeyedCall[]): number {
  const busyUntil = new Map<string, number>();
  let count = 0;
  for (const { key, from, to } of calls.toSorted((a, b) => a.from - b.from)) {
    if (from < (busyUntil.get(key) ?? 0)) count++;
    busyUntil.set(key, Math.max(to, busyUntil.get(key) ?? 0));
  }
  return count;
}

/** Each event of a key that sends one was executed once, and none of the others twice. */
function verdict(calls: readonly KeyedCall[], keyOf: ReadonlyMap<number, string>): Verdict {
  const times = new Map<number, number>();
  for (const { n } of calls) times.set(n, (times.get(n) ?? 0) + 1);
  const doubled = [...times.values()].filter((count) => count > 1).length;
  const lost = [...keyOf].filter(([n, key]) => key !== HOT && !times.has(n)).length;
  return doubled + lost === 0 ? EXACT : { exact: false, defect: `${lost} lost, ${doubled} doubled` };
}

const MANY = 1_000_000;
const FEW = 100;
const PROBES = 20_000;

/** What an item costs the queue (put out, handed out, done) beside so many that wait in the same function. */
async function backlog(): Promise<Row> {
  const few = await probed(FEW);
  const many = await probed(MANY);
  return {
    id: 'B10 backlog',
    title: `An item through the queue beside ${MANY.toLocaleString('en')} that wait in its function`,
    did: `${PROBES.toLocaleString('en')} items enqueued, claimed and completed, in this process; against ${FEW} that wait (${few.toFixed(1)} µs); median of 5`,
    values: { microsPerItem: many, ratio: many / few },
    verdict: EXACT,
    goals: [],
  };
}

/** @returns microseconds for an item */
async function probed(waiting: number): Promise<number> {
  const queue = new MemoryWorkQueue(new SystemClock(), new SystemIds());
  await queue.limits('f', { concurrency: 1, declared: true });
  // Behind what is probed, so that it stays.
  for (let i = 0; i < waiting; i += FEW)
    await queue.enqueue(
      Array.from({ length: FEW }, (_, n) => aWorkItem(`waiting-${i + n}`, { rank: Number.MAX_SAFE_INTEGER })),
    );
  const never = new AbortController().signal;
  const rounds: number[] = [];
  for (let round = 0; round < 5; round++) {
    const from = performance.now();
    for (let i = 0; i < PROBES / 5; i++) {
      await queue.enqueue([aWorkItem(`probe-${round}-${i}`, { rank: i })]);
      const lease = await queue.claim(never);
      if (!lease?.item.id.startsWith('probe')) throw new Error('another item than the probe was handed out');
      await queue.complete(lease);
    }
    rounds.push(((performance.now() - from) * 1_000 * 5) / PROBES);
  }
  return median(rounds);
}
