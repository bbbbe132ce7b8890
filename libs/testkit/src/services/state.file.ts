import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ServiceUrls } from './all.services.js';
import type { ServiceHandle } from './service.process.js';

/** The services that run in the background of this machine, for every checkout on it. */
export interface BackgroundServices {
  readonly urls: ServiceUrls;
  readonly processes: readonly ServiceHandle[];
}

const PATH = join(tmpdir(), 'millrace-services.json');

/** @returns what `scripts/services.mjs up` has written; undefined when nothing was started, or is there no more */
export function readState(): BackgroundServices | undefined {
  try {
    return JSON.parse(readFileSync(PATH, 'utf8')) as BackgroundServices;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Replaces it whole, so that a reader never sees half of it. */
export function writeState(state: BackgroundServices): void {
  const part = `${PATH}.${process.pid}`;
  writeFileSync(part, `${JSON.stringify(state, undefined, 2)}\n`);
  renameSync(part, PATH);
}

export function removeState(): void {
  rmSync(PATH, { force: true });
}
