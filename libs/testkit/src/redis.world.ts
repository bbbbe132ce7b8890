import { randomUUID } from 'node:crypto';
import { RedisConnection, type RedisLink } from '#adapters/redis/redis-connection.js';

/** Names that no other test has. */
export function ownPrefix(): string {
  return `test ${randomUUID()}:`;
}

class HookedConnection extends RedisConnection {
  before: () => Promise<unknown> = () => Promise.resolve();

  override async use<T>(call: (link: RedisLink) => Promise<T>): Promise<T> {
    await this.before();
    return super.use(call);
  }
}

/** Connections to a server, as several processes of one installation have them. */
export class RedisWorld implements AsyncDisposable {
  readonly prefix = ownPrefix();
  private readonly connections: RedisConnection[] = [];

  constructor(private readonly url: string) {}

  /** Another process: a connection of its own. */
  connect(): RedisConnection {
    const connection = new RedisConnection(this.url, this.prefix);
    this.connections.push(connection);
    return connection;
  }

  /** Another process, in which something happens before each of its calls. One that rejects is the end of the process: the call is not made. */
  connectHooked(before: () => Promise<unknown>): RedisConnection {
    const connection = new HookedConnection(this.url, this.prefix);
    connection.before = before;
    this.connections.push(connection);
    return connection;
  }

  /** Takes away what the installation has written, and all connections. */
  async [Symbol.asyncDispose](): Promise<void> {
    const connection = new RedisConnection(this.url, this.prefix);
    await connection.use(async ({ client }) => {
      for await (const keys of client.scanStream({ match: `*${this.prefix}*`, count: 1_000 })) {
        if ((keys as string[]).length > 0) await client.unlink(...(keys as string[]));
      }
    });
    await Promise.all([...this.connections.splice(0), connection].map((one) => one.close()));
  }
}
