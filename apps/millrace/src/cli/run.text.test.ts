import { createColors } from 'picocolors';
import { describe, expect, it } from 'vitest';
import type { RunTransition } from '#core/run/run.transitions.js';
import { endText, pictureOf, tableOf } from './run.text.js';
import { errorOf, stepsOf, type RunView } from './run.view.js';

const AT = Date.UTC(2026, 10, 22, 10);
const PLAIN = createColors(false);
const iso = (ms: number) => new Date(AT + ms).toISOString();

function aRun(change: Partial<RunView> = {}): RunView {
  return {
    run_id: 'R',
    run_started_at: iso(0),
    function_id: 'f',
    function_slug: 'shop-order',
    function_version: 1,
    app_name: 'shop',
    environment_id: 'e',
    event_id: 'E',
    event_ids: ['E'],
    batch_id: null,
    original_run_id: null,
    cron: null,
    status: 'Running',
    queued_at: iso(0),
    started_at: iso(0),
    ended_at: null,
    output: null,
    ...change,
  };
}

const fault = { name: 'Error', message: 'declined', json: '{}' };
const plan = (stepId: string, at: number, more: object = {}) =>
  ({
    type: 'StepPlanned',
    at: AT + at,
    stepId,
    name: stepId,
    kind: 'run',
    group: 0,
    race: false,
    ...more,
  }) as RunTransition;
const done = (stepId: string, at: number, more: object = {}) =>
  ({ type: 'StepCompleted', at: AT + at, stepId, name: stepId, kind: 'run', memo: '1', ...more }) as RunTransition;
const errored = (stepId: string, at: number, attempt: number, retryAt: number) =>
  ({
    type: 'StepErrored',
    at: AT + at,
    stepId,
    name: stepId,
    fault,
    attempt,
    startedAt: AT + at - 10,
    retryAt: AT + retryAt,
  }) as RunTransition;

describe('the steps of a run', () => {
  it('stand in the order they were found, each from its first attempt to its end', () => {
    const steps = stepsOf([
      { type: 'RunStarted', at: AT },
      plan('b', 10),
      plan('a', 10),
      done('a', 50, { startedAt: AT + 20 }),
      errored('b', 60, 0, 1_000),
      done('b', 1_100, { startedAt: AT + 1_000 }),
      done('c', 1_200, { checkpointed: true, startedAt: AT + 1_150, ranMs: 50 }),
    ] as RunTransition[]);
    expect(steps).toMatchObject([
      { name: 'b', state: 'completed', startedAt: AT + 10, endedAt: AT + 1_100, failures: 1 },
      { name: 'a', state: 'completed', startedAt: AT + 20, endedAt: AT + 50, failures: 0 },
      { name: 'c', state: 'completed', startedAt: AT + 1_150, endedAt: AT + 1_200 },
    ]);
  });

  it('tell what became of them', () => {
    const steps = stepsOf([
      plan('pay', 0, { kind: 'wait', event: 'shop/paid', until: AT + 500 }),
      done('pay', 500, { kind: 'wait', timedOut: true }),
      plan('charge', 500),
      errored('charge', 600, 0, 5_000),
      plan('nap', 500, { kind: 'sleep', until: AT + 9_000 }),
      {
        type: 'StepFailed',
        at: AT + 700,
        stepId: 'ship',
        name: 'ship',
        kind: 'run',
        fault,
        attempt: 0,
        startedAt: AT + 650,
      },
    ] as RunTransition[]);
    expect(steps).toMatchObject([
      { name: 'pay', state: 'timed out', detail: 'shop/paid', endedAt: AT + 500 },
      { name: 'charge', state: 'retrying', failures: 1, until: AT + 5_000, error: 'Error: declined' },
      { name: 'nap', state: 'pending', until: AT + 9_000 },
      { name: 'ship', state: 'failed', failures: 1, error: 'Error: declined' },
    ]);
  });
});

