interface Row {
  readonly kind: 'counter' | 'gauge' | 'histogram';
  readonly labels: readonly string[];
  readonly help: string;
  /** Upper bounds, rising. */
  readonly buckets?: readonly number[];
}

/** From a fast disk to a slow broker, s. */
const APPEND_S = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10];
/** From a step that does nothing to one that takes its time, s. */
const CALL_S = [0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800, 7_200];
/** From at once to a backlog of a day, s. */
const WAIT_S = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 15, 60, 300, 1_800, 7_200, 86_400];

/**
 * All that is measured: docs/observability.md tells of each, and a test compares them. Labels have few values: never ids of runs, functions
 * or events, nor anything that a user names.
 */
export const METRICS = {
  millrace_build_info: {
    kind: 'gauge',
    labels: ['version', 'node', 'mode', 'roles'],
    help: 'Always 1; the labels say what runs here.',
  },
  millrace_events_received_total: {
    kind: 'counter',
    labels: ['result'],
    help: 'Events at the event API: accepted, refused (whole requests, for what is wrong with them) or failed (whole requests, on our side).',
  },
  millrace_append_seconds: {
    kind: 'histogram',
    labels: ['topic'],
    help: 'From the word to append to a durable record, by topic, seconds.',
    buckets: APPEND_S,
  },
  millrace_append_records_total: { kind: 'counter', labels: ['topic'], help: 'Records appended, by topic.' },
  millrace_append_failures_total: {
    kind: 'counter',
    labels: [],
    help: 'Appends of which it cannot be told whether they are in; most are tried again.',
  },
  millrace_dead_letters_total: {
    kind: 'counter',
    labels: [],
    help: 'Records that were set aside: they cannot be processed.',
  },
  millrace_partition_lag_records: {
    kind: 'gauge',
    labels: ['role', 'topic', 'partition'],
    help: 'Records that the owner of a partition has still to take: of a runner commands and events, of a projector what History lacks.',
  },
  millrace_partitions_served: { kind: 'gauge', labels: [], help: 'Partitions whose runs this process decides.' },
  millrace_commands_total: {
    kind: 'counter',
    labels: ['type', 'result'],
    help: 'Commands decided here: accepted, or ignored (repeats and late ones: harmless).',
  },
  millrace_runs_ended_total: {
    kind: 'counter',
    labels: ['status'],
    help: 'Runs that ended here: completed, failed, cancelled or skipped.',
  },
  millrace_queue_items: {
    kind: 'gauge',
    labels: ['state'],
    help: 'Calls in the queue: running, ready (due, and held by a limit or by want of workers), later (not due). Each executor tells the whole.',
  },
  millrace_waits_total: {
    kind: 'counter',
    labels: ['cause'],
    help: 'Calls under a limit that had waited when they were handed out, by what held them last.',
  },
  millrace_wait_seconds: {
    kind: 'histogram',
    labels: ['cause'],
    help: 'How long calls under a limit had waited, by what held them last, seconds.',
    buckets: WAIT_S,
  },
  millrace_step_latency_seconds: {
    kind: 'histogram',
    labels: [],
    help: 'From when a call was due to when it is made, seconds: all waits for limits and for workers are in it.',
    buckets: WAIT_S,
  },
  millrace_call_seconds: {
    kind: 'histogram',
    labels: ['outcome'],
    help: 'From a call of an app to its answer, seconds: ok, step_error, error (the app said so), no_answer, or lost (on our side).',
    buckets: CALL_S,
  },
  millrace_calls_running: { kind: 'gauge', labels: [], help: 'Calls that this executor has under way.' },
} as const satisfies Readonly<Record<`millrace_${string}`, Row>>;

type Table = typeof METRICS;
export type MetricName = keyof Table;
type NameOf<K extends Row['kind']> = { [N in MetricName]: Table[N]['kind'] extends K ? N : never }[MetricName];
export type CounterName = NameOf<'counter'>;
export type GaugeName = NameOf<'gauge'>;
export type HistogramName = NameOf<'histogram'>;
export type Labels<N extends MetricName> = Readonly<Record<Table[N]['labels'][number], string | number>>;

/** What a gauge shows at the moment. */
export interface Reading<N extends GaugeName> {
  readonly labels: Labels<N>;
  readonly value: number;
}

/** Where rooms say what they did and how long it took. Says are cheap: no I/O, nothing that grows with what is said. */
export abstract class Metrics {
  abstract count<N extends CounterName>(name: N, labels: Labels<N>, by?: number): void;
  /** @param value seconds */
  abstract observe<N extends HistogramName>(name: N, labels: Labels<N>, value: number): void;
  /**
   * Whoever asks for the metrics asks this; one gauge may have several readers. A reader that fails or takes long is left out.
   * @returns takes it away
   */
  abstract gauge<N extends GaugeName>(
    name: N,
    read: () => readonly Reading<N>[] | Promise<readonly Reading<N>[]>,
  ): () => void;
}
