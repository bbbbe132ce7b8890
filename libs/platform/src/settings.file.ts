import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';

export interface ConfigFile {
  readonly path: string;
  /** Its name, for people. */
  readonly label: string;
  readonly values: Readonly<Record<string, unknown>>;
}

/** @returns the file, or a sentence that says what is wrong with it */
export function readConfigFile(path: string): ConfigFile | string {
  let values: unknown;
  try {
    values = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    if (error instanceof SyntaxError) return `The config file ${path} is not JSON: ${error.message}`;
    return `The config file ${path} cannot be read: ${(error as Error).message}`;
  }
  if (typeof values !== 'object' || values === null || Array.isArray(values)) {
    return `The config file ${path} must hold one JSON object`;
  }
  return { path, label: basename(path), values: values as Record<string, unknown> };
}

/** Where dev finds a config file by itself, and what it found and cannot read. */
export interface FoundConfig {
  readonly path?: string;
  readonly unreadable: readonly string[];
}

const NAMES = ['millrace.json', 'inngest.json'];
const UNREADABLE = ['millrace.yaml', 'millrace.yml', 'inngest.yaml', 'inngest.yml'];

/** Looks in a folder and, where it lies in a repository, in those above it as far as the repository goes. */
export function findConfigFile(cwd: string): FoundConfig {
  const unreadable: string[] = [];
  for (const folder of projectFolders(cwd)) {
    const path = NAMES.map((name) => join(folder, name)).find((file) => existsSync(file));
    if (path !== undefined) return { path, unreadable: [] };
    unreadable.push(...UNREADABLE.map((name) => join(folder, name)).filter((file) => existsSync(file)));
  }
  return { unreadable };
}

/** Never beyond the repository: what lies in a folder that others share, such as /tmp, is not ours to obey. */
function projectFolders(cwd: string): readonly string[] {
  const folders: string[] = [];
  for (let folder = resolve(cwd); ; folder = dirname(folder)) {
    folders.push(folder);
    if (existsSync(join(folder, '.git'))) return folders;
    if (folder === homedir() || folder === dirname(folder)) return folders.slice(0, 1);
  }
}
