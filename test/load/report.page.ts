import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, totalmem } from 'node:os';
import type { ClusterSize } from './cluster.installation.ts';
import { bound, figure, parts, told } from './report.text.ts';
import { beatsReference, missed, type Row, type Value } from './row.ts';

const EMPTY = `# Benchmarks

## In one process

<!-- rows -->
<!-- /rows -->

## As a cluster

<!-- cluster -->
<!-- /cluster -->

## Soak

<!-- soak -->
<!-- /soak -->
`;

/** Puts results into their section of a page; what people wrote around it stays. */
export function writePage(path: string, section: 'rows' | 'cluster' | 'soak', text: string): void {
  const page = existsSync(path) ? readFileSync(path, 'utf8') : EMPTY;
  const [begin, end] = [`<!-- ${section} -->`, `<!-- /${section} -->`];
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`${path} has no place for its ${section}: it needs ${begin} and ${end}`);
  writeFileSync(path, `${page.slice(0, from + begin.length)}\n\n${text.trim()}\n\n${page.slice(to)}`);
}

/** The load of the machine as a measurement begins: what others are doing on it. */
export function loadBefore(): string {
  return (loadavg()[0] ?? NaN).toFixed(1);
}

export interface Circumstances {
  readonly repeat?: number;
  /** Absent: one process. */
  readonly cluster?: ClusterSize | undefined;
}

function clusterOf({ runners, executors }: ClusterSize): string {
  const several = (count: number, role: string) => (count === 1 ? role : `${count} ${role}s`);
  return `a process for event-api and api, ${several(runners, 'runner')}, ${several(executors, 'executor')}, projector, a Kafka broker, Redis, Postgres, ClickHouse`;
}

/** When and on what something was measured. */
export function circumstances(load: string, { repeat = 1, cluster }: Circumstances = {}): string {
  const [cpu] = cpus();
  const gb = Math.round(totalmem() / 2 ** 30);
  const often = repeat === 1 ? 'once' : `${repeat} times over, each value being the median`;
  return `Measured on ${new Date().toISOString().slice(0, 10)}, ${often}, on ${cpus().length} cores (${cpu?.model ?? 'unknown'}) with ${gb} GB, Node ${process.versions.node}; ${cluster ? clusterOf(cluster) : 'server, history engine'}, apps and driver all on this one machine. Load average before: ${load}.`;
}

export function pageOf(rows: readonly Row[], load: string, how: Circumstances): string {
  const [hit, miss] = [rows.filter((row) => reaches(row)), rows.filter((row) => !reaches(row))];
  const behind = rows.filter((row) => beatsReference(row) === false);
  return [
    circumstances(load, how),
    table(['', 'scenario', 'measured', 'goal', 'reference', ''], rows.map(resultCells)),
    `${hit.filter(({ goals }) => goals.length > 0).length} rows reach their goals, ${miss.length} miss one:`,
    ...(miss.length === 0 ? [] : [miss.map(missLine).join('\n')]),
    behind.length === 0
      ? 'Every row that the reference was measured in is better than it.'
      : `Behind the reference: ${behind.map(({ id }) => id).join(', ')}.`,
    `Bytes of ${how.cluster ? "Kafka's topics" : '\`log.db\`'} that a run takes: ${logSizes(rows)}.`,
    '### What was done, and what it costs',
    'CPU for one operation, ms; highest memory, MB. An operation is a run; in B2, B3 and rows with steps/s a step, in B11 an event, in B13 a command, in B14 a second.',
    table(['', 'did', 'CPU ms', 'memory MB'], rows.map(costCells)),
  ].join('\n\n');
}

function logSizes(rows: readonly Row[]): string {
  const sized = rows.flatMap(({ id, title, values: { logBytesPerRun: bytes } }) =>
    bytes === undefined ? [] : [`${Math.round(bytes).toLocaleString('en')} (${id}: ${title.toLowerCase()})`],
  );
  return sized.join(', ') || 'not measured';
}

function reaches(row: Row): boolean {
  return missed(row).length === 0;
}

function resultCells(row: Row): readonly string[] {
  const { id, title, values, verdict, goals, reference = {} } = row;
  const measured = verdict.exact
    ? (Object.entries(values) as [Value, number][]).map(([value, x]) => told(value, x)).join(', ')
    : `**no number**: ${verdict.defect}`;
  const theirs = (Object.entries(reference) as [Value, number][]).map(([value, x]) => told(value, x)).join(', ');
  const verdictCell = goals.length === 0 ? '' : reaches(row) ? 'reached' : 'missed';
  return [
    id,
    title,
    measured,
    goals.map(bound).join(', ').replaceAll('at most', '≤').replaceAll('at least', '≥'),
    theirs,
    verdictCell,
  ];
}

function missLine(row: Row): string {
  const by = missed(row).map(({ goal, got }) => `${figure(goal.value, got)}, wanted ${bound(goal)}`);
  return `- ${row.id}: ${by.join('; ')}`;
}

function costCells({ id, did, cpuMsPerOp, rssPeakMb }: Row): readonly string[] {
  return [id, did, cpuMsPerOp ? parts(cpuMsPerOp, 2) : '', rssPeakMb ? parts(rssPeakMb, 0) : ''];
}

function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(heads), line(heads.map(() => '---')), ...rows.map(line)].join('\n');
}
