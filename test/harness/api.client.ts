import { until } from './until.js';

export interface Reply<T = unknown> {
  readonly status: number;
  readonly headers: Headers;
  readonly body: T;
  readonly text: string;
}

export interface Sent {
  readonly ids: readonly string[];
  readonly status: number;
  readonly error?: string;
  readonly code?: string;
}

/** A run as REST v1 shows it. */
export interface RunView {
  readonly run_id: string;
  readonly function_id: string;
  readonly function_slug: string;
  readonly function_version: number;
  readonly event_id: string;
  readonly event_ids: readonly string[];
  readonly batch_id: string | null;
  readonly status: 'Scheduled' | 'Running' | 'Completed' | 'Failed' | 'Cancelled' | 'Skipped';
  readonly queued_at: string;
  readonly started_at: string | null;
  readonly ended_at: string | null;
  readonly output: unknown;
  readonly cron: string | null;
  readonly waiting_for?: readonly { readonly name: string; readonly kind: string; readonly until: string | null }[];
  readonly queue?: readonly QueuedView[];
  readonly flow?: { readonly priority: number; readonly keys: readonly object[]; readonly notes: readonly string[] };
  readonly skip_reason?: string;
  readonly skipped_for?: string | null;
}

/** Why a call that is due is not under way. */
export interface WaitView {
  readonly cause: 'concurrency' | 'run_concurrency' | 'throttle' | 'paused' | 'turn';
  readonly place: number;
  readonly expression?: string | null;
  readonly key?: string;
  readonly limit?: number;
  readonly in_use?: number;
  readonly holders?: readonly string[];
  readonly until?: string;
}

export interface QueuedView {
  readonly step_id: string;
  readonly status: 'running' | 'queued' | 'scheduled';
  readonly wait: WaitView | null;
}

/** What waits of a function. */
export interface BacklogView {
  readonly running: number;
  readonly ready: number;
  readonly later: number;
  readonly next_at: string | null;
  readonly line_count: number;
  readonly lines: readonly {
    readonly keys: readonly { readonly limit: string; readonly expression: string | null; readonly value: string }[];
    readonly ready: number;
    readonly running: number;
    readonly wait: WaitView | null;
  }[];
}

/** What was decided about an event before there was a run. */
export interface DecisionView {
  readonly type: string;
  readonly function_slug: string | null;
  readonly at: string;
  readonly key?: string;
  readonly run_id?: string;
  readonly due_at?: string;
  readonly [own: string]: unknown;
}

export interface EventView {
  readonly internal_id: string;
  readonly id: string;
  readonly name: string;
  readonly data: Record<string, unknown>;
  readonly user: unknown;
  readonly ts: number;
}

export interface JobView {
  readonly id: string;
  readonly step_id: string;
  readonly attempt: number;
  readonly at: string;
  readonly status: 'running' | 'scheduled' | 'queued';
}

export interface ApiOptions {
  readonly eventKey?: string;
  readonly bearer?: string;
}

export interface EventToSend {
  readonly name: string;
  readonly data?: unknown;
  readonly id?: string;
  readonly ts?: number;
  readonly user?: unknown;
  readonly v?: string;
  readonly meta?: unknown;
}

const ENDED = new Set(['Completed', 'Failed', 'Cancelled', 'Skipped']);

/** What operators and senders ask of a server, over HTTP. */
export class Api {
  constructor(
    readonly url: string,
    private readonly options: ApiOptions = {},
  ) {}

  async request<T = unknown>(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Reply<T>> {
    const { bearer } = this.options;
    const response = await fetch(this.url + path, {
      method,
      headers: { ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }), ...headers },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: parsed(text) as T, text };
  }

  /** Sends events as an SDK does; says what the server said. @param events an event, a list, or a body as it is */
  send(
    events: EventToSend | readonly EventToSend[] | string,
    headers: Record<string, string> = {},
  ): Promise<Reply<Sent>> {
    return this.request<Sent>('POST', `/e/${this.options.eventKey ?? 'test'}`, events, headers);
  }

  /** Sends one event that must be taken. @returns its internal id */
  async emit(name: string, data: unknown = {}, more: Omit<EventToSend, 'name' | 'data'> = {}): Promise<string> {
    const { status, body } = await this.send({ name, data, ...more });
    const [id] = body.ids;
    if (status !== 200 || id === undefined) throw new Error(`event ${name} refused: ${status} ${JSON.stringify(body)}`);
    return id;
  }

  /** A run. @throws unless there is one */
  async run(runId: string): Promise<RunView> {
    return await this.data<RunView>(`/v1/runs/${runId}`);
  }

