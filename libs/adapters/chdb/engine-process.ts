import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { EngineReply, EngineRequest, EngineSettings, StartProblem } from './engine.messages.js';

/** The engine process ended, by itself or by a kill, before it answered. Whether the call took effect is unknown. */
export class EngineLost extends Error {
  override readonly name = 'EngineLost';
}

/** The engine process came up but cannot serve. */
export class EngineFailed extends Error {
  override readonly name = 'EngineFailed';
  constructor(
    readonly problem: StartProblem,
    message: string,
  ) {
    super(message);
  }
}

/** The engine looked at the statement and said no. */
export class EngineRefused extends Error {
  override readonly name = 'EngineRefused';
  constructor(
    readonly code: number | undefined,
    message: string,
  ) {
    super(message);
  }
}

export type EngineCall =
  | { readonly kind: 'run'; readonly sql: string; readonly params: Readonly<Record<string, unknown>> }
  | { readonly kind: 'insert'; readonly table: string; readonly rows: Uint8Array };

interface Caller {
  readonly resolve: (rows: Uint8Array) => void;
  readonly reject: (error: Error) => void;
}

const STDERR_CHARS_MAX = 2_000;

/** The program beside this file: compiled, or its source where this one runs from source. */
function programPath(): string {
  return fileURLToPath(
    new URL(import.meta.url.endsWith('.ts') ? './engine.main.ts' : './engine.main.js', import.meta.url),
  );
}

/** The engine can read files, so its own environment holds no keys of ours. */
function environment(): NodeJS.ProcessEnv {
  const passed = ['PATH', 'HOME', 'LANG', 'TMPDIR', 'TEMP', 'LD_LIBRARY_PATH', 'DYLD_LIBRARY_PATH', 'NODE_PATH'];
  return Object.fromEntries(passed.map((name) => [name, process.env[name]]));
}

/** One engine process, from its start to its end. */
export class EngineProcess {
  private readonly callers = new Map<number, Caller>();
  private lastId = 0;
  private stderr = '';
  /** Resolves when the process has ended, however it came. */
  readonly ended: Promise<void>;

  private constructor(
    private readonly child: ChildProcess,
    ready: () => void,
    failed: (error: Error) => void,
  ) {
    child.on('message', (reply: EngineReply) => {
      switch (reply.kind) {
        case 'ready':
          return ready();
        case 'failed':
          failed(new EngineFailed(reply.problem, [reply.message, this.stderr.trim()].filter(Boolean).join('\n')));
          this.kill();
          return;
        case 'done':
          return this.caller(reply.id)?.resolve(reply.rows);
        case 'refused':
          return this.caller(reply.id)?.reject(new EngineRefused(reply.code, reply.message));
      }
    });
    child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
      this.stderr = (this.stderr + chunk).slice(-STDERR_CHARS_MAX);
    });
    this.ended = new Promise((resolve) => {
      const end = (how: string, cause?: unknown): void => {
        const error = new EngineLost(`the history engine ${how}${this.stderr ? `: ${this.stderr.trim()}` : ''}`, {
          cause,
        });
        failed(error);
        for (const { reject } of this.callers.values()) reject(error);
        this.callers.clear();
        resolve();
      };
      child.on('exit', (code, signal) => end(`ended (${signal ?? code})`));
      child.on('error', (error) => {
        // Also told when a message could not be sent; only a process that never came up ends by this.
        if (child.pid === undefined) end('could not be started', error);
      });
    });
  }

  /** @throws EngineFailed, EngineLost; the process has ended by then */
  static async start(settings: EngineSettings): Promise<EngineProcess> {
    const child = fork(programPath(), [], {
      serialization: 'advanced',
      execArgv: [],
      env: environment(),
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    const outcome = Promise.withResolvers<void>();
    const engine = new EngineProcess(child, outcome.resolve, outcome.reject);
    engine.send({ kind: 'open', settings });
    try {
      await outcome.promise;
    } catch (error) {
      await engine.ended;
      throw error;
    }
    return engine;
  }

  get pid(): number | undefined {
    return this.child.pid;
  }

  /** @returns the rows of the result, a JSON text a line. @throws EngineRefused, EngineLost */
  async call(call: EngineCall): Promise<Uint8Array> {
    if (!this.child.connected) {
      await this.ended;
      throw new EngineLost('the history engine is gone');
    }
    const id = ++this.lastId;
    return new Promise((resolve, reject) => {
      this.callers.set(id, { resolve, reject });
      this.send({ ...call, id });
    });
  }

  /** Lets it answer what it was asked and end. */
  async end(): Promise<void> {
    this.send({ kind: 'end' });
    await this.ended;
  }

  /** Ends it at once. What it has acknowledged is kept; who waits for an answer gets EngineLost. */
  kill(): void {
    this.child.kill('SIGKILL');
  }

  private send(request: EngineRequest): void {
    // A message that cannot be delivered needs no handling of its own: the channel breaks with the process, and `exit` follows.
    if (this.child.connected) this.child.send(request, () => {});
  }

  private caller(id: number): Caller | undefined {
    const caller = this.callers.get(id);
    this.callers.delete(id);
    return caller;
  }
}
