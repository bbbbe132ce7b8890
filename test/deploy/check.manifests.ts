import { execFile } from 'node:child_process';
import { globSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { stringify } from 'yaml';
import { builtOnce, runProgram } from '#testkit/services/built.once.js';
import { programs } from '#testkit/services/programs.js';

const SOURCE = join(import.meta.dirname, 'check-manifests');
const run = promisify(execFile);

/** A document of Kubernetes, as it is rendered. */
export interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> };
  readonly spec?: unknown;
  readonly data?: Readonly<Record<string, string>>;
}

export interface Rendered {
  readonly manifests: readonly Manifest[];
  /** What Helm's lint and an API server have against it. */
  readonly problems: readonly string[];
  /** Why there is nothing of it at all. */
  readonly refused?: string;
}

type Line =
  | { readonly lint: string; readonly severity: number }
  | { readonly refused: string }
  | { readonly notes: string }
  | { readonly template: string; readonly document: Manifest | null; readonly problems: readonly string[] | null };

const WARNING = 2;

/** The chart of a folder, with some values, as Helm renders it and an API server takes it. */
export async function renderChart(folder: string, values: object): Promise<Rendered> {
  const scratch = mkdtempSync(join(tmpdir(), 'millrace-chart-'));
  try {
    const file = join(scratch, 'values.yaml');
    writeFileSync(file, stringify(values));
    const lines = (await check(['chart', folder, file]))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Line);
    const refused = lines.find((line) => 'refused' in line)?.refused;
    return {
      manifests: lines.flatMap((line) => ('document' in line && line.document ? [line.document] : [])),
      problems: lines.flatMap(problemsOf),
      ...(refused === undefined ? {} : { refused }),
    };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function problemsOf(line: Line): readonly string[] {
  if ('lint' in line) return line.severity >= WARNING ? [line.lint] : [];
  if (!('document' in line)) return [];
  return (line.problems ?? []).map((problem) => `${line.template} ${line.document?.metadata.name}: ${problem}`);
}

/** Compose's project of some files, or `refused`. */
export async function readCompose(
  files: readonly string[],
  profiles: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<unknown> {
  return JSON.parse(await check(['compose', profiles.join(','), ...files], env));
}

/** BuildKit's reading of a Dockerfile. */
export async function readImage(file: string): Promise<unknown> {
  return JSON.parse(await check(['dockerfile', file]));
}

async function check(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<string> {
  const options = { env: { ...process.env, ...env }, maxBuffer: 2 ** 26 };
  return (await run(join(await built(), 'check-manifests'), args, options)).stdout;
}

/** The folder of the program. It is made once, of a good part of Kubernetes: that takes minutes. */
function built(): Promise<string> {
  const sources = globSync(['*.go', 'go.*'], { cwd: SOURCE }).sort();
  return builtOnce(
    'check-manifests',
    sources.map((file) => join(SOURCE, file)),
    (folder) =>
      runProgram(programs('go').go, ['build', '-buildvcs=false', '-trimpath', '-o', folder, '.'], { cwd: SOURCE }),
  );
}
