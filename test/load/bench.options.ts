import { parseArgs } from 'node:util';
import type { ClusterSize } from './cluster.installation.ts';
import type { ClusterUrls } from './cluster.services.ts';

export interface ClusterOptions extends ClusterSize {
  /** Services that are there; undefined: it starts its own. */
  readonly urls: ClusterUrls | undefined;
}

export interface BenchOptions {
  /** Processes on services; undefined: one process. */
  readonly cluster: ClusterOptions | undefined;
  /** Ids of scenarios; undefined: all. */
  readonly only: ReadonlySet<string> | undefined;
  readonly repeat: number;
  /** Where to write the rows as JSON. */
  readonly json: string | undefined;
  /** The page that gets the results; by default only where nothing was left out. */
  readonly page: string | undefined;
  /** Small numbers, to see that everything works. */
  readonly quick: boolean;
  /** Runs that wait in B6. */
  readonly waiting: number;
  /** Runs of the soak; undefined: the scenarios, no soak. */
  readonly soak: number | undefined;
  readonly exposeGc: boolean;
  /** Folder for CPU profiles of every process of Millrace, one for everything that is measured. */
  readonly profiles: string | undefined;
}

export const HELP = `
npm run bench                      all scenarios; writes docs/benchmarks.md
npm run bench -- --only B1,B7      only these; writes nothing unless --page says where
  --cluster                        a process for each role, on Kafka, Redis, Postgres and ClickHouse, which it starts
  --runners 2 --executors 2        so many of these processes (1)
  --kafka-brokers HOST:PORT,... --redis-url URL --database-url URL --clickhouse-url URL
                                   services that are there, in place of its own
  --quick                          small numbers: to see that it works; writes nothing unless --page says where
  --repeat 3                       all of it three times over: the median of each value, with the range of the first
  --json FILE                      the rows, as JSON
  --page FILE                      the page that gets the results (docs/benchmarks.md)
  --waiting 100000                 runs that wait in B6
  --profiles DIR                   CPU profiles of every process of Millrace, for \`node --cpu-prof\`'s readers
npm run bench -- --soak 20000      that many runs, and what they leave in memory
  --expose-gc                      memory after a forced collection

Scenarios: C (the SDK's own ceiling) B1 B2 B3 B4 B5 B6 B6M (100,000 waiting) B7 B8 B10 (fairness) B11 (ingest) B12 (kill -9) B13 (rebuild)
B14 (idle); of a cluster R1 (Redis emptied) R2 (a runner killed).`;

const PAGE = 'docs/benchmarks.md';

/** @throws Error that says what is wrong with the options */
export function readOptions(argv: readonly string[]): BenchOptions | 'help' {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      only: { type: 'string' },
      cluster: { type: 'boolean', default: false },
      runners: { type: 'string', default: '1' },
      executors: { type: 'string', default: '1' },
      'kafka-brokers': { type: 'string' },
      'redis-url': { type: 'string' },
      'database-url': { type: 'string' },
      'clickhouse-url': { type: 'string' },
      quick: { type: 'boolean', default: false },
      repeat: { type: 'string', default: '1' },
      json: { type: 'string' },
      page: { type: 'string' },
      waiting: { type: 'string', default: '100000' },
      soak: { type: 'string' },
      'expose-gc': { type: 'boolean', default: false },
      profiles: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return 'help';
  const cluster = values.cluster
    ? {
        runners: count('runners', values.runners),
        executors: count('executors', values.executors),
        urls: urlsOf(values),
      }
    : undefined;
  if (cluster && values.soak !== undefined) throw new Error('the soak is of one process: leave out --cluster');
  const isWhole = values.only === undefined && !values.quick;
  return {
    cluster,
    quick: values.quick,
    only: values.only === undefined ? undefined : new Set(values.only.toUpperCase().split(',')),
    repeat: count('repeat', values.repeat),
    json: values.json,
    page: values.page ?? (isWhole ? PAGE : undefined),
    waiting: count('waiting', values.waiting),
    soak: values.soak === undefined ? undefined : count('soak', values.soak),
    exposeGc: values['expose-gc'],
    profiles: values.profiles,
  };
}

function urlsOf(values: Readonly<Record<string, string | boolean | undefined>>): ClusterUrls | undefined {
  const names = ['kafka-brokers', 'redis-url', 'database-url', 'clickhouse-url'] as const;
  const [brokers, redisUrl, postgresUrl, clickhouseUrl] = names.map((name) => values[name]?.toString());
  const given = [brokers, redisUrl, postgresUrl, clickhouseUrl].filter((value) => value !== undefined);
  if (given.length === 0) return undefined;
  if (!brokers || !redisUrl || !postgresUrl || !clickhouseUrl)
    throw new Error(`give all services or none: ${names.map((name) => `--${name}`).join(', ')}`);
  return { kafkaBrokers: brokers.split(','), redisUrl, postgresUrl, clickhouseUrl };
}

function count(name: string, text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1)
    throw new Error(`--${name} must be a whole number from 1 on, not ${text}`);
  return number;
}
