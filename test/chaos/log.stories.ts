import { expect } from 'vitest';
import { openDataDir } from '#adapters/local-log/data-dir.js';
import { LocalEventLog } from '#adapters/local-log/local-event-log.js';
import type { AdmissionTransition, PlacedDecision } from '#core/admission/admission.js';
import type { RunTransition } from '#core/run/run.transitions.js';
import { SystemClock } from '#platform/system-clock.js';

/** What the log says of a run, from its first record to its last. */
export interface Story {
  readonly runId: string;
  readonly transitions: readonly RunTransition[];
}

/** One record of `transitions`: of a run, or of what was decided before there was one. */
export interface Told {
  /** The record's key. */
  readonly runId: string;
  readonly transition: RunTransition | AdmissionTransition;
}

/** All runs on the log of a data folder that no server uses. */
export async function storiesIn(dataDir: string): Promise<readonly Story[]> {
  const stories = new Map<string, RunTransition[]>();
  for (const { runId, transition } of await transitionsIn(dataDir))
    stories.set(runId, [...(stories.get(runId) ?? []), transition as RunTransition]);
  return [...stories].map(([runId, transitions]) => ({ runId, transitions }));
}

/** In the order of the log, each once: after a crash some are there again. */
export async function transitionsIn(dataDir: string): Promise<readonly Told[]> {
  const dir = openDataDir(dataDir);
  const log = LocalEventLog.open(dir, { clock: new SystemClock() });
  const all = new Map<string, Told>();
  for (let offset = 0; ;) {
    const page = await log.read('transitions', { partition: 0, offset }, 1_000);
    const last = page.at(-1);
    if (!last) break;
    for (const { body } of page) {
      const { runId, transition, command, event, index } = body as PlacedDecision & Told;
      const id = JSON.stringify([runId, command ?? event, index]);
      if (!all.has(id)) all.set(id, { runId, transition });
    }
    offset = last.position.offset + 1;
  }
  await log.close();
  await dir.close();
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
