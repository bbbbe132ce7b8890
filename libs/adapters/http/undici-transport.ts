import { Agent, Pool, type Client } from 'undici';
import { LIMITS } from '#core/limits.js';
import { AppTransport, AppUnreachable, type AppReply, type AppRequest } from '#ports/app-transport.port.js';
import { checkHost, guardedLookup, type AddressPolicy } from './address.guard.js';
import { CountingClient } from './counting.client.js';
import { Deadline, exchange, type Ways } from './exchange.js';
import { isRedirect, redirectCall, redirectFetch, type Hop } from './redirect.js';
import { textOf } from './reply.body.js';

export interface UndiciTransportOptions {
  /** Where apps may be. */
  readonly apps: AddressPolicy;
  /** Where functions may have requests sent to; the same as for apps when absent. */
  readonly gateways?: AddressPolicy;
  /** Longest wait for a connection, TLS included; ms. */
  readonly connectMs?: number;
}

/** Most that a timer can wait. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/**
 * AppTransport over undici: a pool of kept connections for each origin, one request at a time on each, as many as there are calls.
 * Nothing ends a call that is under way but its own time: streams may be silent for as long.
 */
export class UndiciTransport extends AppTransport {
  private readonly apps: Line;
  private readonly gateways: Line;

  constructor({ apps, gateways = apps, connectMs = 10_000 }: UndiciTransportOptions) {
    super();
    this.apps = openLine(apps, connectMs);
    this.gateways = gateways === apps ? this.apps : openLine(gateways, connectMs);
  }

  override send(request: AppRequest): Promise<AppReply> {
    return this.run(request, this.apps, (hop, _status, location) => redirectCall(hop, location));
  }

  override fetch(request: Omit<AppRequest, 'method'> & { readonly method: string }): Promise<AppReply> {
    // A call of an app may be made twice; of what a function asks for nobody knows.
    const { kept, policy } = this.gateways;
    return this.run(request, { kept, policy }, redirectFetch);
  }

  override async close(): Promise<void> {
    await Promise.all(
      [...new Set([this.apps, this.gateways])].flatMap(({ kept, fresh }) => [kept.destroy(), fresh.destroy()]),
    );
  }

  private async run(
    request: Omit<AppRequest, 'method'> & { readonly method: string },
    line: Guarded,
    redirect: Redirect,
  ): Promise<AppReply> {
    const { timeoutMs, signal } = request;
    const deadline = new Deadline();
    const late = () =>
      deadline.end(new AppUnreachable('http_timeout', `Your server did not answer within ${timeoutMs} ms`));
    const timer = setTimeout(late, Math.min(timeoutMs, TIMER_MS_MAX));
    const stop = () => deadline.end(signal?.reason as Error);
    signal?.addEventListener('abort', stop);
    try {
      if (signal?.aborted) stop();
      return await follow(firstHop(request), request.bodyBytesMax, line, redirect, deadline);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', stop);
    }
  }
}

/** Ways that keep to one policy. */
interface Guarded extends Ways {
  readonly policy: AddressPolicy;
}

type Line = Required<Guarded>;

function openLine(policy: AddressPolicy, connectMs: number): Line {
  const options = {
    allowH2: false,
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: { timeout: connectMs, lookup: guardedLookup(policy) },
  };
  const kept = new Agent({ ...options, pipelining: 1, factory: countingPool });
  return { kept, fresh: new Agent({ ...options, pipelining: 0 }), policy };
}

function countingPool(origin: string | URL, options: Client.Options): Pool {
  return new Pool(origin, { ...options, factory: (to, inner) => new CountingClient(to, inner) });
}

type Redirect = (hop: Hop, status: number, location: string) => Hop;

/** The reply at the end of a chain of redirects, each address of which is checked. @throws AppUnreachable */
async function follow(
  first: Hop,
  bodyBytesMax: number,
  line: Guarded,
  redirect: Redirect,
  deadline: Deadline,
): Promise<AppReply> {
  let hop = first;
  for (let redirects = 0; redirects <= LIMITS.redirectsMax; redirects++) {
    checkHost(hop.url.hostname, line.policy);
    const { status, headers, body } = await exchange(line, hop, bodyBytesMax, deadline);
    const { location } = headers;
    if (!isRedirect(status) || location === undefined) {
      return {
        status,
        headers,
        body: await textOf(body, headers['content-encoding'], bodyBytesMax),
        url: hop.url.href,
      };
    }
    hop = redirect(hop, status, location);
  }
  throw new AppUnreachable('redirect_refused', `The server redirects more than ${LIMITS.redirectsMax} times`);
}

/** @throws AppUnreachable url_invalid */
function firstHop({ method, url: text, headers, body }: Omit<AppRequest, 'method'> & { readonly method: string }): Hop {
  const url = URL.parse(text);
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:')
    throw new AppUnreachable('url_invalid', 'The URL is no http or https URL');
  const added: Record<string, string> = {};
  // On this machine unpacking costs more than it saves.
  if (!isLocal(url.hostname)) added['accept-encoding'] = 'gzip, deflate, br';
  if (url.username !== '' || url.password !== '') {
    added.authorization = `Basic ${Buffer.from(`${unescaped(url.username)}:${unescaped(url.password)}`).toString('base64')}`;
    url.username = '';
    url.password = '';
  }
  if (url.hash !== '') url.hash = ''; // Setting it takes the whole URL apart once more.
  return { method, url, headers: { ...added, ...headers }, ...(body === undefined ? {} : { body }) };
}

function isLocal(hostname: string): boolean {
  return hostname === 'localhost' || hostname.startsWith('127.') || hostname === '[::1]';
}

function unescaped(text: string): string {
  return Buffer.from(
    text.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(parseInt(hex, 16))),
    'latin1',
  ).toString('utf8');
}
