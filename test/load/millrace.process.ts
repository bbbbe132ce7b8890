import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { until, within } from './clock.ts';
import type { Wish } from './millrace.preload.ts';

const ROOT = join(import.meta.dirname, '../..');
const OUTPUT_CHARS_MAX = 8_000;

export interface ProcessOptions {
  /** As the rows call it. */
  readonly name: string;
  readonly port: number;
  readonly flags: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Loads what `collected` and `profiled` need. */
  readonly inside?: boolean;
  readonly nodeFlags?: readonly string[];
}

/** `millrace dev` in a process of its own: all roles, or some. */
export class MillraceProcess {
  private readonly child: ChildProcess;
  private output = '';
  readonly name: string;
  readonly url: string;

  private constructor(child: ChildProcess, { name, port }: ProcessOptions) {
    this.child = child;
    this.name = name;
    this.url = `http://127.0.0.1:${port}`;
    const keep = (chunk: Buffer): void => {
      this.output = (this.output + chunk.toString()).slice(-OUTPUT_CHARS_MAX);
    };
    child.stdout?.on('data', keep);
    child.stderr?.on('data', keep);
  }

  static spawn(options: ProcessOptions): MillraceProcess {
    const { port, flags, env, inside = false, nodeFlags = [] } = options;
    const preload = inside ? ['--import', pathToFileURL(join(import.meta.dirname, 'millrace.preload.ts')).href] : [];
    const args = ['dev', '--port', String(port), '--no-discovery', ...flags];
    const child = spawn(process.execPath, [...nodeFlags, ...preload, join(ROOT, 'bin/millrace.js'), ...args], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    return new MillraceProcess(child, options);
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** What it printed last: for errors. */
  get printed(): string {
    return this.output;
  }

  /** Asks until the answer will do. @throws Error with what it printed, when it ends or takes too long */
  async answers(what: string, path: string, willDo: (reply: Response) => Promise<boolean>): Promise<void> {
    try {
      await until(`${this.name} ${what}`, async () => this.gone || willDo(await fetch(`${this.url}${path}`)), {
        withinMs: 120_000,
      });
      if (this.gone) throw new Error(`${this.name} ended with ${this.child.exitCode ?? this.child.signalCode}`);
    } catch (error) {
      throw new Error(`${(error as Error).message}\n${this.output}`, { cause: error });
    }
  }

  /** Its metrics of a name: value by labels. */
  async metrics(name: string): Promise<ReadonlyMap<string, number>> {
    const text = await (await fetch(`${this.url}/metrics`)).text();
    const lines = text.matchAll(new RegExp(`^${name}(?:\\{(.*)\\})? (\\S+)$`, 'gm'));
    return new Map(Array.from(lines, ([, labels = '', value]) => [labels, Number(value)]));
  }

  /** Memory after a forced collection, with `--expose-gc`. Only of a process that may be looked into. */
  collected(): Promise<NodeJS.MemoryUsage> {
    return this.ask({ kind: 'collect' }) as Promise<NodeJS.MemoryUsage>;
  }

  /** Begins a CPU profile. Only of a process that may be looked into. @returns ends it, and writes it to a file */
  async profile(): Promise<(file: string) => Promise<void>> {
    await this.ask({ kind: 'profile' });
    return async (file) => void (await this.ask({ kind: 'profiled', file }));
  }

  private ask(wish: Wish): Promise<unknown> {
    const answer = new Promise((resolve) => this.child.once('message', resolve));
    this.child.send(wish);
    return within(30_000, `${this.name} answers ${wish.kind}`, answer);
  }

  kill(): Promise<void> {
    return this.end('SIGKILL');
  }

  /** As Ctrl-C does it. */
  stop(): Promise<void> {
    return this.end('SIGTERM');
  }

  private get gone(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  private async end(signal: NodeJS.Signals): Promise<void> {
    if (this.gone) return;
    const gone = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill(signal);
    await gone;
  }
}
