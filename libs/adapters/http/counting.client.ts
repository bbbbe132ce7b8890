import { Client, type Dispatcher } from 'undici';

/** Who sends a request and must know what became of its connection. */
export interface Rider extends Dispatcher.DispatchHandler {
  connection?: Connection;
}

export interface Connection {
  /** Requests that it has carried. */
  requests: number;
}

/** A client of one connection at a time, which counts what it carries. Where it is lost, undici's errors do not tell whether it was new. */
export class CountingClient extends Client {
  private readonly connection: Connection = { requests: 0 };

  constructor(origin: string | URL, options: Client.Options) {
    super(origin, options);
    this.on('connect', () => (this.connection.requests = 0));
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Rider): boolean {
    handler.connection = this.connection;
    return super.dispatch(options, handler);
  }
}
