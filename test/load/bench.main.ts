// `npm run bench`: real servers, a real app, and one row a scenario. See docs/benchmarks.md for what it printed last.
import { mkdirSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { givenServices, ownServices, type ClusterServices } from './cluster.services.ts';
import { HELP, readOptions, type BenchOptions } from './bench.options.ts';
import { median } from './statistics.ts';
import { circumstances, loadBefore, pageOf, writePage } from './report.page.ts';
import { printRow } from './report.text.ts';
import type { Row } from './row.ts';
import type { Round, Scenario } from './scenario.ts';
import { ceiling } from './scenarios/ceiling.scenario.ts';
import { fairness } from './scenarios/fairness.scenario.ts';
import { idle } from './scenarios/idle.scenario.ts';
import { ingest } from './scenarios/ingest.scenario.ts';
import { killedRunner } from './scenarios/killed-runner.scenario.ts';
import { lostRedis } from './scenarios/lost-redis.scenario.ts';
import { rebuild } from './scenarios/rebuild.scenario.ts';
import { recovery } from './scenarios/recovery.scenario.ts';
import { start } from './scenarios/start.scenario.ts';
import { hundredSteps, parallelSteps, tenSteps } from './scenarios/steps.scenario.ts';
import { bareEndpoint, bursts, fanOut } from './scenarios/throughput.scenario.ts';
import { manyWaiting, waiting } from './scenarios/waiting.scenario.ts';
import { soak } from './soak.ts';
import { Stage, type StageOptions } from './stage.ts';

const SCENARIOS: readonly Scenario[] = [
  idle,
  ceiling,
  start,
  tenSteps,
  hundredSteps,
  parallelSteps,
  fanOut,
  waiting,
  bursts,
  bareEndpoint,
  ingest,
  fairness,
  manyWaiting,
  recovery,
  rebuild,
  lostRedis,
  killedRunner,
];

/** What `--quick` divides large numbers by. */
const QUICKER = 20;

const say = (line: string): void => console.log(line);

async function main(): Promise<number> {
  const options = readOptions(process.argv.slice(2));
  if (options === 'help') {
    say(HELP);
    return 0;
  }
  if (options.soak !== undefined) return (await soak(options.soak, options, say)) ? 0 : 1;

  const began = performance.now();
  const load = loadBefore();
  const { cluster, repeat } = options;
  const mode = cluster ? 'cluster' : 'embedded';
  say(`${circumstances(load, { repeat, cluster })}\n`);
  const services = cluster && (cluster.urls ? givenServices(cluster.urls) : await ownServices());
  const rounds: Row[][] = [];
  try {
    for (let i = 0; i < repeat; i++) {
      if (repeat > 1) say(`\nround ${i + 1} of ${repeat}`);
      rounds.push(await round(options, services));
    }
  } finally {
    await services?.close();
  }
  const rows = rounds.length === 1 ? (rounds[0] ?? []) : merged(rounds);
  if (rounds.length > 1) {
    say(`\nmedians of ${rounds.length} rounds`);
    for (const row of rows) say(printRow(row));
  }
  const seconds = Math.round((performance.now() - began) / 1_000);
  say(`\n${rows.length} rows in ${seconds} s`);
  if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(rows, null, 2)}\n`);
  if (options.page !== undefined) {
    writePage(options.page, mode === 'embedded' ? 'rows' : 'cluster', pageOf(rows, load, { repeat, cluster }));
  }
  return rows.every(({ verdict }) => verdict.exact) ? 0 : 1;
}

async function round(options: BenchOptions, services: ClusterServices | undefined): Promise<Row[]> {
  // What others are compared with has to be measured, too.
  const wanted = (id: string) =>
    options.only === undefined || options.only.has(id) || (id === 'C' && needsCeiling(options));
  const mode = services ? 'cluster' : 'embedded';
  const chosen = SCENARIOS.filter(({ id, mode: only }) => wanted(id) && (only ?? mode) === mode);
  const rows: Row[] = [];
  let shared: Stage | undefined;
  let ceilingCallsPerS = NaN;
  for (const scenario of chosen) {
    if (scenario.alone) {
      await shared?.close();
      shared = undefined;
    }
    const stage = shared ?? (await Stage.open(stageOptions(options, services, scenario)));
    if (!scenario.alone) shared = stage;
    const size = (count: number) => (options.quick ? Math.ceil(count / QUICKER) : count);
    const current: Round = { stage, ceilingCallsPerS, waiting: size(options.waiting), say, size };
    try {
      for (const row of await scenario.run(current)) {
        rows.push(row);
        say(printRow(row));
      }
      ceilingCallsPerS = current.ceilingCallsPerS;
    } catch (error) {
      throw new Error(`${scenario.id} cannot be measured. The server printed last:\n${stage.millrace.printed}`, {
        cause: error,
      });
    } finally {
      if (scenario.alone) await stage.close();
    }
  }
  await shared?.close();
  return rows;
}

function needsCeiling({ only }: BenchOptions): boolean {
  return only?.has('B5') === true || only?.has('B7') === true;
}

function stageOptions(
  { profiles, cluster }: BenchOptions,
  services: ClusterServices | undefined,
  scenario: Scenario,
): StageOptions {
  if (profiles !== undefined) mkdirSync(profiles, { recursive: true });
  return {
    ...(profiles === undefined ? {} : { profiles: resolve(profiles) }),
    ...(cluster && services ? { cluster: { ...cluster, ...scenario.cluster, services } } : {}),
  };
}

/** The median of each value; a defect of any round is one. */
function merged(rounds: readonly (readonly Row[])[]): Row[] {
  const [first = []] = rounds;
  return first.map((row) => {
    const same = rounds.flatMap((rows) => rows.filter(({ id }) => id === row.id));
    const over = (pick: (row: Row) => Readonly<Record<string, number>> | undefined) => {
      const names = [...new Set(same.flatMap((each) => Object.keys(pick(each) ?? {})))];
      return Object.fromEntries(names.map((name) => [name, median(same.map((each) => pick(each)?.[name] ?? NaN))]));
    };
    const goals = row.goals.map((goal, i) => {
      const bounds = (pick: 'atMost' | 'atLeast') => median(same.map((each) => each.goals[i]?.[pick] ?? NaN));
      return goal.atMost === undefined
        ? { ...goal, atLeast: bounds('atLeast') }
        : { ...goal, atMost: bounds('atMost') };
    });
    return {
      ...row,
      values: over(({ values }) => values),
      cpuMsPerOp: over(({ cpuMsPerOp }) => cpuMsPerOp),
      rssPeakMb: over(({ rssPeakMb }) => rssPeakMb),
      verdict: same.find(({ verdict }) => !verdict.exact)?.verdict ?? row.verdict,
      goals,
    };
  });
}

process.exitCode = await main();
