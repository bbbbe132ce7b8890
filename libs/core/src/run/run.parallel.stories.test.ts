import { describe, expect, it } from 'vitest';
import {
  after,
  answers,
  cancelled,
  complete,
  discover,
  done,
  errored,
  failed,
  fetches,
  given,
  late,
  planned,
  replies,
  resumes,
  returns,
  rings,
  scheduled,
  sleeps,
  started,
  throws,
  waits,
} from '#testkit/run.story.js';
import { callView } from './run.call.js';
import { ENTRY, type Run } from './run.state.js';

const begun = [scheduled(), started()];

/** What the next entry is told about running steps at once. */
function planOnly(run: Run, target = ENTRY): boolean {
  const call = run.calls[target];
  if (!call) throw new Error(`no call of ${target}`);
  return callView(run, call).disableImmediateExecution;
}

describe('a function is entered', () => {
  it('when its run is scheduled', () =>
    given(scheduled()).thenTells('RunScheduled', 'CallPlanned step').thenOwes('enter'));

  it('when its event is due, where that lies in the future', () =>
    given(scheduled({ startAt: 1_800_000_005_000 }))
      .thenOwes('enter in 5000')
      .thenRun({ state: 'queued' }));

  it('once for a run that is asked for twice', () => given(scheduled()).when(scheduled()).thenIgnored('run_exists'));

  it('after each step that it did', () =>
    given(...begun)
      .when(replies([done('a')], { version: 2 }))
      .thenTells('VersionNegotiated', 'CallSettled step', 'StepCompleted a', 'CallPlanned step')
      .thenRun({ requestVersion: 2 })
      .thenMemo('a', { data: 'a' })
      .thenOwes('enter'));

  it('after a step that failed for good, which it may catch', () =>
    given(...begun)
      .when(replies([failed('a')]))
      .thenMemo('a', { error: { data: null, message: 'a failed', name: 'Error' } })
      .thenOwes('enter'));

  it('until it returns', () =>
    given(...begun, replies([done('a')]))
      .when(returns({ ok: true }))
      .thenTells('CallSettled step', 'RunCompleted')
      .thenRun({ state: 'completed', output: '{"ok":true}' })
      .thenOwes());

  it('once more when it asks for that, as long as it gets ahead', () =>
    given(...begun, replies([done('a'), discover])).thenOwes('enter'));

  it('after a while when it asks for that without getting ahead, and not for ever', () =>
    given(...begun, replies([discover]))
      .thenOwes('enter attempt 1 in 15000')
      .when(after(15_000, replies([discover])), after(30_000, replies([discover])))
      .thenFails('NoOperation'));

  it('by itself again while others are pending, when it asks for that', () =>
    given(...begun)
      .when(replies([planned('a'), discover]))
      .thenOwes('call a', 'enter'));
});

describe('steps that are found together', () => {
  const three = [...begun, replies([planned('a'), planned('b'), sleeps('s', 1_000)])];

  it('are under way at the same time', () => given(...three).thenOwes('call a', 'call b', 'sleep s in 1000'));

  it('let the function go on when the last of them is resolved', () =>
    given(...three)
      .when(answers('b', [done('b')]))
      .thenOwes('call a', 'sleep s in 1000')
      .when(rings('s'))
      .thenOwes('call a')
      .when(answers('a', [done('a')]))
      .thenTells('CallSettled a', 'StepCompleted a', 'CallPlanned step')
      .thenRun({ stack: ['b', 's', 'a'] })
      .thenOwes('enter'));

  it('count as resolved when they failed for good', () =>
    given(...begun, replies([planned('a'), planned('b')]), answers('a', [failed('a')]))
      .thenOwes('call b')
      .when(answers('b', [done('b')]))
      .thenOwes('enter'));

  it('count with those that are done already', () =>
    given(...begun)
      .when(replies([done('a'), sleeps('s', 1_000)]))
      .thenOwes('sleep s in 1000')
      .when(rings('s'))
      .thenOwes('enter'));

  it('count with those that are over at once', () =>
    given(...begun)
      .when(replies([sleeps('s', 0), planned('a')]))
      .thenTells('CallSettled step', 'StepPlanned s', 'StepCompleted s', 'StepPlanned a', 'CallPlanned a')
      .thenOwes('call a')
      .when(answers('a', [done('a')]))
      .thenOwes('enter'));

  it('go on in step: chains wait for each other', () =>
    given(...begun, replies([planned('a1'), planned('b1')]), answers('a1', [done('a1')]), answers('b1', [done('b1')]))
      .when(replies([planned('a2'), planned('b2')]))
      .thenOwes('call a2', 'call b2')
      .when(answers('a2', [done('a2')]))
      .thenOwes('call b2'));

  it('are called with the word to plan only, until all are resolved', () => {
    const story = given(...begun);
    expect(planOnly(story.now)).toBe(false);
    story.when(replies([planned('a'), planned('b')]));
    expect(planOnly(story.now, 'a')).toBe(true);
    story.when(answers('a', [done('a')]), answers('b', [done('b')]));
    expect(planOnly(story.now)).toBe(false);
  });

  it('are not planned twice when they are told again', () =>
    given(...begun, replies([planned('a', true), planned('b', true)]), answers('a', [done('a')]))
      .thenOwes('enter', 'call b')
      .when(replies([planned('b', true), sleeps('c', 500)]))
      .thenTells('CallSettled step', 'StepPlanned c')
      .thenOwes('call b', 'sleep c in 500'));

  it('have attempts of their own', () =>
    given(...begun, replies([planned('a'), planned('b')]))
      .when(answers('b', [errored('b')]))
      .thenTells('CallSettled b', 'StepErrored b', 'CallPlanned b attempt 1 in 15000')
      .thenOwes('call a', 'call b attempt 1 in 15000')
      .when(answers('a', [done('a')]))
      .thenOwes('call b attempt 1 in 15000'));
});

