import type { FlowKey, RunFlow, Waited } from '#core/flow/flow.js';
import type { InvokeParent, StoredEvent } from '#core/event/event.js';
import type { CancelWatch, WorkRef } from '#core/run/run.commands.js';
import type { Op, Outcome, StepFault, WaitUntil } from '#core/run/run.ops.js';
import type { Position } from '#core/words.js';
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
  type Held,
  type Shape,
} from './shape.js';

/** What several records have in common. */

/** Gives back a shape that carries what the declared type says. */
export function held<D>() {
  return <T>(shape: Shape<T>, ..._held: Held<T, D>): Shape<T> => shape;
}

export const position = held<Position>()(
  record('Position', 'A place in a topic. Offsets rise within a partition and are never used twice.', {
    partition: field(whole, 'Number of the partition.'),
    offset: field(whole, 'Offset of the record in it.'),
  }),
);

export const invokeParent = held<InvokeParent>()(
  record('InvokeParent', 'The step that waits for an invoked run.', {
    runId: field(text, 'The run that invoked.'),
    stepId: field(text, 'Its step.'),
  }),
);

export const stepFault = held<StepFault>()(
  record('StepFault', 'An error as it is stored and shown.', {
    name: field(text, 'Name of the error.'),
    message: field(text, 'Its message.'),
    json: field(json, 'The whole error object, with `name`, `message` and `data`.'),
  }),
);

export const cancelWatch = held<CancelWatch>()(
  record('CancelWatch', 'Events that cancel the run.', {
    event: field(text, 'Name of the event.'),
    if: optional(text, 'CEL over `event` (what triggered the run) and `async` (what arrives).'),
    since: field(instant, 'Events received from then on count,'),
    until: field(instant, 'and before then.'),
  }),
);

const flowScope = word('fn', 'env', 'account');

export const flowKey = held<FlowKey>()(
  record('FlowKey', 'A key of a concurrency limit, as it was evaluated when the run was scheduled.', {
    scope: field(flowScope, 'Who shares the limit: the function, the environment, the account.'),
    expression: optional(text, 'The CEL expression as declared; absent: the whole function.'),
    value: field(text, 'What it came to, as text; empty without an expression.'),
    limit: field(whole, 'The number at the time of scheduling.'),
  }),
);

export const runFlow = held<RunFlow>()(
  record('RunFlow', 'What of flow control stays with a run.', {
    priority: optional(whole, 'Seconds by which the run counts as older than it is; negative: younger.'),
    step: optional(listOf(flowKey), 'Keyed limits on requests in progress.'),
    run: optional(flowKey, 'The limit on whole runs.'),
    throttle: optional(
      record('ThrottleKey', 'The key of a throttle.', {
        expression: optional(text, 'The CEL expression as declared; absent: the whole function.'),
        value: field(text, 'What it came to, as text; empty without an expression.'),
      }),
      'The limit on starts.',
    ),
    singleton: optional(text, 'Key of the singleton that the run holds until it ends.'),
    notes: optional(listOf(text), 'For people: expressions that gave no usable value, and what counts instead.'),
  }),
);

export const waited = held<Waited>()(
  record('Waited', 'How a call had waited in the queue, and for what.', {
    ms: field(whole, 'From when it was due to when it was handed out, ms.'),
    cause: field(word('concurrency', 'run_concurrency', 'throttle', 'paused', 'turn'), 'What held it last.'),
    expression: optional(text, 'The CEL expression of the key that held it.'),
    key: optional(text, 'The value of that key.'),
    limit: optional(whole, 'The limit at that moment.'),
    inUse: optional(whole, 'How much of it was in use.'),
    until: optional(instant, 'Of a throttle: when it opened.'),
  }),
);

export const workRef = held<WorkRef>()(
  record('WorkRef', 'How an executor names the work it did.', {
    target: field(text, '`step`: the function is entered; else the id of the step that is run.'),
    seq: field(whole, 'Which item of work: rises with every new one of the run.'),
    generation: field(whole, 'Which try of the item: rises with each retry.'),
  }),
);

export const stepKind = word('run', 'sleep', 'wait', 'signal', 'invoke', 'ai', 'fetch');

const waitUntil = held<WaitUntil>()(
  oneOf(
    'WaitUntil',
    'When a wait ends: one of these.',
    undefined,
    { at: field(instant, 'At this moment.') },
    { invalid: field(text, 'What was given is no time; the run fails.') },
    { tooLong: field(text, 'What was given is further off than allowed; the run fails.') },
  ),
);

/** The fields of every operation. */
const op = {
  id: field(text, "The SDK's hash of the step."),
  name: field(text, 'What people call the step.'),
  race: optional(flag, 'The function is entered again after this step alone.'),
  type: optional(text, 'Variant for display: `step.sendEvent`, `step.ai.wrap`, ...'),
  input: optional(json, 'Arguments of the step, for display.'),
  startedAt: optional(instant, 'When the SDK began to run it.'),
  ranMs: optional(whole, 'How long it ran, ms.'),
  metadata: optional(json, 'What the SDK attached to the step: `[{"kind","op","scope"?,"values"}]`.'),
};

const until = field(waitUntil, 'When the wait ends.');
const functionRef = field(text, 'The function: its id or slug.');
const payload = field(json, 'What it is given.');

