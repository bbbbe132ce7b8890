import { expect, it } from 'vitest';
import { completedOnce, verdictOf } from './ledger.ts';
import type { LoggedRun } from './log.reading.ts';

const EVENTS = new Set(['a', 'b']);

function aRun(eventId: string, output: string | undefined = 'null'): LoggedRun {
  return { runId: `run-${eventId}`, eventId, partition: 0, results: [], output };
}

it('takes one completed run for each event', () => {
  expect(completedOnce([aRun('a'), aRun('b')], EVENTS)).toEqual({ exact: true });
});

it.each([
  ['1 events without a run', [aRun('a')]],
  ['1 events with two runs', [aRun('a'), aRun('b'), aRun('b')]],
  ['1 runs that did not complete', [aRun('a'), { ...aRun('b'), output: undefined }]],
])('finds %s', (defect, runs) => {
  expect(completedOnce(runs, EVENTS)).toEqual({ exact: false, defect });
});

it('finds what was executed twice, never, or for nobody', () => {
  const owed = [{ fn: 'f', numbers: [1, 2], whats: ['finished'] }];
  const once = [
    ['f', 1, 'finished', 0],
    ['f', 2, 'finished', 0],
  ] as const;
  expect(verdictOf(once, owed)).toEqual({ exact: true });
  expect(verdictOf(once.slice(1), owed)).toMatchObject({ defect: '1 lost (f/1/finished)' });
  expect(verdictOf([...once, once[0]], owed)).toMatchObject({ defect: '1 doubled (f/1/finished x2)' });
  expect(verdictOf([...once, ['f', 3, 'finished', 0]], owed)).toMatchObject({
    defect: '1 not asked for (f/3/finished)',
  });
});
