import { randomUUID } from 'node:crypto';
import { Fault } from '#core/faults.js';
import type { EpochMs, Position } from '#core/words.js';
import { AggregateStore, type AggregateWrite, type Shelf, type StoredAggregate } from '#ports/aggregate-store.port.js';
import { pagesOf } from './aggregate.pages.js';
import type { RedisConnection } from './redis-connection.js';
import { RedisScript, type ScriptArgument, type ScriptReply } from './redis.script.js';
import { ADVANCES, FENCED, Standing, STANDS } from './redis.standing.js';
import { Turns } from './turns.js';

/** Aggregates and bytes that `active` takes at once; one aggregate at least. */
const PAGE = 500;
const PAGE_BYTES = 1_048_576;
/** Tombstones that one script of `prune` takes away. */
const PRUNE_SLICE = 1_000;
/** Pages of a large commit that are on their way at once. */
const STAGED_AT_ONCE = 8;
/** How long the pages of a commit wait that nobody completes. */
const STAGE_MS = 600_000;

// The keys of a partition, after its hash tag:
//   positions        by reader, the first position that is not reflected
//   states:<space>   by id, what is active; ids:<space> the same ids in order
//   tombs:<space>    ids that have ended, by the time of their commit; spaces: those that have had any
//   stage:<commit>   pages of a large commit that is being written
//   pending          pages of a large commit that counts, and are not in their places yet

const APPLY = `
local function apply(at, list, i)
  while i <= #list do
    local sign, space, n = string.sub(list[i], 1, 1), string.sub(list[i], 2), tonumber(list[i + 1])
    local states, ids, tombs = base .. 'states:' .. space, base .. 'ids:' .. space, base .. 'tombs:' .. space
    local scored, named = {}, {}
    if sign == '+' then
      for k = i + 2, i + 1 + 2 * n, 2 do
        named[#named + 1] = list[k]
        scored[#scored + 1] = 0
        scored[#scored + 1] = list[k]
      end
      redis.call('HSET', states, unpack(list, i + 2, i + 1 + 2 * n))
      redis.call('ZADD', ids, unpack(scored))
      redis.call('ZREM', tombs, unpack(named))
      i = i + 2 + 2 * n
    else
      for k = i + 2, i + 1 + n do
        named[#named + 1] = list[k]
        scored[#scored + 1] = at
        scored[#scored + 1] = list[k]
      end
      redis.call('HDEL', states, unpack(named))
      redis.call('ZREM', ids, unpack(named))
      redis.call('ZADD', tombs, unpack(scored))
      redis.call('SADD', base .. 'spaces', space)
      i = i + 2 + n
    end
  end
end
`;

/** What counts must be in its place before anything is read or written. */
const SETTLED = `
if redis.call('EXISTS', base .. 'pending') == 1 then return {'pending'} end
`;

/** space, id */
const LOAD = new RedisScript(`${STANDS}${FENCED}${SETTLED}
local state = redis.call('HGET', base .. 'states:' .. ARGV[arg], ARGV[arg + 1])
if state then return {'active', state} end
if redis.call('ZSCORE', base .. 'tombs:' .. ARGV[arg], ARGV[arg + 1]) then return {'ended'} end
return {'unknown'}
`);

/** space */
const COUNT = new RedisScript(`${STANDS}${SETTLED}
return {'count', redis.call('ZCARD', base .. 'ids:' .. ARGV[arg])}
`);

/**
 * space, the id after which the page begins (`-`: the first), how many, how many bytes. A commit that counts since the first page is not minded:
 * states may be older ones.
 */
const ACTIVE = new RedisScript(`${STANDS}
local space, from = ARGV[arg], ARGV[arg + 1]
if from == '-' then ${SETTLED} end
local ids = redis.call('ZRANGEBYLEX', base .. 'ids:' .. space, from, '+', 'LIMIT', 0, ARGV[arg + 2])
local states, left, page = base .. 'states:' .. space, tonumber(ARGV[arg + 3]), {'end'}
for i, id in ipairs(ids) do
  local state = redis.call('HGET', states, id)
  page[#page + 1] = id
  page[#page + 1] = state
  left = left - (state and #state or 0)
  if left <= 0 then break end
end
if left <= 0 or #ids == tonumber(ARGV[arg + 2]) then page[1] = 'more' end
return page
`);

/** reader, next, at, a page */
const COMMIT = new RedisScript(`${STANDS}${ADVANCES}${SETTLED}${APPLY}
apply(ARGV[arg], ARGV, arg + 1)
redis.call('HSET', base .. 'positions', reader, following)
return {'committed'}
`);

/** reader, next, commit, how long it stays, how many elements, and a page with its time before it */
const STAGE = new RedisScript(`${STANDS}${ADVANCES}
local stage = base .. 'stage:' .. ARGV[arg]
redis.call('RPUSH', stage, unpack(ARGV, arg + 2))
redis.call('PEXPIRE', stage, ARGV[arg + 1])
return {'staged'}
`);

/** reader, next, commit, how many elements its pages have */
const SWITCH = new RedisScript(`${STANDS}${ADVANCES}${SETTLED}
local stage = base .. 'stage:' .. ARGV[arg]
if redis.call('LLEN', stage) ~= tonumber(ARGV[arg + 1]) then return {'gone'} end
redis.call('PERSIST', stage)
redis.call('RENAME', stage, base .. 'pending')
redis.call('HSET', base .. 'positions', reader, following)
return {'committed'}
`);