  /** A run once something is true of it. */
  runWhen(runId: string, what: string, holds: (run: RunView) => boolean): Promise<RunView> {
    let seen: RunView | undefined;
    return until(
      async () => {
        seen = await this.run(runId);
        return holds(seen) ? seen : undefined;
      },
      { what: () => `run ${runId} to be ${what}; it is ${JSON.stringify(seen)}` },
    );
  }

  ended(runId: string): Promise<RunView> {
    return this.runWhen(runId, 'ended', ({ status }) => ENDED.has(status));
  }

  /** A run once a step of it waits. */
  waiting(runId: string, step: string): Promise<RunView> {
    return this.runWhen(runId, `waiting in ${step}`, ({ waiting_for: waits = [] }) =>
      waits.some(({ name }) => name === step),
    );
  }

  async jobs(runId: string): Promise<readonly JobView[]> {
    return this.data<readonly JobView[]>(`/v1/runs/${runId}/jobs`);
  }

  /** What happened to a run. */
  async transitions(runId: string): Promise<readonly ({ readonly type: string } & Record<string, unknown>)[]> {
    return this.data(`/v1/runs/${runId}/transitions`);
  }

  /** The runs that an event started, as far as they are known by now. */
  async runsOf(eventId: string): Promise<readonly RunView[]> {
    const { status, body } = await this.request<{ data: readonly RunView[] }>('GET', `/v1/events/${eventId}/runs`);
    return status === 200 ? body.data : [];
  }

  /** The run that an event started, also one that was never called. */
  runOf(eventId: string, slug?: string): Promise<RunView> {
    return until(
      async () => (await this.runsOf(eventId)).find((run) => slug === undefined || run.function_slug === slug),
      {
        what: `the run of event ${eventId}`,
        everyMs: 50,
      },
    );
  }

  /** The run of an event once it has ended. */
  async endOf(eventId: string, slug?: string): Promise<RunView> {
    return this.ended((await this.runOf(eventId, slug)).run_id);
  }

  /** What was decided about an event, as far as it is known by now. */
  async decisions(eventId: string): Promise<readonly DecisionView[]> {
    return this.data(`/v1/events/${eventId}/decisions`);
  }

  /** A decision about an event, once one of these types has been made. */
  decided(eventId: string, ...types: readonly string[]): Promise<DecisionView> {
    let seen: readonly DecisionView[] = [];
    return until(
      async () => {
        seen = await this.decisions(eventId);
        return seen.find(({ type }) => types.includes(type));
      },
      { what: () => `${types.join(' or ')} of event ${eventId}; it has ${JSON.stringify(seen)}`, everyMs: 50 },
    );
  }

  /** What is said of a run's expressions. */
  async notesOf(runId: string): Promise<readonly string[]> {
    const [scheduled] = await this.transitions(runId);
    return (scheduled?.['flow'] as { notes?: readonly string[] } | undefined)?.notes ?? [];
  }

  /** What a call of a run waits for, once it is held by this. */
  held(runId: string, cause: WaitView['cause']): Promise<WaitView> {
    let seen: unknown;
    return until(
      async () => {
        const { queue = [] } = await this.run(runId);
        seen = queue;
        return queue.map(({ wait }) => wait).find((wait) => wait?.cause === cause) ?? undefined;
      },
      { what: () => `run ${runId} to be held by ${cause}; its calls are ${JSON.stringify(seen)}` },
    );
  }

  async backlog(slug: string): Promise<BacklogView> {
    return this.data(`/v1/functions/${slug}/queue`);
  }

  async cancel(runId: string): Promise<void> {
    const { status, text } = await this.request('DELETE', `/v1/runs/${runId}`);
    if (status !== 200) throw new Error(`run ${runId} not cancelled: ${status} ${text}`);
  }

  async pause(slug: string, running?: 'hold' | 'cancel'): Promise<void> {
    const { status, text } = await this.request('POST', `/v1/functions/${slug}/pause`, running && { running });
    if (status !== 200) throw new Error(`${slug} not paused: ${status} ${text}`);
  }

  async resume(slug: string): Promise<void> {
    const { status, text } = await this.request('POST', `/v1/functions/${slug}/resume`);
    if (status !== 200) throw new Error(`${slug} not resumed: ${status} ${text}`);
  }

  async events(query: string): Promise<readonly EventView[]> {
    return this.data(`/v1/events?${query}`);
  }

  /** Asks again while History has not caught up, as it says. */
  private data<T>(path: string): Promise<T> {
    return until(
      async () => {
        const { status, body } = await this.request<{ data: T; code?: string }>('GET', path);
        if (status === 503 && body.code === 'history_unavailable') return undefined;
        if (status !== 200) throw new Error(`GET ${path}: ${status} ${JSON.stringify(body)}`);
        return body.data;
      },
      { what: `${path} to be known` },
    );
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // `text` has it as it came.
  }
}
