import { describe, expect, it } from 'vitest';
import {
  aborts,
  after,
  annotated,
  answers,
  cancelled,
  complete,
  defers,
  done,
  errored,
  expires,
  failed,
  fetches,
  given,
  invokes,
  late,
  planned,
  replies,
  resumes,
  returns,
  reviewed,
  rings,
  RUN_ID,
  scheduled,
  signals,
  sleeps,
  START,
  started,
  throws,
  waits,
  watching,
  type Beat,
  type Story,
} from '#testkit/run.story.js';
import { LIMITS } from '../limits.js';
import type { ScheduleRun } from './run.commands.js';
import { derivedUlid } from '../event/event.ids.js';
import type { StoredEvent } from '../event/event.js';

const begun = [scheduled(), started()];

describe('a cancel', () => {
  const states: readonly (readonly [string, readonly Beat[]])[] = [
    ['queued', [scheduled({ startTimeoutMs: 5_000, cancelOn: [watching('stop')] })]],
    ['waiting for its planned start', [scheduled({ startAt: START + 60_000 })]],
    ['running', [scheduled(), started(9_000)]],
    ['retrying', [...begun, throws()]],
    ['sleeping', [...begun, replies([sleeps('s', 1_000)])]],
    ['waiting', [...begun, replies([waits('w'), signals('g'), invokes('i'), fetches('f')])]],
    ['in parallel', [...begun, replies([planned('a', true), planned('b', true)]), answers('a', [done('a')])]],
  ];

  it.each(states)('ends a run that is %s, and takes back all that is out', (_name, beats) => {
    given(...beats)
      .when(cancelled)
      .thenTells('RunCancelled by api')
      .thenRun({ state: 'cancelled' })
      .thenOwes();
  });

  it('is exact about its time', () =>
    given(...begun)
      .when(after(123, cancelled))
      .thenRun({ endedAt: START + 123 }));

  it('changes nothing that has ended', () => {
    given(...begun, cancelled)
      .when(cancelled)
      .thenIgnored('run_ended');
    given(...begun, returns())
      .when(cancelled)
      .thenIgnored('run_ended')
      .thenRun({ state: 'completed' });
  });

  it('of a run that nobody knows leads to nothing', () => given().when(cancelled).thenIgnored('run_unknown'));

  it('is not undone by what comes late', () =>
    given(...begun, cancelled)
      .when(late({ target: 'step', seq: 0, generation: 1 }, replies([done('a')])))
      .thenIgnored('run_ended')
      .when(scheduled())
      .thenIgnored('run_exists'));

  it('leaves invoked runs alone', () =>
    given(...begun, replies([invokes('i')]))
      .when(cancelled)
      .thenSends('event inngest/function.finished', 'event inngest/function.cancelled'));
});

describe('the start timeout', () => {
  const queued = [scheduled({ startTimeoutMs: 5_000 })];

  it('ends a run that was not started in time', () =>
    given(...queued)
      .thenOwes('enter', 'start in 5000')
      .when(after(5_000, expires('start', 5_000)))
      .thenTells('RunCancelled by start_timeout')
      .thenSends('event inngest/function.finished', 'event inngest/function.cancelled'));

  it('counts from the planned start', () =>
    given(scheduled({ startTimeoutMs: 5_000, startAt: START + 60_000 }))
      .thenOwes('enter in 60000', 'start in 65000')
      .when(after(64_999, expires('start', 5_000)))
      .thenIgnored('timer_early')
      .when(after(1, expires('start', 5_000)))
      .thenTells('RunCancelled by start_timeout'));

  it('is gone with the start', () =>
    given(...queued, started())
      .thenOwes('enter')
      .when(after(5_000, expires('start', 5_000)))
      .thenIgnored('run_started'));

  it('moves when it is found to be longer, and goes when there is none', () => {
    given(...queued)
      .when(after(5_000, expires('start', 8_000)))
      .thenTells('TimeoutMoved start to 8000')
      .thenOwes('enter', 'start in 3000');
    given(...queued)
      .when(after(5_000, expires('start')))
      .thenTells('TimeoutMoved start off')
      .thenOwes('enter');
  });

  it('follows what is configured', () =>
    given(...queued)
      .when(reviewed({ startTimeoutMs: 2_000, finishTimeoutMs: 9_000 }))
      .thenTells('TimeoutMoved start to 2000')
      .when(reviewed({ startTimeoutMs: 2_000 }))
      .thenIgnored('nothing_new')
      .when(reviewed({}))
      .thenTells('TimeoutMoved start off'));

  it('does not apply to a batch', () =>
    given(scheduled({ startTimeoutMs: 5_000, batchId: 'B1' }))
      .thenOwes('enter')
      .when(reviewed({ startTimeoutMs: 9_000 }))
      .thenIgnored('nothing_new'));
});

