import { describe, expect, it } from 'vitest';
import {
  after,
  answers,
  cancelled,
  checkpoints,
  done,
  ENV,
  errored,
  failed,
  fetches,
  given,
  infers,
  invokes,
  late,
  links,
  planned,
  replies,
  resumes,
  returns,
  rings,
  RUN_ID,
  scheduled,
  signals,
  sleeps,
  START,
  started,
  waits,
} from '#testkit/run.story.js';
import { LIMITS } from '../limits.js';
import type { RunCommand } from './run.commands.js';
import { decide } from './run.decide.js';
import { fault } from './run.faults.js';
import { invokeUnknown, signalConflict } from './run.memos.js';
import type { Op } from './run.ops.js';

const begun = [scheduled(), started()];

describe('a sleep', () => {
  it('holds no call, and goes on when it is over', () =>
    given(...begun, replies([sleeps('s', 2_000)]))
      .thenOwes('sleep s in 2000')
      .when(rings('s'))
      .thenTells('StepCompleted s', 'CallPlanned step')
      .thenMemo('s', null)
      .thenOwes('enter'));

  it.each([0, -5_000])('of %i ms is over at once', (ms) => {
    given(...begun, replies([sleeps('s', ms)]))
      .thenMemo('s', null)
      .thenOwes('enter');
  });

  it('is never over early', () =>
    given(...begun, replies([sleeps('s', 2_000)]))
      .when(after(1_999, early('s', 'sleep')))
      .thenIgnored('timer_early')
      .when(after(1, early('s', 'sleep')))
      .thenTells('StepCompleted s', 'CallPlanned step'));

  it('is over once', () =>
    given(...begun, replies([sleeps('s', 2_000)]), rings('s'))
      .when(rings('s'))
      .thenIgnored('step_resolved'));

  it('that nobody knows is ignored', () =>
    given(...begun)
      .when(early('x', 'sleep'))
      .thenIgnored('step_unknown'));

  it('that is told again keeps its time', () =>
    given(...begun, replies([sleeps('s', 2_000, true), planned('a', true)]), answers('a', [done('a')]))
      .when(replies([sleeps('s', 9_000, true)]))
      .thenOwes('sleep s in 2000'));
});

/** The timer of a step rings now, due or not. */
function early(stepId: string, kind: 'sleep' | 'wait') {
  return ({ at }: { readonly at: number }) =>
    ({ type: 'FireTimer', runId: RUN_ID, env: ENV, at, kind, stepId }) satisfies RunCommand;
}

describe('a time that is none', () => {
  const waiting = (until: Extract<Op, { op: 'Sleep' }>['until']): readonly Op[] => {
    const base = { id: 'x', name: 'x', until };
    return [
      { ...base, op: 'Sleep' },
      { ...base, op: 'WaitForEvent', event: 'e' },
      { ...base, op: 'WaitForSignal', signal: 's', conflict: 'fail' },
      { ...base, op: 'InvokeFunction', functionRef: 'f', payload: '{}' },
    ];
  };

  it.each(waiting({ tooLong: '367d' }))('too far ahead for $op ends the run, naming it', (op) => {
    given(...begun)
      .when(replies([op]))
      .thenFails('InngestErrTimeoutTooLong', /367d/);
  });

  it.each(waiting({ invalid: 'soon' }))('unreadable for $op ends the run, naming it', (op) => {
    given(...begun)
      .when(replies([op]))
      .thenFails('InvalidDuration', /soon/);
  });

  it('lets nothing out of the same answer', () =>
    given(...begun)
      .when(replies([invokes('i'), signals('g'), { op: 'Sleep', id: 'x', name: 'x', until: { invalid: 'soon' } }]))
      .thenSends('ReleaseSignal go g', 'event inngest/function.finished', 'event inngest/function.failed'));

  it('keeps what was done in the same answer', () =>
    given(...begun, replies([done('a'), { op: 'Sleep', id: 'x', name: 'x', until: { tooLong: '9y' } }])).thenMemo('a', {
      data: 'a',
    }));
});

