import { Redis } from 'ioredis';
import { freePort } from './free.port.js';
import { programs } from './programs.js';
import { serviceFolder, ServiceProcess, type ServiceOptions } from './service.process.js';

export interface RedisServerOptions extends ServiceOptions {
  /** Keeps every write over a kill, at the price of a disk write each. Without it a stop, too, forgets everything. */
  readonly appendOnly?: boolean;
  /** More of its configuration, as on its command line: `['--maxmemory', '10mb']`. */
  readonly args?: readonly string[];
}

/** A Redis server. It saves nothing unless told to, as a cache that can be lost. */
export class RedisServer extends ServiceProcess {
  readonly port: number;

  private constructor(port: number, folder: string, options: RedisServerOptions) {
    const { appendOnly = false, args = [] } = options;
    const bare = ['--bind', '127.0.0.1', '--port', String(port), '--dir', folder, '--save', ''];
    const kept = appendOnly ? ['--appendonly', 'yes', '--appendfsync', 'always'] : ['--appendonly', 'no'];
    super(
      {
        name: 'redis',
        command: programs('redis-server')['redis-server'],
        args: [...bare, ...kept, ...args],
        folder,
        answers: () => redisAnswers(urlOf(port)),
      },
      options,
    );
    this.port = port;
  }

  static async launch(options: RedisServerOptions = {}): Promise<RedisServer> {
    const redis = new RedisServer(await freePort(), await serviceFolder('redis'), options);
    await redis.start();
    return redis;
  }

  get url(): string {
    return urlOf(this.port);
  }
}

/** @throws when the server at this URL does not answer a PING, or is still loading */
export async function redisAnswers(url: string): Promise<void> {
  const client = new Redis(url, {
    lazyConnect: true,
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    connectTimeout: 10_000,
    commandTimeout: 10_000,
  });
  // What goes wrong is thrown by the calls.
  client.on('error', () => {});
  try {
    await client.connect();
    await client.ping();
  } finally {
    client.disconnect();
  }
}

function urlOf(port: number): string {
  return `redis://127.0.0.1:${port}`;
}
