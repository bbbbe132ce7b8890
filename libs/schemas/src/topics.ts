import type { Topic } from '#ports/event-log.port.js';

/** What is said of a topic on its page. */
export interface TopicFacts {
  readonly topic: Topic;
  readonly holds: string;
  readonly key: string;
  readonly partitions: string;
  readonly kept: string;
  /** What its records have in common. */
  readonly about: string;
}

export const TOPICS: readonly TopicFacts[] = [
  {
    topic: 'events',
    holds: 'events of users and of the server',
    key: "the event's `id`, if its sender gave one; else the internal id of the first event of its request",
    partitions: '12',
    kept: '30 days',
    about:
      'An event stands here before its sender has an answer. Events of the server have names that begin with `inngest/` and say in `internal` what ' +
      'they are for. Others may write here too: see [Events from outside](#events-from-outside).',
  },
  {
    topic: 'commands',
    holds: 'the letterbox of runs, controls, signals and crons: what is wanted of them',
    key: 'the aggregate',
    partitions: 'as many as `events`',
    kept: '30 days',
    about:
      'What is wanted, by whoever wants it; what became of it is on `transitions`. The order of a partition decides: of two commands that compete the ' +
      'first wins. Only Millrace writes here.',
  },
  {
    topic: 'transitions',
    holds: 'what was accepted, in order: what to read to follow runs',
    key: 'the aggregate: the id of the run, or `signal:...`, `cron:...`, `rate:...`, `debounce:...`, `batch:...`, `once:...`, `singleton:...`, `throttle:...`, `intake:...`',
    partitions: 'as many as `commands`',
    kept: '30 days',
    about:
      'Each value has `runId` (the key once more), the place of the `command` that was decided (of the `event`, where the intake decided without one), the ' +
      '`index` of the transition under it, and in `transition` what happened: its `type`, the time `at`, and what is listed below.',
  },
  {
    topic: 'snapshots',
    holds: 'folded state of what is still active',
    key: '`<space>/<id>`, or `mark`',
    partitions: 'as many as `commands`',
    kept: 'compacted; a tombstone when it is over',
    about:
      'What a rebuild begins with when commands before it are no longer kept. Only Millrace reads and writes here.',
  },
  {
    topic: 'config',
    holds: 'apps and functions as they are declared now',
    key: '`app:<id>`, `function:<id>`',
    partitions: '1',
    kept: 'compacted',
    about: 'What the control plane has told. Only Millrace writes here.',
  },
  {
    topic: 'dead-letters',
    holds: 'records that could not be processed, as they were found',
    key: '`<topic>/<partition>/<offset>` of the origin',
    partitions: '12',
    kept: '30 days',
    about: 'One record may be filed more than once; the key says that it is the same.',
  },
];
