import type { Offer, Stage } from '#core/admission/admission.js';
import type { Command } from '#core/effects.js';
import type { Source } from '#core/origin.js';
import type { ResumeStep, ScheduleRun } from '#core/run/run.commands.js';
import {
  cancelWatch,
  dice,
  eventFields,
  held,
  invokeParent,
  operations,
  outcome,
  runFlow,
  stepFault,
  waited,
  workRef,
} from './parts.js';
import { named, recordType, type RecordType, type Typed, type TypedFields } from './record.type.js';
import {
  decimal,
  field,
  flag,
  instant,
  json,
  listOf,
  oneOf,
  optional,
  record,
  text,
  whole,
  word,
  type Fields,
  type Held,
} from './shape.js';

function command<const K extends Command['type'], const F extends Fields>(
  type: K,
  doc: string,
  fields: F,
  ..._held: Held<TypedFields<F, K>, Typed<Command, K>>
): RecordType {
  return recordType('commands', type, doc, named(type, fields));
}

const common = {
  env: field(text, 'The environment.'),
  at: field(instant, 'When it was asked: the only clock that the decision knows.'),
  ask: optional(text, 'Somebody waits for the decision under this name; no part of what is decided.'),
};

const ofRun = { runId: field(text, "The run: also the record's key."), ...common };

const source = held<Source>()(
  record('Source', 'The record that made a command.', {
    topic: field(word('events', 'commands'), 'Its topic.'),
    partition: field(whole, 'Number of the partition.'),
    offset: field(whole, 'Offset of the record in it.'),
  }),
);

const schedule = {
  ...ofRun,
  functionId: field(text, 'The function.'),
  functionSlug: field(text, 'Its name, `<app>-<function>`.'),
  functionVersion: field(whole, 'Its version at that time.'),
  appId: field(text, 'The app.'),
  appName: field(text, 'Its name.'),
  events: field(listOf(json), 'The triggering events, as functions see them.'),
  eventIds: field(listOf(text), 'Their internal ids.'),
  eventName: field(text, 'Name of the first.'),
  startAt: field(instant, 'When the first call may be made: later than `at` for an event dated in the future.'),
  maxAttempts: field(whole, 'How often a step, or the function, is tried.'),
  parents: field(listOf(invokeParent), 'The steps that wait for the run.'),
  cancelOn: field(listOf(cancelWatch), 'What cancels it.'),
  startTimeoutMs: optional(whole, 'How long it may wait for its first call, ms.'),
  cron: optional(text, 'The cron that started it.'),
  batchId: optional(text, 'The batch that its events are.'),
  flow: optional(runFlow, 'Keys and priority, as evaluated for the event.'),
  trace: optional(text, 'W3C trace context of the event; of a batch, of its first one.'),
  source: optional(source, 'The record that made it.'),
};

const work = field(workRef, 'The work it is about.');
const finishTimeoutMs = optional(whole, 'How long the run may take from now on, ms.');
const stepId = field(text, 'The step.');
const childRunId = field(text, 'The run that the step invoked.');

