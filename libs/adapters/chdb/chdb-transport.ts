import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Fault } from '#core/faults.js';
import type { Clock } from '#ports/clock.port.js';
import type { ClickHouseTransport, SqlParams, SqlRow } from '../clickhouse/clickhouse.transport.js';
import { insertFault, queryFault } from '../clickhouse/clickhouse.errors.js';
import { jsonLines } from '../clickhouse/json.lines.js';
import { EngineFailed, EngineLost, EngineProcess, EngineRefused } from './engine-process.js';
import type { EngineCall } from './engine-process.js';

export interface ChdbOptions {
  /** The engine's data folder; made when it is not there. */
  readonly path: string;
  readonly clock: Clock;
  /** The engine process is let go after this long without a call; the next call starts it again. Default 5 minutes. */
  readonly idleMs?: number;
  /** The package to load. Default `chdb`. */
  readonly module?: string;
  /** How long to wait for another process to let the folder go. Default 10 s. */
  readonly lockWaitMs?: number;
  /** Room that the disk must have for a table to be made. Default 16 MiB. */
  readonly roomBytesMin?: number;
}

/** A query may use this much, so that a question nobody can answer here ends as an error and not as a full machine. */
const QUERY_BYTES_MAX = 1024 ** 3;
const QUERY_SECONDS_MAX = 60;
/** An engine that has not answered by then never will. */
const CALL_MS_MAX = 5 * QUERY_SECONDS_MAX * 1_000;
/** The number of the engine's error ABORTED: it has given up, but its process has not ended. */
const ENGINE_ABORTED = 236;
const DEFINITION = /^\s*(CREATE|ALTER)\b/i;

const MISSING =
  'Run history is off: the optional package chdb, the embedded history engine, is not installed or has no build for this platform ' +
  `(${process.platform}-${process.arch}). Install it with "npm install chdb", or set CLICKHOUSE_URL to use a ClickHouse server. ` +
  'Events are taken and functions run without it; lists of events and runs, traces and queries are not available.';

const decoder = new TextDecoder();

/** ClickHouse in a process of its own, started by the first call, started again when it dies, let go when it has nothing to do. */
export class ChdbTransport implements ClickHouseTransport {
  private engine: Promise<EngineProcess> | undefined;
  /** The end of the process before: it holds the folder until then. */
  private previous: Promise<void> = Promise.resolve();
  private missing: Fault | undefined;
  private closed = false;
  private readonly underWay = new Set<Promise<unknown>>();
  private forgetRest: () => void = () => {};

  constructor(private readonly options: ChdbOptions) {}

  /** Process id of the engine while it is up. */
  async pid(): Promise<number | undefined> {
    return (await this.engine)?.pid;
  }

  run(sql: string, params: SqlParams = {}): Promise<readonly SqlRow[]> {
    return this.work(async () => rowsOf(await this.call({ kind: 'run', sql, params }, queryFault)));
  }

  insert(table: string, rows: readonly SqlRow[]): Promise<void> {
    return this.work(async () => {
      for await (const piece of jsonLines(rows)) await this.call({ kind: 'insert', table, rows: piece }, insertFault);
    });
  }

  async close(): Promise<void> {
    this.closed = true;
    await Promise.allSettled(this.underWay);
    await this.rest();
    await this.previous;
  }

  /** Keeps the engine while it is under way. */
  private async work<T>(does: () => Promise<T>): Promise<T> {
    if (this.closed) throw new Fault('history_unavailable', {}, { message: 'History is closed.' });
    this.forgetRest();
    const work = does();
    this.underWay.add(work);
    try {
      return await work;
    } finally {
      this.underWay.delete(work);
      if (this.underWay.size === 0) this.restLater();
    }
  }

  private async call(
    call: EngineCall,
    faultOf: (code: number | undefined, cause: Error) => Fault,
  ): Promise<Uint8Array> {
    try {
      return await this.callEngine(call, 1);
    } catch (error) {
      if (error instanceof EngineRefused) throw faultOf(error.code, error);
      if (error instanceof EngineLost) throw new Fault('history_unavailable', {}, { cause: error });
      throw error;
    }
  }

