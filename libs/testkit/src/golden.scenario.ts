import type { Command } from '#core/effects.js';
import { cronKey, type CronCommand } from '#core/cron/cron.aggregate.js';
import { fault } from '#core/run/run.faults.js';
import { signalConflict } from '#core/run/run.memos.js';
import { signalKey, type SignalCommand } from '#core/signal/signal.js';
import { admissionCommands } from './golden.admission.js';
import type { GoldenCommand } from './golden.replay.js';
import {
  aborts,
  after,
  annotated,
  answers,
  calls,
  cancelled,
  checkpoints,
  complete,
  defers,
  discover,
  drops,
  done,
  ENV,
  errored,
  expires,
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
  reviewed,
  rings,
  RUN_ID,
  scheduled,
  signals,
  skipped,
  sleeps,
  START,
  started,
  throws,
  waits,
  watching,
  type Beat,
} from './run.story.js';

const SLOT = { scope: 'fn', value: 'acme', limit: 1, expression: 'event.data.tenant' } as const;
const TENANT = { scope: 'account', value: 'acme', limit: 2, expression: 'event.data.tenant' } as const;
const begun = [scheduled(), started()];
const INVOKED = `{"data":{"_inngest":{"correlation_id":"P1.i1"}},"id":"e1","name":"inngest/function.invoked","ts":1,"user":{}}`;
const invoked = scheduled({
  events: [INVOKED],
  eventName: 'inngest/function.invoked',
  parents: [{ runId: 'P1', stepId: 'i1' }],
});

