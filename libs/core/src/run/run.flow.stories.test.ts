import { describe, expect, it } from 'vitest';
import {
  answers,
  calls,
  cancelled,
  complete,
  done,
  drops,
  given,
  late,
  planned,
  replies,
  scheduled,
  skipped,
  sleeps,
  started,
  throws,
} from '#testkit/run.story.js';

const SLOT = { scope: 'fn', value: 'acme', limit: 1 } as const;
const FIRST = { target: 'step', seq: 0, generation: 1 };

describe('a call that limits count', () => {
  it('is said before it is made, and starts the run where it is its first', () =>
    given(scheduled())
      .when(calls('step', { finishTimeoutMs: 5_000 }))
      .thenTells('RunStarted', 'CallStarted step')
      .thenOwes('enter', 'finish in 5000')
      .when(calls('step'))
      .thenIgnored('nothing_new'));

  it('is made again under another lease, when one has ended and nothing was heard', () =>
    given(scheduled(), calls('step', { lease: 'L1' }))
      .when(calls('step', { lease: 'L2' }))
      .thenTellsOf({ type: 'CallStarted', lease: 'L2' })
      .thenOwes('enter'));

  it('says what it waited for', () => {
    const waited = { ms: 40, cause: 'concurrency', key: 'acme', limit: 1, inUse: 1 } as const;
    given(scheduled(), started())
      .when(calls('step', { waited }))
      .thenTellsOf({ type: 'CallStarted', seq: 0, generation: 1, waited });
  });

  it('is not made any more when its run has ended, or another call has taken its place', () => {
    given(scheduled(), cancelled)
      .when(late(FIRST, calls('step')))
      .thenIgnored('run_ended');
    given(scheduled(), started(), replies([done('a')]))
      .when(late(FIRST, calls('step')))
      .thenIgnored('work_superseded');
  });

  it('says so again when it is tried again', () =>
    given(scheduled(), calls('step'), throws()).when(calls('step')).thenTells('CallStarted step'));

  it('counts when its run has ended under it, until it is answered', () =>
    given(scheduled(), calls('step'), cancelled)
      .thenOwes('enter')
      .when(late(FIRST, replies([done('a'), complete('late')])))
      .thenTells('CallSettled step')
      .thenRun({ state: 'cancelled', stack: [] })
      .thenOwes());

  it('counts when its run has ended under it, until its lease is over', () =>
    given(scheduled(), calls('step'), cancelled)
      .when(drops(FIRST))
      .thenTells('CallSettled step')
      .thenOwes()
      .when(drops(FIRST))
      .thenIgnored('run_ended'));

  it('counts when another call has ended its run, each until its own answer', () => {
    const a = { target: 'a', seq: 1, generation: 1 };
    given(scheduled(), started(), replies([planned('a'), planned('b')], { version: 2 }), calls('a'), calls('b'))
      .when(cancelled)
      .thenOwes('call a', 'call b')
      .when(late(a, answers('a', [done('a')])))
      .thenTells('CallSettled a')
      .thenOwes('call b')
      .when(late(a, answers('a', [done('a')])))
      .thenIgnored('run_ended');
  });

  it('that nothing counts leaves nothing behind', () =>
    given(scheduled(), started(), cancelled).thenOwes().when(drops(FIRST)).thenIgnored('run_ended'));
});

describe('a run of a function that limits whole runs', () => {
  it('holds its slot from its first request to its end, also while it sleeps', () =>
    given(scheduled({ flow: { run: SLOT } }))
      .thenOwes('enter')
      .when(calls('step'))
      .thenOwes('enter', 'slot acme')
      .when(replies([sleeps('nap', 1_000)], { version: 2 }))
      .thenOwes('slot acme', 'sleep nap in 1000')
      .when(cancelled)
      .thenOwes());
});

describe('a run that holds a singleton', () => {
  const key = 'singleton:env:f:=acme';

  it('gives it back at its end, whichever that is', () => {
    const holds = scheduled({ flow: { singleton: key } });
    given(holds, started())
      .when(replies([complete()]))
      .thenSends(`ReleaseSingleton ${key}`, 'event inngest/function.finished');
    given(holds)
      .when(cancelled)
      .thenSends(`ReleaseSingleton ${key}`, 'event inngest/function.finished', 'event inngest/function.cancelled');
  });
});

describe('a run that is skipped', () => {
  it('is recorded with its reason, and never runs', () =>
    given()
      .when(skipped({ blockedBy: 'R0' }))
      .thenTells('RunScheduled', 'RunSkipped singleton R0')
      .thenRun({ state: 'skipped' })
      .thenOwes()
      .thenSends()
      .when(scheduled())
      .thenIgnored('run_exists')
      .when(cancelled)
      .thenIgnored('run_ended'));

  it('is told to the step that invoked it', () => {
    const parents = [{ runId: 'P1', stepId: 'i1' }];
    given()
      .when(skipped({ parents, reason: 'function_paused' }))
      .thenSends('LinkChild P1 i1', 'ResumeStep P1 i1');
    expect(parents).toHaveLength(1);
  });
});
