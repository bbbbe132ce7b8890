import type { Child } from './child.process.js';

/** One process of a server. It keeps its port over all its lives. */
export class Member {
  private child: Child | undefined;
  private port = 0;
  private earlier = '';
  url = '';

  /** @param run starts it on a port */
  constructor(
    readonly roles: string,
    private readonly run: (port: number) => Child,
  ) {}

  get alive(): boolean {
    return this.child?.alive ?? false;
  }

  get pid(): number {
    return this.child?.pid ?? -1;
  }

  /** All that it printed, also in earlier lives. */
  get output(): string {
    return `${this.earlier}${this.child?.output ?? ''}`;
  }

  /** Starts it, or starts it again. @throws when it ends before it listens */
  async start(): Promise<void> {
    this.keepOutput();
    this.child = this.run(this.port);
    this.url = (await this.child.said<{ url: string }>('listening')).url;
    this.port = Number(new URL(this.url).port);
  }

  /** Ends it as an operator would. @returns its exit code; 0 where it does not run */
  async stop(): Promise<number | null> {
    this.resume();
    return (await this.child?.stop()) ?? 0;
  }

  /** Ends it as a power cut would. */
  async kill(): Promise<void> {
    await this.child?.kill();
  }

  /** Lets it hang: it keeps its connections and does nothing until `resume`. */
  suspend(): void {
    this.child?.signal('SIGSTOP');
  }

  resume(): void {
    this.child?.signal('SIGCONT');
  }

  ask<T>(message: object): Promise<T> {
    if (!this.child) throw new Error(`${this.roles} was not started`);
    return this.child.ask<T>(message);
  }

  private keepOutput(): void {
    if (this.child) this.earlier = `${this.output}\n`;
  }
}
