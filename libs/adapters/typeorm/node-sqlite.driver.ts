import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';

interface OpenOptions {
  readonly readonly?: boolean;
  /** How long a statement waits for another process, ms. */
  readonly timeout?: number;
}

/**
 * As much of better-sqlite3 as TypeORM's driver of that name asks for, over the SQLite that is in Node: no native package to install.
 * Given to it as `driver`.
 */
export class NodeSqliteDatabase {
  private readonly db: DatabaseSync;

  constructor(path: string, { readonly = false, timeout = 5_000 }: OpenOptions = {}) {
    this.db = new DatabaseSync(path, { readOnly: readonly, timeout });
  }

  prepare(sql: string): NodeSqliteStatement {
    return new NodeSqliteStatement(this.db.prepare(sql));
  }

  /** @param text without the word: `journal_mode = WAL` */
  pragma(text: string): unknown[] {
    return this.db.prepare(`PRAGMA ${text}`).all();
  }

  close(): void {
    this.db.close();
  }
}

class NodeSqliteStatement {
  /** Whether it gives rows: `all` is for those, `run` for the others. */
  readonly reader: boolean;

  constructor(private readonly statement: StatementSync) {
    this.reader = statement.columns().length > 0;
  }

  all(...parameters: SQLInputValue[]): unknown[] {
    return this.statement.all(...parameters);
  }

  run(...parameters: SQLInputValue[]): {
    readonly changes: number | bigint;
    readonly lastInsertRowid: number | bigint;
  } {
    return this.statement.run(...parameters);
  }
}
