import type { Agent, IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { EXIT, Failure, type ExitCode } from './failure.js';

export interface ApiOptions {
  /** Base URL of the server. */
  readonly url: URL;
  /** `Authorization` of the API, for servers with keys. */
  readonly bearer?: string | undefined;
  readonly eventKey: string;
  /** Ends every wait: for an answer, and for what a command waits for. */
  readonly deadline: AbortSignal;
}

export interface Reply {
  readonly status: number;
  readonly body: unknown;
  readonly retryAfterMs: number | undefined;
}

interface Asking {
  readonly method?: 'GET' | 'POST' | 'DELETE';
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Say it again when the server cannot answer now; only for what is harmless to repeat. */
  readonly retries?: number;
}

const RETRY_MS = 200;

// An import of node:http asks for every name that it has, and so loads all of undici for the sake of `WebSocket`: 70 ms.
const http = process.getBuiltinModule('node:http');

/** The API of a server, over HTTP. Every refusal is a Failure with the exit code that it means. */
export class ApiClient {
  private readonly agent: Agent;
  private readonly request: typeof http.request;

  constructor(private readonly options: ApiOptions) {
    const { Agent, request } = options.url.protocol === 'https:' ? process.getBuiltinModule('node:https') : http;
    this.agent = new Agent({ keepAlive: true });
    this.request = request;
  }

  /** What the envelope of REST v1 holds. Asked again, so only for what is harmless to repeat. */
  async data<T>(path: string, query: Asking['query'] = {}, asking: Asking = {}): Promise<T> {
    const body = (await this.ask(path, { query, retries: 2, ...asking })) as { readonly data: T } | undefined;
    if (body?.data === undefined) throw this.strange(path);
    return body.data;
  }

  /** @returns the parsed body of a 2xx */
  async ask(path: string, asking: Asking = {}): Promise<unknown> {
    for (let attempt = 0; ; attempt++) {
      const last = attempt >= (asking.retries ?? 0);
      try {
        const reply = await this.send(path, asking);
        if (reply.status >= 200 && reply.status < 300) return reply.body;
        if (reply.status < 500 || last) throw this.refusal(reply);
        await this.pause(reply.retryAfterMs ?? RETRY_MS * 2 ** attempt);
      } catch (error) {
        if (error instanceof Failure) throw error;
        if (this.options.deadline.aborted) throw this.tooLate(error);
        // Nobody is there: asking again changes nothing.
        if (last || codeOf(error) === 'ECONNREFUSED') throw this.unreachable(error);
        await this.pause(RETRY_MS * 2 ** attempt);
      }
    }
  }

  /** Waits, but not beyond the deadline. @throws a Failure when it comes */
  async pause(ms: number): Promise<void> {
    try {
      await sleep(ms, undefined, { signal: this.options.deadline });
    } catch (error) {
      throw this.tooLate(error);
    }
  }

  get eventKey(): string {
    return this.options.eventKey;
  }

  get url(): URL {
    return this.options.url;
  }

  close(): void {
    this.agent.destroy();
  }

  private send(path: string, { method = 'GET', query = {}, body, headers = {} }: Asking): Promise<Reply> {
    const { url, bearer, deadline } = this.options;
    const target = new URL(url);
    target.pathname = `${url.pathname.replace(/\/$/, '')}${path}`;
    for (const [name, value] of Object.entries(query)) if (value !== undefined) target.searchParams.set(name, value);
    const { request, agent } = this;
    return new Promise((resolve, reject) => {
      const sent = request(
        target,
        {
          method,
          agent,
          signal: deadline,
          headers: {
            accept: 'application/json',
            ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }),
            ...(body === undefined
              ? {}
              : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
            ...headers,
          },
        },
        (message) => void readReply(message).then(resolve, reject),
      );
      sent.on('error', reject);
      sent.end(body);
    });
  }

  private refusal({ status, body }: Reply): Failure {
    const { error, code } = (typeof body === 'object' && body !== null ? body : {}) as {
      readonly error?: unknown;
      readonly code?: unknown;
    };
    const what = typeof error === 'string' && error !== '' ? error : `The server answered with status ${status}.`;
    const [exit, usual] = meaningOf(status);
    const next = code === 'function_unknown' ? '`millrace functions list` shows those that there are.' : usual;
    const why = `${this.options.url.origin} answered with status ${status}`;
    return new Failure(exit, what, { why, next, code: typeof code === 'string' ? code : `http_${status}` });
  }

  private unreachable(cause: unknown): Failure {
    const what = `No server answers at ${this.options.url.origin}.`;
    const next = 'Start one with `millrace dev`, or name another with --url (or MILLRACE_URL).';
    return new Failure(EXIT.failed, what, { why: reasonOf(cause), next, code: 'unreachable' }, cause);
  }

  /** What is there answers, but is no server of ours. */
  strange(path: string): Failure {
    const what = `What answers at ${this.options.url.origin} does not look like a Millrace server.`;
    const why = `Its answer to ${path} is of another shape.`;
    return new Failure(EXIT.failed, what, { why, next: 'Check --url (or MILLRACE_URL).', code: 'strange_answer' });
  }

  private tooLate(cause: unknown): Failure {
    const next = 'What was asked for may still happen. Give it longer with --timeout.';
    return new Failure(EXIT.timeout, 'Time is up.', { next, code: 'timeout' }, cause);
  }
}

async function readReply(message: IncomingMessage): Promise<Reply> {
  const chunks: Buffer[] = [];
  for await (const chunk of message as AsyncIterable<Buffer>) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString('utf8');
  const seconds = Number(message.headers['retry-after']);
  let body: unknown;
  try {
    body = text === '' ? undefined : JSON.parse(text);
  } catch {
    body = undefined; // A proxy's page, say: the status has to tell.
  }
  return { status: message.statusCode ?? 0, body, retryAfterMs: seconds > 0 ? seconds * 1_000 : undefined };
}

function meaningOf(status: number): readonly [ExitCode, string | undefined] {
  if (status === 401 || status === 403) {
    return [
      EXIT.auth,
      'Give the keys of the server: --signing-key (or MILLRACE_SIGNING_KEY), and --event-key to send events.',
    ];
  }
  if (status === 404) return [EXIT.notFound, undefined];
  if (status === 400 || status === 413 || status === 422) return [EXIT.usage, undefined];
  if (status === 408 || status === 504) return [EXIT.timeout, undefined];
  return [EXIT.failed, status >= 500 ? 'Try again; `millrace doctor` looks for the cause.' : undefined];
}

function codeOf(error: unknown): string | undefined {
  const { code, errors } = error as { readonly code?: string; readonly errors?: readonly { readonly code?: string }[] };
  return code ?? errors?.[0]?.code;
}

/** Where a name has several addresses, what went wrong with each. */
function reasonOf(error: unknown): string {
  const { message, errors } = error as {
    readonly message: string;
    readonly errors?: readonly { readonly message: string }[];
  };
  return message || (errors ?? []).map((each) => each.message).join('; ');
}
