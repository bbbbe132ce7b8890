import type { RunTransition } from '#core/run/run.transitions.js';

/** How much there is on the log; what is counted from its beginning is only good for differences. */
export interface LogTally {
  readonly bytes: number;
  readonly events: number;
  readonly commands: number;
  readonly runsCompleted: number;
  /** Failed, cancelled, or records that could not be processed. */
  readonly wentWrong: number;
}

/** A run, as the log tells it. */
export interface LoggedRun {
  readonly runId: string;
  readonly eventId: string;
  readonly partition: number;
  /** JSON of each recorded result of a step, in order. */
  readonly results: readonly string[];
  /** JSON; undefined while it has not completed. */
  readonly output: string | undefined;
}

/** A transition, and where it stands. */
export interface Told {
  readonly runId: string;
  readonly partition: number;
  readonly transition: RunTransition;
}

/** Looks at the log from outside. */
export interface LogReading {
  tally(): Promise<LogTally>;
  /** All runs of a function. */
  runs(slug: string): Promise<readonly LoggedRun[]>;
  close(): Promise<void>;
}

export function since(before: LogTally, after: LogTally): LogTally {
  const names = Object.keys(after) as (keyof LogTally)[];
  return Object.fromEntries(names.map((name) => [name, after[name] - before[name]])) as unknown as LogTally;
}

/** What transitions, in order, say of the runs of a function. */
export function runsOf(slug: string, all: Iterable<Told>): readonly LoggedRun[] {
  const runs = new Map<string, LoggedRun>();
  for (const { runId, partition, transition } of all) {
    const run = runs.get(runId);
    if (transition.type === 'RunScheduled' && transition.functionSlug === slug) {
      const eventId = transition.eventIds[0] ?? '';
      runs.set(runId, { runId, eventId, partition, results: [], output: undefined });
    } else if (run && transition.type === 'StepCompleted') {
      runs.set(runId, { ...run, results: [...run.results, transition.memo] });
    } else if (run && transition.type === 'RunCompleted') {
      runs.set(runId, { ...run, output: transition.output });
    }
  }
  return [...runs.values()];
}
