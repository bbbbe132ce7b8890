/** A value of a bound parameter; the placeholder in the statement names its type: `{limit:UInt32}`. */
type SqlValue = string | number | readonly string[];
export type SqlParams = Readonly<Record<string, SqlValue>>;
/** A row by column name, as JSONEachRow carries it. Whole numbers may come as text: read them with `Number`. */
export type SqlRow = Readonly<Record<string, unknown>>;

/** A statement and what is bound in it. */
export interface SqlQuery {
  readonly sql: string;
  readonly params: SqlParams;
}

/**
 * A way to one ClickHouse database: the engine in a process of ours, or a server. All statements of History go through it.
 * Both methods throw history_unavailable when the engine is missing, away, or out of a resource (the call may be made again),
 * and internal when the statement itself is wrong.
 */
export interface ClickHouseTransport {
  /** Runs one statement. @returns its rows; none for a statement that has no result */
  run(sql: string, params?: SqlParams): Promise<readonly SqlRow[]>;
  /**
   * Adds rows. After an error some of them may be in.
   * @throws record_unreadable when the engine does not take a value of a row: the same rows will never go in
   */
  insert(table: string, rows: readonly SqlRow[]): Promise<void>;
  /** Resolves when the calls that were under way are answered and the engine is let go. */
  close(): Promise<void>;
}
