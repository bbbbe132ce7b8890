import { accessSync, constants, existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { openDataDir } from '#adapters/local-log/data-dir.js';
import { Fault } from '#core/faults.js';

export interface DataDirCheck {
  readonly state: 'free' | 'missing' | 'in_use' | 'unusable';
  readonly path: string;
  /** A sentence about it. */
  readonly detail: string;
}

/** Looks whether a server could use a data folder, and leaves it as it was. */
export async function checkDataDir(path: string): Promise<DataDirCheck> {
  const dir = resolve(path);
  if (!existsSync(dir)) return { path: dir, ...missing(dir) };
  try {
    await openDataDir(dir).close();
    return { path: dir, state: 'free', detail: `${dir} can be written, and no server uses it.` };
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    return { path: dir, state: error.code === 'data_dir_in_use' ? 'in_use' : 'unusable', detail: error.message };
  }
}

function missing(dir: string): Pick<DataDirCheck, 'state' | 'detail'> {
  let above = dirname(dir);
  while (!existsSync(above)) above = dirname(above);
  try {
    accessSync(above, constants.W_OK | constants.X_OK);
    return { state: 'missing', detail: `${dir} is not there yet; a server will make it.` };
  } catch {
    return { state: 'unusable', detail: `${dir} is not there, and ${above} cannot be written.` };
  }
}
