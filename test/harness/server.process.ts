import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Api } from './api.client.js';
import { Child } from './child.process.js';
import { ClusterNames, sharedServices, type Kept } from './cluster.names.js';
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

/** The processes of a cluster, by their roles; the first is the one that is spoken to. */
const CLUSTER = ['event-api,api', 'runner', 'runner', 'executor', 'executor', 'projector'] as const;

/**
 * A server in its own process and folder, on a port that stays the same when it is started again. Where tests are to run against services
 * it is a cluster of processes instead.
 */
export class Server {
  private children: Child[] = [];
  private port = 0;
  private earlier = '';
  private aheadMs = 0;
  url = '';
  /** Of all its processes. */
  urls: readonly string[] = [];

  private constructor(
    private readonly options: ServerOptions,
    readonly folder: string,
    private readonly names: ClusterNames | undefined,
  ) {}

  static async start(options: ServerOptions = {}): Promise<Server> {
    const services = sharedServices();
    const names = services && (await ClusterNames.make(services));
    const server = new Server(options, await mkdtemp(join(tmpdir(), 'millrace-e2e-')), names);
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
    return `${this.earlier}${this.children.map(({ output }) => output).join('\n')}`;
  }

  get alive(): boolean {
    return this.children.some(({ alive }) => alive);
  }

  /** Of the process that is spoken to. */
  get pid(): number {
    return this.children[0]?.pid ?? -1;
  }

  /** Starts it, or starts it again on the same folder and port. @param flags in place of those it had */
  async start(flags: Flags = {}): Promise<void> {
    const { mode = 'dev' } = this.options;
    const all: Flags = {
      ...(mode === 'dev' ? DEFAULTS : { 'no-poll': true, 'retry-interval': 0.1 }),
      host: '127.0.0.1',
      'data-dir': this.dataDir,
      ...this.names?.flags,
      ...this.options.flags,
      ...flags,
    };
    this.children = this.names
      ? CLUSTER.map((roles, at) => this.run({ ...all, roles, port: at === 0 ? this.port : 0 }, roles))
      : [this.run({ ...all, port: this.port }, 'server')];
    const told = await Promise.all(this.children.map((child) => child.said<{ url: string }>('listening')));
    this.urls = told.map(({ url }) => url);
    this.url = this.urls[0] ?? '';
    this.port = Number(new URL(this.url).port);
  }

  private run(flags: Flags, name: string): Child {
    const { mode = 'dev', clocked = false, env } = this.options;
    return clocked
      ? Child.run({
          name,
          script: join(harness, 'clocked-server.mjs'),
          args: [root, mode, JSON.stringify(flags), String(this.aheadMs)],
          env: { ...this.names?.env },
          cwd: this.folder,
          ipc: true,
        })
      : Child.run({
          name,
          script: join(root, 'bin/millrace.js'),
          args: [mode, '--json', ...argsOf(flags)],
          env: { ...this.names?.env, ...env },
          cwd: this.folder,
        });
  }

  /** Ends it as an operator would. @returns 0, or the exit code of one that did not end well */
  async stop(): Promise<number | null> {
    const codes = await Promise.all(this.children.map((child) => child.stop()));
    this.keepOutput();
    return codes.find((code) => code !== 0) ?? 0;
  }

  /** Ends it as a power cut would. */
  async kill(): Promise<void> {
    await Promise.all(this.children.map((child) => child.kill()));
    this.keepOutput();
  }

  /** Moves the clock ahead, for good; to be done while no call is under way. @returns the time that it is now */
  async shift(ms: number): Promise<number> {
    const told = await Promise.all(this.children.map((child) => child.ask<{ now: number }>({ shift: ms })));
    this.aheadMs += ms;
    return told[0]?.now ?? 0;
  }

  /** Everything that it keeps, wherever that is; to be asked when it has stopped. */
  async kept(): Promise<readonly Kept[]> {
    if (this.names) return this.names.kept();
    const entries = await readdir(this.dataDir, { recursive: true, withFileTypes: true });
    const files = entries.filter((entry) => entry.isFile());
    return Promise.all(
      files.map(async ({ name, parentPath }) => ({ name, bytes: await readFile(join(parentPath, name)) })),
    );
  }

  /** Ends it and removes what it kept. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.alive) await this.stop();
    await this.names?.remove();
    await rm(this.folder, { recursive: true, force: true, maxRetries: 3 });
  }

  private keepOutput(): void {
    this.earlier = `${this.output}\n`;
    this.children = [];
  }
}

function argsOf(flags: Flags): string[] {
  return Object.entries(flags).flatMap(([name, value]) => {
    if (value === true) return [`--${name}`];
    const values: readonly unknown[] = Array.isArray(value) ? value : [value];
    return values.flatMap((each) => [`--${name}`, String(each)]);
  });
}
