import type { AdmissionTransition, IntakeTransition, PlacedDecision } from '#core/admission/admission.js';
import type { CronTransition } from '#core/cron/cron.aggregate.js';
import type { PlacedTransition, RunTransition } from '#core/run/run.transitions.js';
import type { SignalTransition } from '#core/signal/signal.js';
import { cancelWatch, held, invokeParent, position, runFlow, stepFault, stepKind, waited } from './parts.js';
import { named, recordType, type RecordType, type Typed, type TypedFields } from './record.type.js';
import {
  decimal,
  field,
  flag,
  instant,
  json,
  listOf,
  optional,
  record,
  text,
  whole,
  word,
  type Field,
  type Fields,
  type Held,
} from './shape.js';

type Transition = RunTransition | SignalTransition | CronTransition | AdmissionTransition | IntakeTransition;

const at = { at: field(instant, 'When: the time of the command, or of the decision.') };

/** What every transition stands in; the part that says what happened is held to its type one by one. */
const placed = {
  runId: field(text, "The run or other aggregate that it is of: the record's key."),
  command: field(position, 'Place of the command that was decided; with `runId` and `index` the id of the transition.'),
  index: field(whole, 'Number of the transition under its command, from 0.'),
};

const decided = {
  runId: placed.runId,
  command: optional(
    position,
    'Place of the command that was decided; with `runId` and `index` the id of the transition.',
  ),
  event: optional(position, 'Place of the event that the intake took, where it decided without a command.'),
  index: field(whole, 'Number of the transition under its command or event, from 0.'),
};

// The wrappers' own types, apart from what happened.
const unknownYet: Field<never, false> = field({ node: { kind: 'any' } }, '');
held<Omit<PlacedTransition, 'transition'> & { transition: never }>()(
  record('PlacedTransition', '', { ...placed, transition: unknownYet }),
);
held<Omit<PlacedDecision, 'transition'> & { transition: never }>()(
  record('PlacedDecision', '', { ...decided, transition: unknownYet }),
);

function transition<const K extends Transition['type'], const F extends Fields>(
  type: K,
  doc: string,
  fields: F,
  ..._held: Held<TypedFields<F, K>, Typed<Transition, K>>
): RecordType {
  return wrapped(placed, type, doc, fields);
}

function decision<const K extends (AdmissionTransition | IntakeTransition)['type'], const F extends Fields>(
  type: K,
  doc: string,
  fields: F,
  ..._held: Held<TypedFields<F, K>, Typed<Transition, K>>
): RecordType {
  return wrapped(decided, type, doc, fields);
}

function wrapped(around: Fields, type: string, doc: string, fields: Fields): RecordType {
  const inner = record(`${type}Transition`, 'What happened.', named(type, fields));
  return recordType('transitions', type, doc, { ...around, transition: field(inner, 'What happened.') });
}

const functionId = field(text, 'The function.');
const stepId = field(text, 'The step.');
const name = field(text, 'What people call the step.');
const kind = field(stepKind, 'How the step came to be.');
const fault = field(stepFault, 'The error.');
const startedAt = field(instant, 'When the call was made.');
const target = field(text, '`step`: the function is entered; else the id of the step that is run.');
const seq = field(whole, 'The item of work: rises with every new one of the run.');
const generation = field(whole, 'Which try of it: rises with each retry.');
const attempt = field(whole, 'Which attempt, from 0.');
const childRunId = field(text, 'The run that it invoked.');
const finishTimeoutAt = optional(instant, 'When the run is cancelled unless it has ended.');

