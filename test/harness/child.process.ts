import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { until } from './until.js';

export interface ChildOptions {
  readonly script: string;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly name: string;
  /** Opens a channel for messages. */
  readonly ipc?: boolean;
}

const LOG_LINES_MAX = 20_000;
const running = new Set<ChildProcess>();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));

/** A Node program that a test runs beside itself: its lines are kept, and it goes with the test. */
export class Child {
  private readonly lines: string[] = [];
  private readonly closed: Promise<unknown>;

  private constructor(
    private readonly process: ChildProcess,
    private readonly name: string,
  ) {
    running.add(process);
    this.closed = once(process, 'close').then(() => running.delete(process));
    for (const stream of [process.stdout, process.stderr]) {
      if (stream) createInterface({ input: stream }).on('line', (line) => this.keep(line));
    }
  }

  static run({ script, args = [], env = {}, cwd, name, ipc = false }: ChildOptions): Child {
    const child = spawn(process.execPath, [script, ...args], {
      cwd,
      env: { ...inherited(), ...env },
      stdio: ['ignore', 'pipe', 'pipe', ...(ipc ? ['ipc' as const] : [])],
    });
    return new Child(child, name);
  }

  get pid(): number {
    return this.process.pid ?? -1;
  }

  get alive(): boolean {
    return this.process.exitCode === null && this.process.signalCode === null;
  }

  get exitCode(): number | null {
    return this.process.exitCode;
  }

  /** All that it has printed. */
  get output(): string {
    return this.lines.join('\n');
  }

  /** The first line that is a JSON object of this type. @throws when it ends without having said so */
  async said<T extends object>(type: string): Promise<T> {
    let read = 0;
    return until<T>(
      () => {
        for (; read < this.lines.length; read++) {
          const object = jsonIn(this.lines[read]);
          if (object?.['type'] === type) return object as T;
        }
        if (!this.alive)
          throw new Error(
            `${this.name} ended (${this.process.exitCode ?? this.process.signalCode}) before it was ${type}:\n${this.output}`,
          );
        return undefined;
      },
      // Several that start at once on a busy machine take their time.
      { what: `${this.name} to say "${type}"`, everyMs: 5, withinMs: 90_000 },
    );
  }

  /** Sends a message and waits for the next one that comes back. */
  async ask<T>(message: object): Promise<T> {
    const answer = once(this.process, 'message', { signal: AbortSignal.timeout(30_000) });
    this.process.send(message);
    const [told] = (await answer) as [T];
    return told;
  }

  /** Its exit code, once it has ended by itself. */
  get ended(): Promise<number | null> {
    return this.closed.then(() => this.process.exitCode);
  }

  /** Asks it to end, and waits until it has. @returns its exit code. @throws when it does not end */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    if (this.alive) this.process.kill(signal);
    const isGone = () => (this.alive ? undefined : true);
    await until(isGone, { what: () => `${this.name} to end; it says ${this.output.slice(-2_000)}`, withinMs: 90_000 });
    await this.closed;
    return this.process.exitCode;
  }

  async kill(): Promise<void> {
    await this.stop('SIGKILL');
  }

  signal(signal: NodeJS.Signals): void {
    if (this.alive) this.process.kill(signal);
  }

  private keep(line: string): void {
    this.lines.push(line);
    if (this.lines.length > LOG_LINES_MAX) this.lines.shift();
  }
}

function jsonIn(line: string | undefined): Record<string, unknown> | undefined {
  if (line === undefined || !line.startsWith('{')) return undefined;
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    return undefined; // A line that only looks like JSON.
  }
}

/** What a child has of our environment: nothing that would configure a server or an SDK. */
function inherited(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) =>
      !/^(MILLRACE|INNGEST|NODE_OPTIONS|PORT|VITEST|NODE_ENV|KAFKA|REDIS|DATABASE|CLICKHOUSE|SCHEMA_REGISTRY)/.test(
        name,
      ),
  );
  return Object.fromEntries(kept);
}
