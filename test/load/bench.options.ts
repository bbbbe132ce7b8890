import { parseArgs } from 'node:util';

export interface BenchOptions {
  /** Ids of scenarios; undefined: all. */
  readonly only: ReadonlySet<string> | undefined;
  readonly repeat: number;
  /** Where to write the rows as JSON. */
  readonly json: string | undefined;
  /** The page that gets the results; by default only where nothing was left out. */
  readonly page: string | undefined;
  /** Runs that wait in B6. */
  readonly waiting: number;
  /** Runs of the soak; undefined: the scenarios, no soak. */
  readonly soak: number | undefined;
  readonly exposeGc: boolean;
  /** Folder for CPU profiles of the server, one for everything that is measured. */
  readonly profiles: string | undefined;
}

export const HELP = `
npm run bench                      all scenarios; writes docs/benchmarks.md
npm run bench -- --only B1,B7      only these; writes nothing unless --page says where
  --repeat 3                       all of it three times over: the median of each value, with the range of the first
  --json FILE                      the rows, as JSON
  --page FILE                      the page that gets the results (docs/benchmarks.md)
  --waiting 100000                 runs that wait in B6
  --cpu-prof DIR                   a CPU profile of each server, for \`node --cpu-prof\`'s readers
npm run bench -- --soak 20000      that many runs, and what they leave in memory
  --expose-gc                      memory after a forced collection

Scenarios: C (the SDK's own ceiling) B1 B2 B3 B4 B5 B6 B6M (100,000 waiting) B7 B8 B10 (fairness) B12 B14.`;

const PAGE = 'docs/benchmarks.md';

/** @throws Error that says what is wrong with the options */
export function readOptions(argv: readonly string[]): BenchOptions | 'help' {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      only: { type: 'string' },
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
  return {
    only: values.only === undefined ? undefined : new Set(values.only.toUpperCase().split(',')),
    repeat: count('repeat', values.repeat),
    json: values.json,
    page: values.page ?? (values.only === undefined ? PAGE : undefined),
    waiting: count('waiting', values.waiting),
    soak: values.soak === undefined ? undefined : count('soak', values.soak),
    exposeGc: values['expose-gc'],
    profiles: values.profiles,
  };
}

function count(name: string, text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1)
    throw new Error(`--${name} must be a whole number from 1 on, not ${text}`);
  return number;
}