const RUN_COMMANDS = {
  ScheduleRun: command('ScheduleRun', 'Begins a run.', schedule),
  SkipRun: command('SkipRun', 'Records a run that never runs: a rule stood against it.', {
    ...schedule,
    reason: field(word('singleton', 'function_paused'), 'The rule.'),
    blockedBy: optional(text, 'The run that holds the singleton.'),
  }),
  StartRun: command('StartRun', "An executor makes the run's first request.", { ...ofRun, finishTimeoutMs }),
  StartCall: command('StartCall', 'A call is about to be made that a limit counts.', {
    ...ofRun,
    work,
    lease: field(text, 'Token of the lease under which it is made.'),
    waited: optional(waited, 'How it had waited.'),
    finishTimeoutMs,
  }),
  DropCall: command('DropCall', 'The call of a run that has ended counts no more.', { ...ofRun, work }),
  ReportCall: command('ReportCall', 'What a call came to.', {
    ...ofRun,
    work,
    outcome: field(outcome, 'What it came to.'),
    startedAt: field(instant, 'When it was made.'),
    told: optional(whole, 'How many resolved steps the call carried.'),
    requestVersion: optional(whole, 'The version of the request that the SDK speaks.'),
    dice,
    retryIntervalMs: optional(whole, 'A fixed interval between retries, instead of the table, ms.'),
  }),
  CheckpointSteps: command('CheckpointSteps', 'Steps that a call in progress has finished.', {
    ...ofRun,
    seq: field(whole, 'The item of work.'),
    generation: optional(whole, 'Which try of it, where the SDK says so.'),
    ops: field(operations, 'What was finished.'),
    diverging: optional(word('refused'), 'A step that has another result already is refused.'),
  }),
  FireTimer: command('FireTimer', 'A time of the run has come.', {
    ...ofRun,
    kind: field(word('sleep', 'wait', 'invoke', 'signal', 'start', 'finish'), 'Which: of a step, or a timeout.'),
    stepId: optional(text, 'The step, for the kinds of a step.'),
    limitMs: optional(whole, 'For `start` and `finish`: the limit as it is configured now, ms; absent: none any more.'),
  }),
  ResumeStep: command('ResumeStep', 'A wait is over: an event matched, an invoked run ended, a signal came.', {
    ...ofRun,
    stepId,
    result: field(
      held<ResumeStep['result']>()(
        oneOf(
          'ResumeResult',
          'How it went on: one of these.',
          undefined,
          { memo: field(json, "What later calls carry under the step's id.") },
          { fault: field(stepFault, 'The step fails with it.') },
        ),
      ),
      'How it went on.',
    ),
    eventId: optional(text, 'Internal id of the event that did it.'),
    childRunId: optional(text, 'The invoked run that ended.'),
    fails: optional(flag, 'The run ends instead: a signal conflict.'),
  }),
  LinkChild: command('LinkChild', 'The run that an invoke started is there.', { ...ofRun, stepId, childRunId }),
  CancelRun: command('CancelRun', 'Ends a run.', {
    ...ofRun,
    by: field(word('api', 'event', 'singleton', 'function_paused'), 'Who wants it.'),
    cause: optional(text, 'Internal id of the cancelling event, or id of the superseding run.'),
  }),
  ReviewTimeouts: command('ReviewTimeouts', "The function's timeouts changed while the run is on its way.", {
    ...ofRun,
    startTimeoutMs: optional(whole, 'The one for its start, ms; absent: none.'),
    finishTimeoutMs: optional(whole, 'The one for its end, ms; absent: none.'),
  }),
  AddMetadata: command('AddMetadata', 'What an SDK attaches to a run, a step or an attempt.', {
    ...ofRun,
    body: field(json, '`{"target":{...},"metadata":[...]}` as it came.'),
  }),
};

const ofSignal = { signal: field(text, 'Name of the signal.'), ...common };
const waiter = { runId: field(text, 'The run that waits.'), stepId: field(text, 'Its step.') };

const SIGNAL_COMMANDS = {
  ClaimSignal: command('ClaimSignal', 'A step wants to wait for a signal.', {
    ...ofSignal,
    ...waiter,
    conflict: field(word('fail', 'replace'), 'What becomes of it when another run waits for that name.'),
    until: field(instant, 'When it gives up.'),
  }),
  ReleaseSignal: command('ReleaseSignal', 'A step waits no more.', { ...ofSignal, ...waiter }),
  SendSignal: command('SendSignal', 'A signal comes.', { ...ofSignal, data: field(json, 'What it carries.') }),
};

const ofCron = {
  ...common,
  functionId: field(text, 'The function.'),
  cron: field(text, 'The cron expression, with its time zone.'),
};
const jitterMs = optional(whole, 'Most that an occurrence may fire late, ms, as it is configured now.');

