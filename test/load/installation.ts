import { createServer, type AddressInfo } from 'node:net';
import type { LogReading } from './log.reading.ts';
import { MillraceProcess, type ProcessOptions } from './millrace.process.ts';

/** One process with everything in it, or one for each role on Kafka, Redis, Postgres and ClickHouse. */
export type Mode = 'embedded' | 'cluster';

/** Some processes, under the name that rows have for them. */
export interface Part {
  readonly name: string;
  readonly pids: readonly number[];
  /** Millrace's own, its history engine included; a service is none. */
  readonly isOwn: boolean;
}

export interface InstallationOptions {
  /** Apps that it syncs. */
  readonly appUrls: readonly string[];
  /** Its processes can be looked into. */
  readonly inside: boolean;
  readonly nodeFlags: readonly string[];
}

/** Calls to apps that a process makes at one time, unless it is told otherwise. */
export const WORKERS = 100;

/** Millrace as it is measured, and what it keeps. On the same ports in all its lives. */
export abstract class Installation {
  abstract readonly mode: Mode;
  /** Calls to apps that it makes at one time. */
  abstract readonly workers: number;
  protected running: readonly MillraceProcess[] = [];

  /** Takes events and answers apps. */
  abstract readonly url: string;
  protected abstract plan(options: InstallationOptions): readonly ProcessOptions[];
  abstract parts(): readonly Part[];
  /** The log, once it has been up. */
  abstract reading(): Promise<LogReading>;
  /** What is folded from the log is gone, as a whole. In the embedded mode only while it does not run. */
  abstract empty(): Promise<void>;
  /** All that it has kept is gone, too. */
  protected abstract remove(): Promise<void>;

  start(options: InstallationOptions): void {
    this.running = this.plan(options).map((process) => MillraceProcess.spawn(process));
  }

  /** Every process can do its work, and so many apps are synced. */
  async ready(apps: number): Promise<void> {
    const first = this.process(0);
    await Promise.all(
      this.running.map((each) => each.answers('can do its work', '/health/ready', ({ ok }) => Promise.resolve(ok))),
    );
    await first.answers('has synced the apps', '/dev', async (reply) => {
      const { handlers } = (await reply.json()) as { readonly handlers: readonly { readonly error: unknown }[] };
      return handlers.filter(({ error }) => error === null).length >= apps;
    });
  }

  /** Partitions whose runs are decided, over all processes. */
  async partitionsServed(): Promise<number> {
    const all = await Promise.all(this.running.map((each) => each.metrics('millrace_partitions_served')));
    return all.flatMap((values) => [...values.values()]).reduce((sum, value) => sum + value, 0);
  }

  /** By number, or by name. */
  process(which: number | string): MillraceProcess {
    const found = typeof which === 'number' ? this.running[which] : this.running.find(({ name }) => name === which);
    if (!found) throw new Error(`no process ${which} is running`);
    return found;
  }

  /** What its processes printed last: for errors. */
  get printed(): string {
    return this.running.map(({ name, printed }) => `--- ${name}\n${printed}`).join('\n');
  }

  /** Writes a CPU profile of what each process does meanwhile. Only where they may be looked into. */
  async profiled(fileOf: (process: string) => string, work: () => Promise<void>): Promise<void> {
    const ends = await Promise.all(this.running.map((each) => each.profile()));
    await work();
    await Promise.all(ends.map((end, i) => end(fileOf(this.process(i).name))));
  }

  /** As a power cut of the machine they are on. */
  async kill(): Promise<void> {
    await Promise.all(this.running.map((each) => each.kill()));
  }

  /** As an operator does it. */
  async stop(): Promise<void> {
    await Promise.all(this.running.map((each) => each.stop()));
  }

  async close(): Promise<void> {
    await this.stop();
    await this.remove();
  }
}

export async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return port;
}