const RUN_TRANSITIONS = {
  RunScheduled: transition('RunScheduled', 'A run exists. Its status: Scheduled.', {
    ...at,
    functionId,
    functionSlug: field(text, 'Its name, `<app>-<function>`.'),
    functionVersion: field(whole, 'Its version at that time.'),
    appId: field(text, 'The app.'),
    appName: field(text, 'Its name.'),
    events: field(listOf(json), 'The triggering events, as functions see them.'),
    eventIds: field(listOf(text), 'Their internal ids.'),
    eventName: field(text, 'Name of the first.'),
    startAt: field(instant, 'When the first call may be made.'),
    maxAttempts: field(whole, 'How often a step, or the function, is tried.'),
    parents: field(listOf(invokeParent), 'The steps that wait for the run.'),
    cancelOn: field(listOf(cancelWatch), 'What cancels it.'),
    startTimeoutAt: optional(instant, 'When it is cancelled unless it has started.'),
    cron: optional(text, 'The cron that started it.'),
    batchId: optional(text, 'The batch that its events are.'),
    flow: optional(runFlow, 'Keys and priority that stay with the run.'),
    trace: optional(text, 'W3C trace context of the event.'),
  }),
  RunSkipped: transition('RunSkipped', 'The run never runs: a rule stood against it. Its status: Skipped, for good.', {
    ...at,
    reason: field(word('singleton', 'function_paused'), 'The rule.'),
    blockedBy: optional(text, 'The run that holds the singleton.'),
  }),
  RunStarted: transition('RunStarted', 'Its first request is made. Its status: Running.', {
    ...at,
    finishTimeoutAt,
    implied: optional(flag, 'Work came in before the word that it had begun, which is still to come.'),
  }),
  VersionNegotiated: transition('VersionNegotiated', 'The SDK told which request version it speaks.', {
    ...at,
    requestVersion: field(whole, 'The version.'),
  }),
  StepPlanned: transition('StepPlanned', 'The function reported a step that is still to be done.', {
    ...at,
    stepId,
    name,
    kind,
    group: field(whole, 'Steps that were reported together have one number.'),
    race: field(flag, 'The function is entered again after this step alone.'),
    subtype: optional(text, 'Variant for display: `step.sendEvent`, `step.ai.wrap`, ...'),
    input: optional(json, 'Its arguments, for display.'),
    until: optional(instant, 'When a sleep ends or a wait gives up.'),
    event: optional(text, 'Name of the event that it waits for.'),
    expression: optional(text, 'CEL that the event must fulfil.'),
    signal: optional(text, 'Name of the signal that it waits for.'),
    conflict: optional(word('fail', 'replace'), 'What becomes of it when another run waits for that signal.'),
    functionRef: optional(text, 'The function that it invokes.'),
    request: optional(json, 'Of an invoke: the payload. Requests to other servers are not published.'),
  }),
  StepCompleted: transition('StepCompleted', 'A step is resolved for good: completed, timed out or resumed.', {
    ...at,
    stepId,
    name,
    kind,
    memo: field(json, 'What later calls carry under its id: `{"data":...}`, an event, or null.'),
    subtype: optional(text, 'Variant for display.'),
    input: optional(json, 'Its arguments, for display.'),
    attempt: optional(whole, 'Which attempt it was, from 0.'),
    startedAt: optional(instant, 'When it began to run.'),
    ranMs: optional(whole, 'How long it ran, ms.'),
    timedOut: optional(flag, 'The wait gave up.'),
    eventId: optional(text, 'Internal id of the event that resolved it.'),
    childRunId: optional(text, 'The run that it invoked.'),
    checkpointed: optional(flag, 'It was told while its call goes on.'),
  }),
  StepErrored: transition('StepErrored', 'An attempt of a step failed; another follows.', {
    ...at,
    stepId,
    name,
    fault,
    attempt,
    startedAt,
    retryAt: field(instant, 'When the next may be made.'),
  }),
  StepFailed: transition('StepFailed', 'A step failed for good; the function gets the error.', {
    ...at,
    stepId,
    name,
    kind,
    fault,
    attempt: optional(whole, 'Which attempt it was, from 0.'),
    startedAt: optional(instant, 'When it began to run.'),
    timedOut: optional(flag, 'The invoked run did not end in time.'),
    childRunId: optional(text, 'The run that it invoked.'),
  }),
  CallStarted: transition('CallStarted', 'A call that a limit counts is about to be made.', {
    ...at,
    target,
    seq,
    generation,
    lease: field(text, 'Token of the lease under which it is made.'),
    waited: optional(waited, 'How long it stood in line, and for what.'),
  }),
  CallSettled: transition('CallSettled', 'A call was answered or lost: its work is done with.', {
    ...at,
    target,
    seq,
    attempt,
    startedAt,
  }),
  CallErrored: transition('CallErrored', 'A call failed outside steps; it is made again.', {
    ...at,
    target,
    seq,
    attempt,
    startedAt,
    fault,
    code: field(text, 'The HTTP status that an SDK answered, or why there is no answer.'),
    retryAt: field(instant, 'When it is made again.'),
  }),
  CallProgressed: transition('CallProgressed', 'A call in progress made headway: its attempts count anew.', {
    ...at,
    seq,
  }),
  ChildLinked: transition('ChildLinked', 'The run that an invoke started is there.', { ...at, stepId, childRunId }),
  CallPlanned: transition('CallPlanned', 'A call is to be made.', {
    ...at,
    target,
    seq,
    generation,
    attempt,
    dueAt: field(instant, 'When it may be made.'),
    gateway: optional(flag, 'The server makes it itself: `step.fetch`, `step.ai.infer`.'),
    held: optional(flag, 'Not before `dueAt`, whatever happens.'),
  }),
  EntryWanted: transition('EntryWanted', 'The call that is under way is to be followed by another.', at),
  TimeoutMoved: transition('TimeoutMoved', 'A timeout of the run is another one now.', {
    ...at,
    kind: field(word('start', 'finish'), 'Which.'),
    until: optional(instant, 'When it ends; absent: never.'),
  }),
  DeferAdded: transition('DeferAdded', 'A function is to be started when the run ends.', {
    ...at,
    deferId: field(text, 'Id of the defer.'),
    functionRef: field(text, 'The function.'),
    payload: field(json, 'What it is given.'),
    rejected: optional(text, 'The rule that it breaks, so that nothing is started.'),
  }),
  DeferAborted: transition('DeferAborted', 'It is not to be started after all.', {
    ...at,
    deferId: field(text, 'Id of the defer.'),
  }),
  MetadataAdded: transition('MetadataAdded', 'An SDK attached something to the run, a step or an attempt.', {
    ...at,
    body: field(json, '`{"target":{...},"metadata":[...]}`.'),
  }),
  RunCompleted: transition('RunCompleted', 'The run ended well. Its status: Completed, for good.', {
    ...at,
    output: field(json, 'What it returned.'),
  }),
  RunFailed: transition('RunFailed', 'The run failed. Its status: Failed, for good.', {
    ...at,
    output: field(json, 'The error as its output.'),
    fault,
    errorClass: field(text, 'Where it came from: the function, the transport, a limit, ...'),
  }),
  RunCancelled: transition('RunCancelled', 'The run was ended. Its status: Cancelled, for good.', {
    ...at,
    by: field(
      word('api', 'event', 'singleton', 'function_paused', 'start_timeout', 'finish_timeout'),
      'Who or what ended it.',
    ),
    cause: optional(text, 'Internal id of the cancelling event, or id of the superseding run.'),
  }),
};

