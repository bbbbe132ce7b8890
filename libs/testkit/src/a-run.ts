import type { Run } from '#core/run/run.state.js';
import { DEFAULT_ENV } from '#core/words.js';

/** A run that is scheduled and has done nothing yet. */
export function aRun(id: string, more: Partial<Run> = {}): Run {
  return {
    id,
    env: DEFAULT_ENV,
    state: 'queued',
    functionId: 'f',
    functionSlug: 'app-f',
    functionVersion: 1,
    appId: 'app',
    appName: 'app',
    events: ['{"name":"e"}'],
    eventIds: [`event of ${id}`],
    eventName: 'e',
    parents: [],
    cancelOn: [],
    createdAt: 0,
    startAt: 0,
    maxAttempts: 4,
    requestVersion: -1,
    steps: {},
    stepCount: 0,
    stack: [],
    openInGroup: {},
    wasParallel: false,
    groupOfLast: 0,
    calls: {},
    entryWanted: false,
    seqNext: 0,
    groupNext: 0,
    stateBytes: 0,
    metadataBytes: 0,
    defers: {},
    ...more,
  };
}