/** Each of them one run. */
const runs: readonly (readonly Beat[])[] = [
  // Steps one after the other; a step and a function that fail, and are tried again.
  [
    scheduled({ cancelOn: [watching('stop')], startTimeoutMs: 5_000, cron: '0 * * * *' }),
    scheduled(),
    started(60_000),
    started(60_000),
    replies([{ ...done('a', { n: 1 }), type: 'step.ai.wrap', input: '[1]', startedAt: START, ranMs: 3 }], {
      version: 2,
    }),
    replies([errored('b')]),
    after(15_000, replies([errored('b')], { retryAfterMs: 2_000 })),
    after(2_000, replies([errored('b')])),
    throws({ dice: 0.5 }),
    after(30_000, throws({ code: 'stale_dispatch', noRetry: true })),
    after(30_000, returns({ ok: true, ü: '✓' })),
    cancelled,
  ],
  // Steps together, in a group and in a race; entries that meet; answers that come late.
  [
    ...begun,
    replies([planned('a'), planned('b'), sleeps('s', 1_000), sleeps('z', 0)], { version: 2 }),
    answers('a', []),
    answers('b', [done('b')]),
    rings('s'),
    rings('s'),
    after(15_000, answers('a', [failed('a')])),
    replies([planned('c', true), planned('d', true), waits('w', 90_000, { race: true })]),
    answers('c', [done('c')]),
    answers('d', [done('d')]),
    throws(),
    throws(),
    resumes('w', { memo: '{"data":{},"id":"e2","name":"wanted","ts":2,"user":{}}' }, { eventId: 'E2' }),
    late({ target: 'step', seq: 0, generation: 1 }, returns('late')),
    replies([]),
    replies([discover]),
    replies([complete(null)], { plain: true }),
  ],
  // Version 1 enters after each.
  [
    ...begun,
    replies([planned('a'), planned('b')], { version: 1 }),
    answers('a', [complete()], { plain: true, version: 1 }),
    answers('b', [done('b')], { version: 1 }),
    after(15_000, answers('a', [done('a')], { version: 1 })),
    replies([planned('a')], { version: 1 }),
    returns(),
  ],
  // Waits of every kind, and their ends.
  [
    ...begun,
    replies([
      waits('w', 5_000, { if: 'async.data.x == event.data.n' }),
      waits('v', 9_000),
      signals('g', 20_000),
      signals('h', 20_000, { signal: 'other', conflict: 'replace' }),
      invokes('i', 30_000),
      invokes('j', 30_000),
      fetches('f'),
      infers('m'),
    ]),
    links('i', 'CHILD'),
    rings('w'),
    resumes('v', { memo: '{"name":"wanted"}' }, { eventId: 'E3' }),
    resumes('g', { memo: '{"data":{"data":1,"signal":"go"}}' }),
    rings('h'),
    resumes('i', { fault: fault('Error', 'no') }, { childRunId: 'CHILD' }),
    rings('j'),
    answers('f', [errored('f')]),
    after(15_000, answers('f', [done('f', { status_code: 200 })])),
    answers('m', [failed('m')]),
    returns([1, 2]),
  ],
  // Checkpoints, defers, metadata.
  [
    scheduled(),
    checkpoints([done('a'), defers('d', '{"x":1}'), defers('e', 'null', 'invalid_opts')]),
    started(9_000),
    checkpoints([done('a')]),
    checkpoints([done('b')], { generation: 1 }),
    checkpoints([done('c')], { generation: 7 }),
    replies([{ ...done('c'), metadata: '[{"kind":"userland.x","op":"set","values":{}}]' }, aborts('d'), defers('k')]),
    annotated('{"metadata":[],"target":{}}'),
    reviewed({ finishTimeoutMs: 20_000 }),
    after(9_000, expires('finish', 20_000)),
    replies([done('b'), complete('all')]),
  ],
  // Ends from outside and inside.
  [...begun, replies([signals('g', 90_000), waits('w'), fetches('f')]), cancelled, rings('w')],
  [scheduled({ startTimeoutMs: 1_000, startAt: START + 5_000 }), after(6_000, expires('start', 1_000))],
  [scheduled(), started(1_000), after(1_000, expires('finish', 1_000))],
  [...begun, replies([signals('g')]), resumes('g', { fault: signalConflict }, { fails: true })],
  [...begun, replies([{ op: 'Sleep', id: 's', name: 's', until: { tooLong: '9y' } }])],
  [...begun, replies([{ op: 'Sleep', id: 's', name: 's', until: { invalid: 'soon' } }])],
  [...begun, replies([waits('w', 5_000, { if: 'async.data.x ==' })])],
  [...begun, throws({ noRetry: true, code: '400' })],
  [
    scheduled({ maxAttempts: 1, eventName: 'inngest/function.failed' }),
    throws({ transport: true, code: 'http_reset' }),
  ],
  [invoked, started(), returns({ ok: 1 })],
  [invoked, started(), throws({ noRetry: true })],
  [invoked, cancelled],
  [
    scheduled({ batchId: 'B1', startTimeoutMs: 1_000, eventIds: ['e1', 'e2'] }),
    reviewed({ startTimeoutMs: 5 }),
    started(),
  ],
  // What is under way at the end of the log.
  [
    ...begun,
    replies([planned('a', true), sleeps('s', 9_000), waits('w'), signals('g'), invokes('i'), fetches('f')], {
      version: 2,
    }),
    answers('a', [done('a')]),
    resumes('w', { memo: 'null' }),
    throws({ retryAfterMs: 60_000 }),
  ],
  [cancelled],
  // Under limits: calls that are said before they are made, and runs that never run.
  [
    scheduled({
      flow: { priority: 5, run: SLOT, step: [TENANT], singleton: 'singleton:env:f1:=acme', notes: ['a note'] },
    }),
    calls('step', { lease: 'L1', waited: { ms: 5, cause: 'concurrency', key: 'acme', limit: 1, inUse: 1 } }),
    calls('step', { lease: 'L1' }),
    calls('step', { lease: 'L2' }),
    checkpoints([done('a')], { diverging: 'refused' }),
    checkpoints([done('a', 'other'), done('b')], { diverging: 'refused' }),
    replies([done('a', 'other'), complete()], { told: 0, version: 2 }),
    calls('step', { lease: 'L3', finishTimeoutMs: 9_000 }),
    throws({ code: 'stale_dispatch', noRetry: true, told: 1 }),
    calls('step', { lease: 'L4' }),
    replies([planned('p'), planned('q')], { told: 1 }),
    calls('p', { lease: 'L5' }),
    calls('q', { lease: 'L6' }),
    cancelled,
    late({ target: 'p', seq: 3, generation: 1 }, answers('p', [done('p')])),
    drops({ target: 'q', seq: 4, generation: 1 }),
    drops({ target: 'q', seq: 4, generation: 1 }),
  ],
  [scheduled({ flow: { throttle: { value: '' } } }), calls('step', { lease: 'L1', finishTimeoutMs: 4_000 }), returns()],
  [skipped({ blockedBy: 'RUN00' }), scheduled(), skipped()],
  [skipped({ parents: [{ runId: 'P1', stepId: 'i1' }], reason: 'function_paused' })],
];

