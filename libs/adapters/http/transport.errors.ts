import { AppUnreachable } from '#ports/app-transport.port.js';

/** How far a request had come when it failed. */
export type Phase = 'connecting' | 'waiting' | 'reading';

const UNREACHABLE: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'the connection was refused',
  ECONNRESET: 'the connection was reset before it was made',
  EHOSTUNREACH: 'there is no route to it',
  ENETUNREACH: 'there is no route to it',
  ENOTFOUND: 'its name does not resolve',
  EAI_AGAIN: 'its name does not resolve for now',
  ETIMEDOUT: 'connecting took too long',
  UND_ERR_CONNECT_TIMEOUT: 'connecting took too long',
};

const RESET = 'Your server reset the connection while we were reading the reply';

/** An error of the HTTP client as the port tells it. The text names codes, never a URL: those hold keys. Contract 19.1. */
export function transportError(error: Error, phase: Phase): AppUnreachable {
  const refusal = refusalIn(error);
  if (refusal) return refusal;
  const code = codeOf(error);
  const cause = { cause: error };
  if (error.name === 'HTTPParserError' || code === 'UND_ERR_HEADERS_OVERFLOW') {
    return new AppUnreachable('http_invalid', `Your server's reply is not HTTP: ${error.message}`, cause);
  }
  if (code === 'UND_ERR_INVALID_ARG') {
    return new AppUnreachable('url_invalid', 'The request cannot be sent: its URL or a header is not valid', cause);
  }
  if (phase === 'connecting')
    return new AppUnreachable(
      'http_unreachable',
      `Your server could not be reached: ${UNREACHABLE[code] ?? code}`,
      cause,
    );
  return new AppUnreachable('http_reset', phase === 'reading' ? RESET : `${RESET}: it ended before it began`, cause);
}

const GONE = new Set(['UND_ERR_SOCKET', 'ECONNRESET', 'ECONNABORTED', 'EPIPE']);

/** Whether a connection was closed or reset by the other side. */
export function isGone(error: Error): boolean {
  return GONE.has(codeOf(error));
}

/** Where several addresses were tried, each failed in its own way: an error of our own among them says why. */
function refusalIn(error: unknown): AppUnreachable | undefined {
  if (error instanceof AppUnreachable) return error;
  if (error instanceof AggregateError)
    return error.errors.find((each): each is AppUnreachable => each instanceof AppUnreachable);
  return undefined;
}

function codeOf(error: Error): string {
  const { code } = error as NodeJS.ErrnoException;
  if (code) return code;
  const [first] = error instanceof AggregateError ? (error.errors as readonly NodeJS.ErrnoException[]) : [];
  return first?.code ?? error.name;
}
