import type { Mode } from './installation.ts';
import { moreIsBetter, type Goal, type Value } from './row.ts';

type Bound = readonly [value: Value, embedded: number, cluster: number];

const START: readonly Bound[] = [
  ['p50Ms', 5, 10],
  ['p99Ms', 20, 40],
];

/** By row, what performance.md wants of one process, and of a cluster. */
const BOUNDS: Readonly<Record<string, readonly Bound[]>> = {
  'B1 row': START,
  'B1 open': START,
  'B2 off': [['p50Ms', 4, 8]],
  'B2 on': [['p50Ms', 1.6, 3]],
  'B3 off': [['p50Ms', 800, 1_500]],
  'B3 on': [['p50Ms', 200, 400]],
  B4: [['p50Ms', 150, 250]],
  'B6 one': [['p50Ms', 8, 15]],
  'B6 many': [['ratio', 1.1, 1.2]],
  'B7 off': [['stepsPerS', 350, 300]],
  'B7 on': [['stepsPerS', 2_500, 1_000]],
  'B8 no-op': [['runsPerS', 1_500, 700]],
  B10: [
    ['jain', 0.99, 0.99],
    ['slotsPercent', 95, 95],
    ['violations', 0, 0],
  ],
  'B11 single': [['eventsPerS', 3_500, 1_500]],
  'B11 batched': [['eventsPerS', 25_000, 10_000]],
  B12: [
    ['firstDispatchMs', 1_000, 3_000],
    ['allDoneMs', 6_000, 15_000],
  ],
  B13: [['recordsPerS', 100_000, 50_000]],
  B14: [
    ['cpuPercent', 1, 3],
    ['memoryMb', 200, 350],
  ],
  'R redis': [['allMovesMs', Infinity, 10_000]],
  'R runner': [['gapMs', Infinity, 8_000]],
};

export function goalsOf(row: string, mode: Mode): readonly Goal[] {
  return (BOUNDS[row] ?? []).map(([value, embedded, cluster]) => {
    const bound = mode === 'embedded' ? embedded : cluster;
    return moreIsBetter(value) ? { value, atLeast: bound } : { value, atMost: bound };
  });
}

/** What of the SDK's own ceiling should be reached. */
const SHARE: Readonly<Record<Mode, number>> = { embedded: 0.9, cluster: 0.7 };

export function goalsOfCeiling(mode: Mode, ceilingCallsPerS: number): readonly Goal[] {
  return [{ value: 'runsPerS', atLeast: SHARE[mode] * ceilingCallsPerS }];
}
