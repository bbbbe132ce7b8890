import type { Verdict } from './ledger.ts';
import { spread } from './statistics.ts';
import type { Cost } from './stage.ts';

/** What is measured, by name; the unit is part of the name, as everywhere. */
export type Value =
  | 'p50Ms'
  | 'p95Ms'
  | 'p99Ms'
  | 'runsPerS'
  | 'stepsPerS'
  | 'callsPerS'
  | 'matchesPerS'
  | 'eventsPerS'
  | 'recordsPerS'
  | 'ratio'
  | 'firstDispatchMs'
  | 'allDoneMs'
  | 'allMovesMs'
  | 'gapMs'
  | 'cpuPercent'
  | 'memoryMb'
  | 'logBytesPerRun'
  | 'jain'
  | 'slotsPercent'
  | 'violations'
  | 'microsPerItem';

export interface Goal {
  readonly value: Value;
  readonly atMost?: number;
  readonly atLeast?: number;
}

/** One line of the report: one scenario in one form, measured once. */
export interface Row {
  /** `B2 off`: the scenario of performance.md, and the form. */
  readonly id: string;
  readonly title: string;
  /** What happened: how many, in which way. */
  readonly did: string;
  readonly values: Partial<Record<Value, number>>;
  /** CPU of each process for one operation, ms. */
  readonly cpuMsPerOp?: Readonly<Record<string, number>>;
  readonly rssPeakMb?: Readonly<Record<string, number>>;
  readonly verdict: Verdict;
  readonly goals: readonly Goal[];
  /** Where the reference stands, by the same values. */
  readonly reference?: Partial<Record<Value, number>>;
  readonly notes?: readonly string[];
}

export const MB = 1024 * 1024;

/** The times of many, as a row shows them. */
export function spreadMs(times: readonly number[]): Pick<Row['values'], 'p50Ms' | 'p95Ms' | 'p99Ms'> {
  const { p50, p95, p99 } = spread(times);
  return { p50Ms: p50, p95Ms: p95, p99Ms: p99 };
}

/** What a cost is per operation, for a row. */
export function costs(cost: Cost, operations: number): Pick<Row, 'cpuMsPerOp' | 'rssPeakMb'> {
  const each = (from: Readonly<Record<string, number>>, value: (x: number) => number) =>
    Object.fromEntries(Object.entries(from).map(([part, x]) => [part, value(x)]));
  return {
    cpuMsPerOp: each(cost.cpuMs, (ms) => ms / operations),
    rssPeakMb: each(cost.rssPeakBytes, (bytes) => bytes / MB),
  };
}

export interface Missed {
  readonly goal: Goal;
  readonly got: number;
}

/** Goals that a row does not reach; all of them where effects are missing, for then there is no number. */
export function missed(row: Row): readonly Missed[] {
  return row.goals.flatMap((goal) => {
    const got = row.verdict.exact ? (row.values[goal.value] ?? NaN) : NaN;
    const reached = got <= (goal.atMost ?? Infinity) && got >= (goal.atLeast ?? -Infinity);
    return reached ? [] : [{ goal, got }];
  });
}

/** Values of which more is better. */
export function moreIsBetter(value: Value): boolean {
  return value.endsWith('PerS') || value === 'jain' || value === 'slotsPercent';
}

/** Whether the reference is beaten in everything that it was measured in. */
export function beatsReference(row: Row): boolean | undefined {
  const known = Object.entries(row.reference ?? {}) as [Value, number][];
  if (known.length === 0) return undefined;
  return known.every(([value, theirs]) => {
    const ours = row.verdict.exact ? (row.values[value] ?? NaN) : NaN;
    return moreIsBetter(value) ? ours > theirs : ours < theirs;
  });
}