/** Puts one page of what counts into its place. */
const FINISH = new RedisScript(`
local base = KEYS[1]
${APPLY}
local n = redis.call('LPOP', base .. 'pending')
if not n then return 0 end
local list = redis.call('LPOP', base .. 'pending', n)
apply(list[1], list, 2)
return redis.call('EXISTS', base .. 'pending')
`);

/** before, how many */
const PRUNE = new RedisScript(`
local base, left = KEYS[1], tonumber(ARGV[2])
for _, space in ipairs(redis.call('SMEMBERS', base .. 'spaces')) do
  local tombs = base .. 'tombs:' .. space
  local old = redis.call('ZRANGEBYSCORE', tombs, '-inf', '(' .. ARGV[1], 'LIMIT', 0, left)
  if #old > 0 then redis.call('ZREM', tombs, unpack(old)) end
  left = left - #old
  if left == 0 then break end
end
return ARGV[2] - left
`);

/**
 * Folded state in Redis; the keys of a partition share a hash tag.
 *
 * A commit that one script can take in a few milliseconds is that script. The pages of a larger one are put aside first, and then count all
 * at once, with the position, by one rename; from there they are put into their places page by page, and whoever reads or writes meanwhile
 * does that first. To write pages straight into their places with the position last would not do: after a crash in between, commands would
 * be decided again over states that reflect them already, and their decisions left out.
 */
export class RedisAggregateStore extends AggregateStore {
  private readonly standing: Standing;
  private readonly turns = new Turns();

  /** The connection stays open when the store is closed. */
  constructor(private readonly connection: RedisConnection) {
    super();
    this.standing = new Standing(connection, (partition) => this.base(partition));
  }

  override async load({ space, partition }: Shelf, id: string): Promise<StoredAggregate | undefined> {
    const [what, state] = await this.settled(LOAD, partition, [space, id]);
    if (what === 'unknown') return undefined;
    return { id, state: what === 'active' ? String(state) : null };
  }

  override async *active({ space, partition }: Shelf): AsyncIterable<StoredAggregate> {
    for (let from = '-'; ;) {
      const [what, ...page] = await this.settled(ACTIVE, partition, [space, from, PAGE, PAGE_BYTES]);
      for (let i = 0; i < page.length; i += 2) {
        // An id whose state somebody took away by hand: `verify` tells that it is missing.
        if (page[i + 1] !== null) yield { id: String(page[i]), state: String(page[i + 1]) };
      }
      if (what === 'end') return;
      from = `(${String(page.at(-2))}`;
    }
  }

  override async count({ space, partition }: Shelf): Promise<number> {
    return Number((await this.settled(COUNT, partition, [space]))[1]);
  }

  override commit(
    reader: string,
    next: Position,
    writes: Readonly<Record<string, readonly AggregateWrite[]>>,
    at: EpochMs,
  ): Promise<void> {
    return this.turns.take(next.partition, () => this.write(reader, next, pagesOf(writes), at));
  }

  private async write(
    reader: string,
    next: Position,
    pages: readonly (readonly ScriptArgument[])[],
    at: EpochMs,
  ): Promise<void> {
    const { partition, offset } = next;
    this.standing.advances(reader, partition, offset);
    if (pages.length <= 1) {
      this.accepted(reader, next, await this.settled(COMMIT, partition, [reader, offset, at, ...(pages[0] ?? [])]));
      return;
    }
    const commit = randomUUID();
    const staging: Promise<void>[] = [];
    for (const page of pages) {
      const staged = this.standing
        .ask(STAGE, partition, [reader, offset, commit, STAGE_MS, page.length + 1, at, ...page])
        .then((reply) => this.check(reply));
      // Looked at below; until then it must not count as one that nobody minds.
      staged.catch(() => undefined);
      staging.push(staged);
      if (staging.length >= STAGED_AT_ONCE) await staging.shift();
    }
    await Promise.all(staging);
    const elements = pages.reduce((sum, page) => sum + page.length + 2, 0);
    this.accepted(reader, next, await this.settled(SWITCH, partition, [reader, offset, commit, elements]));
    await this.finish(partition);
  }

  override async position(reader: string, partition: number): Promise<Position | undefined> {
    const offset = await this.standing.position(reader, partition);
    return offset === undefined ? undefined : { partition, offset };
  }

  override async prune(partition: number, before: EpochMs): Promise<number> {
    for (let count = 0; ;) {
      const args = [before, PRUNE_SLICE];
      const pruned = Number(await PRUNE.run(this.connection, () => ({ keys: [this.base(partition)], args })));
      count += pruned;
      if (pruned < PRUNE_SLICE) return count;
    }
  }

  override async close(): Promise<void> {
    return Promise.resolve();
  }

  private base(partition: number): string {
    return `{${this.connection.prefix}p${partition}}aggregates:`;
  }

  /** Asks when all that counts is in its place. */
  private async settled(
    script: RedisScript,
    partition: number,
    args: readonly ScriptArgument[],
  ): Promise<readonly ScriptReply[]> {
    for (;;) {
      const reply = await this.standing.ask(script, partition, args);
      if (reply[0] !== 'pending') return reply;
      await this.finish(partition);
    }
  }

  private async finish(partition: number): Promise<void> {
    const call = { keys: [this.base(partition)], args: [] };
    while ((await FINISH.run(this.connection, () => call)) === 1);
  }

  private accepted(reader: string, next: Position, reply: readonly ScriptReply[]): void {
    this.check(reply);
    this.standing.advanced(reader, next.partition, next.offset);
  }

  private check([what]: readonly ScriptReply[]): void {
    if (what === 'gone') throw new Fault('state_unavailable', { reason: 'what was put aside of a commit is gone' });
  }
}
