import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const HOOKS = new URL('../../../scripts/source.hooks.mjs', import.meta.url).href;

export interface SourceProcess {
  readonly child: ChildProcess;
  /** The next line of its standard output; undefined after the last one. */
  readonly line: () => Promise<string | undefined>;
  /** Resolves when the process is gone and its output is read. @returns its exit code, or the signal that killed it */
  readonly gone: Promise<number | NodeJS.Signals>;
}

/**
 * Runs a TypeScript file of the repository as a process of its own. Its standard error goes to ours. The file may use what Node takes out
 * by itself (types, parameter properties), but no decorators, and marks its type imports.
 */
export function startSource(file: URL, args: readonly string[]): SourceProcess {
  const flags = ['--conditions=source', '--experimental-transform-types', '--disable-warning=ExperimentalWarning'];
  const child = spawn(process.execPath, [...flags, '--import', HOOKS, fileURLToPath(file), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines: string[] = [];
  const readers: ((line: string | undefined) => void)[] = [];
  let ended = false;
  const reader = createInterface({ input: child.stdout });
  reader.on('line', (line) => {
    const next = readers.shift();
    if (next) next(line);
    else lines.push(line);
  });
  const read = new Promise<void>((resolve) => reader.on('close', resolve));
  void read.then(() => {
    ended = true;
    for (const next of readers.splice(0)) next(undefined);
  });
  const exit = new Promise<number | NodeJS.Signals>((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code, signal) => resolve(code ?? signal ?? 0));
  });
  return {
    child,
    line: () => {
      if (lines.length > 0 || ended) return Promise.resolve(lines.shift());
      return new Promise((resolve) => readers.push(resolve));
    },
    gone: Promise.all([exit, read]).then(([how]) => how),
  };
}
