import { expect } from 'vitest';
import { openDataDir } from '#adapters/local-log/data-dir.js';
import { LocalEventLog } from '#adapters/local-log/local-event-log.js';
import type { AdmissionTransition, PlacedDecision } from '#core/admission/admission.js';
import type { RunTransition } from '#core/run/run.transitions.js';
import type { EpochMs } from '#core/words.js';
import { SystemClock } from '#platform/system-clock.js';
import type { EventLog } from '#ports/event-log.port.js';

/** What the log says of a run, from its first record to its last. */
export interface Story {
  readonly runId: string;
  readonly transitions: readonly RunTransition[];
}

/** One record of `transitions`: of a run, or of what was decided before there was one. */
export interface Told {
  /** The record's key. */
  readonly runId: string;
  readonly at: EpochMs;
  readonly transition: RunTransition | AdmissionTransition;
}

/** A record of `transitions`, as whoever reads it has it. */
interface Decided {
  readonly at: EpochMs;
  readonly body?: unknown;
}

/** All runs on the log of a data folder that no server uses. */
export async function storiesIn(dataDir: string): Promise<readonly Story[]> {
  return storiesOf(await transitionsIn(dataDir));
}

export async function transitionsIn(dataDir: string): Promise<readonly Told[]> {
  const dir = openDataDir(dataDir);
  const log = LocalEventLog.open(dir, { clock: new SystemClock() });
  const told = await transitionsOf(log);
  await log.close();
  await dir.close();
  return told;
}

export function storiesOf(told: readonly Told[]): readonly Story[] {
  const byRun = Map.groupBy(told, ({ runId }) => runId);
  return Array.from(byRun, ([runId, all]) => ({
    runId,
    transitions: all.map(({ transition }) => transition as RunTransition),
  }));
}

/** What was decided, each once. Partition by partition, in the order of the log. */
export async function transitionsOf(log: EventLog): Promise<readonly Told[]> {
  const records: Decided[] = [];
  for (const { partition } of await log.ends('transitions')) {
    for (let offset = 0; ;) {
      const page = await log.read('transitions', { partition, offset }, 1_000);
      const last = page.at(-1);
      if (!last) break;
      records.push(...page);
      offset = last.position.offset + 1;
    }
  }
  return toldOnce(records);
}

/** After a crash some of it is told again, and is the same. */
export function toldOnce(records: Iterable<Decided>): readonly Told[] {
  const all = new Map<string, Told>();
  for (const { at, body } of records) {
    const { runId, transition, command, event, index } = body as PlacedDecision & Told;
    const id = JSON.stringify([runId, command ?? event, index]);
    const before = all.get(id);
    // The intake tells by its own clock.
    const own = command ? {} : { at: before?.transition.at };
    if (before) expect({ ...transition, ...own }, `what is told again of ${id}`).toEqual(before.transition);
    else all.set(id, { runId, at, transition });
  }
  return [...all.values()];
}

export function ofType<T extends RunTransition['type']>(
  { transitions }: Story,
  type: T,
): Extract<RunTransition, { type: T }>[] {
  return transitions.filter((it): it is Extract<RunTransition, { type: T }> => it.type === type);
}

/** The event that started a run. */
export function causeOf(story: Story): string | undefined {
  return ofType(story, 'RunScheduled')[0]?.eventIds[0];
}

/** How a run ended: once, and each of its steps has one result. */
export function endOf(story: Story): RunTransition {
  const resolved = [...ofType(story, 'StepCompleted'), ...ofType(story, 'StepFailed')].map(({ stepId }) => stepId);
  expect(new Set(resolved).size, `each step of ${story.runId} has one result`).toBe(resolved.length);
  const ends = story.transitions.filter(({ type }) => /^Run(Completed|Failed|Cancelled)$/.test(type));
  expect(ends, `run ${story.runId} ends once`).toHaveLength(1);
  return ends[0] as RunTransition;
}
