import { createHash } from 'node:crypto';
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

const run = promisify(execFile);

/**
 * A folder that is made of some source files once, and kept in the user's cache for every checkout. It is there whole or not at all:
 * of several that make it at the same time, one wins.
 * @param build makes the folder's content; it may run the programs that only making it needs
 */
export async function builtOnce(
  name: string,
  sources: readonly string[],
  build: (folder: string) => Promise<void>,
): Promise<string> {
  const hash = createHash('sha256').update(`${process.platform} ${process.arch}`);
  for (const source of sources) hash.update(basename(source)).update(readFileSync(source));
  const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'millrace', 'services');
  const folder = join(cache, `${name}-${hash.digest('hex').slice(0, 16)}`);
  if (existsSync(folder)) return folder;
  mkdirSync(dirname(folder), { recursive: true });
  const part = mkdtempSync(`${folder}.`);
  try {
    await build(part);
    renameSync(part, folder);
  } catch (error) {
    if (!existsSync(folder)) throw error;
  } finally {
    rmSync(part, { recursive: true, force: true });
  }
  return folder;
}

/** Runs a program to its end. @throws when it fails, with what it printed */
export async function runProgram(command: string, args: readonly string[], options: RunOptions = {}): Promise<void> {
  const { cwd, env } = options;
  try {
    await run(command, args, { encoding: 'utf8', cwd, env: { ...process.env, ...env } });
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    throw new Error(`${basename(command)} failed:\n${stdout}\n${stderr}`, { cause: error });
  }
}
