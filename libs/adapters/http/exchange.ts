import type { IncomingHttpHeaders } from 'node:http';
import type { Dispatcher } from 'undici';
import { AppUnreachable } from '#ports/app-transport.port.js';
import { transportError } from './transport.errors.js';
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

/** One request and its reply, no redirects. @throws AppUnreachable, or what ended the deadline */
export function exchange(
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

class ReplyReader implements Dispatcher.DispatchHandler {
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
    if (this.aborted) controller.abort(this.aborted);
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
    else this.reject(transportError(error, this.status > 0 ? 'reading' : this.controller ? 'waiting' : 'connecting'));
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