describe('in a race', () => {
  const race = [...begun, replies([planned('a', true), planned('b', true)])];

  it('each step lets the function go on', () =>
    given(...race)
      .when(answers('a', [done('a')]))
      .thenOwes('call b', 'enter'));

  it('a function that has nothing new waits for the rest', () =>
    given(...race, answers('a', [done('a')]))
      .when(replies([planned('b', true)]))
      .thenTells('CallSettled step')
      .thenOwes('call b'));

  it('the next entry still plans only', () => {
    expect(planOnly(given(...race, answers('a', [done('a')])).now)).toBe(true);
  });

  it('the winner may end the run, and what the others bring comes too late', () =>
    given(...race, answers('a', [done('a')]), returns('won'))
      .thenRun({ state: 'completed', output: '"won"' })
      .thenOwes()
      .when(late({ target: 'b', seq: 2, generation: 1 }, answers('b', [done('b')])))
      .thenIgnored('run_ended'));

  it('of two entries that return, the first counts', () => {
    const story = given(...race, answers('a', [done('a')]), returns('first'));
    story.when(late({ target: ENTRY, seq: 3, generation: 1 }, returns('second'))).thenIgnored('run_ended');
    expect(story.now.output).toBe('"first"');
  });

  it('a step that is resolved while an entry is under way is followed by another entry, once', () =>
    given(...race, answers('a', [done('a')]))
      .when(answers('b', [done('b')]))
      .thenTells('CallSettled b', 'StepCompleted b', 'EntryWanted')
      .thenOwes('enter')
      .when(replies([sleeps('s', 9_000)]))
      .thenTells('CallSettled step', 'StepPlanned s', 'CallPlanned step')
      .when(replies([sleeps('s', 9_000)]))
      .thenOwes('sleep s in 9000'));

  it('many that are resolved meanwhile ask for one entry', () =>
    given(...begun, replies([planned('a', true), planned('b', true), planned('c', true)]))
      .when(answers('a', [done('a')]), answers('b', [done('b')]), answers('c', [done('c')]))
      .thenTells(
        'CallSettled a',
        'StepCompleted a',
        'CallPlanned step',
        'CallSettled b',
        'StepCompleted b',
        'EntryWanted',
        'CallSettled c',
        'StepCompleted c',
      ));
});

describe('in version 1', () => {
  const v1 = [...begun, replies([planned('a'), planned('b')], { version: 1 })];

  it('each step lets the function go on', () =>
    given(...v1)
      .when(answers('a', [done('a')], { version: 1 }))
      .thenOwes('call b', 'enter'));

  it('what was parallel once plans only for ever', () => {
    const story = given(...v1, answers('a', [done('a')], { version: 1 }), answers('b', [done('b')], { version: 1 }));
    expect(planOnly(story.now)).toBe(true);
    expect(planOnly(given(...begun, replies([planned('a')], { version: 1 })).now, 'a')).toBe(true);
    expect(planOnly(given(...begun, replies([done('a')], { version: 1 })).now)).toBe(false);
  });

  it('also a wait that is over at once', () =>
    given(...begun, replies([waits('w', 0), planned('a')], { version: 1 })).thenOwes('call a', 'enter'));
});

describe('an entry whose retry is still to come', () => {
  const retrying = [
    ...begun,
    replies([planned('a', true), waits('w', 90_000, { race: true })]),
    answers('a', [done('a')]),
  ];

  it('gives way to one at once when a step is resolved, with all attempts', () =>
    given(...retrying, throws())
      .thenOwes('enter attempt 1 in 15000', 'wait w in 90000', 'event w wanted')
      .when(resumes('w', { memo: '{"name":"wanted"}' }))
      .thenTells('StepCompleted w', 'CallPlanned step')
      .thenOwes('enter'));

  it('is not made after all: an answer to it comes too late', () => {
    const story = given(...retrying, throws());
    const call = story.now.calls[ENTRY];
    if (!call) throw new Error('no call');
    story.when(resumes('w', { memo: 'null' }));
    story.when(late(call, returns())).thenIgnored('work_superseded');
  });

  it('is made at once where a step was resolved while it failed', () =>
    given(...retrying, resumes('w', { memo: 'null' }))
      .when(throws())
      .thenTells('CallErrored step', 'CallPlanned step')
      .thenOwes('enter'));

  it('is waited for where the app named the time', () =>
    given(...retrying)
      .when(throws({ retryAfterMs: 60_000 }))
      .when(resumes('w', { memo: 'null' }))
      .thenTells('StepCompleted w', 'EntryWanted')
      .thenOwes('enter attempt 1 in 60000'));

  it('is waited for where a step has its own delay', () =>
    given(...begun, replies([planned('a'), errored('x')]))
      .thenOwes('call a', 'enter attempt 1 in 15000')
      .when(answers('a', [done('a')]))
      .thenOwes('enter attempt 1 in 15000'));
});

