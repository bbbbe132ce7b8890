import type { AppVersion, FunctionConfig, FunctionVersion } from '#core/function/function.config.js';
import type { DeadLetter } from '#ports/event-log.port.js';
import { held, position } from './parts.js';
import { recordType, recordTypeOf, type RecordType } from './record.type.js';
import { any, field, instant, listOf, oneOf, optional, record, text, whole, word } from './shape.js';

/** The topics beside the way of an event. */

const limit = field(whole, 'How many.');
const periodMs = field(whole, 'The period, ms.');
const key = optional(text, 'CEL over `event`: each of its values counts by itself.');

const concurrency = listOf(
  record('ConcurrencyLimit', 'A limit on what is in progress.', {
    limit,
    key,
    scope: field(word('fn', 'env', 'account'), 'Who shares it: the function, the environment, the account.'),
  }),
);

const trigger = oneOf(
  'Trigger',
  'What starts the function: an event or a cron.',
  undefined,
  {
    event: field(text, 'Name of the event; `*` at its end stands for anything.'),
    expression: optional(text, 'CEL that the event must fulfil.'),
  },
  {
    cron: field(text, 'The cron expression, with its time zone.'),
    jitterMs: optional(whole, 'Most that an occurrence may fire late, ms.'),
  },
);

const functionConfig = held<FunctionConfig>()(
  record('FunctionConfig', 'What an app declares of a function.', {
    slug: field(text, 'Its name, `<app>-<function>`.'),
    name: field(text, 'What people call it.'),
    triggers: field(listOf(trigger), 'What starts it.'),
    url: field(text, 'Where calls go.'),
    retries: field(whole, 'Attempts beyond the first.'),
    concurrency: optional(
      record('Concurrency', 'Limits on what is in progress.', {
        step: field(concurrency, 'On requests.'),
        fn: field(concurrency, 'On whole runs.'),
      }),
      'Limits on what is in progress.',
    ),
    throttle: optional(
      record('Throttle', 'A limit on starts.', {
        limit,
        periodMs,
        burst: field(whole, 'How many more at one moment.'),
        key,
      }),
      'A limit on starts: what is over it waits.',
    ),
    rateLimit: optional(
      record('RateLimit', 'A limit on runs.', { limit, periodMs, key }),
      'A limit on runs: what is over it is dropped.',
    ),
    debounce: optional(
      record('Debounce', 'How long events must be calm.', {
        periodMs,
        key,
        timeoutMs: optional(whole, 'When it fires at the latest, ms after its first event.'),
      }),
      'Only the last of events that come close together has a run.',
    ),
    batch: optional(
      record('Batch', 'How events are gathered.', {
        maxSize: field(whole, 'Events of a full batch.'),
        timeoutMs: field(whole, 'When it closes at the latest, ms after its first event.'),
        key,
        if: optional(text, 'CEL over `event`: others have runs of their own.'),
      }),
      'Several events have one run.',
    ),
    singleton: optional(
      record('Singleton', 'One run at a time.', {
        key,
        mode: field(word('skip', 'cancel'), 'Which of two gives way: the new one, or the old one.'),
      }),
      'One run at a time.',
    ),
    idempotency: optional(text, 'CEL over `event`: one run of each value in 24 h.'),
    priority: optional(text, 'CEL over `event`: seconds by which a run counts as older than it is.'),
    cancelOn: field(
      listOf(
        record('CancelOn', 'An event that cancels runs.', {
          event: field(text, 'Name of the event.'),
          if: optional(text, 'CEL over `event` (what triggered the run) and `async` (what arrives).'),
          timeout: optional(text, 'For how long, as it was declared: `1h`, or a date.'),
        }),
      ),
      'Events that cancel its runs.',
    ),
    timeouts: field(
      record('Timeouts', 'How long its runs may take.', {
        startMs: optional(whole, 'To their first request, ms.'),
        finishMs: optional(whole, 'From there to their end, ms.'),
      }),
      'How long its runs may take.',
    ),
    checkpoint: optional(any, 'How the SDK checkpoints, as it was declared.'),
  }),
);

const archivedAt = optional(instant, 'Since when it is gone.');

export const CONFIG: readonly RecordType[] = [
  recordTypeOf<AppVersion>()('config', 'App', 'An app as it was synced last.', {
    id: field(text, 'Its id.'),
    env: field(text, 'The environment.'),
    name: field(text, 'Its name.'),
    url: field(text, 'Where it is.'),
    method: field(word('SERVE', 'CONNECT', 'API'), 'How it is called.'),
    sdk: field(text, 'The SDK that it uses, with its version.'),
    framework: field(text, 'The web framework that it uses.'),
    appVersion: optional(text, 'Its own version.'),
    checksum: field(text, 'Hash of what it declared.'),
    syncedAt: field(instant, 'When it was synced.'),
    error: optional(
      record('SyncError', 'Why an app is not synced.', {
        code: field(text, 'Code of the error.'),
        message: field(text, 'What it says.'),
      }),
      'Why it is not synced, where it is not.',
    ),
    archivedAt,
  }),
  recordTypeOf<FunctionVersion>()('config', 'Function', 'A function as it is declared now.', {
    id: field(text, 'Its id.'),
    env: field(text, 'The environment.'),
    appId: field(text, 'The app.'),
    appName: field(text, 'Its name.'),
    version: field(whole, 'Grows by one whenever its configuration changes.'),
    config: field(functionConfig, 'What the app declares of it.'),
    archivedAt,
    paused: optional(
      record('FunctionPause', 'A function that stands still.', {
        at: field(instant, 'Since when.'),
        running: field(word('hold', 'cancel'), 'What became of the runs under way.'),
      }),
      'Somebody paused it.',
    ),
  }),
];

export const snapshotFields = {
  space: field(text, 'Its kind: `run`, `signal`, `cron`, `admission`.'),
  id: field(text, 'Its id.'),
  state: field(text, 'Its state, as the text of a JSON value. Its form is not public, and changes with versions.'),
  next: optional(whole, 'It reflects all commands of its partition before this offset.'),
};

export const snapshotMarkFields = {
  commands: field(position, 'The first command that the snapshots may not reflect.'),
  events: optional(position, 'The first event that had not been taken.'),
};

export const SNAPSHOTS: readonly RecordType[] = [
  recordType('snapshots', 'Snapshot', 'Folded state of an aggregate that is still active.', snapshotFields),
  recordType(
    'snapshots',
    'SnapshotMark',
    'Written behind the snapshots, which count from then on.',
    snapshotMarkFields,
  ),
];

export const DEAD_LETTERS: readonly RecordType[] = [
  recordTypeOf<DeadLetter>()('dead-letters', 'DeadLetter', 'A record that could not be processed, as it was found.', {
    origin: field(
      record('Origin', 'Where it was found.', {
        topic: field(
          word('events', 'commands', 'transitions', 'snapshots', 'config', 'dead-letters'),
          'Its topic, without prefix.',
        ),
        partition: field(whole, 'Number of the partition.'),
        offset: field(whole, 'Offset of the record in it.'),
      }),
      'Where it was found.',
    ),
    key: field(text, 'Its key, as far as it can be told.'),
    type: field(text, 'Its type, as far as it can be told.'),
    schema: field(whole, "Its schema's version, as far as it can be told."),
    at: field(instant, 'When it was made, as far as that can be told.'),
    bytes: field(text, 'The bytes of its value, base64.'),
    reason: field(text, 'Who could not process it, and why.'),
  }),
];
