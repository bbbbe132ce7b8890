import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { until, within } from './clock.ts';
import type { Wish } from './server.preload.ts';

const ROOT = join(import.meta.dirname, '../..');
const OUTPUT_CHARS_MAX = 8_000;

export interface ServerOptions {
  readonly port: number;
  readonly dataDir: string;
  readonly appUrls: readonly string[];
  /** Loads what `collected` and `profiled` need. */
  readonly inside?: boolean;
  readonly nodeFlags?: readonly string[];
}

/** A real server, `millrace dev`, in a process of its own on a given data folder. */
export class ServerProcess {
  private readonly child: ChildProcess;
  private output = '';
  readonly url: string;

  private constructor(child: ChildProcess, url: string) {
    this.child = child;
    this.url = url;
    const keep = (chunk: Buffer): void => {
      this.output = (this.output + chunk.toString()).slice(-OUTPUT_CHARS_MAX);
    };
    child.stdout?.on('data', keep);
    child.stderr?.on('data', keep);
  }

  static spawn({ port, dataDir, appUrls, inside = false, nodeFlags = [] }: ServerOptions): ServerProcess {
    const apps = appUrls.flatMap((url) => ['-u', url]);
    const flags = ['dev', '--port', String(port), '--data-dir', dataDir, '--no-discovery', ...apps];
    const preload = inside ? ['--import', pathToFileURL(join(import.meta.dirname, 'server.preload.ts')).href] : [];
    const child = spawn(process.execPath, [...nodeFlags, ...preload, join(ROOT, 'bin/millrace.js'), ...flags], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    return new ServerProcess(child, `http://127.0.0.1:${port}`);
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** What it printed last: for errors. */
  get printed(): string {
    return this.output;
  }

  /** Up, and all of so many apps synced. */
  async ready(apps: number): Promise<void> {
    try {
      await until('the server is up and has synced the apps', async () => {
        if (this.child.exitCode !== null) return true;
        const reply = await fetch(`${this.url}/dev`);
        const { handlers } = (await reply.json()) as { readonly handlers: readonly { readonly error: unknown }[] };
        return handlers.filter(({ error }) => error === null).length >= apps;
      });
      if (this.child.exitCode !== null) throw new Error(`the server ended with ${this.child.exitCode}`);
    } catch (error) {
      throw new Error(`${(error as Error).message}\n${this.output}`, { cause: error });
    }
  }

  /** Memory after a forced collection, with `--expose-gc`. Only of a server that may be looked into. */
  collected(): Promise<NodeJS.MemoryUsage> {
    return this.ask({ kind: 'collect' }) as Promise<NodeJS.MemoryUsage>;
  }

  /** Writes a CPU profile of what the server does meanwhile. Only of a server that may be looked into. */
  async profiled(file: string, work: () => Promise<void>): Promise<void> {
    await this.ask({ kind: 'profile' });
    await work();
    await this.ask({ kind: 'profiled', file });
  }

  private ask(wish: Wish): Promise<unknown> {
    const answer = new Promise((resolve) => this.child.once('message', resolve));
    this.child.send(wish);
    return within(30_000, `the server answers ${wish.kind}`, answer);
  }

  kill(): Promise<void> {
    return this.end('SIGKILL');
  }

  /** As Ctrl-C does it. */
  stop(): Promise<void> {
    return this.end('SIGTERM');
  }

  private async end(signal: NodeJS.Signals): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const gone = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill(signal);
    await gone;
  }
}