describe('the picture of a run', () => {
  it('shows what it waits for, and its steps as they stand', () => {
    const run = aRun({
      waiting_for: [
        { step_id: 'x', name: 'nap', kind: 'sleep', until: iso(9_000) },
        {
          step_id: 'y',
          name: 'pay',
          kind: 'wait',
          until: iso(5_000),
          event: 'shop/paid',
          expression: 'async.data.id == "1"',
        },
        { step_id: 'z', name: 'ok', kind: 'signal', until: null, signal: 'approved' },
      ],
    });
    const transitions = [
      plan('first', 0),
      done('first', 500, { startedAt: AT }),
      plan('charge', 500),
      errored('charge', 600, 0, 3_000),
      plan('pay', 1_000, { kind: 'wait', event: 'shop/paid', until: AT + 5_000 }),
    ];
    expect(pictureOf(run, transitions, AT + 2_000, PLAIN)).toEqual([
      '◐ Running for 2.0 s  shop-order R',
      '  app       shop',
      '  event     E',
      `  queued    ${iso(0)}`,
      `  started   ${iso(0)} after 0 ms`,
      `  waits for nap, a sleep until ${iso(9_000)}`,
      `  waits for pay: event shop/paid where async.data.id == "1", until ${iso(5_000)} at most`,
      '  waits for ok: signal approved',
      '',
      '  ✓ first  run    ██████··················     +0 ms    500 ms',
      '  ↻ charge run    ······▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒   +500 ms     1.5 s  1 failed attempt, again in 1.0 s',
      '      Error: declined',
      `  … pay    wait   ············▒▒▒▒▒▒▒▒▒▒▒▒    +1.0 s     1.0 s  shop/paid, until ${iso(5_000)}`,
    ]);
  });

  it('shows the error of a failed run, and a run that has not begun', () => {
    const output = { name: 'Error', message: 'card declined\nat x', stack: '' };
    const failed = aRun({ status: 'Failed', ended_at: iso(10), output, cron: '0 5 * * *' });
    expect(pictureOf(failed, [], AT, PLAIN)).toEqual([
      '✗ Failed in 10 ms  shop-order R',
      '  app       shop',
      '  cron      0 5 * * *',
      `  queued    ${iso(0)}`,
      `  started   ${iso(0)} after 0 ms`,
      `  ended     ${iso(10)}`,
      '  error     Error: card declined',
    ]);
    const [title] = pictureOf(aRun({ status: 'Scheduled', started_at: null }), [], AT + 60_000, PLAIN);
    expect(title).toBe('○ Scheduled for 1 min  shop-order R');
  });

  it('says what its calls wait for, once', () => {
    const slot = { scope: 'fn', expression: 'event.data.shop', key: 'acme', limit: 2, in_use: 2 } as const;
    const run = aRun({
      waiting_for: [
        { step_id: 'x', name: 'charge', kind: 'run', until: null },
        { step_id: 'y', name: 'nap', kind: 'sleep', until: iso(9_000) },
      ],
      queue: [
        {
          step_id: 'x',
          attempt: 1,
          status: 'queued',
          at: iso(0),
          wait: { cause: 'concurrency', ...slot, holders: ['R1', 'R2'], place: 4 },
        },
        { step_id: 'step', attempt: 0, status: 'queued', at: iso(0), wait: { cause: 'paused', place: 1 } },
        { step_id: 'z', attempt: 0, status: 'running', at: iso(0), wait: null },
      ],
      flow: { priority: 0, keys: [], notes: ['throttle.key failed: no such key'] },
    });
    expect(pictureOf(run, [], AT, PLAIN).slice(5)).toEqual([
      '  warning   throttle.key failed: no such key',
      '  call      charge: waits for a slot: 2 of 2 in use under event.data.shop = "acme" (runs R1, R2), 4th in line, attempt 2',
      '  call      its function is paused',
      '  call      z: under way',
      `  waits for nap, a sleep until ${iso(9_000)}`,
    ]);
  });

  it('says why a run was skipped, and what it carried', () => {
    const run = aRun({ status: 'Skipped', started_at: null, ended_at: iso(0) });
    const begun = { type: 'RunScheduled', at: AT, flow: { notes: ['singleton.key is missing'] } };
    const tell = (skip: object) =>
      pictureOf(run, [begun, { type: 'RunSkipped', at: AT, ...skip }] as RunTransition[], AT, PLAIN).slice(4);
    expect(tell({ reason: 'singleton', blockedBy: 'R1' })).toEqual([
      `  ended     ${iso(0)}`,
      '  skipped   another run of its singleton was under way: R1',
      '  warning   singleton.key is missing',
    ]);
    expect(tell({ reason: 'function_paused' })[1]).toBe('  skipped   its function was paused');
    expect(tell({ reason: 'of a newer server' })[1]).toBe('  skipped   of a newer server');
  });

  it('keeps its lines whatever apps write', () => {
    const name = 'a\u001b[31m\nb';
    const lines = pictureOf(aRun({ function_slug: name, app_name: name }), [plan(name, 0)], AT, PLAIN);
    expect(lines.join('')).not.toContain('\u001b');
    expect(lines.every((line) => !line.includes('\n'))).toBe(true);
  });
});

it('tells an error from what a run gave out', () => {
  expect(errorOf(aRun({ output: { name: 'E', message: 'm' } }))).toBe('E: m');
  expect(errorOf(aRun({ output: { error: 'm' } }))).toBe('m');
  expect(errorOf(aRun({ output: 'm' }))).toBe('m');
  expect(errorOf(aRun({ output: null }))).toBeUndefined();
  expect(errorOf(aRun({ output: [1] }))).toBeUndefined();
});

it('says how a run ended in a line, and shows a status it does not know', () => {
  expect(endText(aRun({ status: 'Cancelled', ended_at: iso(1_500) }), PLAIN)).toBe(
    '■ Cancelled shop-order R  in 1.5 s',
  );
  const strange = aRun({ status: 'Paused' as RunView['status'] });
  expect(tableOf([strange], AT + 1_000, PLAIN)[1]).toContain('? Paused  shop-order  R');
});
