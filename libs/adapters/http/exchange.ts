import type { IncomingHttpHeaders } from 'node:http';
import type { Dispatcher } from 'undici';
import { AppUnreachable } from '#ports/app-transport.port.js';
import type { Connection, Rider } from './counting.client.js';
import { isGone, transportError } from './transport.errors.js';
import type { Hop } from './redirect.js';
import { BodyBuffer, tooLarge } from './reply.body.js';

/** What ends a call from outside: its time is up, or nobody wants it any more. */
export class Deadline {
  private error: Error | undefined;
  private stop: ((error: Error) => void) | undefined;

  /** Ends what goes on now, and whatever would follow. */
  end(error: Error): void {
    if (this.error) return;
    this.error = error;
    this.stop?.(error);
  }

  /** @param stop is called when it is over; at once when it is already */
  watch(stop: (error: Error) => void): void {
    this.stop = stop;
    if (this.error) stop(this.error);
  }
}

export interface RawReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** Ways to a server. */
export interface Ways {
  /** Over a connection that is kept for the next request. */
  readonly kept: Dispatcher;
  /** Over one of its own. Absent: what may not be sent twice is not. */
  readonly fresh?: Dispatcher;
}

/** A server that closes a kept connection as a request is on its way says so within a round trip. Later it had the request in hand. */
const CROSSING_MS_MAX = 1_000;

/** The kept connection was closed as the request was sent: it is likely that nobody has seen it. */
class Crossed extends Error {
  constructor(readonly reset: AppUnreachable) {
    super(reset.message, { cause: reset });
  }
}

/**
 * One request and its reply, no redirects. Servers close connections that have rested for long, and may do so just as a request is sent: that
 * is no failure of the app, and the request goes out once more.
 * @throws AppUnreachable, or what ended the deadline
 */
export async function exchange(
  { kept, fresh }: Ways,
  hop: Hop,
  bodyBytesMax: number,
  deadline: Deadline,
): Promise<RawReply> {
  try {
    return await dispatch(kept, hop, bodyBytesMax, deadline);
  } catch (error) {
    if (!(error instanceof Crossed)) throw error;
    if (!fresh) throw error.reset;
    return dispatch(fresh, hop, bodyBytesMax, deadline);
  }
}

function dispatch(
  dispatcher: Dispatcher,
  { method, url, headers, body }: Hop,
  bodyBytesMax: number,
  deadline: Deadline,
): Promise<RawReply> {
  return new Promise((resolve, reject) => {
    const reader = new ReplyReader(bodyBytesMax, resolve, reject);
    deadline.watch((error) => reader.abort(error));
    dispatcher.dispatch(
      { origin: url.origin, path: url.pathname + url.search, method, headers, body: body ?? null },
      reader,
    );
  });
}

class ReplyReader implements Rider {
  connection?: Connection;
  /** Since when the request is on a connection that carried others before, by a clock of its own; undefined on a new one. */
  private onKeptSince: number | undefined;
  private begun = false;
  private controller: Dispatcher.DispatchController | undefined;
  private aborted: Error | undefined;
  private status = 0;
  private headers: Record<string, string> = {};
  private readonly body: BodyBuffer;

  constructor(
    private readonly bodyBytesMax: number,
    private readonly resolve: (reply: RawReply) => void,
    private readonly reject: (error: Error) => void,
  ) {
    this.body = new BodyBuffer(bodyBytesMax);
  }

  /** The caller is told at once; a request that still waits for its connection is dropped when it gets it. */
  abort(error: Error): void {
    this.aborted ??= error;
    this.reject(error);
    this.controller?.abort(error);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.controller = controller;
    if (this.connection && this.connection.requests++ > 0) this.onKeptSince = performance.now();
    if (this.aborted) controller.abort(this.aborted);
  }

  /** The first byte of a reply. */
  onResponseStarted(): void {
    this.begun = true;
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    if (status < 200) return;
    this.status = status;
    this.headers = headerTexts(headers);
    if (Number(headers['content-length']) > this.bodyBytesMax) controller.abort(tooLarge(this.bodyBytesMax));
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    try {
      this.body.add(chunk);
    } catch (error) {
      controller.abort(error as Error);
    }
  }

  onResponseEnd(): void {
    this.resolve({ status: this.status, headers: this.headers, body: this.body.whole() });
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (error === this.aborted || error instanceof AppUnreachable) this.reject(error);
    else if (this.hasCrossed(error)) this.reject(new Crossed(transportError(error, 'waiting')));
    else this.reject(transportError(error, this.status > 0 ? 'reading' : this.controller ? 'waiting' : 'connecting'));
  }

  private hasCrossed(error: Error): boolean {
    if (this.onKeptSince === undefined || this.begun || !isGone(error)) return false;
    return performance.now() - this.onKeptSince < CROSSING_MS_MAX;
  }
}

function headerTexts(headers: IncomingHttpHeaders): Record<string, string> {
  const texts: Record<string, string> = {};
  for (const name in headers) {
    const value = headers[name];
    if (value !== undefined) texts[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  return texts;
}
