import { describe, it } from 'vitest';
import {
  aborts,
  after,
  answers,
  cancelled,
  checkpoints,
  complete,
  defers,
  done,
  errored,
  given,
  planned,
  replies,
  resumes,
  scheduled,
  sleeps,
  started,
  throws,
  waits,
} from '#testkit/run.story.js';

const begun = [scheduled(), started()];

describe('a checkpoint', () => {
  it('stores steps while their call goes on', () =>
    given(...begun)
      .when(checkpoints([done('a'), done('b')]))
      .thenTells('StepCompleted a', 'StepCompleted b', 'CallProgressed')
      .thenTellsOf({ type: 'StepCompleted', stepId: 'a', checkpointed: true })
      .thenOwes('enter'));

  it('twice is stored once', () =>
    given(...begun, checkpoints([done('a')]))
      .when(checkpoints([done('a', 'other')]))
      .thenIgnored('nothing_new')
      .thenMemo('a', { data: 'a' }));

  it('is refused where it has another result than the one that counts, and all of it', () =>
    given(...begun, checkpoints([done('a')]))
      .when(checkpoints([done('b'), done('a', 'other')], { diverging: 'refused' }))
      .thenIgnored('step_diverged')
      .when(checkpoints([done('a'), done('b')], { diverging: 'refused' }))
      .thenTells('StepCompleted b')
      .thenMemo('a', { data: 'a' }));

  it('leaves nothing of a call that went on with another result: it is made again with the one that counts', () =>
    given(...begun, checkpoints([done('a')]))
      .when(replies([done('a', 'other'), done('b'), complete('of another')], { told: 0 }))
      .thenTells('CallSettled step', 'CallPlanned step')
      .thenRun({ state: 'running', stack: ['a'] })
      .thenOwes('enter'));

  it('that was refused stops its call, which is made again at once, as no attempt of the app', () =>
    given(...begun, checkpoints([done('a')]))
      .when(throws({ code: 'stale_dispatch', noRetry: true, told: 0 }))
      .thenTells('CallSettled step', 'CallPlanned step')
      .thenOwes('enter'));

  it('does not count where the call had been told of the result: an app that tells it again is passed over', () =>
    given(...begun, replies([done('a')]))
      .when(replies([done('a', 'other'), complete('fine')], { told: 1 }))
      .thenRun({ state: 'completed', output: '"fine"' }));

  it('starts a run whose start was not told yet, and the finish timeout comes behind', () =>
    given(scheduled())
      .when(checkpoints([done('a')]))
      .thenTells('RunStarted', 'StepCompleted a', 'CallProgressed')
      .when(after(50, started(5_000)))
      .thenTells('TimeoutMoved finish to 5000')
      .thenOwes('enter', 'finish in 4950')
      .when(started(9_000))
      .thenIgnored('run_started'));

  it('of an item that is done with comes too late', () =>
    given(...begun, replies([done('a')]))
      .when(checkpoints([done('b')], { seq: 0 }))
      .thenIgnored('work_superseded'));

  it('of an older try comes too late, of this one it does not', () => {
    given(...begun, throws())
      .when(checkpoints([done('a')], { generation: 1 }))
      .thenIgnored('work_superseded')
      .when(checkpoints([done('a')], { generation: 2 }))
      .thenRun({ stack: ['a'] });
  });

  it('of a run that was cancelled comes too late', () =>
    given(...begun, cancelled)
      .when(checkpoints([done('a')], { seq: 0 }))
      .thenIgnored('run_ended'));

  it('that shows what is running leads to nothing', () =>
    given(...begun)
      .when(checkpoints([planned('a')]))
      .thenIgnored('nothing_new'));

  it('may carry defers, and withdraw them', () =>
    given(...begun)
      .when(checkpoints([defers('d'), defers('e', 'null', 'invalid_opts'), aborts('d')]))
      .thenTells('DeferAdded d', 'DeferAdded e rejected invalid_opts', 'DeferAborted d'));

  it('may end the run', () =>
    given(...begun)
      .when(checkpoints([done('a'), complete(7), done('b')]))
      .thenTells('StepCompleted a', 'RunCompleted')
      .thenRun({ output: '7' })
      .thenOwes());

  it('resolves a step that has a call of its own, and takes that back', () =>
    given(
      ...begun,
      replies([planned('a', true), planned('b', true)]),
      answers('a', [done('a')]),
      checkpoints([done('b')]),
    ).thenOwes('enter'));

  it('of a call of one step lets the function go on, for that call does not', () =>
    given(...begun, replies([planned('a')]))
      .when(checkpoints([done('a')], { target: 'a' }))
      .thenTells('StepCompleted a', 'CallProgressed', 'CallPlanned step')
      .thenOwes('enter'));

  it('of a call of one step never ends the run', () =>
    given(...begun, replies([planned('a')]))
      .when(checkpoints([complete()], { target: 'a' }))
      .thenIgnored('nothing_new'));
});

describe('a call behind its checkpoints', () => {
  const ahead = [...begun, checkpoints([done('a')])];

  it('that brings the same steps again goes on at once', () =>
    given(...ahead)
      .when(replies([done('a')]))
      .thenTells('CallSettled step', 'CallPlanned step')
      .thenOwes('enter'));

  it('that brings nothing goes on at once', () => given(...ahead, replies([])).thenOwes('enter'));

  it('that brings nothing twice is a failed attempt', () =>
    given(...ahead, replies([]), replies([])).thenOwes('enter attempt 1 in 15000'));

  it('that was lost is made again with all its attempts, steps being stored', () =>
    given(...begun, throws(), after(15_000, throws()), after(30_000, checkpoints([done('a')])))
      .when(throws({ transport: true, code: 'http_reset' }))
      .thenTells('CallErrored step', 'CallPlanned step in 15000')
      .thenRun({ stack: ['a'] }));

  it('that was lost is made again also where there is one attempt: what it did counts', () =>
    given(scheduled({ maxAttempts: 1 }), started(), checkpoints([done('a')]))
      .when(throws({ transport: true, code: 'http_timeout' }))
      .thenOwes('enter in 15000')
      .when(after(15_000, throws({ transport: true, code: 'http_timeout' })))
      .thenFails('TypeError'));

  it('whose function threw has used one attempt of the new count', () =>
    given(...begun, throws(), after(15_000, checkpoints([done('a')])), throws()).thenOwes('enter attempt 1 in 15000'));

  it('whose next step failed has used one attempt of that step', () =>
    given(...begun, throws(), after(15_000, checkpoints([done('a')])), replies([errored('b')])).thenOwes(
      'enter attempt 1 in 15000',
    ));

  it('may end in a wait', () => given(...ahead, replies([sleeps('s', 1_000)])).thenOwes('sleep s in 1000'));

  it('is followed by another where a step was resolved meanwhile', () =>
    given(
      ...begun,
      replies([planned('a', true), waits('w', 60_000, { race: true })]),
      answers('a', [done('a')]),
      checkpoints([done('b')]),
      resumes('w', { memo: 'null' }),
    )
      .when(replies([sleeps('s', 5_000)]))
      .thenTells('CallSettled step', 'StepPlanned s', 'CallPlanned step'));
});