describe('the finish timeout', () => {
  const running = [scheduled(), after(100, started(5_000))];

  it('counts from the first request, also while nothing is called', () =>
    given(...running, replies([sleeps('s', 90_000)]))
      .thenOwes('sleep s in 89900', 'finish in 5000')
      .when(after(5_000, expires('finish', 5_000)))
      .thenTells('RunCancelled by finish_timeout')
      .thenOwes());

  it('does not interrupt a call, but its answer leads to nothing', () =>
    given(...running, after(5_000, expires('finish', 5_000)))
      .when(late({ target: 'step', seq: 0, generation: 1 }, replies([done('a')])))
      .thenIgnored('run_ended'));

  it('moves when it is found to be longer, and goes when there is none', () => {
    given(...running)
      .when(after(5_000, expires('finish', 9_000)))
      .thenTells('TimeoutMoved finish to 9100');
    given(...running)
      .when(after(5_000, expires('finish')))
      .thenTells('TimeoutMoved finish off')
      .thenOwes('enter');
  });

  it('is never early', () =>
    given(...running)
      .when(after(4_999, expires('finish', 5_000)))
      .thenIgnored('timer_early'));

  it('is there in time when it is found to be shorter', () =>
    given(...running)
      .when(after(3_000, expires('finish', 2_000)))
      .thenTells('RunCancelled by finish_timeout'));

  it('follows what is configured', () =>
    given(...begun)
      .when(reviewed({ startTimeoutMs: 1, finishTimeoutMs: 3_000 }))
      .thenTells('TimeoutMoved finish to 3000')
      .thenOwes('enter', 'finish in 3000')
      .when(reviewed({ finishTimeoutMs: 3_000 }))
      .thenIgnored('nothing_new'));

  it('of a run that is not started leads to nothing', () =>
    given(scheduled()).when(expires('finish', 1)).thenIgnored('timer_early'));

  it('is known also where the answer was on the log before the start', () =>
    given(scheduled(), replies([sleeps('s', 90_000)]))
      .thenOwes('sleep s in 90000')
      .when(after(10, started(5_000)))
      .thenTells('TimeoutMoved finish to 5000')
      .thenOwes('sleep s in 89990', 'finish in 4990'));
});

it('a run starts once', () =>
  given(...begun)
    .when(started(5_000))
    .thenIgnored('run_started')
    .when(started())
    .thenIgnored('run_started'));

const PARENT = { runId: 'P1', stepId: 'i1' };
const INVOKED =
  '{"data":{"_inngest":{"correlation_id":"P1.i1","fn_id":"app-f"}},"id":"e1","name":"inngest/function.invoked","ts":1,"user":{}}';
const byParent: Partial<ScheduleRun> = { parents: [PARENT], events: [INVOKED], eventName: 'inngest/function.invoked' };

describe('the step that invoked a run', () => {
  it('hears that the run is there', () => given().when(scheduled(byParent)).thenSends('LinkChild P1 i1'));

  const invoked = [scheduled(byParent), started()];

  it.each<readonly [string, readonly Beat[], object]>([
    ['completed', [returns({ ok: 1 })], { memo: '{"data":{"ok":1}}' }],
    ['failed', [throws({ noRetry: true })], { fault: { name: 'TypeError', message: 'kaput' } }],
    ['failed by a limit', [replies([{ op: 'Sleep', id: 's', name: 's', until: { tooLong: '9y' } }])], { fault: {} }],
    ['cancelled', [cancelled], { fault: { message: 'The invoked function was cancelled' } }],
    ['out of time', [after(1, expires('finish', 1))], { fault: {} }],
    ['never started', [after(1, expires('start', 1))], { fault: {} }],
  ])('hears that it %s', (name, ends, result) => {
    const beats = name === 'never started' ? [scheduled({ ...byParent, startTimeoutMs: 1 })] : invoked;
    const story = given(...beats).when(...ends);
    const resume = story.sent.find((effect) => effect.kind === 'command');
    expect(resume).toMatchObject({
      key: 'P1',
      command: { type: 'ResumeStep', runId: 'P1', stepId: 'i1', childRunId: RUN_ID, result },
    });
  });

  it('hears the class of the error, in the error', () => {
    const story = given(scheduled({ ...byParent, maxAttempts: 1 }), started()).when(throws());
    const resume = story.sent.find((effect) => effect.kind === 'command');
    expect(JSON.stringify(resume)).toContain('\\"error\\":\\"invalid status code: 500\\"');
  });

  it('hears it also where the run is of a lifecycle event, which tells nobody else', () =>
    given(scheduled({ parents: [PARENT], eventName: 'inngest/function.finished' }), started())
      .when(returns())
      .thenSends('ResumeStep P1 i1'));
});

