import { accessSync, constants, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Fault } from '#core/faults.js';
import { Checkpointer } from './checkpointer.js';
import { isBusy, messageOf } from './sqlite-file.js';

/**
 * The lock is a transaction on this file that is never committed: the system holds it for the process and takes it back when the
 * process dies, by whatever cause. The file stays empty. Nothing in this process may open and close it by other means, for on POSIX
 * systems closing any descriptor of a file gives up all locks of the process on it.
 */
const LOCK = 'lock.db';
/** The locks of this process. A connection that nobody refers to would be collected, and its lock be gone. */
const held = new Set<DatabaseSync>();
/** Says who holds the lock. Only a hint: it outlives a killed process. */
const OWNER = 'lock.pid';

/** A folder that this process alone may use, until it is closed. */
export interface DataDir {
  /** Absolute. */
  readonly path: string;
  /** Copies the write-ahead logs of the folder's databases into them, off the main thread. */
  readonly checkpointer: Checkpointer;
  /** The path of a file in it. */
  file(name: string): string;
  /** Lets others have the folder. Close what lies in it first. */
  close(): Promise<void>;
}

export interface DataDirOptions {
  /** Make the folder, and those above it, when it is missing. */
  readonly create?: boolean;
}

/**
 * Opens a data folder and locks it against every other process.
 * @throws data_dir_in_use when another process (or this one) has it open; `data.pid` says who, where that is known
 * @throws data_dir_unusable when it is missing (and `create` is not set), no folder, or not writable
 */
export function openDataDir(path: string, options: DataDirOptions = {}): DataDir {
  const dir = resolve(path);
  prepare(dir, options.create ?? false);
  const lock = takeLock(dir);
  held.add(lock);
  const checkpointer = new Checkpointer();
  let open = true;
  return {
    path: dir,
    checkpointer,
    file: (name) => join(dir, name),
    close: async () => {
      if (!open) return;
      open = false;
      await checkpointer.close();
      rmSync(join(dir, OWNER), { force: true });
      lock.close();
      held.delete(lock);
    },
  };
}

function prepare(dir: string, create: boolean): void {
  try {
    if (create) mkdirSync(dir, { recursive: true });
    if (!statSync(dir).isDirectory()) throw new Error('it is not a folder');
    accessSync(dir, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw unusable(dir, cause);
  }
}

function takeLock(dir: string): DatabaseSync {
  let lock: DatabaseSync | undefined;
  try {
    lock = new DatabaseSync(join(dir, LOCK), { timeout: 0 });
    lock.exec('BEGIN EXCLUSIVE');
    writeFileSync(join(dir, OWNER), `${process.pid}\n`);
    return lock;
  } catch (cause) {
    lock?.close();
    if (!isBusy(cause)) throw unusable(dir, cause);
    const pid = readOwner(dir);
    const who = pid === undefined ? 'Another Millrace process' : `Another Millrace process (pid ${pid})`;
    const message = `${who} uses the data folder ${dir}.`;
    throw new Fault('data_dir_in_use', { path: dir, ...(pid === undefined ? {} : { pid }) }, { cause, message });
  }
}

function readOwner(dir: string): number | undefined {
  try {
    const pid = Number.parseInt(readFileSync(join(dir, OWNER), 'utf8'), 10);
    return Number.isSafeInteger(pid) ? pid : undefined;
  } catch {
    return undefined; // Whoever holds the lock has not written it yet: the fault is told without a name.
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'it does not exist',
  ENOTDIR: 'it is not a folder',
  EEXIST: 'it is not a folder',
  EACCES: 'it is not writable',
  EPERM: 'it is not writable',
  EROFS: 'it is not writable',
  ENOSPC: 'the disk is full',
};

function unusable(dir: string, cause: unknown): Fault {
  const reason = REASONS[(cause as NodeJS.ErrnoException).code ?? ''] ?? messageOf(cause);
  return new Fault(
    'data_dir_unusable',
    { path: dir, reason },
    { cause, message: `The data folder ${dir} cannot be used: ${reason}.` },
  );
}
