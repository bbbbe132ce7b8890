import { AppUnreachable } from '#ports/app-transport.port.js';

export interface Hop {
  readonly method: string;
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

export function isRedirect(status: number): boolean {
  return status === 301 || status === 302 || status === 303 || status === 307 || status === 308;
}

/**
 * Where a call of an app goes on to: contract section 2. Method, headers and body stay, and so do the parameters, which say what is called.
 * The body is signed and holds what users sent, so it goes to no other server: host and port stay, the scheme may rise to https.
 * @throws AppUnreachable redirect_refused
 */
export function redirectCall(hop: Hop, location: string): Hop {
  const url = parse(hop, location);
  const { url: from } = hop;
  const rises = from.protocol === 'http:' && url.protocol === 'https:';
  if (url.hostname !== from.hostname || (!rises && url.origin !== from.origin)) {
    throw refused(`Your app redirects to another server, ${url.origin}: register that one instead`);
  }
  for (const [name, value] of from.searchParams) if (!url.searchParams.has(name)) url.searchParams.append(name, value);
  return { ...hop, url };
}

/** What may be said to a server that the function did not name: nothing that it gave for the first one, such as keys. */
const IMPERSONAL = new Set(['accept', 'accept-language', 'content-type', 'user-agent']);

/** Where a request that a function asked for goes on to, as browsers do it. @throws AppUnreachable redirect_refused */
export function redirectFetch(hop: Hop, status: number, location: string): Hop {
  const url = parse(hop, location);
  const kept = Object.entries(hop.headers).filter(
    ([name]) => url.origin === hop.url.origin || IMPERSONAL.has(name.toLowerCase()),
  );
  const becomesGet = (status === 303 && hop.method !== 'HEAD') || (status < 303 && hop.method === 'POST');
  if (!becomesGet) return { ...hop, url, headers: Object.fromEntries(kept) };
  const headers = Object.fromEntries(kept.filter(([name]) => !name.toLowerCase().startsWith('content-')));
  return { method: 'GET', url, headers };
}

function parse(hop: Hop, location: string): URL {
  const url = URL.parse(location, hop.url.href);
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:')
    throw refused('The server redirects to what is no http or https URL');
  url.hash = '';
  return url;
}

function refused(message: string): AppUnreachable {
  return new AppUnreachable('redirect_refused', message);
}
