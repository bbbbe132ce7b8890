import type { Mark } from './recorder.ts';
import type { LoggedRun, LogTally } from './log.reading.ts';

/** What must have been executed for each of some events: each of `whats` of `fn` exactly once. */
export interface Owed {
  readonly fn: string;
  readonly numbers: readonly number[];
  readonly whats: readonly string[];
}

/** `exact`, or how effects and events differ. */
export type Verdict = { readonly exact: true } | { readonly exact: false; readonly defect: string };

export const EXACT: Verdict = { exact: true };

/** Compares what was executed with what was sent, then what the server recorded. Executions that are not asked about are surplus as well. */
export function verdictOf(marks: readonly Mark[], owed: readonly Owed[], log?: LogTally): Verdict {
  const runs = owed.reduce((sum, { numbers }) => sum + numbers.length, 0);
  return both(executed(marks, owed), log === undefined ? EXACT : recorded(log, runs));
}

/** Whether the log says of so many runs that they completed, and of none that it went wrong. */
export function recorded({ runsCompleted, wentWrong }: LogTally, runs: number): Verdict {
  if (runsCompleted === runs && wentWrong === 0) return EXACT;
  return {
    exact: false,
    defect: `the log has ${runsCompleted} of ${runs} runs completed, and ${wentWrong} that went wrong`,
  };
}

function executed(marks: readonly Mark[], owed: readonly Owed[]): Verdict {
  const counts = new Map<string, number>();
  for (const [fn, n, what] of marks) {
    const key = `${fn}/${n}/${what}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  const lost: string[] = [];
  const doubled: string[] = [];
  for (const { fn, numbers, whats } of owed) {
    for (const n of numbers) {
      for (const what of whats) {
        const key = `${fn}/${n}/${what}`;
        const count = counts.get(key) ?? 0;
        if (count === 0) lost.push(key);
        if (count > 1) doubled.push(`${key} x${count}`);
        counts.delete(key);
      }
    }
  }
  const strange = [...counts.keys()];
  if (lost.length + doubled.length + strange.length === 0) return EXACT;
  const parts = [told('lost', lost), told('doubled', doubled), told('not asked for', strange)];
  return { exact: false, defect: parts.filter((part) => part !== '').join('; ') };
}

function told(what: string, keys: readonly string[]): string {
  return keys.length === 0 ? '' : `${keys.length} ${what} (${keys.slice(0, 3).join(', ')})`;
}

/** Whether each event has one run, which completed. */
export function completedOnce(runs: readonly LoggedRun[], eventIds: ReadonlySet<string>): Verdict {
  const started = new Set(runs.map(({ eventId }) => eventId));
  return noneOf([
    [[...eventIds].filter((id) => !started.has(id)).length, 'events without a run'],
    [runs.length - started.size, 'events with two runs'],
    [runs.filter(({ output }) => output === undefined).length, 'runs that did not complete'],
  ]);
}

/** @param defects how many of each there are */
export function noneOf(defects: readonly (readonly [number, string])[]): Verdict {
  const found = defects.filter(([many]) => many > 0).map(([many, what]) => `${many} ${what}`);
  return found.length === 0 ? EXACT : { exact: false, defect: found.join('; ') };
}

/** The first of two verdicts that is a defect. */
export function both(a: Verdict, b: Verdict): Verdict {
  return a.exact ? b : a;
}

export function stepsOf(count: number): readonly string[] {
  return Array.from({ length: count }, (_, i) => `step-${i}`);
}

/** When something of each event was executed, by number. */
export function timesOf(marks: readonly Mark[], fn: string, what: string): ReadonlyMap<number, number> {
  return new Map(marks.filter((mark) => mark[0] === fn && mark[2] === what).map(([, n, , at]) => [n, at]));
}
