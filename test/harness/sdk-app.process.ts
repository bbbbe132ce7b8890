import { join } from 'node:path';
import { Child } from './child.process.js';
import { checkout, harness } from './root.path.js';
import { PATIENCE_MS } from './until.js';

export type Variant = 'v4' | 'v4-plain' | 'v3';

export interface AppSpec {
  /** The app's id, and the first part of its events' names. */
  readonly id: string;
  readonly variant: Variant;
  /** Files of functions, from the root of the checkout. */
  readonly functions: readonly string[];
  /** Options of the SDK's client and of `serve`, besides. */
  readonly client?: Readonly<Record<string, unknown>>;
  readonly serve?: Readonly<Record<string, unknown>>;
}

/** What an app noted: a call that came, its answer, what a function did, what the SDK sent. */
export interface Entry {
  readonly seq: number;
  readonly at: number;
  readonly kind: 'call' | 'answer' | 'did' | 'sent' | 'asked';
  readonly app: string;
  readonly runId: string;
  readonly fn: string;
  readonly attempt: number;
  /** Kind `did`: what, and for the how-manieth time in its run. */
  readonly name?: string;
  readonly n?: number;
  readonly target?: string;
  readonly steps?: readonly string[];
  readonly [more: string]: unknown;
}

export type Match = Readonly<Partial<Record<string, string | number | boolean | readonly (string | number)[]>>>;

/** Apps that are made with the real SDKs, in one process of their own. */
export class SdkApps {
  private child!: Child;
  url = '';

  private constructor(
    private readonly apps: readonly AppSpec[],
    private readonly env: Readonly<Record<string, string>>,
    private port: number,
  ) {}

  /** Starts apps. @param env INNGEST_DEV and keys. @param port 0: any that is free */
  static async start(apps: readonly AppSpec[], env: Readonly<Record<string, string>>, port = 0): Promise<SdkApps> {
    const made = new SdkApps(
      apps.map((app) => ({ ...app, functions: app.functions.map((path) => join(checkout, path)) })),
      env,
      port,
    );
    await made.start();
    return made;
  }

  /** Starts them, or starts them again on the same port. */
  async start(env: Readonly<Record<string, string>> = {}): Promise<void> {
    const given = JSON.stringify({ apps: this.apps, port: this.port });
    this.child = Child.run({
      name: 'app',
      script: join(harness, 'sdk-app.main.mjs'),
      args: [given],
      env: { ...this.env, ...env },
      cwd: checkout,
    });
    const { url } = await this.child.said<{ url: string }>('listening');
    this.url = url;
    this.port = Number(new URL(url).port);
  }

  get output(): string {
    return this.child.output;
  }

  async stop(): Promise<void> {
    await this.child.stop();
  }

  async kill(): Promise<void> {
    await this.child.kill();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.child.kill();
  }

  serveUrl(id: string): string {
    return `${this.url}/${id}/api/inngest`;
  }

  /** Has an app register itself, as a deploy does. @throws unless the server takes it */
  async sync(id: string): Promise<{ readonly modified: boolean }> {
    const response = await fetch(this.serveUrl(id), { method: 'PUT' });
    const text = await response.text();
    if (response.status !== 200) throw new Error(`sync of ${id} failed: ${response.status} ${text}`);
    return JSON.parse(text) as { modified: boolean };
  }

  get log(): AppLog {
    return new AppLog(this.url);
  }
}

/** What the apps of a process noted. */
export class AppLog {
  constructor(private readonly url: string) {}

  /** What matches, as far as it has happened. */
  seen(match: Match): Promise<readonly Entry[]> {
    return this.door('/~log', { match });
  }

  /** What matches, once it has happened `count` times. @throws when time is up */
  async wait(match: Match, count = 1): Promise<readonly Entry[]> {
    const entries = await this.door<readonly Entry[]>('/~log', { match, count, withinMs: PATIENCE_MS });
    if (entries.length < count)
      throw new Error(`waited in vain for ${count} of ${JSON.stringify(match)}; seen: ${JSON.stringify(entries)}`);
    return entries;
  }

  /** Lets functions go on that wait at a gate. */
  async open(gate: string): Promise<void> {
    await this.door('/~open', { name: gate });
  }

  async set(settings: Readonly<Record<string, unknown>>): Promise<void> {
    await this.door('/~set', settings);
  }

  private async door<T>(path: string, body: object): Promise<T> {
    const response = await fetch(this.url + path, { method: 'POST', body: JSON.stringify(body) });
    return (await response.json()) as T;
  }
}