describe('lifecycle events', () => {
  it('of a run that completed', () =>
    given(...begun)
      .when(returns())
      .thenSends('event inngest/function.finished'));

  it('of a run that failed, and a handler starts once', () => {
    const story = given(...begun)
      .when(throws({ noRetry: true }))
      .thenSends('event inngest/function.finished', 'event inngest/function.failed');
    expect(ids(story)).toEqual([derivedUlid(START, RUN_ID, 'finished', '0'), RUN_ID]);
  });

  it('of a run that was cancelled', () => {
    const story = given(...begun)
      .when(cancelled)
      .thenSends('event inngest/function.finished', 'event inngest/function.cancelled');
    expect(ids(story)[1]).toBe(RUN_ID);
  });

  it.each(['inngest/function.finished', 'inngest/function.failed', 'inngest/function.cancelled'])(
    'are none for a run that %s triggered',
    (eventName) => {
      given(scheduled({ eventName }), started()).when(returns()).thenSends();
      given(scheduled({ eventName }), started())
        .when(throws({ noRetry: true }))
        .thenSends();
      given(scheduled({ eventName }), started()).when(cancelled).thenSends();
    },
  );

  it('are the same when the end is decided again', () => {
    const tell = () =>
      given(...begun)
        .when(throws({ noRetry: true }))
        .sent.map((effect) => effect);
    expect(tell()).toEqual(tell());
  });

  it('carry the sessions of the event', () => {
    const event = '{"data":{},"id":"e1","meta":{"sessions":{"user":"u1"}},"name":"go","ts":1,"user":{}}';
    const [finished] = events(given(scheduled({ events: [event] }), started()).when(returns()));
    expect(JSON.parse(finished?.payload ?? '')).toMatchObject({ meta: { sessions: { user: 'u1' } }, ts: START });
  });

  it('answer the step that invoked the run, under its correlation id', () => {
    const [finished] = events(given(scheduled(byParent), started()).when(returns()));
    expect(JSON.parse(finished?.payload ?? '')).toMatchObject({ data: { correlation_id: 'P1.i1' } });
  });

  it('of a batch are one for the first event, and one for each event with a step that waits', () => {
    const plain = '{"data":{},"id":"e0","name":"go","ts":1,"user":{}}';
    const second = { runId: 'P2', stepId: 'i2' };
    const correlations = (how: Partial<ScheduleRun>) =>
      events(given(scheduled({ batchId: 'B1', ...how }), started()).when(returns())).map(
        ({ payload }) => (JSON.parse(payload) as { data: { correlation_id?: string } }).data.correlation_id ?? 'none',
      );
    expect(correlations({ events: [plain, INVOKED], parents: [PARENT] })).toEqual(['none', 'P1.i1']);
    expect(correlations({ events: [INVOKED, plain, INVOKED], parents: [PARENT, second] })).toEqual(['P1.i1', 'P2.i2']);
    expect(correlations({ events: [plain, plain], parents: [] })).toEqual(['none']);
    const both = given(scheduled({ batchId: 'B1', events: [INVOKED, plain], parents: [PARENT, second] }), started());
    expect(new Set(ids(both.when(returns()))).size).toBe(2);
  });
});

function events(story: Story): readonly StoredEvent[] {
  return story.sent.flatMap((effect) => (effect.kind === 'event' ? [effect.event] : []));
}

function ids(story: Story): readonly string[] {
  return events(story).map(({ id }) => id);
}

