import { DEFAULT_ENV } from '#core/words.js';
import type { WorkItem } from '#core/flow/flow.work.js';

/** A call that is due and has no keys, of a run of its own. */
export function aWorkItem(id: string, more: Partial<WorkItem> = {}): WorkItem {
  return {
    id,
    env: DEFAULT_ENV,
    runId: `run-${id}`,
    functionId: 'f',
    kind: 'call',
    target: 'step',
    seq: 0,
    generation: 1,
    attempt: 0,
    dueAt: 0,
    rank: 0,
    ...more,
  };
}
