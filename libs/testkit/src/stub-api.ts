import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { FunctionView } from '#apps/api/src/functions/function.view.js';
import type { QueueView } from '#apps/api/src/functions/queue.view.js';
import type { RunView } from '#apps/api/src/runs/run.view.js';
import { bearerCheck } from '#protocol/bearer.js';

export interface StubEvent {
  readonly name: string;
  readonly [member: string]: unknown;
}

/** A small server that speaks the shapes of the API, for what asks it. Tests say what it holds. */
export class StubApi {
  /** Batches of events that were taken, as they came. */
  readonly taken: { readonly key: string; readonly events: readonly StubEvent[] }[] = [];
  /** Requests, as `GET /v1/runs?limit=1`. */
  readonly asked: string[] = [];
  readonly runs = new Map<string, RunView>();
  readonly transitions = new Map<string, readonly unknown[]>();
  /** By slug. */
  readonly functions = new Map<string, FunctionView>();
  readonly queues = new Map<string, QueueView>();
  /** The runs of an event, as they stand at the n-th time they are asked for, from 0. */
  runsOfEvent: (eventId: string, nth: number) => readonly RunView[] = () => [];
  /** Answers instead, when it returns something. */
  intercept: (
    request: string,
  ) => { readonly status: number; readonly body: unknown; readonly headers?: Record<string, string> } | undefined =
    () => undefined;
  /** So many answers get lost on the way, after what was asked for was done. */
  answersToLose = 0;
  eventKey: string | undefined;
  signingKeys: readonly string[] = [];

  private readonly idsBySeed = new Map<string, readonly string[]>();
  private readonly askedOfEvent = new Map<string, number>();
  private ids = 0;

  private constructor(private readonly server: Server) {}

  static async open(): Promise<StubApi> {
    const server = createServer();
    const stub = new StubApi(server);
    server.on('request', (request, response) => void stub.answer(request, response));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return stub;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const line = `${request.method} ${request.url}`;
    this.asked.push(line);
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const {
      status,
      body,
      headers = {},
    } = this.intercept(line) ?? this.route(request, Buffer.concat(chunks).toString('utf8'));
    if (this.answersToLose > 0) {
      this.answersToLose--;
      return void response.destroy();
    }
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body));
  }

  private route(
    request: IncomingMessage,
    text: string,
  ): { status: number; body: unknown; headers?: Record<string, string> } {
    const { pathname } = new URL(request.url ?? '', this.url);
    const [, first, second, third, fourth] = pathname.split('/').map(decodeURIComponent);
    if (first === 'e') return this.takeEvents(second ?? '', text, request.headers['x-inngest-event-id-seed']);
    if (pathname === '/dev') {
      const handlers = [
        { name: 'shop', url: 'http://localhost:3000/api/inngest', sdk: 'js:v4', framework: 'express', error: null },
      ];
      return { status: 200, body: { version: '9.9.9', kind: 'dev', handlers, functions: [{}, {}] } };
    }
    if (this.signingKeys.length > 0 && bearerCheck(this.signingKeys)(request.headers.authorization) === undefined) {
      return refusal(401, 'unauthorized', 'Authentication failed');
    }
    if (second === 'events' && fourth === 'runs') {
      const nth = this.askedOfEvent.get(third as string) ?? 0;
      this.askedOfEvent.set(third as string, nth + 1);
      return data(this.runsOfEvent(third as string, nth));
    }
    if (second === 'functions') return this.ofFunctions(request.method ?? '', third, fourth, text);
    if (second === 'runs' && third === undefined) return data([...this.runs.values()]);
    const run = this.runs.get(third ?? '');
    if (second !== 'runs') return refusal(404, 'route_unknown', 'There is no such route.');
    if (!run) return refusal(404, 'run_unknown', `Unable to load function run: ${third}`);
    if (fourth === 'transitions') return data(this.transitions.get(run.run_id) ?? []);
    if (request.method === 'DELETE') {
      if (run.ended_at === null)
        this.runs.set(run.run_id, { ...run, status: 'Cancelled', ended_at: new Date(0).toISOString() });
      return { status: 200, body: undefined };
    }
    return data(run);
  }

  private ofFunctions(method: string, ref: string | undefined, verb: string | undefined, text: string) {
    if (ref === undefined) return data([...this.functions.values()]);
    const fn = [...this.functions.values()].find(({ id, slug }) => id === ref || slug === ref);
    if (!fn) return refusal(404, 'function_unknown', 'Function not found');
    if (verb === 'queue') return data(this.queues.get(fn.slug));
    if (method === 'GET') return data(fn);
    const paused = verb === 'pause' ? { at: '2026-11-22T10:00:00.000Z', ...(JSON.parse(text) as object) } : null;
    const changed = { ...fn, paused } as FunctionView;
    this.functions.set(fn.slug, changed);
    return data(changed);
  }

  private takeEvents(key: string, text: string, seed: string | string[] | undefined) {
    if (this.eventKey !== undefined && key !== this.eventKey)
      return { status: 401, body: { status: 401, message: '', error: 'Event key not found' } };
    const events = JSON.parse(text) as readonly StubEvent[];
    const bad = events.find(({ name }) => name.startsWith('inngest/'));
    if (bad)
      return {
        status: 400,
        body: { status: 400, ids: [''], error: `event name is reserved for internal use: ${bad.name}` },
      };
    const known = this.idsBySeed.get(String(seed));
    if (known) return { status: 200, body: { ids: known, status: 200 } };
    const ids = events.map(() => `01KB${String(++this.ids).padStart(22, '0')}`);
    if (seed !== undefined) this.idsBySeed.set(String(seed), ids);
    this.taken.push({ key, events });
    return { status: 200, body: { ids, status: 200 } };
  }
}

function data(value: unknown) {
  return {
    status: 200,
    body: { data: value, metadata: { fetched_at: new Date(0).toISOString(), cached_until: null } },
  };
}

function refusal(status: number, code: string, error: string) {
  return { status, body: { error, data: null, status, code } };
}
