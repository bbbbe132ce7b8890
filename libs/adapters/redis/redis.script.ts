import { createHash } from 'node:crypto';
import type { RedisConnection, RedisLink } from './redis-connection.js';

export type ScriptArgument = string | number;
/** What a script answers: Lua tables are lists, `nil` ends a list, `false` is null. */
export type ScriptReply = string | number | null | readonly ScriptReply[];

/** What a script takes: first its keys, then the rest. */
export interface ScriptCall {
  readonly keys: readonly string[];
  readonly args: readonly ScriptArgument[];
}

/** A Lua script, called by its digest, and sent whole only to a server that does not know it yet. */
export class RedisScript {
  private readonly digest: string;

  constructor(private readonly lua: string) {
    this.digest = createHash('sha1').update(lua).digest('hex');
  }

  /**
   * @param call made anew for each server that it is sent to
   * @throws state_unavailable
   */
  async run(connection: RedisConnection, call: (link: RedisLink) => ScriptCall): Promise<ScriptReply> {
    const reply = await connection.use(async (link) => {
      const { keys, args } = call(link);
      try {
        return (await link.client.evalsha(this.digest, keys.length, ...keys, ...args)) as ScriptReply;
      } catch (error) {
        if (error instanceof Error && error.message.startsWith('NOSCRIPT')) return UNKNOWN;
        throw error;
      }
    });
    if (reply !== UNKNOWN) return reply;
    // Between the two calls the server may have become another.
    return connection.use(async (link) => {
      const { keys, args } = call(link);
      return (await link.client.eval(this.lua, keys.length, ...keys, ...args)) as ScriptReply;
    });
  }
}

const UNKNOWN: unique symbol = Symbol('the server does not know the script');
