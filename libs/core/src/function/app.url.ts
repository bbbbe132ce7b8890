/** What a deploy and a probe add to the query; not part of where an app is. */
const PASSING = ['deployId', 'probe'];

/** Names by which a machine calls itself. */
const OWN_NAMES = new Set(['127.0.0.1', '0.0.0.0']);

/**
 * The URL of an app or of a step in the one form in which it is kept and called: no default port, `localhost` for the names by which a machine
 * calls itself where a port is given, the query kept but for `deployId` and `probe`. Contract: semantics 24.3, http.md 6.
 * @returns undefined for what is no absolute URL of these schemes
 */
export function normalUrl(text: string, schemes: readonly string[]): string | undefined {
  if (!URL.canParse(text)) return undefined;
  const url = new URL(text);
  if (!schemes.includes(url.protocol.slice(0, -1)) || url.hostname === '') return undefined;
  if (url.port !== '' && OWN_NAMES.has(url.hostname)) url.hostname = 'localhost';
  // Deleting writes the whole query anew, so only where there is something to delete.
  for (const name of PASSING) if (url.searchParams.has(name)) url.searchParams.delete(name);
  url.hash = '';
  return url.href;
}
