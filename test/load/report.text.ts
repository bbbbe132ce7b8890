import { missed, type Goal, type Row, type Value } from './row.ts';

/** One row, for a terminal. */
export function printRow(row: Row): string {
  const { id, title, values, cpuMsPerOp, rssPeakMb, verdict } = row;
  const lines = [`${id.padEnd(10)} ${title}`];
  if (!verdict.exact) return [...lines, `           NO NUMBER: ${verdict.defect}`].join('\n');
  const known = Object.entries(values) as [Value, number][];
  lines.push(`           ${known.map(([value, x]) => told(value, x)).join('   ')}`);
  if (cpuMsPerOp) lines.push(`           CPU ms/op: ${parts(cpuMsPerOp, 2)}   peak MB: ${parts(rssPeakMb ?? {}, 0)}`);
  for (const { goal, got } of missed(row))
    lines.push(`           misses its goal: ${told(goal.value, got)}, wanted ${bound(goal)}`);
  return lines.join('\n');
}

const UNITS: Record<Value, readonly [label: string, unit: string, digits: number]> = {
  p50Ms: ['p50', 'ms', 2],
  p95Ms: ['p95', 'ms', 2],
  p99Ms: ['p99', 'ms', 2],
  runsPerS: ['', 'runs/s', 0],
  stepsPerS: ['', 'steps/s', 0],
  callsPerS: ['', 'calls/s', 0],
  matchesPerS: ['', 'matches/s', 0],
  eventsPerS: ['', 'events/s', 0],
  recordsPerS: ['', 'records/s', 0],
  ratio: ['against few', 'times', 2],
  firstDispatchMs: ['first dispatch', 'ms', 0],
  allDoneMs: ['all done', 'ms', 0],
  allMovesMs: ['everything moves', 'ms', 0],
  gapMs: ['longest wait', 'ms', 0],
  cpuPercent: ['CPU', '% of a core', 2],
  memoryMb: ['memory', 'MB', 0],
  logBytesPerRun: ['log', 'bytes a run', 0],
  jain: ['Jain index', '', 4],
  slotsPercent: ['slots in use', '%', 1],
  violations: ['limits exceeded', 'times', 0],
  microsPerItem: ['', 'µs an item', 1],
};

/** `p50 4.31 ms`. */
export function told(value: Value, x: number): string {
  const [label] = UNITS[value];
  return label === '' ? figure(value, x) : `${label} ${figure(value, x)}`;
}

/** `4.31 ms`. */
export function figure(value: Value, x: number): string {
  const [, unit, digits] = UNITS[value];
  return Number.isFinite(x) ? `${rounded(x, digits)} ${unit}`.trimEnd() : 'none';
}

/** `at most 5.00 ms`. */
export function bound(goal: Goal): string {
  return goal.atMost === undefined
    ? `at least ${figure(goal.value, goal.atLeast ?? NaN)}`
    : `at most ${figure(goal.value, goal.atMost)}`;
}

export function parts(of: Readonly<Record<string, number>>, digits: number): string {
  const known = Object.entries(of).filter(([, x]) => x >= 0.5 * 10 ** -digits);
  return known.map(([part, x]) => `${part} ${rounded(x, digits)}`).join(', ') || 'none';
}

function rounded(x: number, digits: number): string {
  return x.toLocaleString('en', { maximumFractionDigits: digits, minimumFractionDigits: x < 100 ? digits : 0 });
}