const CRON_COMMANDS = {
  ArmCron: command('ArmCron', 'A function has a cron trigger.', {
    ...ofCron,
    functionVersion: field(whole, 'Version of the function that has it.'),
    jitterMs,
  }),
  DisarmCron: command('DisarmCron', 'It has it no more.', ofCron),
  TickCron: command('TickCron', 'An occurrence is due.', {
    ...ofCron,
    scheduledAt: field(instant, 'The scheduled time, before jitter.'),
    jitterMs,
  }),
};

const ofStage = {
  key: field(text, "The aggregate of the control: also the record's key."),
  value: field(text, 'The value of the key.'),
};

const stage = held<Stage>()(
  oneOf(
    'Stage',
    'A control that an offer has to pass.',
    'kind',
    {
      kind: field(word('rate'), 'Which.'),
      ...ofStage,
      limit: field(whole, 'How many in a period.'),
      periodMs: field(whole, 'The period, ms.'),
      idempotency: optional(flag, "It stands for the function's `idempotency`: one in 24 h."),
    },
    {
      kind: field(word('debounce'), 'Which.'),
      ...ofStage,
      periodMs: field(whole, 'The period, ms.'),
      timeoutMs: optional(whole, 'When it closes at the latest, ms after its first event.'),
    },
    {
      kind: field(word('batch'), 'Which.'),
      ...ofStage,
      maxSize: field(whole, 'Events of a full batch.'),
      timeoutMs: field(whole, 'When it closes at the latest, ms after its first event.'),
      bytesMax: field(whole, 'Bytes of a full batch.'),
    },
    { kind: field(word('once'), 'Which.'), ...ofStage },
    {
      kind: field(word('singleton'), 'Which.'),
      ...ofStage,
      mode: field(word('skip', 'cancel'), 'Which of two runs gives way: the new one, or the old one.'),
    },
  ),
);

const offer = held<Offer>()(
  record('Offer', 'An event that may become a run.', {
    event: field(record('OfferedEvent', 'The event, without its payload.', eventFields), 'The event.'),
    run: field(
      held<ScheduleRun>()(
        record('OfferedRun', 'A run as it will be scheduled.', {
          type: field(word('ScheduleRun'), 'Always `ScheduleRun`.'),
          ...schedule,
        }),
      ),
      'The run as it will be scheduled.',
    ),
    then: field(listOf(stage), 'What it has to pass after this, in order.'),
    skip: optional(word('function_paused'), 'In the end it is recorded as skipped.'),
  }),
);

const ofAdmission = {
  ...common,
  functionId: field(text, 'The function.'),
  key: field(text, "The control, with the value of its key: also the record's key."),
};

const ADMISSION_COMMANDS = {
  OfferRun: command('OfferRun', 'An event wants to pass a control.', {
    ...ofAdmission,
    stage: field(stage, 'The control.'),
    offer: field(offer, 'What is offered.'),
    source: field(source, 'Where it comes from: an offer that was taken already is not taken again.'),
  }),
  FireAdmission: command('FireAdmission', 'A debounce or a batch is due.', {
    ...ofAdmission,
    turn: field(whole, 'The one that is due: another one by now, and it is ignored.'),
    offer: optional(offer, "What becomes of it by the function's present configuration; absent: the function is gone."),
  }),
  ReleaseSingleton: command('ReleaseSingleton', 'A run that held a singleton has ended, or never came to be.', {
    ...ofAdmission,
    runId: field(text, 'The run.'),
  }),
  SpendThrottle: command('SpendThrottle', 'A run starts, and its throttle moves.', {
    ...ofAdmission,
    runId: field(text, 'The run.'),
    tat: field(decimal, 'Where the bucket stands then: theoretical arrival time, ms since 1970.'),
  }),
  ForgetAdmission: command('ForgetAdmission', 'There is nothing left to remember of a control.', ofAdmission),
};

/** The compiler says when one is missing. */
export const COMMANDS: Readonly<Record<Command['type'], RecordType>> = {
  ...RUN_COMMANDS,
  ...SIGNAL_COMMANDS,
  ...CRON_COMMANDS,
  ...ADMISSION_COMMANDS,
};
