import type { Clock } from '#ports/clock.port.js';
import type { Logger } from '#ports/logger.port.js';
import {
  METRICS,
  Metrics,
  type CounterName,
  type GaugeName,
  type HistogramName,
  type Labels,
  type MetricName,
  type Reading,
} from '#ports/metrics.port.js';

type AnyLabels = Readonly<Record<string, string | number>>;
type Read = () => readonly Reading<GaugeName>[] | Promise<readonly Reading<GaugeName>[]>;

/** How often each bucket was hit, the last one being that of all that is larger; and the sum of what was observed. */
interface Observed {
  readonly labels: string;
  readonly buckets: Float64Array;
  sum: number;
}

interface Counted {
  readonly labels: string;
  value: number;
}

/** A reader that takes longer is left out, ms. */
const READ_MS_MAX = 2_000;

/**
 * The metrics of this process. What rooms say is kept as plain numbers, since it is said on the hot path and from the first record on; the
 * client library, which takes its time to load, brings the usual metrics of the process when somebody asks for the first time.
 */
export class ProcessMetrics extends Metrics {
  private readonly counters = new Map<CounterName, Map<string, Counted>>();
  private readonly histograms = new Map<HistogramName, Map<string, Observed>>();
  private readonly gauges = new Map<GaugeName, Set<Read>>();
  private ofProcess: Promise<{ metrics(): Promise<string> }> | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly logger: Logger,
  ) {
    super();
    // What has no labels is there from the beginning, so that its first rise is seen as one.
    for (const [name, { kind, labels }] of Object.entries(METRICS)) {
      if (kind === 'counter' && labels.length === 0) this.count(name as CounterName, {} as Labels<CounterName>, 0);
    }
  }

  override count<N extends CounterName>(name: N, labels: Labels<N>, by = 1): void {
    const all = seriesOf(this.counters, name);
    const key = keyOf(name, labels);
    const known = all.get(key);
    if (known) known.value += by;
    else all.set(key, { labels: labelText(name, labels), value: by });
  }

  override observe<N extends HistogramName>(name: N, labels: Labels<N>, value: number): void {
    const all = seriesOf(this.histograms, name);
    const key = keyOf(name, labels);
    const bounds = METRICS[name].buckets;
    let known = all.get(key);
    if (!known) {
      known = { labels: labelText(name, labels), buckets: new Float64Array(bounds.length + 1), sum: 0 };
      all.set(key, known);
    }
    let at = 0;
    while (at < bounds.length && value > (bounds[at] as number)) at++;
    known.buckets[at] = (known.buckets[at] ?? 0) + 1;
    known.sum += value;
  }

  override gauge<N extends GaugeName>(
    name: N,
    read: () => readonly Reading<N>[] | Promise<readonly Reading<N>[]>,
  ): () => void {
    const readers = this.gauges.get(name) ?? new Set();
    this.gauges.set(name, readers.add(read));
    return () => readers.delete(read);
  }

  /** In the text format of Prometheus, 0.0.4. */
  async text(): Promise<string> {
    const readings = await Promise.all(
      [...this.gauges].map(async ([name, readers]) => [name, await this.readAll(name, readers)] as const),
    );
    const gauges = new Map(readings);
    const ours = (Object.keys(METRICS) as MetricName[]).flatMap((name) => {
      const { help, kind } = METRICS[name];
      return [`# HELP ${name} ${help}`, `# TYPE ${name} ${kind}`, ...this.lines(name, gauges)];
    });
    return `${ours.join('\n')}\n${await this.usual()}`;
  }

  private lines(name: MetricName, gauges: ReadonlyMap<GaugeName, readonly string[]>): readonly string[] {
    const counted = this.counters.get(name as CounterName)?.values() ?? [];
    const observed = this.histograms.get(name as HistogramName)?.values() ?? [];
    return [
      ...[...counted].map(({ labels, value }) => line(name, labels, value)),
      ...[...observed].flatMap((one) => histogramLines(name as HistogramName, one)),
      ...(gauges.get(name as GaugeName) ?? []),
    ];
  }

  private async readAll(name: GaugeName, readers: ReadonlySet<Read>): Promise<readonly string[]> {
    const found = await Promise.all([...readers].map((read) => this.readOne(name, read)));
    return found.flat().map(({ labels, value }) => line(name, labelText(name, labels), value));
  }

  private async readOne(name: GaugeName, read: Read): Promise<readonly Reading<GaugeName>[]> {
    const late = Promise.withResolvers<never>();
    const cancel = this.clock.at(this.clock.now() + READ_MS_MAX, () => late.reject(new Error('it takes too long')));
    try {
      return await Promise.race([read(), late.promise]);
    } catch (error) {
      this.logger.debug({ err: error, metric: name }, 'a metric cannot be read; it is left out');
      return [];
    } finally {
      cancel();
    }
  }

  /** Of Node and of the process: memory, CPU, event loop, garbage. */
  private async usual(): Promise<string> {
    this.ofProcess ??= import('prom-client').then(({ collectDefaultMetrics, Registry }) => {
      const registry = new Registry();
      collectDefaultMetrics({ register: registry });
      return registry;
    });
    return (await this.ofProcess).metrics();
  }
}

function seriesOf<N, S>(all: Map<N, Map<string, S>>, name: N): Map<string, S> {
  const known = all.get(name);
  if (known) return known;
  const series = new Map<string, S>();
  all.set(name, series);
  return series;
}

/** One text for the same labels, whatever the order in which they are given. */
function keyOf(name: MetricName, labels: AnyLabels): string {
  const names: readonly string[] = METRICS[name].labels;
  let key = '';
  for (const label of names) key += `${labels[label] ?? ''}\n`;
  return key;
}

/** `a="1",b="2"`. */
function labelText(name: MetricName, labels: AnyLabels): string {
  const names: readonly string[] = METRICS[name].labels;
  return names.map((label) => `${label}="${escaped(String(labels[label] ?? ''))}"`).join(',');
}

function escaped(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"');
}

function line(name: string, labels: string, value: number): string {
  return labels === '' ? `${name} ${value}` : `${name}{${labels}} ${value}`;
}

function histogramLines(name: HistogramName, { labels, buckets, sum }: Observed): readonly string[] {
  const bounds: readonly number[] = METRICS[name].buckets;
  let count = 0;
  const lines = [...buckets].map((hits, at) => {
    count += hits;
    const le = `le="${bounds[at] ?? '+Inf'}"`;
    return line(`${name}_bucket`, labels === '' ? le : `${labels},${le}`, count);
  });
  return [...lines, line(`${name}_sum`, labels, sum), line(`${name}_count`, labels, count)];
}