const operation = held<Op>()(
  oneOf(
    'Op',
    'What a function asks for or reports.',
    'op',
    { op: field(word('StepDone'), 'What it is.'), ...op, memo: field(json, 'What later calls carry under its id.') },
    { op: field(word('StepError'), 'What it is.'), ...op, fault: field(stepFault, 'Why the attempt failed.') },
    { op: field(word('StepFailed'), 'What it is.'), ...op, fault: field(stepFault, 'Why the attempt failed.') },
    { op: field(word('StepPlanned'), 'What it is.'), ...op },
    { op: field(word('Sleep'), 'What it is.'), ...op, until },
    {
      op: field(word('WaitForEvent'), 'What it is.'),
      ...op,
      event: field(text, 'Name of the event to wait for.'),
      if: optional(text, 'CEL over `event` and `async`.'),
      until,
    },
    {
      op: field(word('WaitForSignal'), 'What it is.'),
      ...op,
      signal: field(text, 'Name of the signal to wait for.'),
      conflict: field(word('fail', 'replace'), 'What becomes of it when another run waits for that name.'),
      until,
    },
    { op: field(word('InvokeFunction'), 'What it is.'), ...op, functionRef, payload, until },
    {
      op: field(word('Gateway', 'AIGateway'), 'What it is.'),
      ...op,
      request: field(json, 'The request that the server makes, without its keys.'),
    },
    { op: field(word('RunComplete'), 'What it is.'), ...op, data: field(json, "The run's output.") },
    { op: field(word('DiscoveryRequest'), 'What it is.'), ...op },
    {
      op: field(word('DeferAdd'), 'What it is.'),
      ...op,
      functionRef,
      payload,
      rejected: optional(word('invalid_opts', 'per_defer_size'), 'The rule that it breaks, so that it is only noted.'),
    },
    { op: field(word('DeferAbort'), 'What it is.'), ...op, target: field(text, 'Id of the defer that is taken back.') },
  ),
);

export const operations = listOf(operation);

const noRetry = field(flag, 'The app said not to try again.');
const retryAfterMs = optional(whole, 'How long the app asked us to wait, ms.');

export const outcome = held<Outcome>()(
  oneOf(
    'Outcome',
    'What a call came to.',
    'kind',
    {
      kind: field(
        word('ops'),
        '`ops`: the SDK answered; `error`: the function threw outside steps, or there was no answer.',
      ),
      ops: field(operations, 'What it asked for and reported, in order.'),
      noRetry,
      retryAfterMs,
      plain: optional(flag, 'It answered with an output and no operations.'),
    },
    {
      kind: field(word('error'), '`error`'),
      fault: field(stepFault, 'The error.'),
      output: field(json, "The answer's body as it came."),
      noRetry,
      retryAfterMs,
      transport: field(flag, 'No SDK spoke: connection, time-out, proxy page, half a body.'),
      code: field(
        text,
        'The HTTP status that an SDK answered, or why there is no answer: `http_timeout`, `not_sdk`, ...',
      ),
    },
  ),
);

const invokeResult = held<Extract<NonNullable<StoredEvent['internal']>, { kind: 'finished' }>['result']>()(
  oneOf(
    'InvokeResult',
    'What an invoking step gets: one of these.',
    undefined,
    { data: field(json, "The run's output.") },
    { error: field(json, 'The error that it failed with.') },
  ),
);

const runId = field(text, 'The run that ended.');

const internalEvent = held<NonNullable<StoredEvent['internal']>>()(
  oneOf(
    'InternalEvent',
    'What an event of the server is for.',
    'kind',
    {
      kind: field(
        word('invoke'),
        '`invoke`: starts a function; `finished`: a run ended; `lifecycle`: a run failed or was cancelled; `cron`: a time has come.',
      ),
      functionRef,
      parent: optional(invokeParent, 'The step that waits for the run.'),
      expiresAt: optional(instant, 'When the step gives up.'),
    },
    {
      kind: field(word('finished'), '`finished`'),
      runId,
      parents: field(listOf(invokeParent), 'The steps that waited for it.'),
      result: field(invokeResult, 'What they get.'),
    },
    { kind: field(word('lifecycle'), '`lifecycle`'), runId },
    {
      kind: field(word('cron'), '`cron`'),
      functionId: field(text, 'The function that is due.'),
      scheduledAt: field(instant, 'The scheduled time, before jitter.'),
    },
  ),
);

/** An event without what its sender put into it. */
export const eventFields = {
  internalId: field(text, 'ULID made by the server; from the same seed the same.'),
  env: field(text, 'The environment.'),
  id: field(text, "The sender's `id`, or the internal one."),
  name: field(text, 'Name of the event.'),
  ts: field(instant, "The event's own time."),
  receivedAt: field(instant, 'When the server got it.'),
  source: field(text, 'Where it came from: `api`, `internal`, `invoke`, `cron`, `kafka`, ...'),
  internal: optional(internalEvent, 'Only on events that the server makes: what they are for.'),
  trace: optional(text, 'W3C trace context of the sender.'),
  catalog: optional(
    whole,
    'What its door knew of apps and functions: the next offset of `config`. Its functions are looked up there or later.',
  ),
};

export const dice = field(decimal, 'Uniform in [0, 1): the jitter of a backoff, drawn by the reporter.');