describe('a wait for an event', () => {
  const event = '{"data":{"n":2},"id":"e9","name":"wanted","ts":5,"user":{}}';

  it('is resolved by the event, as it is', () =>
    given(...begun, replies([waits('w')]))
      .thenOwes('event w wanted', 'wait w in 60000')
      .when(resumes('w', { memo: event }, { eventId: 'E9' }))
      .thenTells('StepCompleted w', 'CallPlanned step')
      .thenTellsOf({ type: 'StepCompleted', eventId: 'E9' })
      .thenMemo('w', JSON.parse(event))
      .thenOwes('enter'));

  it('gives up with null', () =>
    given(...begun, replies([waits('w')]))
      .when(rings('w'))
      .thenTells('StepCompleted w timed out', 'CallPlanned step')
      .thenMemo('w', null));

  it('has one end: the first wins', () => {
    given(...begun, replies([waits('w')]), rings('w'))
      .when(resumes('w', { memo: event }))
      .thenIgnored('step_resolved')
      .thenMemo('w', null);
    given(...begun, replies([waits('w')]), resumes('w', { memo: event }))
      .when(rings('w'))
      .thenIgnored('step_resolved')
      .thenMemo('w', JSON.parse(event));
  });

  it.each([0, -1])('of %i ms is over at once, and nobody watches', (ms) => {
    given(...begun, replies([waits('w', ms)]))
      .thenMemo('w', null)
      .thenOwes('enter');
  });

  it('watches from the moment of the answer', () => {
    const { steps } = given(...begun, after(500, replies([waits('w')]))).now;
    expect(steps['w']?.wait?.since).toBe(START + 500);
  });

  it('several of them in one run are resolved each, and the function goes on once', () =>
    given(...begun, replies([waits('v'), waits('w')]))
      .when(resumes('v', { memo: event }), resumes('w', { memo: event }))
      .thenTells('StepCompleted v', 'StepCompleted w', 'CallPlanned step'));

  it('whose condition does not compile ends the run at once', () =>
    given(...begun)
      .when(replies([waits('w', 5_000, { if: 'async.data.x ==' })]))
      .thenTells('CallSettled step', 'RunFailed')
      .thenFails('InvalidExpression', /Wait for Event If expression failed to compile.*stack/));

  it('whose condition compiles is owed with it', () =>
    given(...begun, replies([waits('w', 5_000, { if: 'async.data.x == event.data.n' })])).thenOwes(
      'event w wanted',
      'wait w in 5000',
    ));

  it('that nobody waits for is ignored', () =>
    given(...begun)
      .when(resumes('w', { memo: event }))
      .thenIgnored('step_unknown'));

  it('is bounded with the state of its run, also while nothing is called', () => {
    const large = `"${'x'.repeat(LIMITS.runStateBytesMax)}"`;
    given(...begun, replies([waits('w'), waits('v')]))
      .when(resumes('w', { memo: large }))
      .thenFails('InngestErrStateOverflowed');
  });
});

describe('a wait for a signal', () => {
  it('claims the name, and is resolved by it', () =>
    given(...begun)
      .when(replies([signals('g', 60_000, { conflict: 'replace' })]))
      .thenSends('ClaimSignal go g')
      .thenOwes('signal g in 60000')
      .when(resumes('g', { memo: '{"data":{"data":1,"signal":"go"}}' }))
      .thenMemo('g', { data: { data: 1, signal: 'go' } })
      .thenSends('ReleaseSignal go g')
      .thenOwes('enter'));

  it('gives up with null, and gives the name back', () =>
    given(...begun, replies([signals('g', 5_000)]))
      .when(rings('g'))
      .thenTells('StepCompleted g timed out', 'CallPlanned step')
      .thenMemo('g', null)
      .thenSends('ReleaseSignal go g'));

  it('that is over at once claims nothing', () =>
    given(...begun)
      .when(replies([signals('g', 0)]))
      .thenMemo('g', null)
      .thenSends()
      .thenOwes('enter'));

  it('that another run waits for already ends this one', () =>
    given(...begun, replies([signals('g')]))
      .when(resumes('g', { fault: signalConflict }, { fails: true }))
      .thenTells('StepFailed g', 'RunFailed')
      .thenFails('Error', /Signal conflict; signal wait already exists for another run/)
      .thenSends('ReleaseSignal go g', 'event inngest/function.finished', 'event inngest/function.failed'));

  it.each(['cancelled', 'completed', 'failed'])('gives the name back when its run is %s', (end) => {
    const ends = {
      cancelled,
      completed: late({ target: 'step', seq: 1, generation: 1 }, returns()),
      failed: resumes('x', { fault: fault('Error', 'no') }, { fails: true }),
    }[end as 'cancelled'];
    const story = given(...begun, replies([signals('g'), invokes('x'), planned('a', true)]), answers('a', [done('a')]));
    story.when(end === 'completed' ? returns() : ends);
    expect(story.now.state).toBe(end);
    expect(story.sent).toContainEqual(
      expect.objectContaining({
        key: `signal:${ENV}:go`,
        command: expect.objectContaining({ type: 'ReleaseSignal', runId: RUN_ID, stepId: 'g' }) as object,
      }),
    );
  });
});

