/** What the demo cannot go on with, in a sentence for people. */
export class Problem extends Error {}

export interface App {
  readonly name: string;
  readonly url: string;
  readonly error: unknown;
}

export interface Event {
  readonly internal_id: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface Run {
  readonly run_id: string;
  readonly status: string;
  readonly ended_at: string | null;
  readonly output: unknown;
  /** Calls that are to be made or under way, while it has not ended. */
  readonly queue?: readonly Queued[];
}

export interface Queued {
  readonly status: 'running' | 'queued' | 'scheduled';
  /** Why a queued call is not made. */
  readonly wait: {
    readonly cause: string;
    readonly key?: string;
    readonly limit?: number;
    readonly place: number;
  } | null;
}

/** Something that has happened to a run. Which fields it has beside these depends on its type. */
export interface Transition {
  readonly type: string;
  /** ms since 1970. */
  readonly at: number;
  readonly name?: string;
  readonly kind?: string;
  readonly until?: number;
  readonly event?: string;
  /** JSON. */
  readonly memo?: string;
  /** JSON. */
  readonly output?: string;
  readonly timedOut?: boolean;
  readonly fault?: { readonly name: string; readonly message: string };
  readonly by?: string;
}

/** The server's HTTP interface, as far as the demo needs it. */
export class Rest {
  private readonly url: string;

  constructor(url: string) {
    this.url = url;
  }

  /** @throws Problem when no dev server is there */
  async check(): Promise<void> {
    const reply = await this.reach('/health');
    const kind = reply.headers.get('x-inngest-server-kind');
    if (kind === 'dev') return;
    if (kind === 'cloud')
      throw new Problem(`The server at ${this.url} asks for keys: the demo wants a dev server (npm start).`);
    throw new Problem(`What answers at ${this.url} is no Millrace server.`);
  }

  async apps(): Promise<readonly App[]> {
    const { handlers } = await this.json<{ readonly handlers: readonly App[] }>('/dev');
    return handlers;
  }

  /** @returns the ids that the server gave to the events */
  async send(name: string, data: Readonly<Record<string, unknown>>): Promise<readonly string[]> {
    const init = {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ name, data }),
    };
    const { ids } = await this.json<{ readonly ids: readonly string[] }>('/e/demo', init);
    return ids;
  }

  events(name: string): Promise<readonly Event[]> {
    return this.data(`/v1/events?name=${encodeURIComponent(name)}`);
  }

  runsOf(eventId: string): Promise<readonly Run[]> {
    return this.data(`/v1/events/${eventId}/runs`);
  }

  run(runId: string): Promise<Run> {
    return this.data(`/v1/runs/${runId}`);
  }

  /** In the order in which they were accepted. */
  transitions(runId: string): Promise<readonly Transition[]> {
    return this.data(`/v1/runs/${runId}/transitions`);
  }

  private async data<T>(path: string): Promise<T> {
    const { data } = await this.json<{ readonly data: T }>(path);
    return data;
  }

  private async json<T>(path: string, init?: RequestInit): Promise<T> {
    const reply = await this.reach(path, init);
    const text = await reply.text();
    if (!reply.ok) throw new Problem(`The server answered ${path} with ${reply.status}: ${text}`);
    return JSON.parse(text) as T;
  }

  private async reach(path: string, init?: RequestInit): Promise<Response> {
    try {
      return await fetch(this.url + path, init);
    } catch (error) {
      const why = (error as Error).cause instanceof Error ? ((error as Error).cause as Error).message : String(error);
      throw new Problem(
        `No server answers at ${this.url} (${why || 'connection refused'}). Start one in another terminal: npm start`,
        {
          cause: error,
        },
      );
    }
  }
}