describe('what is deferred', () => {
  const deferring = [...begun, replies([defers('d', '{"a":1}'), done('a')])];

  it('goes out at every end, with ids of its own', () => {
    for (const [ends, name] of [
      [returns(), 'finished'],
      [throws({ noRetry: true }), 'failed'],
      [cancelled, 'cancelled'],
    ] as const) {
      const story = given(...deferring).when(ends);
      const last = events(story).at(-1);
      expect(last, name).toMatchObject({
        name: 'inngest/deferred.schedule',
        id: derivedUlid(START, RUN_ID, 'defer', 'd'),
      });
      expect(JSON.parse(last?.payload ?? '')).toMatchObject({
        data: { a: 1, _inngest: { fn_slug: 'app-later', parent_fn_slug: 'app-f', parent_run_id: RUN_ID } },
      });
    }
  });

  it('goes out once, however often it is told', () =>
    given(...deferring, replies([defers('d', '{"a":2}'), complete()]))
      .thenRun({ state: 'completed' })
      .thenRun({ defers: { d: { id: 'd', functionRef: 'app-later', payload: '{"a":1}', state: 'live' } } }));

  it('stays in when it is withdrawn, and cannot be put out again', () =>
    given(...deferring, replies([aborts('d'), done('b')]))
      .when(replies([defers('d'), complete()]))
      .thenTells('CallSettled step', 'RunCompleted')
      .thenSends('event inngest/function.finished'));

  it('goes out for a run that lifecycle events are silent about', () =>
    given(scheduled({ eventName: 'inngest/function.failed' }), started())
      .when(replies([defers('d'), complete()]))
      .thenSends('event inngest/deferred.schedule'));

  it('is noted as rejected where it breaks a rule, and the run goes on', () => {
    const large = JSON.stringify({ x: 'x'.repeat(LIMITS.deferInputBytesMax / 2) });
    given(...begun)
      .when(replies([defers('a', 'null', 'invalid_opts'), defers('b', large), defers('c', large), done('x')]))
      .thenTells(
        'CallSettled step',
        'DeferAdded a rejected invalid_opts',
        'DeferAdded b',
        'DeferAdded c rejected aggregate_size',
        'StepCompleted x',
        'CallPlanned step',
      )
      .when(returns())
      .thenSends('event inngest/function.finished', 'event inngest/deferred.schedule');
  });

  it('is bounded in number, those withdrawn counted', () => {
    const twenty = Array.from({ length: LIMITS.defersPerRunMax }, (_, i) => defers(`d${i}`));
    given(...begun, replies([...twenty, aborts('d0'), done('a')]))
      .when(replies([defers('more'), done('b')]))
      .thenTellsOf({ type: 'DeferAdded', deferId: 'more', rejected: 'per_run_count' });
  });

  it('is told to the app with the next call, and that what is withdrawn cannot be', () =>
    given(...deferring, replies([aborts('d'), defers('e'), done('b')])).thenRun({
      defers: {
        d: { id: 'd', functionRef: 'app-later', payload: '{}', state: 'aborted' },
        e: { id: 'e', functionRef: 'app-later', payload: '{}', state: 'live' },
      },
    }));
});

describe('metadata', () => {
  it('is taken as it comes', () =>
    given(...begun)
      .when(annotated('{"metadata":[]}'))
      .thenTells('MetadataAdded')
      .thenRun({ metadataBytes: 15 }));

  it('is refused beyond its limit', () =>
    given(...begun, annotated('x'.repeat(LIMITS.metadataPerRunBytesMax)))
      .when(annotated('1'))
      .thenIgnored('metadata_too_large'));

  it('of steps comes with them, once', () => {
    const metadata = '[{"kind":"userland.x","op":"set","values":{}}]';
    const body = `{"metadata":${metadata},"target":{"run_id":"${RUN_ID}","step_id":"a"}}`;
    given(...begun)
      .when(replies([{ ...done('a'), metadata }]))
      .thenTellsOf({ type: 'MetadataAdded', body })
      .when(replies([{ ...done('a'), metadata }, sleeps('s', 5_000)]))
      .thenTells('CallSettled step', 'StepPlanned s');
    given(...begun)
      .when(replies([{ ...errored('a'), metadata }]))
      .thenTellsOf({
        type: 'MetadataAdded',
        body: `{"metadata":${metadata},"target":{"run_id":"${RUN_ID}","step_attempt":0,"step_id":"a"}}`,
      });
    given(...begun)
      .when(replies([{ ...failed('a'), metadata }]))
      .thenTellsOf({ type: 'MetadataAdded' });
  });

  it('never matters to the run', () =>
    given(...begun)
      .when(replies([{ ...done('a'), metadata: `["${'x'.repeat(LIMITS.metadataPerRunBytesMax)}"]` }]))
      .thenTells('CallSettled step', 'StepCompleted a', 'CallPlanned step'));
});

it('watches for cancelling events until it ends', () =>
  given(scheduled({ cancelOn: [watching('stop'), watching('halt')] }), started(), replies([sleeps('s', 1_000)]))
    .thenOwes('cancel on stop', 'cancel on halt', 'sleep s in 1000')
    .when(rings('s'))
    .thenOwes('cancel on stop', 'cancel on halt', 'enter')
    .when(returns())
    .thenOwes());

it('a run that ended hears nothing any more', () => {
  const story = given(...begun, replies([waits('w'), sleeps('s', 1_000), invokes('i')]), cancelled);
  for (const beat of [
    rings('s'),
    resumes('w', { memo: '1' }),
    resumes('i', { memo: '1' }),
    started(1),
    annotated('1'),
    reviewed({ finishTimeoutMs: 1 }),
    expires('finish', 1),
  ]) {
    story.when(beat).thenIgnored('run_ended').thenSends();
  }
});
