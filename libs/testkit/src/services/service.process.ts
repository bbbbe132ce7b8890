import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { chown, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { beginningOf, childrenOf, guarded, signal, type SystemUser } from './system.process.js';

/** What every engine can be started with. */
export interface ServiceOptions {
  /** Outlives the process that starts it. Without it the service goes with that process, however that ends. */
  readonly background?: boolean;
}

/** How a server is run. */
export interface ServiceProgram {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Where its data and its log are; removed when the service is disposed of. */
  readonly folder: string;
  /** Runs as this user. Default: as we do. */
  readonly user?: SystemUser | undefined;
  /** What it ends well on, saving what it has to save. Default SIGTERM. */
  readonly stopSignal?: NodeJS.Signals;
  /** Has processes of its own, to be suspended with it. */
  readonly forks?: boolean;
  /** It says so in its log when the life before is not wholly over: it is started once more then. */
  readonly tooEarly?: RegExp;
  /** Asks it something real. @throws while there is no answer */
  readonly answers: () => Promise<void>;
}

/** What another process needs to end a service. */
export interface ServiceHandle {
  readonly name: string;
  readonly pid: number;
  /** When the process began, in the system's words: tells it from a later one of the same number. */
  readonly began: string;
  readonly stopSignal: NodeJS.Signals;
  readonly folder: string;
}

const READY_MS_MAX = 120_000;
const STOP_MS_MAX = 60_000;
const ASK_AGAIN_MS = 50;
const LOG_CHARS_SHOWN = 4_000;

/** The guards of the system end them with us; where it has none, this does, unless we are killed. */
const ours = new Set<ChildProcess>();
process.on('exit', () => ours.forEach((child) => child.kill('SIGKILL')));

/**
 * A server as an ordinary process of this machine. In all its lives it has the same port and the same data: after a stop or a kill,
 * `start` brings it up again. What a call says is a fact when it returns: a started one has answered a request, a stopped one is gone.
 */
export abstract class ServiceProcess implements AsyncDisposable {
  private child: ChildProcess | undefined;
  private gone: Promise<void> = Promise.resolve();
  private suspended: readonly number[] = [];
  private readonly program: ServiceProgram;
  private readonly background: boolean;

  protected constructor(program: ServiceProgram, { background = false }: ServiceOptions) {
    this.program = program;
    this.background = background;
  }

  /** @throws when it does not run */
  get pid(): number {
    const pid = this.child?.pid;
    if (pid === undefined) throw new Error(`${this.program.name} does not run`);
    return pid;
  }

  get running(): boolean {
    return this.child !== undefined;
  }

  get handle(): ServiceHandle {
    const { name, folder, stopSignal = 'SIGTERM' } = this.program;
    return { name, pid: this.pid, began: beginningOf(this.pid) ?? '', stopSignal, folder };
  }

  /** Starts it, or starts it again with the data it has. @throws with the end of its log when it does not come up */
  async start(): Promise<void> {
    const { name, tooEarly } = this.program;
    if (this.child) throw new Error(`${name} runs already`);
    const giveUpAt = Date.now() + READY_MS_MAX;
    for (;;) {
      const logged = this.log().length;
      this.spawn();
      const problem = await this.answered(giveUpAt);
      if (problem === undefined) return;
      const log = this.log().slice(logged);
      if (!this.child && tooEarly?.test(log) && Date.now() < giveUpAt) continue;
      const how = this.child ? 'does not answer' : 'ended while it was starting';
      await this.kill();
      throw new Error(`${name} ${how}:\n${log.slice(-LOG_CHARS_SHOWN)}`, { cause: problem });
    }
  }

  /** Asks it to end as it should, and waits until it has. A suspended one goes on first. */
  async stop(): Promise<void> {
    await this.end(this.program.stopSignal ?? 'SIGTERM');
  }

  /** Ends it at once: it can save nothing more. */
  async kill(): Promise<void> {
    await this.end('SIGKILL');
  }

  /** Lets it hang: it keeps its connections and takes new ones, but answers nothing until `resume`. */
  suspend(): void {
    // The parent first: stopped, it makes no more children.
    signal(this.pid, 'SIGSTOP');
    const children = this.program.forks ? childrenOf(this.pid) : [];
    for (const pid of children) signal(pid, 'SIGSTOP');
    this.suspended = [...children, this.pid];
  }

  /** Lets it go on after `suspend`. */
  resume(): void {
    for (const pid of this.suspended) signal(pid, 'SIGCONT');
    this.suspended = [];
  }

  /** Ends it and removes its data. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await rm(this.program.folder, { recursive: true, force: true, maxRetries: 5 });
  }

  private spawn(): void {
    const { command, args, env, folder, user } = this.program;
    const log = openSync(this.logPath, 'a');
    const [file, ...rest] = guarded([command, ...args], user, this.background);
    const child = spawn(file, rest, {
      cwd: folder,
      env: { ...process.env, ...env },
      stdio: ['ignore', log, log],
      detached: this.background,
    });
    closeSync(log);
    this.child = child;
    if (this.background) child.unref();
    else ours.add(child);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.gone = promise.then(() => {
      ours.delete(child);
      this.child = undefined;
    });
    child.on('exit', () => resolve());
    child.on('error', (error) => {
      if (child.pid === undefined) resolve();
      process.emitWarning(error);
    });
  }

  /** @returns what is wrong when it is gone or time is up; undefined once it has answered */
  private async answered(giveUpAt: number): Promise<unknown> {
    for (;;) {
      try {
        await this.program.answers();
        return undefined;
      } catch (problem) {
        if (!this.child || Date.now() > giveUpAt) return problem;
        await pause(ASK_AGAIN_MS);
      }
    }
  }

  private async end(how: NodeJS.Signals): Promise<void> {
    const child = this.child;
    if (!child) return;
    child.kill(how);
    this.resume();
    const harder = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX);
    await this.gone;
    clearTimeout(harder);
  }

  private get logPath(): string {
    return join(this.program.folder, 'log');
  }

  private log(): string {
    return existsSync(this.logPath) ? readFileSync(this.logPath, 'utf8') : '';
  }
}

/** A new folder for a service's data, which belongs to the user that the service runs as. */
export async function serviceFolder(name: string, user?: SystemUser): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), `millrace-${name}-`));
  if (user) await chown(folder, user.uid, user.gid);
  return folder;
}
