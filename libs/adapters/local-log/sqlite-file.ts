import { DatabaseSync } from 'node:sqlite';
import { Fault } from '#core/faults.js';

/** What a kind of file is and how it came to be. */
export interface FileSchema {
  /** Marks the file as ours and of this kind (`PRAGMA application_id`). */
  readonly applicationId: number;
  /**
   * SQL by version: the script at index n makes version n of a file into version n + 1 (`PRAGMA user_version`). Never edited once
   * released: a change is a script more.
   */
  readonly migrations: readonly string[];
  /** Pages kept in memory, KiB. */
  readonly cacheKiB: number;
}

const SQLITE_BUSY = 5;
/** What is left of a write-ahead log that had to grow larger, once it begins anew. */
const WAL_BYTES_MAX = 16 * 1024 * 1024;
/** How long a statement waits for a foreign process that has the file open, ms: within this process nobody contends. */
const BUSY_MS = 1_000;

/**
 * Opens a database in write-ahead mode and brings it to the newest version. A commit is in the file system's hands when it returns, and
 * on the disk with the next checkpoint: whoever must know it there earlier syncs the write-ahead log.
 * @throws data_dir_newer when a newer version of Millrace wrote the file
 * @throws data_dir_unusable when it cannot be opened, or is no file of this kind
 */
export function openSqliteFile(path: string, schema: FileSchema): DatabaseSync {
  let db: DatabaseSync | undefined;
  try {
    db = new DatabaseSync(path, { timeout: BUSY_MS });
    // The two `fullfsync` matter on macOS only, where an ordinary fsync does not reach the disk.
    db.exec(
      `PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = -${schema.cacheKiB};
       PRAGMA journal_size_limit = ${WAL_BYTES_MAX};
       PRAGMA fullfsync = 1; PRAGMA checkpoint_fullfsync = 1;`,
    );
    migrate(db, path, schema);
    return db;
  } catch (cause) {
    db?.close();
    if (cause instanceof Fault) throw cause;
    const message = `The file ${path} cannot be used: ${messageOf(cause)}.`;
    throw new Fault('data_dir_unusable', { path }, { cause, message });
  }
}

function migrate(db: DatabaseSync, path: string, schema: FileSchema): void {
  const version = pragma(db, 'user_version');
  const newest = schema.migrations.length;
  const kind = pragma(db, 'application_id');
  if (kind !== schema.applicationId && (version !== 0 || kind !== 0 || !isEmpty(db))) {
    throw new Error('it is not a file of this kind');
  }
  if (version > newest) {
    const message = `The file ${path} is of version ${version}; this Millrace reads up to version ${newest}. Use a newer Millrace.`;
    throw new Fault('data_dir_newer', { path, version, newest }, { message });
  }
  if (version === newest) return;
  transaction(db, () => {
    for (const script of schema.migrations.slice(version)) db.exec(script);
    db.exec(`PRAGMA application_id = ${schema.applicationId}; PRAGMA user_version = ${newest};`);
  });
}

function pragma(db: DatabaseSync, name: 'user_version' | 'application_id'): number {
  return Number(db.prepare(`PRAGMA ${name}`).get()?.[name] ?? 0);
}

function isEmpty(db: DatabaseSync): boolean {
  return db.prepare('SELECT 1 FROM sqlite_schema LIMIT 1').get() === undefined;
}

/** Runs `work` as one transaction: all of it or, when it throws, nothing. */
export function transaction<T>(db: DatabaseSync, work: () => T): T {
  db.exec('BEGIN IMMEDIATE');
  try {
    const result = work();
    db.exec('COMMIT');
    return result;
  } catch (error) {
    // SQLite has rolled back by itself where the disk was full.
    if (db.isTransaction) db.exec('ROLLBACK');
    throw error;
  }
}

export function isBusy(error: unknown): boolean {
  return (error as { errcode?: unknown }).errcode === SQLITE_BUSY;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
