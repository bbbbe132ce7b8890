import { fork, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { within } from './clock.ts';
import type { Answer, Mark, Question } from './recorder.ts';

type Asked = Question extends infer Q ? (Q extends Question ? Omit<Q, 'id'> : never) : never;

/** An app in a process of its own, and the channel to its recorder. */
export class Peer {
  private readonly child: ChildProcess;
  private readonly waiting = new Map<number, (result: unknown) => void>();
  private lastId = 0;
  readonly url: string;

  private constructor(child: ChildProcess, port: number) {
    this.child = child;
    this.url = `http://localhost:${port}/api/inngest`;
    child.on('message', ({ id, result }: Answer) => {
      this.waiting.get(id)?.(result);
      this.waiting.delete(id);
    });
  }

  /** @param program beside this file */
  static async start(program: string, env: Readonly<Record<string, string>>): Promise<Peer> {
    const child = fork(join(import.meta.dirname, program), [], {
      env: { ...process.env, ...env },
      execArgv: [],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    const port = await within(
      20_000,
      `${program} comes up`,
      new Promise<number>((resolve, reject) => {
        child.once('message', ({ result }: Answer) => resolve(result as number));
        child.once('exit', (code) => reject(new Error(`${program} ended with ${code}`)));
      }),
    );
    return new Peer(child, port);
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** Resolves once so many executions were marked since the marks were taken last. @throws Error after `withinMs` */
  async reached(fn: string, what: string, count: number, withinMs = 60_000): Promise<void> {
    try {
      await within(withinMs, `${count} times ${fn}/${what}`, this.ask({ kind: 'watch', fn, what, count }));
    } catch (error) {
      const got = await this.count(fn, what);
      throw new Error(`${fn}/${what}: ${got} of ${count} within ${withinMs} ms`, { cause: error });
    }
  }

  count(fn: string, what: string): Promise<number> {
    return this.ask({ kind: 'count', fn, what }) as Promise<number>;
  }

  /** All executions since the last call. */
  take(): Promise<readonly Mark[]> {
    return this.ask({ kind: 'take' }) as Promise<readonly Mark[]>;
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const gone = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill('SIGKILL');
    await gone;
  }

  private ask(question: Asked): Promise<unknown> {
    const id = ++this.lastId;
    return new Promise((resolve) => {
      this.waiting.set(id, resolve);
      this.child.send({ id, ...question });
    });
  }
}
