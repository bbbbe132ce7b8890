import { isDeepStrictEqual } from 'node:util';
import { owed } from '#core/run/run.owed.js';
import type { Run } from '#core/run/run.state.js';
import type { AggregateStore } from '#ports/aggregate-store.port.js';
import type { EventLog } from '#ports/event-log.port.js';
import type { WorkQueue } from '#ports/work-queue.port.js';
import { DESK } from '../desk/desk.js';
import type { Aggregate } from '../desk/room.js';
import { ROOMS } from '../desk/rooms.js';
import { PartitionFold } from './partition.fold.js';

/** Where a store and the log do not say the same. */
export interface Difference {
  /** Space and id of the aggregate, or the id of the item of work. */
  readonly key: string;
  readonly what: 'missing' | 'unexpected' | 'differs' | 'work_missing';
}

export interface VerifiedPartition {
  readonly partition: number;
  /** Aggregates that are active by the log. */
  readonly active: number;
  /** Commands that the store does not reflect yet. */
  readonly lag: number;
  readonly differences: readonly Difference[];
}

/** Why a partition could not be compared. */
export interface UnverifiedPartition {
  readonly partition: number;
  readonly why: 'no_position';
  readonly lag: number;
}

export interface VerifyPorts {
  readonly log: EventLog;
  readonly aggregates: AggregateStore;
  /** Absent: it is of another process, which puts out everything when it starts. */
  readonly queue?: WorkQueue | undefined;
}

/** Folds a partition of the log into a fresh state, and compares the stores with that. They may go on meanwhile. */
export async function verifyPartition(
  { log, aggregates, queue }: VerifyPorts,
  partition: number,
): Promise<VerifiedPartition | UnverifiedPartition> {
  const end = (await log.ends('commands'))[partition]?.offset ?? 0;
  const from = await aggregates.position(DESK, partition);
  if (!from) return { partition, why: 'no_position', lag: end };
  const fold = await PartitionFold.open(log, partition);
  await fold.to(from.offset);
  const expected = new Map<string, readonly unknown[]>();
  for (const [key, { state }] of fold.active) expected.set(key, [plain(state)]);
  const found = await stored(aggregates, partition);
  // What has been committed while the store was read is in it in the state of before, or of after.
  const until = (await aggregates.position(DESK, partition)) ?? from;
  await fold.to(until.offset, (key, state) =>
    expected.set(key, [...(expected.get(key) ?? [undefined]), state && plain(state)]),
  );
  const differences = [...compare(expected, found)];
  if (queue) differences.push(...(await missingWork(fold, queue)));
  return { partition, active: fold.active.size, lag: Math.max(0, end - until.offset), differences };
}

/** The first of what differs of each kind comes first. */
function* compare(
  expected: ReadonlyMap<string, readonly unknown[]>,
  found: ReadonlyMap<string, unknown>,
): Iterable<Difference> {
  for (const [key, states] of expected) {
    const is = found.get(key);
    if (states.some((state) => isDeepStrictEqual(state, is))) continue;
    yield { key, what: is === undefined ? 'missing' : states.at(-1) === undefined ? 'unexpected' : 'differs' };
  }
  for (const key of found.keys()) if (!expected.has(key)) yield { key, what: 'unexpected' };
}

async function stored(aggregates: AggregateStore, partition: number): Promise<ReadonlyMap<string, unknown>> {
  const found = new Map<string, unknown>();
  for (const { space } of ROOMS) {
    for await (const { id, state } of aggregates.active({ space, partition })) {
      if (state !== null) found.set(`${space}/${id}`, JSON.parse(state));
    }
  }
  return found;
}

/** Work that is owed and not out. What is answered while it is looked at is owed no more: so it is looked at again. */
async function missingWork(fold: PartitionFold, queue: WorkQueue): Promise<readonly Difference[]> {
  const suspects = await missing(runsOf(fold), queue);
  if (suspects.size === 0) return [];
  await fold.to(Infinity);
  const still = await missing(runsOf(fold), queue);
  return [...still].filter((id) => suspects.has(id)).map((key) => ({ key, what: 'work_missing' }));
}

function runsOf(fold: PartitionFold): readonly Run[] {
  return [...fold.active.values()].filter(({ space }) => space === 'run').map(({ state }) => state as Run);
}

async function missing(runs: readonly Run[], queue: WorkQueue): Promise<Set<string>> {
  const absent = new Set<string>();
  for (const run of runs) {
    const items = owed(run).filter(({ kind }) => kind === 'work');
    if (items.length === 0) continue;
    const out = new Set((await queue.ofRun(run.id)).map(({ id }) => id));
    for (const { id } of items) if (!out.has(id)) absent.add(id);
  }
  return absent;
}

/** As it comes back from a store. */
function plain(state: Aggregate): unknown {
  return JSON.parse(JSON.stringify(state));
}