const waiter = { ...at, runId: field(text, 'The run that waits.'), stepId: field(text, 'Its step.') };

const SIGNAL_TRANSITIONS = {
  SignalClaimed: transition('SignalClaimed', 'A step waits for a signal.', {
    ...waiter,
    until: field(instant, 'When it gives up.'),
  }),
  SignalRefused: transition('SignalRefused', 'Another run waits for that signal: the step fails.', {
    ...waiter,
    holder: field(text, 'The other run.'),
  }),
  SignalReleased: transition('SignalReleased', 'A step waits no more.', waiter),
  SignalDelivered: transition('SignalDelivered', 'A signal came to the step that waited for it.', {
    ...waiter,
    data: field(json, 'What it carries.'),
  }),
};

const occurrence = {
  scheduledAt: optional(instant, 'The scheduled time of the coming occurrence; absent: there is none.'),
  fireAt: optional(instant, 'When it fires: later by its jitter.'),
};
const cron = field(text, 'The cron expression, with its time zone.');

const CRON_TRANSITIONS = {
  CronArmed: transition('CronArmed', 'A cron trigger is there.', {
    ...at,
    functionId,
    functionVersion: field(whole, 'Version of the function that has it.'),
    cron,
    ...occurrence,
  }),
  CronDisarmed: transition('CronDisarmed', 'It is there no more.', { ...at, functionId, cron }),
  CronTicked: transition('CronTicked', 'An occurrence came: its event is on `events`.', {
    ...at,
    functionId,
    cron,
    scheduledAt: field(instant, 'Its scheduled time.'),
    fireAt: field(instant, 'When it was to fire.'),
    next: field(record('Occurrence', 'A coming occurrence.', occurrence), 'What comes after it.'),
  }),
};

const ofFunction = { ...at, functionId };
const ofEvent = {
  ...ofFunction,
  eventId: field(text, 'Internal id of the event.'),
  key: field(text, "The value of the control's key."),
};
const runId = field(text, 'The run that comes of it.');
const batchId = field(text, 'The batch.');
const size = field(whole, 'How many events are in it.');
const bytes = field(whole, 'Size of their payloads, bytes of UTF-8.');
const dueAt = field(instant, 'When it fires.');
const eventIds = field(listOf(text), 'Internal ids of all its events.');
const gone = field(word('function_gone'), 'Why nothing came of it.');
const rate = {
  ...ofEvent,
  limit: field(whole, 'How many in a period.'),
  periodMs: field(whole, 'The period, ms.'),
  nextAt: field(instant, 'When the next one is admitted.'),
  idempotency: optional(flag, "The limit stands for the function's `idempotency`."),
};
const batch = { ...ofEvent, batchId, size, bytes, dueAt };

