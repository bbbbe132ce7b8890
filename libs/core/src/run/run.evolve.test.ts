import { describe, expect, it } from 'vitest';
import { cancelled, done, fetches, given, planned, replies, scheduled, sleeps, started } from '#testkit/run.story.js';
import { evolve } from './run.evolve.js';
import { fault } from './run.faults.js';
import type { RunTransition } from './run.transitions.js';

/** A fold takes what has happened as it comes: also twice, and of what is not there. */
describe('a fold', () => {
  const { now: run } = given(scheduled(), started(), replies([done('a'), planned('b'), sleeps('s', 9_000)]));
  const at = 1_800_000_000_500;

  const harmless: readonly RunTransition[] = [
    { type: 'StepCompleted', at, stepId: 'a', name: 'a', kind: 'run', memo: '{"data":"other"}' },
    { type: 'StepFailed', at, stepId: 'a', name: 'a', kind: 'run', fault: fault('Error', 'x') },
    { type: 'StepPlanned', at, stepId: 'b', name: 'b', kind: 'sleep', group: 7, race: true },
    { type: 'CallSettled', at, target: 'b', seq: 99, attempt: 0, startedAt: at },
    { type: 'CallSettled', at, target: 'nobody', seq: 1, attempt: 0, startedAt: at },
    { type: 'CallProgressed', at, seq: 99 },
    { type: 'ChildLinked', at, stepId: 'nobody', childRunId: 'C' },
    { type: 'ChildLinked', at, stepId: 'a', childRunId: 'C' },
    { type: 'DeferAborted', at, deferId: 'nobody' },
  ];

  it.each(harmless)('is not changed by $type of what is done with or not there', (transition) => {
    expect(evolve(run, transition)).toEqual(run);
  });

  it('forgets what a step waited for once it is resolved, and its call', () => {
    const { now } = given(scheduled(), started(), replies([fetches('f')]));
    const after = evolve(now, { type: 'StepCompleted', at, stepId: 'f', name: 'f', kind: 'fetch', memo: '1' });
    expect(after.steps['f']).toEqual({ id: 'f', name: 'f', kind: 'fetch', group: 0, race: false, memo: '1' });
    expect(after.calls).toEqual({});
  });

  it('keeps the steps of a run that ended, and nothing to be called', () => {
    const { now } = given(scheduled(), started(), replies([planned('b'), sleeps('s', 9_000)]), cancelled);
    expect(Object.keys(now.steps)).toEqual(['b', 's']);
    expect(now).toMatchObject({ calls: {}, entryWanted: false });
  });
});
