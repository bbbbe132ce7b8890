import { describe, expect, it } from 'vitest';
import type { WaitView } from '#apps/api/src/functions/wait.view.js';
import { callText, ordinalText, waitText } from './wait.text.js';

const AT = '2026-11-22T10:00:00.000Z';
const SLOT = {
  cause: 'concurrency',
  scope: 'fn',
  expression: null,
  key: '',
  limit: 1,
  in_use: 1,
  holders: ['R1'],
  place: 1,
} as const;
const THROTTLE = {
  cause: 'throttle',
  expression: null,
  key: '',
  limit: 1,
  period: '5s',
  burst: 0,
  until: AT,
  place: 3,
} as const;

describe('what a call waits for', () => {
  it.each<[WaitView, string]>([
    [SLOT, 'waits for a slot: 1 of 1 in use (run R1), 1st in line'],
    [
      { ...SLOT, cause: 'run_concurrency', scope: 'env', expression: 'event.data.shop', key: 'a"b' },
      'waits for a run to end: 1 of 1 in use under event.data.shop = "a\\"b" in the environment (run R1), 1st in line',
    ],
    [
      { ...SLOT, holders: ['A', 'B', 'C', 'D'], limit: 5, in_use: 6, place: 1_022 },
      'waits for a slot: 6 of 5 in use (runs A, B, C, …), 1,022nd in line',
    ],
    [{ ...SLOT, holders: [] }, 'waits for a slot: 1 of 1 in use, 1st in line'],
    [THROTTLE, `throttled: the next start may go at ${AT} (1 per 5s), 3rd in line`],
    [
      { ...THROTTLE, expression: 'event.data.u', key: 'x' },
      `throttled: the next start under event.data.u = "x" may go at ${AT} (1 per 5s), 3rd in line`,
    ],
    [{ cause: 'paused', place: 2 }, 'its function is paused'],
    [{ cause: 'turn', place: 12 }, 'may go: 12th in line'],
    [{ cause: 'weather', place: 1 } as unknown as WaitView, 'waits: weather'],
  ])('%j', (wait, words) => expect(waitText(wait)).toBe(words));

  it('stands behind the name of its step', () => {
    const call = { step_id: 's', attempt: 0, status: 'queued', at: AT, wait: null } as const;
    expect(callText(call, undefined)).toBe('due');
    expect(callText({ ...call, wait: { cause: 'turn', place: 1 } }, 'charge')).toBe('charge: may go: 1st in line');
    expect(callText({ ...call, status: 'scheduled', attempt: 2 }, 'charge')).toBe(`charge: due at ${AT}, attempt 3`);
    expect(callText({ ...call, status: 'running' }, 'a\u001b[31mb')).not.toContain('\u001b');
  });
});

it('counts places as people do', () => {
  expect([1, 2, 3, 4, 11, 12, 13, 21, 22, 23, 101, 111, 112].map(ordinalText)).toEqual([
    '1st',
    '2nd',
    '3rd',
    '4th',
    '11th',
    '12th',
    '13th',
    '21st',
    '22nd',
    '23rd',
    '101st',
    '111th',
    '112th',
  ]);
});
