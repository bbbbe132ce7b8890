import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Api } from './api.client.js';
import { Child } from './child.process.js';
import { harness, root } from './root.path.js';

/** By name, as on the command line; a list gives a flag several times, or not at all. */
export type Flags = Readonly<Record<string, string | number | true | readonly string[]>>;

export interface ServerOptions {
  readonly mode?: 'dev' | 'start';
  readonly flags?: Flags;
  /** Its clock can be moved ahead. Else it is the command that people run. */
  readonly clocked?: boolean;
  readonly env?: Readonly<Record<string, string>>;
  readonly eventKey?: string;
  readonly bearer?: string;
}

/** Quiet and quick: no looking for apps, retries soon. */
const DEFAULTS: Flags = { 'no-discovery': true, 'no-poll': true, 'retry-interval': 0.1 };

/** A server in its own process and folder, on a port that stays the same when it is started again. */
export class Server {
  private child!: Child;
  private port = 0;
  private earlier = '';
  private aheadMs = 0;
  url = '';

  private constructor(
    private readonly options: ServerOptions,
    readonly folder: string,
  ) {}

  static async start(options: ServerOptions = {}): Promise<Server> {
    const server = new Server(options, await mkdtemp(join(tmpdir(), 'millrace-e2e-')));
    try {
      await server.start();
      return server;
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
  }

  get dataDir(): string {
    return join(this.folder, 'data');
  }

  get api(): Api {
    const { eventKey, bearer } = this.options;
    return new Api(this.url, {
      ...(eventKey === undefined ? {} : { eventKey }),
      ...(bearer === undefined ? {} : { bearer }),
    });
  }

  /** All that it printed, also before it was started again. */
  get output(): string {
    return `${this.earlier}${this.child.output}`;
  }

  get alive(): boolean {
    return this.child.alive;
  }

  get pid(): number {
    return this.child.pid;
  }

  /** Starts it, or starts it again on the same folder and port. @param flags in place of those it had */
  async start(flags: Flags = {}): Promise<void> {
    const { mode = 'dev', clocked = false, env = {} } = this.options;
    const all: Flags = {
      ...(mode === 'dev' ? DEFAULTS : { 'no-poll': true, 'retry-interval': 0.1 }),
      host: '127.0.0.1',
      'data-dir': this.dataDir,
      ...this.options.flags,
      ...flags,
      port: this.port,
    };
    this.child = clocked
      ? Child.run({
          name: 'server',
          script: join(harness, 'clocked-server.mjs'),
          args: [root, mode, JSON.stringify(all), String(this.aheadMs)],
          cwd: this.folder,
          ipc: true,
        })
      : Child.run({
          name: 'server',
          script: join(root, 'bin/millrace.js'),
          args: [mode, '--json', ...argsOf(all)],
          env,
          cwd: this.folder,
        });
    const { url } = await this.child.said<{ url: string }>('listening');
    this.url = url;
    this.port = Number(new URL(url).port);
  }

  /** Ends it as an operator would. */
  async stop(): Promise<number | null> {
    const code = await this.child.stop();
    this.keepOutput();
    return code;
  }

  /** Ends it as a power cut would. */
  async kill(): Promise<void> {
    await this.child.kill();
    this.keepOutput();
  }

  /** Moves the clock ahead, for good; to be done while no call is under way. @returns the time that it is now */
  async shift(ms: number): Promise<number> {
    const { now } = await this.child.ask<{ now: number }>({ shift: ms });
    this.aheadMs += ms;
    return now;
  }

  /** Ends it and removes what it kept. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.alive) await this.stop();
    await rm(this.folder, { recursive: true, force: true, maxRetries: 3 });
  }

  private keepOutput(): void {
    this.earlier += `${this.child.output}\n`;
  }
}

function argsOf(flags: Flags): string[] {
  return Object.entries(flags).flatMap(([name, value]) => {
    if (value === true) return [`--${name}`];
    const values: readonly unknown[] = Array.isArray(value) ? value : [value];
    return values.flatMap((each) => [`--${name}`, String(each)]);
  });
}
