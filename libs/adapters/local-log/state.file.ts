import type { DatabaseSync } from 'node:sqlite';
import { setImmediate as turn } from 'node:timers/promises';
import { Fault } from '#core/faults.js';
import type { EpochMs, Position } from '#core/words.js';
import type { DataDir } from './data-dir.js';
import { type FileSchema, messageOf, openSqliteFile, transaction } from './sqlite-file.js';
import { WalKeeper } from './wal.keeper.js';

const FILE = 'state.db';
/** Rows that one transaction of `prune` deletes. */
const PRUNE_SLICE = 5_000;

const VERSION_1 = `
  CREATE TABLE spaces (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
  ) STRICT;
  -- What has not ended. Of a table with rowids, since states are larger than what an index page holds well.
  CREATE TABLE aggregates (
    row INTEGER PRIMARY KEY,
    space INTEGER NOT NULL,
    id TEXT NOT NULL,
    state TEXT NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX aggregates_id ON aggregates (space, id);
  CREATE TABLE tombstones (
    space INTEGER NOT NULL,
    id TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (space, id)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX tombstones_at ON tombstones (at);
  -- By store and reader, the first offset that is not reflected.
  CREATE TABLE readers (
    store TEXT NOT NULL,
    reader TEXT NOT NULL,
    partition INTEGER NOT NULL,
    next INTEGER NOT NULL,
    PRIMARY KEY (store, reader, partition)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE scopes (
    id INTEGER PRIMARY KEY,
    env TEXT NOT NULL,
    function_id TEXT NOT NULL,
    UNIQUE (env, function_id)
  ) STRICT;
  CREATE TABLE seen (
    scope INTEGER NOT NULL,
    event_id TEXT NOT NULL,
    -- Null where it is the event id.
    internal_id TEXT,
    partition INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (scope, event_id)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX seen_at ON seen (at);
`;

export const STATE_SCHEMA: FileSchema = {
  applicationId: 0x4d_52_53_54, // MRST
  migrations: [VERSION_1],
  cacheKiB: 32_768,
};

/**
 * The file of what is folded from the log. Commits are not waited for: after a power cut the newest may be missing, always whole ones
 * and never one before another, so that the file is as good as an older one. It may be deleted at any time while it is closed.
 */
export class StateFile {
  private readonly keeper: WalKeeper;
  private users = 0;

  private constructor(
    readonly db: DatabaseSync,
    path: string,
    dir: DataDir,
  ) {
    this.keeper = new WalKeeper(db, path, dir.checkpointer);
  }

  /** @throws data_dir_newer, data_dir_unusable */
  static open(dir: DataDir): StateFile {
    const path = dir.file(FILE);
    return new StateFile(openSqliteFile(path, STATE_SCHEMA), path, dir);
  }

  /** Counts a store in. @returns counts it out again; the last one out closes the file. */
  join(): () => Promise<void> {
    this.users++;
    let left: Promise<void> | undefined;
    return () => (left ??= this.leave());
  }

  private async leave(): Promise<void> {
    if (--this.users > 0) return;
    await this.keeper.close();
    this.db.close();
  }

  /**
   * Runs `work` as one transaction, in the order of calls, and `kept` at once when it is in.
   * @throws Fault of `work`; state_unavailable where the file cannot be written. Nothing is written then.
   */
  async write<T>(work: () => T, kept: (result: T) => void = () => undefined): Promise<T> {
    await this.keeper.held;
    try {
      const result = this.try(() => transaction(this.db, work));
      kept(result);
      this.keeper.committed();
      return result;
    } catch (error) {
      if (error instanceof Fault && error.code === 'state_unavailable' && this.db.isOpen) this.keeper.failed();
      throw error;
    }
  }

  /** @throws state_unavailable where the file cannot be read */
  read<T>(work: () => T): Promise<T> {
    return new Promise((resolve) => resolve(this.try(work)));
  }

  /**
   * Deletes the rows of a table that were written before `before`, in slices, so that a long one stops nobody.
   * @param key the columns of its primary key
   * @returns how many
   */
  async prune(table: string, key: string, before: EpochMs): Promise<number> {
    const slice = `SELECT ${key} FROM ${table} WHERE at < ? LIMIT ${PRUNE_SLICE}`;
    const remove = this.db.prepare(`DELETE FROM ${table} WHERE (${key}) IN (${slice})`);
    for (let count = 0; ; await turn()) {
      const changes = await this.write(() => Number(remove.run(before).changes));
      count += changes;
      if (changes < PRUNE_SLICE) return count;
    }
  }

  private try<T>(work: () => T): T {
    try {
      return work();
    } catch (cause) {
      if (cause instanceof Fault) throw cause;
      throw new Fault('state_unavailable', { reason: messageOf(cause) }, { cause });
    }
  }
}

/** Where the readers of a store stand. */
export class ReaderPositions {
  private readonly find;
  private readonly put;

  constructor(
    db: DatabaseSync,
    private readonly store: string,
  ) {
    this.find = db.prepare('SELECT next FROM readers WHERE store = ? AND reader = ? AND partition = ?');
    this.put = db.prepare(
      `INSERT INTO readers (store, reader, partition, next) VALUES (?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET next = excluded.next`,
    );
  }

  get(reader: string, partition: number): Position | undefined {
    const row = this.find.get(this.store, reader, partition);
    return row && { partition, offset: Number(row['next']) };
  }

  /** To be called within the transaction of what the position reflects. @throws position_stale when a later one is there */
  advance(reader: string, next: Position): void {
    const kept = this.find.get(this.store, reader, next.partition)?.['next'];
    if (typeof kept === 'number' && kept > next.offset) throw new Fault('position_stale', { reader, next, kept });
    this.put.run(this.store, reader, next.partition, next.offset);
  }
}