const ADMISSION_TRANSITIONS = {
  RateCharged: decision('RateCharged', 'An event passed a rate limit.', rate),
  RateLimited: decision('RateLimited', 'An event was over a rate limit: it has no run.', rate),
  DebounceOpened: decision('DebounceOpened', 'An event waits for others to calm down.', { ...ofEvent, dueAt }),
  DebounceMoved: decision('DebounceMoved', 'An event took the place of one that waited.', {
    ...ofEvent,
    dueAt,
    superseded: field(text, 'Internal id of the other: it has no run.'),
  }),
  DebounceOutdated: decision('DebounceOutdated', 'An event is older than the one that waits: it has no run.', {
    ...ofEvent,
    kept: field(text, 'Internal id of the one that waits.'),
  }),
  DebounceFired: decision('DebounceFired', 'The event that waited goes on.', {
    ...ofEvent,
    runId,
    superseded: field(whole, 'How many others it stands for.'),
  }),
  DebounceDropped: decision('DebounceDropped', 'Nothing came of the event that waited.', { ...ofEvent, reason: gone }),
  BatchOpened: decision('BatchOpened', 'An event opened a batch.', batch),
  BatchJoined: decision('BatchJoined', 'An event joined a batch.', batch),
  BatchFired: decision('BatchFired', 'A batch goes on as one run.', {
    ...ofEvent,
    batchId,
    eventIds,
    runId,
    size,
    bytes,
    by: field(word('size', 'timeout', 'bytes'), 'What closed it.'),
  }),
  BatchDropped: decision('BatchDropped', 'Nothing came of a batch.', {
    ...ofEvent,
    batchId,
    eventIds,
    size,
    reason: gone,
  }),
  EventIdTaken: decision('EventIdTaken', "An event's id starts its one run of the function.", {
    ...ofEvent,
    runId,
    until: field(instant, 'From then on the id is free again.'),
  }),
  EventIdRefused: decision('EventIdRefused', "An event's id has started a run already: it has no other.", {
    ...ofEvent,
    runId: field(text, 'The run that the id has.'),
  }),
  SingletonTaken: decision('SingletonTaken', 'A run is the only one of its key.', {
    ...ofEvent,
    runId,
    from: optional(text, 'The run that held it and is cancelled for it.'),
  }),
  SingletonSkipped: decision('SingletonSkipped', 'Another run is the only one of the key: this one is skipped.', {
    ...ofEvent,
    runId: field(text, 'The run that is skipped.'),
    holder: field(text, 'The other.'),
  }),
  SingletonReleased: decision('SingletonReleased', 'A key is free for another run.', {
    ...ofFunction,
    runId: field(text, 'The run that held it.'),
  }),
  ThrottleSpent: decision('ThrottleSpent', 'A run started, and its throttle moved.', {
    ...ofFunction,
    runId: field(text, 'The run.'),
    tat: field(decimal, 'Where the bucket stands then: theoretical arrival time, ms since 1970.'),
  }),
  AdmissionForgotten: decision('AdmissionForgotten', 'There is nothing left to remember of a control.', ofFunction),
};

const INTAKE_TRANSITIONS = {
  ExpressionRefused: decision(
    'ExpressionRefused',
    'An expression failed that decides whether there is a run: there is none.',
    {
      ...ofFunction,
      eventId: field(text, 'Internal id of the event.'),
      control: field(word('rateLimit.key', 'idempotency', 'batchEvents.key'), 'The expression.'),
      error: field(text, 'What went wrong.'),
    },
  ),
  EventRepeated: decision('EventRepeated', "The event's id started a run of the function less than a day before.", {
    ...ofEvent,
    first: field(text, 'Internal id of the event that did.'),
  }),
};

/** The compiler says when one is missing. */
export const TRANSITIONS: Readonly<Record<Transition['type'], RecordType>> = {
  ...RUN_TRANSITIONS,
  ...SIGNAL_TRANSITIONS,
  ...CRON_TRANSITIONS,
  ...ADMISSION_TRANSITIONS,
  ...INTAKE_TRANSITIONS,
};
