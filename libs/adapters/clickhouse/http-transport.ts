import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { ClickHouseError, ClickHouseLogLevel, createClient, type ClickHouseClient } from '@clickhouse/client';
import { Fault } from '#core/faults.js';
import { insertFault, queryFault } from './clickhouse.errors.js';
import type { ClickHouseTransport, SqlParams, SqlRow } from './clickhouse.transport.js';
import { jsonLines } from './json.lines.js';

export interface HttpTransportOptions {
  /**
   * `http://` or `https://`, with user, password and the database as its path: `https://millrace:secret@clickhouse:8443/history`. The database
   * is made when it is not there; without one it is `default`.
   */
  readonly url: string;
  /** A request that is not answered by then is given up, ms. Default 60 s. */
  readonly requestMsMax?: number;
  /** Requests under way at one time. Default 10. */
  readonly connectionsMax?: number;
}

const DEFAULT_DATABASE = 'default';
const UNKNOWN_DATABASE = 81;
/** What these statements give are rows. */
const QUERY = /^\s*(SELECT|WITH)\b/i;
/** The connection was closed on the other side while it was not used: nothing is wrong with the next one. */
const CONNECTION_LOST: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE']);

/** A ClickHouse server over its HTTP interface. Connects with the first call. */
export class HttpTransport implements ClickHouseTransport {
  private readonly client: ClickHouseClient;
  private readonly underWay = new Set<Promise<unknown>>();
  private closed = false;

  private readonly database: string;

  constructor(private readonly options: HttpTransportOptions) {
    this.database = decodeURIComponent(new URL(options.url).pathname.slice(1)) || DEFAULT_DATABASE;
    this.client = this.clientFor(this.database);
  }

  run(sql: string, params: SqlParams = {}): Promise<readonly SqlRow[]> {
    return this.work(() => this.again(() => this.send(sql, params)), queryFault);
  }

  insert(table: string, rows: readonly SqlRow[]): Promise<void> {
    return this.work(async () => {
      const values = Readable.from(jsonLines(rows), { objectMode: false });
      const { stream } = await this.client.exec({ query: `INSERT INTO ${quoted(table)} FORMAT JSONEachRow`, values });
      await buffer(stream);
    }, insertFault);
  }

  async close(): Promise<void> {
    this.closed = true;
    await Promise.allSettled(this.underWay);
    await this.client.close();
  }

  private async work<T>(does: () => Promise<T>, faultOf: typeof queryFault): Promise<T> {
    if (this.closed) throw new Fault('history_unavailable', {}, { message: 'History is closed.' });
    const work = does();
    this.underWay.add(work);
    try {
      return await work;
    } catch (error) {
      if (error instanceof Fault) throw error;
      throw faultOf(codeOf(error), error as Error);
    } finally {
      this.underWay.delete(work);
    }
  }

  /** Every statement of ours may be run twice. */
  private async again<T>(does: () => Promise<T>): Promise<T> {
    try {
      return await does();
    } catch (error) {
      if (codeOf(error) === UNKNOWN_DATABASE) await this.makeDatabase();
      else if (!CONNECTION_LOST.has(String((error as NodeJS.ErrnoException).code))) throw error;
      return does();
    }
  }

  private async send(sql: string, query_params: SqlParams): Promise<readonly SqlRow[]> {
    if (QUERY.test(sql)) {
      const result = await this.client.query({ query: sql, query_params, format: 'JSONEachRow' });
      return result.json<SqlRow>();
    }
    await this.client.command({ query: sql, query_params });
    return [];
  }

  /** Only when it is missing: whoever has one made for them may not be allowed to make any. */
  private async makeDatabase(): Promise<void> {
    const client = this.clientFor(DEFAULT_DATABASE);
    try {
      await client.command({ query: `CREATE DATABASE IF NOT EXISTS ${quoted(this.database)}` });
    } finally {
      await client.close();
    }
  }

  private clientFor(database: string): ClickHouseClient {
    const url = new URL(this.options.url);
    url.pathname = '';
    const { requestMsMax = 60_000, connectionsMax = 10 } = this.options;
    return createClient({
      url,
      database,
      application: 'millrace',
      request_timeout: requestMsMax,
      max_open_connections: connectionsMax,
      // Thousands of run ids do not fit into an address.
      use_multipart_params_auto: true,
      log: { level: ClickHouseLogLevel.OFF },
      clickhouse_settings: {
        // Rows are there when an insert is acknowledged: positions are written behind them.
        async_insert: 0,
        // So that an error is the answer, and not the end of one.
        wait_end_of_query: 1,
        output_format_json_quote_64bit_integers: 0,
        max_execution_time: Math.ceil(requestMsMax / 1_000),
      },
    });
  }
}

/** The engine's number of an error; undefined where it did not come from the engine. */
function codeOf(error: unknown): number | undefined {
  return error instanceof ClickHouseError ? Number(error.code) : undefined;
}

function quoted(name: string): string {
  return `\`${name.replace(/[\\`]/g, '\\$&')}\``;
}