  /** Every statement of ours may be run twice, so a call whose engine died goes to the next one. */
  private async callEngine(call: EngineCall, retries: number): Promise<Uint8Array> {
    const starting = this.started();
    try {
      const engine = await starting;
      if (call.kind === 'run' && DEFINITION.test(call.sql)) await this.needRoom();
      return await this.callOnce(engine, call);
    } catch (error) {
      if (!(error instanceof EngineLost) || retries === 0) throw error;
      if (this.engine === starting) this.engine = undefined;
      return this.callEngine(call, retries - 1);
    }
  }

  /**
   * On a full disk the engine says that a table is made, and what it has written is an empty file: once its process has ended, no other can
   * open the folder. Rows it refuses by itself.
   */
  private async needRoom(): Promise<void> {
    const { path, roomBytesMin = 16 * 1024 ** 2 } = this.options;
    const { blocks, bavail, bsize } = await statfs(dirname(path));
    const roomBytes = bavail * bsize;
    if (blocks === 0 || roomBytes >= roomBytesMin) return; // Some file systems do not tell.
    const message = `History is not available: the disk of ${path} is full.`;
    throw new Fault('history_unavailable', { roomBytes, roomBytesMin }, { message });
  }

  private async callOnce(engine: EngineProcess, call: EngineCall): Promise<Uint8Array> {
    const { clock } = this.options;
    const forgetDeadline = clock.at(clock.now() + CALL_MS_MAX, () => engine.kill());
    try {
      return await engine.call(call);
    } catch (error) {
      if (error instanceof EngineRefused && error.code === ENGINE_ABORTED) {
        engine.kill();
        throw new EngineLost(error.message, { cause: error });
      }
      throw error;
    } finally {
      forgetDeadline();
    }
  }

  private started(): Promise<EngineProcess> {
    if (this.missing) return Promise.reject(this.missing);
    if (this.engine) return this.engine;

    const engine = this.start(this.previous);
    const forget = (): void => {
      if (this.engine === engine) this.engine = undefined;
    };
    this.previous = engine
      .then(
        (up) => up.ended,
        () => {},
      )
      .then(forget);
    this.engine = engine;
    return engine;
  }

  private async start(previous: Promise<void>): Promise<EngineProcess> {
    await previous;
    try {
      return await EngineProcess.start({
        path: this.options.path,
        module: this.options.module ?? 'chdb',
        lockWaitMs: this.options.lockWaitMs ?? 10_000,
        args: [
          `--max_memory_usage=${QUERY_BYTES_MAX}`,
          `--max_execution_time=${QUERY_SECONDS_MAX}`,
          '--output_format_json_quote_64bit_integers=0',
        ],
      });
    } catch (error) {
      throw this.startFault(error);
    }
  }

  private startFault(error: unknown): unknown {
    if (!(error instanceof EngineFailed)) return error;
    if (error.problem === 'missing') {
      this.missing = new Fault('history_unavailable', {}, { message: MISSING, cause: error });
      return this.missing;
    }
    const message =
      `The history in ${this.options.path} cannot be opened: another process may be using it, or it is damaged. ` +
      'While the server is stopped it may be removed; it is made anew from the log then.';
    return new Fault('history_unavailable', {}, { message, cause: error });
  }

  private restLater(): void {
    if (!this.engine || this.closed) return;
    const { clock, idleMs = 5 * 60_000 } = this.options;
    this.forgetRest = clock.at(clock.now() + idleMs, () => void this.rest());
  }

  private async rest(): Promise<void> {
    this.forgetRest();
    const engine = this.engine;
    if (!engine) return;
    this.engine = undefined;
    try {
      await (await engine).end();
    } catch {
      // It did not come up, which those who called it were told.
    }
  }
}

function rowsOf(result: Uint8Array): readonly SqlRow[] {
  const text = decoder.decode(result).trimEnd();
  return text === '' ? [] : text.split('\n').map((line) => JSON.parse(line) as SqlRow);
}
