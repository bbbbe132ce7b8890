import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

const KEEP_ALIVE_MS = 75_000;

type Meanwhile = (...visit: Parameters<RequestListener>) => boolean;

/**
 * The port of a process, taken before there is anybody to answer: a port that is in use is known before anything is done, and who comes while
 * the server starts waits, as for a slow answer. What an app says of a call that was made at once after a crash is not refused.
 */
export class FrontDoor {
  private answer: RequestListener | undefined;
  private early: Parameters<RequestListener>[] = [];
  private closed: Promise<unknown> | undefined;

  private constructor(
    readonly server: Server,
    meanwhile: Meanwhile,
  ) {
    server.on('request', (...visit) => {
      if (this.answer) this.answer(...visit);
      else if (!meanwhile(...visit)) this.early.push(visit);
    });
  }

  /**
   * @param port 0 takes one that is free
   * @param meanwhile answers what cannot wait for the server to start, and says whether it did
   * @throws what the system says, such as EADDRINUSE
   */
  static async open(host: string, port: number, meanwhile: Meanwhile = () => false): Promise<FrontDoor> {
    const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS });
    server.listen({ host, port });
    await once(server, 'listening');
    return new FrontDoor(server, meanwhile);
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** From now on this one answers, those first who wait. */
  answerWith(listener: RequestListener): void {
    this.answer = listener;
    for (const visit of this.early.splice(0)) listener(...visit);
  }

  /** Lets nobody in any more, and waits until those inside have their answers; where there is nobody to answer they get none. */
  close(drainMs?: number): Promise<unknown> {
    return (this.closed ??= this.shut(drainMs));
  }

  /** @param drainMs who has no answer by then gets none: he asks somebody else */
  private async shut(drainMs?: number): Promise<void> {
    const closed = once(this.server, 'close');
    this.server.close();
    if (this.answer) this.server.closeIdleConnections();
    else this.server.closeAllConnections();
    const late = drainMs === undefined ? undefined : setTimeout(() => this.server.closeAllConnections(), drainMs);
    await closed;
    clearTimeout(late);
  }
}