const signal = { env: ENV, signal: 'go', at: START };
const claim = { ...signal, type: 'ClaimSignal', conflict: 'fail', until: START + 9_000 } as const;
const signalCommands: readonly SignalCommand[] = [
  { ...signal, type: 'SendSignal', data: '1' },
  { ...claim, runId: 'A', stepId: 's' },
  { ...claim, runId: 'A', stepId: 's' },
  { ...claim, runId: 'A', stepId: 't' },
  { ...claim, runId: 'B', stepId: 's' },
  { ...signal, type: 'SendSignal', data: '{"hi":1}' },
  { ...claim, runId: 'C', stepId: 's' },
  { ...claim, runId: 'D', stepId: 's', conflict: 'replace' },
  { ...signal, type: 'ReleaseSignal', runId: 'C', stepId: 's' },
  { ...signal, type: 'ReleaseSignal', runId: 'D', stepId: 's' },
  { ...claim, runId: 'E', stepId: 's' },
];

const MINUTE = 60_000;
const cron = { env: ENV, functionId: 'f1', cron: '*/5 * * * *' };
const cronCommands: readonly CronCommand[] = [
  { ...cron, type: 'ArmCron', at: START + 1, functionVersion: 1 },
  { ...cron, type: 'ArmCron', at: START + 2, functionVersion: 1 },
  { ...cron, type: 'TickCron', at: START + 2, scheduledAt: START + 5 * MINUTE },
  { ...cron, type: 'TickCron', at: START + 5 * MINUTE, scheduledAt: START + 5 * MINUTE },
  { ...cron, type: 'TickCron', at: START + 5 * MINUTE, scheduledAt: START + 5 * MINUTE },
  { ...cron, type: 'ArmCron', at: START + 6 * MINUTE, functionVersion: 2, jitterMs: 30_000 },
  { ...cron, type: 'TickCron', at: START + 66 * MINUTE, scheduledAt: START + 10 * MINUTE, jitterMs: 30_000 },
  { ...cron, type: 'DisarmCron', at: START + 67 * MINUTE },
  { ...cron, type: 'DisarmCron', at: START + 67 * MINUTE },
  { ...cron, type: 'ArmCron', at: START + 68 * MINUTE, functionVersion: 3 },
];

/** A log of commands as this version writes them: of every type, with every operation, to every end. */
export function scenario(): readonly GoldenCommand[] {
  const keyed: (readonly [string, Command])[] = [
    ...runs.flatMap((beats, index) => {
      const runId = `RUN${String(index).padStart(2, '0')}`;
      return given(...beats).commands.map((command) => [runId, ofRun(command, runId)] as const);
    }),
    ...signalCommands.map((command) => [signalKey(ENV, command.signal), command] as const),
    ...cronCommands.map((command) => [cronKey(ENV, command.functionId, command.cron), command] as const),
    ...admissionCommands(),
  ];
  return keyed.map(([key, command], offset) => {
    const body = fromEvent(command, offset);
    return { key, type: body.type, schema: 1, body };
  });
}

/** Runs say which record made them. */
function fromEvent(command: Command, offset: number): Command {
  if (command.type !== 'ScheduleRun' && command.type !== 'SkipRun') return command;
  return { ...command, source: { topic: 'events', partition: 0, offset } };
}

/** Stories are all told of the same run. */
function ofRun(command: Command, runId: string): Command {
  return JSON.parse(JSON.stringify(command).replaceAll(RUN_ID, runId)) as Command;
}
