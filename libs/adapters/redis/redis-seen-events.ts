import type { Env, EpochMs, Position } from '#core/words.js';
import { SeenEvents, type SeenEvent } from '#ports/seen-events.port.js';
import type { RedisConnection } from './redis-connection.js';
import { RedisScript, type ScriptArgument } from './redis.script.js';
import { ADVANCES, Standing, STANDS } from './redis.standing.js';
import { Turns } from './turns.js';

const READER = 'seen';
/** Entries that one script takes. */
const PAGE = 1_000;

// The keys of a partition, after its hash tag:
//   positions   where the only reader stands
//   scopes      environment and function, by number
//   entries     by scope and event id: time of the commit, offset, internal id where it is another
//   times       the same names by the time of their commit

/** scope, event id */
const FIRST = new RedisScript(`${STANDS}
local scope = redis.call('HGET', base .. 'scopes', ARGV[arg])
return {'first', scope and redis.call('HGET', base .. 'entries', scope .. ':' .. ARGV[arg + 1])}
`);

/** reader, next, whether it is the last page (1), at, and entries: scope, event id, offset, internal id */
const COMMIT = new RedisScript(`${STANDS}${ADVANCES}
local at, added, numbers = ARGV[arg + 1], {}, {}
for i = arg + 2, #ARGV, 4 do
  local scope = numbers[ARGV[i]] or redis.call('HGET', base .. 'scopes', ARGV[i])
  if not scope then
    scope = redis.call('HLEN', base .. 'scopes') + 1
    redis.call('HSET', base .. 'scopes', ARGV[i], scope)
  end
  numbers[ARGV[i]] = scope
  local name = scope .. ':' .. ARGV[i + 1]
  if redis.call('HSETNX', base .. 'entries', name, at .. ':' .. ARGV[i + 2] .. ':' .. ARGV[i + 3]) == 1 then
    added[#added + 1] = at
    added[#added + 1] = name
  end
end
if #added > 0 then redis.call('ZADD', base .. 'times', unpack(added)) end
if ARGV[arg] == '1' then redis.call('HSET', base .. 'positions', reader, following) end
return {'committed'}
`);

/** before, how many */
const PRUNE = new RedisScript(`
local base = KEYS[1]
local old = redis.call('ZRANGEBYSCORE', base .. 'times', '-inf', '(' .. ARGV[1], 'LIMIT', 0, ARGV[2])
if #old > 0 then
  redis.call('HDEL', base .. 'entries', unpack(old))
  redis.call('ZREM', base .. 'times', unpack(old))
end
return #old
`);

/**
 * Seen event ids in Redis; the keys of a partition share a hash tag. A large commit goes in pages, the position with the last: an entry that
 * is there before its position is met by the delivery that made it, which takes it for its own by its offset and goes on as if it were not.
 */
export class RedisSeenEvents extends SeenEvents {
  private readonly standing: Standing;
  private readonly turns = new Turns();

  /** The connection stays open when the store is closed. */
  constructor(private readonly connection: RedisConnection) {
    super();
    this.standing = new Standing(connection, (partition) => this.base(partition));
  }

  override async first(
    partition: number,
    env: Env,
    functionId: string,
    eventId: string,
  ): Promise<(SeenEvent & { readonly at: EpochMs }) | undefined> {
    const args = [scopeOf(env, functionId), JSON.stringify(eventId)];
    const [, entry] = await this.standing.ask(FIRST, partition, args);
    const [, at, offset, internalId] = typeof entry === 'string' ? (ENTRY.exec(entry) ?? []) : [];
    if (at === undefined || offset === undefined) return undefined;
    const position = { partition, offset: Number(offset) };
    return { env, functionId, eventId, internalId: internalId || eventId, position, at: Number(at) };
  }

  override commit(entries: readonly SeenEvent[], next: Position, at: EpochMs): Promise<void> {
    return this.turns.take(next.partition, () => this.write(entries, next, at));
  }

  private async write(entries: readonly SeenEvent[], next: Position, at: EpochMs): Promise<void> {
    this.standing.advances(READER, next.partition, next.offset);
    for (let from = 0; ; from += PAGE) {
      const isLast = from + PAGE >= entries.length;
      const page = entries.slice(from, from + PAGE).flatMap(argumentsOf);
      const args = [READER, next.offset, isLast ? 1 : 0, at, ...page];
      await this.standing.ask(COMMIT, next.partition, args);
      if (isLast) break;
    }
    this.standing.advanced(READER, next.partition, next.offset);
  }

  override async position(partition: number): Promise<Position | undefined> {
    const offset = await this.standing.position(READER, partition);
    return offset === undefined ? undefined : { partition, offset };
  }

  override async prune(partition: number, before: EpochMs): Promise<number> {
    for (let count = 0; ;) {
      const call = { keys: [this.base(partition)], args: [before, PAGE] };
      const pruned = Number(await PRUNE.run(this.connection, () => call));
      count += pruned;
      if (pruned < PAGE) return count;
    }
  }

  override async close(): Promise<void> {
    return Promise.resolve();
  }

  private base(partition: number): string {
    return `{${this.connection.prefix}p${partition}}seen:`;
  }
}

const ENTRY = /^([^:]*):([^:]*):(.*)$/s;

/** Event ids as JSON: UTF-8 has no form for a lone surrogate, and two ids that differ in one must not become the same. */
function argumentsOf({ env, functionId, eventId, internalId, position }: SeenEvent): readonly ScriptArgument[] {
  const internal = internalId === eventId ? '' : internalId;
  return [scopeOf(env, functionId), JSON.stringify(eventId), position.offset, internal];
}

function scopeOf(env: Env, functionId: string): string {
  return `${env}\n${functionId}`;
}
