import { Redis, type RedisOptions } from 'ioredis';
import { Fault } from '#core/faults.js';

/** The longest wait for a connection before a call is refused. */
const PATIENCE_MS = 2_000;
const RECONNECT_MS_MAX = 500;
/** The policy under which a full server refuses writes, and drops nothing. */
const KEEPS = 'noeviction';

/**
 * In one go: whoever notices that some keys are gone makes them again, and must not lose a part of them to what goes on.
 * @returns how many
 */
const WIPE = `
local removed = 0
for _, pattern in ipairs(ARGV) do
  local keys = redis.call('KEYS', pattern)
  for i = 1, #keys, 1000 do
    removed = removed + redis.call('UNLINK', unpack(keys, i, math.min(i + 999, #keys)))
  end
end
return removed
`;

/** A connection in use: the client, and which start of the server it is connected to. */
export interface RedisLink {
  readonly client: Redis;
  /** Changes when the server has restarted or another has taken its place: what was written before may be lost, in part or whole. */
  readonly instance: string;
}

/**
 * A connection to Redis that never lets a command reach another server than the one it was meant for: while there is no connection, calls
 * wait a little and are then refused, and none is sent a second time by itself.
 */
export class RedisConnection {
  private link: PromiseWithResolvers<RedisLink> = Promise.withResolvers();
  /** While there is a connection. */
  private present: RedisLink | undefined;
  /** Why the server that answers is not used. */
  private refusal: Fault | undefined;
  private askAgain: NodeJS.Timeout | undefined;
  private readonly client: Redis;
  private readonly reconnected = new Set<(instance: string) => void>();

  /** @param url `redis://` or `rediss://`, with user, password and database. Connects in the background. */
  constructor(
    url: string,
    /** Stands before every key: several installations may share a server. */
    readonly prefix: string,
    options: RedisOptions = {},
  ) {
    this.client = new Redis(url, {
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      autoResubscribe: false,
      maxRetriesPerRequest: 0,
      retryStrategy: (times) => Math.min(RECONNECT_MS_MAX, 20 * times),
      ...options,
    });
    this.link.promise.catch(() => undefined);
    this.client.on('ready', () => void this.introduce());
    this.client.on('close', () => this.lose());
    // Told with the call that fails; without a listener it would end the process.
    this.client.on('error', () => undefined);
  }

  /** Makes a call with the connection. @throws state_unavailable where there is none, or the call fails */
  async use<T>(call: (link: RedisLink) => Promise<T>): Promise<T> {
    // It may be on its way down already, before that is told.
    if (this.present && this.client.status !== 'ready') this.lose();
    const link = this.present ?? (await this.linked());
    try {
      return await call(link);
    } catch (error) {
      if (error instanceof Fault) throw error;
      throw unavailable(error);
    }
  }

  /** Whether what answers can be used at all; also resolves where nothing answers. @throws state_evicts */
  async check(): Promise<void> {
    await this.linked().catch(() => undefined);
    if (this.refusal) throw this.refusal;
  }

  /** Calls back after each connection that is made from now on. @returns stops it */
  onConnect(listener: (instance: string) => void): () => void {
    this.reconnected.add(listener);
    return () => this.reconnected.delete(listener);
  }

  /** Another connection to the same server, for a subscriber. The caller closes it. */
  duplicate(options: RedisOptions = {}): Redis {
    return this.client.duplicate(options);
  }

  /** Removes all keys of this installation at once; others wait meanwhile. @returns how many. @throws state_unavailable */
  wipe(): Promise<number> {
    const prefix = escaped(this.prefix);
    return this.use(async ({ client }) => Number(await client.eval(WIPE, 0, `{${prefix}*`, `${prefix}*`)));
  }

  async close(): Promise<void> {
    clearTimeout(this.askAgain);
    this.link.reject(new Error('closed'));
    if (this.client.status === 'ready') await this.client.quit().catch(() => this.client.disconnect());
    else this.client.disconnect();
  }

  private async linked(): Promise<RedisLink> {
    if (this.refusal) throw unavailable(this.refusal);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(unavailable(new Error('no connection to Redis'))), PATIENCE_MS);
    });
    try {
      return await Promise.race([this.link.promise, late]);
    } catch (error) {
      throw error instanceof Fault && error !== this.refusal ? error : unavailable(error);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Which server this is must be known before anything is asked of it. */
  private async introduce(): Promise<void> {
    try {
      const info = await this.client.info('server');
      const instance = /^run_id:(\w+)/m.exec(info)?.[1];
      if (instance === undefined) throw new Error('the server does not tell its run id');
      await this.refuseEviction();
      this.present = { client: this.client, instance };
      this.link.resolve(this.present);
      for (const listener of this.reconnected) listener(instance);
    } catch {
      if (!this.refusal) this.client.disconnect(true);
      else this.askAgain = setTimeout(() => this.client.disconnect(true), RECONNECT_MS_MAX);
    }
  }

  /** What is left out in silence would be taken for what never was. It is asked again with the next connection. */
  private async refuseEviction(): Promise<void> {
    const policy = /^maxmemory_policy:([\w-]+)/m.exec(await this.client.info('memory'))?.[1];
    this.refusal = policy === undefined || policy === KEEPS ? undefined : new Fault('state_evicts', { policy });
    if (!this.refusal) return;
    this.link.reject(this.refusal);
    throw this.refusal;
  }

  private lose(): void {
    const before = this.link;
    this.present = undefined;
    this.link = Promise.withResolvers();
    this.link.promise.catch(() => undefined);
    // Whoever waits for the connection that is gone waits for the next one.
    this.link.promise.then(before.resolve, before.reject);
  }
}

/** As a pattern of its own. */
function escaped(text: string): string {
  return text.replace(/[\\*?[\]]/g, '\\$&');
}

function unavailable(cause: unknown): Fault {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new Fault('state_unavailable', { reason }, { cause });
}