describe('an invoke', () => {
  it('sends the event that starts the function, with the way back', () => {
    const story = given(...begun)
      .when(replies([invokes('i')]))
      .thenSends('event inngest/function.invoked')
      .thenOwes('invoke i in 60000');
    const [effect] = story.sent;
    if (effect?.kind !== 'event') throw new Error('no event');
    const { event } = effect;
    expect(event.internal).toEqual({
      kind: 'invoke',
      functionRef: 'app-child',
      parent: { runId: RUN_ID, stepId: 'i' },
      expiresAt: START + 60_000,
    });
    expect(JSON.parse(event.payload)).toMatchObject({
      data: { q: 1, _inngest: { correlation_id: `${RUN_ID}.i`, fn_id: 'app-child', name: 'i' } },
    });
  });

  it('sends the same event when it is decided again', () => {
    const tell = () => given(...begun).when(replies([invokes('i')])).sent;
    expect(tell()).toEqual(tell());
  });

  it('shows the run that it started, once', () =>
    given(...begun, replies([invokes('i')]))
      .when(links('i', 'CHILD'))
      .thenTells('ChildLinked i')
      .thenOwes('invoke i in 60000')
      .when(links('i', 'CHILD'))
      .thenIgnored('nothing_new')
      .when(links('x', 'CHILD'))
      .thenIgnored('step_unknown')
      .when(resumes('i', { memo: '{"data":1}' }))
      .when(links('i', 'CHILD'))
      .thenIgnored('step_resolved'));

  it('gets what the function returned', () =>
    given(...begun, replies([invokes('i')]))
      .when(resumes('i', { memo: '{"data":{"ok":true}}' }, { childRunId: 'CHILD' }))
      .thenTellsOf({ type: 'StepCompleted', childRunId: 'CHILD', kind: 'invoke' })
      .thenMemo('i', { data: { ok: true } })
      .thenOwes('enter'));

  it('fails where the function is not known, without another attempt', () =>
    given(...begun, replies([invokes('i')]))
      .when(resumes('i', { fault: invokeUnknown('app-child') }))
      .thenTells('StepFailed i', 'CallPlanned step')
      .thenMemo('i', { error: { data: null, message: 'could not find function with ID: app-child', name: 'Error' } }));

  it('gives up with an error of its own', () =>
    given(...begun, replies([invokes('i', 20_000)]))
      .when(rings('i'))
      .thenTells('StepFailed i timed out', 'CallPlanned step')
      .thenMemo('i', {
        error: {
          data: null,
          error: 'InngestInvokeTimeoutError: Timed out waiting for invoked function to complete',
          message: 'Timed out waiting for invoked function to complete',
          name: 'InngestInvokeTimeoutError',
        },
      }));

  it('that is over at once starts its function all the same', () =>
    given(...begun)
      .when(replies([invokes('i', 0)]))
      .thenSends('event inngest/function.invoked')
      .thenOwes('invoke i')
      .when(rings('i'))
      .thenTells('StepFailed i timed out', 'CallPlanned step'));
});

describe('a call that the server makes', () => {
  it.each([
    [fetches('f'), 'fetch'],
    [infers('f'), 'ai'],
  ] as const)('%s goes out as one', (op, kind) => {
    given(...begun)
      .when(replies([op]))
      .thenTells('CallSettled step', 'StepPlanned f', 'CallPlanned f')
      .thenTellsOf({ type: 'StepPlanned', stepId: 'f', kind })
      .thenRun({ steps: { f: { wait: { since: START, request: '{"url":"http://x"}' } } } } as object)
      .thenOwes('fetch f');
  });

  it('is tried again like a step', () =>
    given(...begun, replies([fetches('f')]))
      .when(answers('f', [errored('f')]))
      .thenTells('CallSettled f', 'StepErrored f', 'CallPlanned f attempt 1 in 15000')
      .thenOwes('fetch f attempt 1 in 15000')
      .when(after(15_000, answers('f', [done('f', { status_code: 500 })])))
      .thenMemo('f', { data: { status_code: 500 } })
      .thenOwes('enter'));

  it('fails like a step', () =>
    given(...begun, replies([fetches('f')]), answers('f', [failed('f')])).thenOwes('enter'));

  it('forgets its request once it is answered', () => {
    const { steps } = given(...begun, replies([fetches('f')]), answers('f', [done('f')])).now;
    expect(steps['f']?.wait).toBeUndefined();
  });
});

it('a memo never changes', () => {
  const story = given(...begun, checkpoints([done('a', 1)]));
  for (const beat of [
    checkpoints([done('a', 2)]),
    resumes('a', { memo: '3' }),
    resumes('a', { fault: fault('Error', 'x') }),
    replies([failed('a')]),
  ]) {
    story.when(beat).thenMemo('a', { data: 1 });
  }
});

it('deciding leaves the run as it was', () => {
  const { now } = given(...begun, replies([planned('a'), sleeps('s', 1_000), waits('w'), fetches('f')]));
  const before = structuredClone(now);
  decide(now, { type: 'CancelRun', runId: RUN_ID, env: ENV, at: START, by: 'api' });
  decide(now, { type: 'FireTimer', runId: RUN_ID, env: ENV, at: START + 1_000, kind: 'sleep', stepId: 's' });
  expect(now).toEqual(before);
});
