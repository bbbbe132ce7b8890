import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = new URL('../../../', import.meta.url);
/** The command, as people run it. */
export const MILLRACE = fileURLToPath(new URL('bin/millrace.js', root));

export interface MillraceOptions {
  /** Added to an environment that has nothing of Millrace's. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Standard input, as one piece; a function writes it bit by bit, and ends it. */
  readonly stdin?: string | ((stdin: NodeJS.WritableStream) => void);
}

export interface Millrace {
  readonly child: ChildProcess;
  /** Resolves with what was printed once a stream has a text in it. Rejects when it ends without. */
  readonly printed: (text: string, stream?: 'stdout' | 'stderr') => Promise<string>;
  readonly gone: Promise<Finished>;
}

export interface Finished {
  /** Exit code, or the signal that killed it. */
  readonly exit: number | NodeJS.Signals;
  readonly stdout: string;
  readonly stderr: string;
}

/** Starts the built command in a process of its own. @throws Error when it was not built */
export function startMillrace(args: readonly string[], options: MillraceOptions = {}): Millrace {
  if (!existsSync(new URL('dist/apps/millrace/src/main.js', root)))
    throw new Error('not built: run `node scripts/ensure.mjs`');
  return startNode([MILLRACE, ...args], options);
}

/** Runs the built command to its end. */
export async function millrace(args: readonly string[], options: MillraceOptions = {}): Promise<Finished> {
  return startMillrace(args, options).gone;
}

/** Starts Node with other arguments, watched in the same way. */
export function startNode(args: readonly string[], { env, cwd, stdin = '' }: MillraceOptions = {}): Millrace {
  const child = spawn(process.execPath, args, {
    cwd,
    env: { ...surroundings(), ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const text = { stdout: '', stderr: '' };
  const watchers = new Set<() => void>();
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (chunk: string) => {
      text[name] += chunk;
      for (const look of watchers) look();
    });
  }
  // A command that reads nothing may be gone before all is written.
  child.stdin.on('error', () => undefined);
  if (typeof stdin === 'function') stdin(child.stdin);
  else child.stdin.end(stdin);
  const gone = new Promise<Finished>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ exit: code ?? signal ?? 0, ...text }));
  });
  const printed = (wanted: string, stream: 'stdout' | 'stderr' = 'stdout') =>
    new Promise<string>((resolve, reject) => {
      const look = () => {
        if (!text[stream].includes(wanted)) return;
        watchers.delete(look);
        resolve(text[stream]);
      };
      watchers.add(look);
      look();
      gone.then(
        ({ exit, stdout, stderr }) =>
          reject(new Error(`ended with ${exit} before it said "${wanted}":\n${stdout}${stderr}`)),
        reject,
      );
    });
  return { child, printed, gone };
}

/** What any process needs, and nothing that would tell a command what to do. */
function surroundings(): NodeJS.ProcessEnv {
  const names = ['PATH', 'HOME', 'TMPDIR', 'TEMP', 'SYSTEMROOT'];
  return Object.fromEntries(
    names.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
  );
}
