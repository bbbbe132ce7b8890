import { describe, expect, it } from 'vitest';
import { LIMITS } from '../limits.js';
import {
  after,
  answers,
  cancelled,
  checkpoints,
  complete,
  done,
  errored,
  failed,
  given,
  late,
  planned,
  replies,
  returns,
  scheduled,
  sleeps,
  started,
  throws,
} from '#testkit/run.story.js';
import { retryAt } from './run.backoff.js';
import { fault } from './run.faults.js';
import { ENTRY } from './run.state.js';

const begun = [scheduled(), started()];

describe('the delay after an attempt', () => {
  const s = 1_000;
  const delay = (attempt: number, more: object = {}) => retryAt({ attempt, at: 0, dice: 0, ...more });

  it('follows the table', () =>
    expect([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20].map((attempt) => delay(attempt))).toEqual(
      [15, 30, 60, 120, 300, 600, 1_200, 2_400, 3_600, 7_200, 7_200, 7_200].map((seconds) => seconds * s),
    ));

  it('is up to 30 s longer, in whole ms', () => {
    expect(delay(0, { dice: 0.5 })).toBe(30 * s);
    expect(delay(0, { dice: 1 - 2 ** -53 })).toBe(45 * s - 1);
    expect(Number.isInteger(delay(3, { dice: 0.123_456_789 }))).toBe(true);
  });

  it('is the fixed interval where there is one, without jitter', () =>
    expect(delay(5, { intervalMs: 1_000, dice: 0.9 })).toBe(s));

  it('is what the app asked for, before anything else', () =>
    expect(delay(5, { intervalMs: 1_000, retryAfterMs: 7_000, dice: 0.9 })).toBe(7 * s));
});

describe('a step that failed', () => {
  it('is tried again as often as it may be, then the function gets the error', () =>
    given(...begun)
      .when(replies([errored('a')]))
      .thenTells('CallSettled step', 'StepErrored a', 'CallPlanned step attempt 1 in 15000')
      .when(after(15_000, replies([errored('a')])))
      .thenTells('CallSettled step', 'StepErrored a', 'CallPlanned step attempt 2 in 30000')
      .when(after(30_000, replies([errored('a')])))
      .thenTells('CallSettled step', 'StepFailed a', 'CallPlanned step')
      .thenMemo('a', { error: { data: null, message: 'a failed', name: 'Error' } })
      .thenOwes('enter'));

  it('is not tried again where the app forbids it', () =>
    given(...begun, replies([errored('a')], { noRetry: true }))
      .thenOwes('enter')
      .thenRun({ stack: ['a'] }));

  it('is not tried again where there is one attempt only', () =>
    given(scheduled({ maxAttempts: 1 }), started(), replies([errored('a')])).thenOwes('enter'));

  it('is not tried again when the SDK says it failed for good', () =>
    given(...begun, replies([failed('a')]))
      .thenOwes('enter')
      .thenRun({ stack: ['a'] }));

  it('is tried again when the app wants it', () =>
    given(...begun, replies([errored('a')], { retryAfterMs: 2_000 })).thenOwes('enter attempt 1 in 2000'));

  it('does not take from the attempts of the next', () =>
    given(
      ...begun,
      replies([errored('a')]),
      after(15_000, replies([errored('a')])),
      after(30_000, replies([done('a')])),
    )
      .thenOwes('enter')
      .when(replies([errored('b')]))
      .thenOwes('enter attempt 1 in 15000'));

  it('behind steps of the same answer has all its attempts, for they are stored', () =>
    given(...begun, throws(), after(15_000, throws()), after(30_000, replies([done('a'), errored('b')])))
      .thenRun({ stack: ['a'] })
      .thenOwes('enter attempt 1 in 15000'));

  it('together with others of the same answer is tried again with them', () =>
    given(...begun)
      .when(replies([errored('a'), errored('b')]))
      .thenTells('CallSettled step', 'StepErrored a', 'StepErrored b', 'CallPlanned step attempt 1 in 15000')
      .thenRun({ stack: [] }));

  it('together with others fails with them in the end', () =>
    given(scheduled({ maxAttempts: 1 }), started(), replies([errored('a'), errored('b')]))
      .thenRun({ stack: ['a', 'b'] })
      .thenOwes('enter'));

  it('of its own call is called again, and nothing else', () =>
    given(...begun, replies([planned('a'), planned('b')]))
      .when(answers('a', [errored('a')], { retryAfterMs: 4_000 }))
      .thenTells('CallSettled a', 'StepErrored a', 'CallPlanned a attempt 1 in 4000')
      .thenOwes('call b', 'call a attempt 1 in 4000'));

  it('is no news where it is done already', () =>
    given(...begun, checkpoints([done('a')]))
      .when(replies([errored('a')]))
      .thenTells('CallSettled step', 'CallPlanned step')
      .thenMemo('a', { data: 'a' }));
});

