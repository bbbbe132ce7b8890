import { readdirSync, readFileSync, writeFileSync } from 'node:fs';

/** Ticks of /proc/<pid>/stat a second: a constant of Linux on every machine that Node runs on. */
const TICKS_PER_SECOND = 100;

/** What a process has cost since it began. */
export interface Usage {
  readonly cpuMs: number;
  readonly rssBytes: number;
  /** Highest since the last `forgetPeak`. */
  readonly rssPeakBytes: number;
}

const NOTHING: Usage = { cpuMs: 0, rssBytes: 0, rssPeakBytes: 0 };

/** Reads /proc: on other systems, and of a process that is gone, everything is 0. */
export function usageOf(pid: number): Usage {
  const stat = read(`/proc/${pid}/stat`);
  const status = read(`/proc/${pid}/status`);
  if (stat === undefined || status === undefined) return NOTHING;
  // The name of the program, in brackets, may hold spaces.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticks = Number(fields[11]) + Number(fields[12]);
  return {
    cpuMs: (ticks * 1_000) / TICKS_PER_SECOND,
    rssBytes: kilobytes(status, 'VmRSS'),
    rssPeakBytes: kilobytes(status, 'VmHWM'),
  };
}

/** Lets the peak begin anew, where the system can. */
export function forgetPeak(pid: number): void {
  try {
    writeFileSync(`/proc/${pid}/clear_refs`, '5');
  } catch {
    // The peak then counts from the start of the process: higher than it need be, never lower.
  }
}

/** The processes that `pid` has started and that are alive. */
export function childrenOf(pid: number): readonly number[] {
  try {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((other) => parentOf(other) === pid);
  } catch {
    return [];
  }
}

function parentOf(pid: number): number | undefined {
  const stat = read(`/proc/${pid}/stat`);
  return stat === undefined ? undefined : Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
}

function kilobytes(status: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0) * 1_024;
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
