import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ServiceUrls } from '#testkit/services/all.services.js';
import { Api } from './api.client.js';
import { Child } from './child.process.js';
import { ClusterNames, sharedServices, type Kept } from './cluster.names.js';
import { Member } from './member.process.js';
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
  /** It is a cluster on these. Default: on those of the test run, where that has any. */
  readonly services?: ServiceUrls;
  /** Of a cluster: which processes it is made of, and flags that only one of them has. */
  readonly processes?: readonly ClusterProcess[];
}

interface ClusterProcess {
  readonly roles: string;
  readonly flags?: Flags;
}

/** Quiet and quick: no looking for apps, retries soon. */
const DEFAULTS: Flags = { 'no-discovery': true, 'no-poll': true, 'retry-interval': 0.1 };

/** The processes of a cluster, by their roles; the first is the one that is spoken to. */
const CLUSTER: readonly ClusterProcess[] = [
  'event-api,api',
  'runner',
  'runner',
  'executor',
  'executor',
  'projector',
].map((roles) => ({ roles }));

/**
 * A server in its own process and folder, on a port that stays the same when it is started again. Where tests are to run against services
 * it is a cluster of processes instead.
 */
export class Server {
  private members: readonly Member[] = [];
  /** Those of the last start. */
  private flags: Flags = {};
  private aheadMs = 0;

  private constructor(
    private readonly options: ServerOptions,
    readonly folder: string,
    private readonly names: ClusterNames | undefined,
  ) {
    const { processes = CLUSTER } = options;
    this.members = names ? processes.map((process) => this.member(process)) : [this.member()];
  }

  static async start(options: ServerOptions = {}): Promise<Server> {
    const services = options.services ?? sharedServices();
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

  /** Of the process that is spoken to. */
  get url(): string {
    return this.members[0]?.url ?? '';
  }

  /** Of all its processes. */
  get urls(): readonly string[] {
    return this.members.map(({ url }) => url);
  }

  /** All that it printed, also before it was started again. */
  get output(): string {
    return this.members.map(({ output }) => output).join('\n');
  }

  /** What stands before the names of its topics. */
  get topicPrefix(): string {
    return this.names?.prefix ?? '';
  }

  get alive(): boolean {
    return this.members.some(({ alive }) => alive);
  }

  /** Of the process that is spoken to. */
  get pid(): number {
    return this.members[0]?.pid ?? -1;
  }

  /** Its processes of a cluster, or those of some roles: as in `runner`, or `event-api,api`. */
  of(roles?: string): readonly Member[] {
    return this.members.filter((member) => roles === undefined || member.roles === roles);
  }

  /** Starts one more process of a cluster. */
  async add(roles: string): Promise<Member> {
    const member = this.member({ roles });
    this.members = [...this.members, member];
    await member.start();
    return member;
  }

  /** Has a process end as it should, unless it has ended, and forgets it. */
  async remove(member: Member): Promise<void> {
    await member.stop();
    this.members = this.members.filter((one) => one !== member);
  }

  /** What tells a command that looks at data itself where those of this server are. */
  get stores(): { readonly args: readonly string[]; readonly env: Readonly<Record<string, string>> } {
    return { args: argsOf(this.names?.flags ?? { 'data-dir': this.dataDir }), env: this.names?.env ?? {} };
  }

  /** What it shares with others of its kind; undefined where it is no cluster. */
  get cluster(): ClusterNames | undefined {
    return this.names;
  }

  /** Starts it, or starts it again on the same folder and port. @param flags in place of those it had */
  async start(flags: Flags = {}): Promise<void> {
    this.flags = flags;
    await Promise.all(this.members.map((member) => member.start()));
  }

  private member(process?: ClusterProcess): Member {
    const { mode = 'dev' } = this.options;
    return new Member(process?.roles ?? 'all', (port) => {
      const all: Flags = {
        ...(mode === 'dev' ? DEFAULTS : { 'no-poll': true, 'retry-interval': 0.1 }),
        host: '127.0.0.1',
        'data-dir': this.dataDir,
        ...this.names?.flags,
        ...this.options.flags,
        ...this.flags,
        ...(process && { ...process.flags, roles: process.roles }),
        port,
      };
      return this.run(all, process?.roles ?? 'server');
    });
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
    const codes = await Promise.all(this.members.map((member) => member.stop()));
    return codes.find((code) => code !== 0) ?? 0;
  }

  /** Ends it as a power cut would. */
  async kill(): Promise<void> {
    await Promise.all(this.members.map((member) => member.kill()));
  }

  /** Moves the clock ahead, for good; to be done while no call is under way. @returns the time that it is now */
  async shift(ms: number): Promise<number> {
    const told = await Promise.all(this.members.map((member) => member.ask<{ now: number }>({ shift: ms })));
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
}

/** As on the command line. */
export function argsOf(flags: Flags): string[] {
  return Object.entries(flags).flatMap(([name, value]) => {
    if (value === true) return [`--${name}`];
    const values: readonly unknown[] = Array.isArray(value) ? value : [value];
    return values.flatMap((each) => [`--${name}`, String(each)]);
  });
}