describe('a call that came to nothing', () => {
  it('is made again as often as it may be, then the run fails with the answer as its output', () =>
    given(...begun)
      .when(throws({ dice: 0.5 }))
      .thenTells('CallErrored step', 'CallPlanned step attempt 1 in 30000')
      .when(after(30_000, throws()))
      .thenOwes('enter attempt 2 in 30000')
      .when(after(30_000, throws()))
      .thenTells('CallSettled step', 'RunFailed')
      .thenTellsOf({ type: 'RunFailed', errorClass: 'invalid status code: 500' })
      .thenRun({
        state: 'failed',
        output: '{"error":{"error":"TypeError: kaput","message":"kaput","name":"TypeError"}}',
      })
      .thenOwes());

  it('ends the run at once where the app forbids another', () =>
    given(...begun)
      .when(throws({ noRetry: true, code: '400' }))
      .thenTells('CallSettled step', 'RunFailed')
      .thenTellsOf({ type: 'RunFailed', errorClass: 'NonRetriableError' }));

  it('ends the run where it was of one step, and what else was out is taken back', () =>
    given(...begun, replies([planned('a'), planned('b'), sleeps('s', 1_000)]))
      .when(throws({ noRetry: true }, 'a'))
      .thenFails('TypeError'));

  it('says what it was where no app answered', () =>
    given(scheduled({ maxAttempts: 1 }), started())
      .when(throws({ transport: true, code: 'http_unreachable', fault: fault('http_unreachable', 'refused') }))
      .thenTellsOf({ type: 'RunFailed', errorClass: 'http_unreachable' }));

  it('is made again when the app wants it', () =>
    given(...begun, throws({ retryAfterMs: 9_000 })).thenOwes('enter attempt 1 in 9000'));

  it('starts the run all the same', () => given(scheduled(), throws()).thenRun({ state: 'running' }));

  it('keeps its number and rises in generation', () =>
    given(...begun, throws()).thenRun({
      calls: {
        step: {
          target: ENTRY,
          seq: 0,
          generation: 2,
          attempt: 1,
          dueAt: 1_800_000_015_000,
          gateway: false,
          progressed: false,
        },
      },
    }));

  it('is answered once: what comes twice, or of an older try, comes too late', () => {
    const first = { target: ENTRY, seq: 0, generation: 1 };
    given(...begun, throws())
      .when(late(first, throws()))
      .thenIgnored('work_superseded');
    given(...begun, throws())
      .when(late(first, returns()))
      .thenIgnored('work_superseded');
    given(...begun, replies([done('a')]))
      .when(late(first, replies([done('a')])))
      .thenIgnored('work_superseded');
    given(...begun)
      .when(late({ ...first, target: 'a' }, answers('a', [])))
      .thenIgnored('work_superseded');
  });

  it('leads to nothing once the run has ended', () =>
    given(...begun, cancelled)
      .when(late({ target: ENTRY, seq: 0, generation: 1 }, throws()))
      .thenIgnored('run_ended'));
});

describe('a call that stopped because another was said to own its work', () => {
  const stale = { code: 'stale_dispatch', noRetry: true };

  it('leads to nothing where another does', () =>
    given(...begun, throws())
      .when(late({ target: ENTRY, seq: 0, generation: 1 }, throws(stale)))
      .thenIgnored('work_superseded'));

  it('is made again where none does: it never ends the run by itself', () =>
    given(...begun, throws(stale))
      .thenRun({ state: 'running' })
      .thenOwes('enter attempt 1 in 15000'));
});

describe('limits', () => {
  const many = (n: number, from = 0) => Array.from({ length: n }, (_, i) => done(`s${from + i}`));
  const big = 'x'.repeat(LIMITS.stepOutputBytesMax - 20);
  const large = (n: number, from = 0) => Array.from({ length: n }, (_, i) => done(`l${from + i}`, big));

  it('of steps end the run before the next request', () => {
    given(...begun, replies(many(LIMITS.stepsPerRunMax - 1))).thenOwes('enter');
    given(...begun)
      .when(replies(many(LIMITS.stepsPerRunMax)))
      .thenFails('InngestErrFunctionOverflowed', /exceeded the step limit of 1000 steps/);
  });

  it('of steps do not keep a function from returning', () =>
    given(...begun, checkpoints(many(LIMITS.stepsPerRunMax)), replies([complete(1)])).thenRun({ state: 'completed' }));

  it('of steps found in one answer end the run, whatever they are', () => {
    const found = (n: number) =>
      Array.from({ length: n }, (_, i) => (i % 2 ? planned(`p${i}`) : sleeps(`s${i}`, 5_000)));
    given(...begun, replies(found(LIMITS.plannedPerReplyMax))).thenRun({ state: 'running' });
    given(...begun)
      .when(replies(found(LIMITS.plannedPerReplyMax + 1)))
      .thenFails('InngestErrFunctionOverflowed');
  });

  it('of steps found in many answers end the run, too', () =>
    given(...begun, replies([planned('a', true), ...Array.from({ length: 999 }, (_, i) => planned(`p${i}`, true))]))
      .when(answers('a', [done('a')]), replies([planned('more', true)]))
      .thenFails('InngestErrFunctionOverflowed'));

  it('of steps do not count what is told again', () => {
    const all = Array.from({ length: LIMITS.stepsPerRunMax }, (_, i) => planned(`p${i}`, true));
    given(...begun, replies(all), answers('p0', [done('p0')]), replies(all.slice(1))).thenRun({ state: 'running' });
  });

  it('of state end the run before the next request', () =>
    given(...begun)
      .when(replies(large(9)))
      .thenFails('InngestErrStateOverflowed', /exceeded the state size limit of 33554432 bytes/));

  it('of state count the events', () => {
    const event = `{"data":{"x":"${'x'.repeat(LIMITS.runStateBytesMax)}"}}`;
    given()
      .when(scheduled({ events: [event] }))
      .thenFails('InngestErrStateOverflowed');
  });

  it('of state refuse a checkpoint, and the run goes on', () =>
    given(...begun)
      .when(checkpoints(large(7)), checkpoints(large(2, 7)))
      .thenTells('StepCompleted l0', ...[1, 2, 3, 4, 5, 6].map((n) => `StepCompleted l${n}`), 'CallProgressed')
      .when(checkpoints(large(2, 7)))
      .thenIgnored('state_too_large'));

  it('of steps end the run in a checkpoint', () =>
    given(...begun)
      .when(checkpoints(many(LIMITS.stepsPerRunMax + 1)))
      .thenFails('InngestErrFunctionOverflowed'));
});