describe('a call of one step', () => {
  const one = [...begun, replies([planned('a'), planned('b')])];

  it('never ends the run, whatever it says', () => {
    given(...one)
      .when(answers('a', [complete('x')], { plain: true }))
      .thenTells('CallSettled a', 'CallErrored a', 'CallPlanned a attempt 1 in 15000')
      .thenRun({ state: 'running' });
    given(...one)
      .when(answers('a', [complete('x')]))
      .thenRun({ state: 'running' });
  });

  it('that does not reach its step is tried again, then the step fails and the function may catch it', () =>
    given(...one, answers('b', [done('b')]), answers('a', []), after(15_000, answers('a', [])))
      .when(after(30_000, answers('a', [])))
      .thenTells('CallSettled a', 'StepFailed a', 'CallPlanned step')
      .thenOwes('enter'));

  it('that the SDK says it does not know is the same', () =>
    given(
      ...begun,
      replies([planned('a')]),
      ...[1, 2, 3].map(() => after(60_000, throws({ code: 'step_not_found' }, 'a'))),
    )
      .thenTellsOf({ type: 'StepFailed', stepId: 'a' })
      .thenOwes('enter'));

  it('that brings another step instead does not leave its own behind', () => {
    for (const ops of [[done('x')], [failed('x')], [planned('x')], [sleeps('x', 99_000)], [discover], [fetches('x')]]) {
      const story = given(...begun, replies([planned('a')])).when(answers('a', ops));
      expect(story.now.calls['a'], JSON.stringify(ops)).toMatchObject({ attempt: 1, generation: 2 });
    }
  });

  it('that brings another step beside its own gives both', () =>
    given(...one)
      .when(answers('a', [done('x'), done('a')]))
      .thenRun({ stack: ['x', 'a'] })
      .thenOwes('call b', 'enter'));

  it('lets a group go on whose last step it brings, while its own is tried again', () =>
    given(...begun, replies([planned('a')]), answers('a', [sleeps('s', 500), errored('a')]))
      .thenOwes('call a attempt 1 in 15000', 'sleep s in 500')
      .when(answers('a', [done('s'), errored('a')]))
      .thenOwes('call a attempt 2 in 30000', 'enter'));

  it('that brings its own step is done with, also where another failed in it', () =>
    given(...one)
      .when(answers('a', [errored('x'), done('a')]))
      .thenTells('CallSettled a', 'StepCompleted a')
      .thenOwes('call b'));

  it('is taken back when an entry brings its step', () =>
    given(...begun, replies([planned('a', true), planned('b', true)]), answers('a', [done('a')]))
      .when(replies([done('b')]))
      .thenTells('CallSettled step', 'StepCompleted b', 'CallPlanned step')
      .thenOwes('enter'));

  it('comes too late when its step is resolved', () =>
    given(...begun, replies([planned('a', true), planned('b', true)]), answers('b', [done('b')]), replies([done('a')]))
      .thenOwes('enter')
      .when(late({ target: 'a', seq: 1, generation: 1 }, answers('a', [errored('a')])))
      .thenIgnored('work_superseded'));

  it('of a run that was cancelled meanwhile leads to nothing', () =>
    given(...one, cancelled)
      .when(late({ target: 'a', seq: 1, generation: 1 }, answers('a', [done('a')])))
      .thenIgnored('run_ended'));
});

describe('an answer with nothing in it', () => {
  it('is a failed attempt, and the end after the last one', () =>
    given(...begun)
      .when(replies([]))
      .thenTells('CallSettled step', 'CallErrored step', 'CallPlanned step attempt 1 in 15000')
      .when(after(15_000, replies([])), after(30_000, replies([])))
      .thenFails('NoOperation', /without a result and without a step/));

  it('is fine while steps are pending', () =>
    given(...begun, replies([planned('a', true), sleeps('s', 5_000, true)]), answers('a', [done('a')]))
      .when(replies([]))
      .thenTells('CallSettled step')
      .thenOwes('sleep s in 5000'));

  it('is no news where it tells what is known', () =>
    given(...begun, replies([done('a')]), replies([done('a')])).thenOwes('enter attempt 1 in 15000'));

  it('of defers alone is a failed attempt too', () =>
    given(...begun, replies([{ op: 'DeferAdd', id: 'd', name: 'd', functionRef: 'f', payload: '{}' }])).thenOwes(
      'enter attempt 1 in 15000',
    ));
});
