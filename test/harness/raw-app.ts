import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Api, Reply } from './api.client.js';
import { until } from './until.js';

/** A call as it came. */
export interface RawCall {
  readonly fn: string;
  readonly target: string;
  readonly headers: IncomingMessage['headers'];
  readonly text: string;
  readonly body: {
    readonly ctx: {
      readonly run_id: string;
      readonly fn_id: string;
      readonly qi_id: string;
      readonly request_id: string;
      readonly generation_id: number;
      readonly attempt: number;
      readonly max_attempts: number;
      readonly disable_immediate_execution: boolean;
      readonly use_api: boolean;
      readonly stack: { readonly stack: readonly string[]; readonly current: number };
    };
    readonly event: {
      readonly name: string;
      readonly id: string;
      readonly ts: number;
      readonly data: Record<string, unknown>;
    };
    readonly events: readonly unknown[];
    readonly steps: Readonly<Record<string, unknown>>;
    readonly use_api: boolean;
    readonly version: number;
  };
  readonly at: number;
}

/** What to answer; a text goes out as it is. A function takes the connection into its own hands. */
export type Answer =
  | {
      readonly status: number;
      readonly body?: unknown;
      readonly headers?: Readonly<Record<string, string>>;
      readonly sdk?: boolean;
    }
  | ((request: IncomingMessage, response: ServerResponse) => void | Promise<void>);

export type Behaviour = (call: RawCall, nth: number) => Answer | Promise<Answer>;

export interface RawFunction {
  readonly answers: Behaviour;
  /** Of the sync payload, over what is there without. */
  readonly config?: Readonly<Record<string, unknown>>;
  readonly retries?: number;
}

const SDK_HEADERS = {
  'x-inngest-sdk': 'inngest-js:v4.24.0',
  'x-inngest-sdk-handled': 'true',
  'x-inngest-req-version': '2',
};

/** An app without an SDK: says to each call what a test wants it to say, true or not. Each function has an event of its own name. */
export class RawApp {
  readonly id = `raw-${randomUUID().slice(0, 8)}`;
  readonly calls: RawCall[] = [];
  private readonly functions = new Map<string, RawFunction>();
  private readonly gates = new Map<string, PromiseWithResolvers<void>>();
  private server: Server | undefined;
  private port = 0;

  private constructor(private readonly api: Api) {}

  static async start(api: Api): Promise<RawApp> {
    const app = new RawApp(api);
    await app.start();
    return app;
  }

  /** Starts it, or starts it again on the same port. */
  async start(): Promise<void> {
    const server = createServer((request, response) => void this.take(request, response));
    // A machine that stalls must not see connections close while a call is on its way.
    server.keepAliveTimeout = 60_000;
    this.server = server;
    await new Promise<void>((resolve) => server.listen(this.port, '127.0.0.1', resolve));
    this.port = (server.address() as AddressInfo).port;
  }

  /** From now on nobody listens. */
  async stop(): Promise<void> {
    const { server } = this;
    this.server = undefined;
    if (!server) return;
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/api/inngest`;
  }

  event(fn: string): string {
    return `${this.id}/${fn}`;
  }

  /** Adds a function and registers all. @throws unless the server takes them */
  async add(fn: string, given: RawFunction | Behaviour): Promise<void> {
    this.functions.set(fn, typeof given === 'function' ? { answers: given } : given);
    const { status, text } = await this.register(this.payload());
    if (status !== 200) throw new Error(`register refused: ${status} ${text}`);
  }

  /** What an SDK would register. */
  payload(): Record<string, unknown> {
    const functions = [...this.functions].map(([fn, { config = {}, retries }]) => ({
      id: `${this.id}-${fn}`,
      name: fn,
      triggers: [{ event: this.event(fn) }],
      steps: {
        step: {
          id: 'step',
          name: 'step',
          runtime: { type: 'http', url: `${this.url}?fnId=${this.id}-${fn}&stepId=step` },
          ...(retries === undefined ? {} : { retries: { attempts: retries } }),
        },
      },
      ...config,
    }));
    return {
      url: this.url,
      deployType: 'ping',
      framework: 'none',
      appName: this.id,
      functions,
      sdk: 'js:v4.24.0',
      v: '0.1',
    };
  }

  register(
    payload: unknown,
    headers: Record<string, string> = {},
  ): Promise<Reply<{ ok?: boolean; modified?: boolean; error?: string; code?: string }>> {
    return this.api.request('POST', '/fn/register', payload, headers);
  }

  /** For answers: waits until the test opens the gate. */
  gate(name: string): Promise<void> {
    return this.gateOf(name).promise;
  }

  open(name: string): void {
    this.gateOf(name).resolve();
  }

  private gateOf(name: string): PromiseWithResolvers<void> {
    const gate = this.gates.get(name) ?? Promise.withResolvers<void>();
    this.gates.set(name, gate);
    return gate;
  }

  callsOf(runId: string): readonly RawCall[] {
    return this.calls.filter((call) => call.body.ctx.run_id === runId);
  }

  /** Sends a function's event and waits until the function is called for it. @returns the id of the run */
  async begin(fn: string, data: object = {}): Promise<string> {
    const key = randomUUID();
    await this.api.emit(this.event(fn), { ...data, key });
    const { body } = await until(() => this.calls.find((call) => call.body.event.data['key'] === key), {
      what: `a call of ${fn}`,
    });
    return body.ctx.run_id;
  }

  /** Sends a function's event and waits until its run has ended. */
  async play(fn: string, data: object = {}) {
    const runId = await this.begin(fn, data);
    const run = await this.api.ended(runId);
    return { run, runId, calls: this.callsOf(runId) };
  }

  private async take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const url = new URL(request.url ?? '/', this.url);
    const fn = url.searchParams.get('fnId')?.slice(this.id.length + 1) ?? '';
    const answers = this.functions.get(fn)?.answers;
    if (request.method !== 'POST' || !answers) return void response.writeHead(404).end();
    const text = Buffer.concat(chunks).toString();
    const call: RawCall = {
      fn,
      target: url.searchParams.get('stepId') ?? '',
      headers: request.headers,
      text,
      body: JSON.parse(text) as RawCall['body'],
      at: Date.now(),
    };
    this.calls.push(call);
    const answer = await answers(call, this.callsOf(call.body.ctx.run_id).length);
    if (typeof answer === 'function') return answer(request, response);
    const { status, body = null, headers = {}, sdk = true } = answer;
    const isText = typeof body === 'string' || Buffer.isBuffer(body);
    response.writeHead(status, { 'content-type': 'application/json', ...(sdk ? SDK_HEADERS : {}), ...headers });
    response.end(isText ? body : JSON.stringify(body));
  }
}

/** The run is complete. */
export function done(output: unknown = null): Answer {
  return { status: 200, body: JSON.stringify(output) };
}

/** Steps to do, or done. */
export function ops(...body: readonly object[]): Answer {
  return { status: 206, body };
}
