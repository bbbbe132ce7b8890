import { Fault } from '#core/faults.js';
import type { RedisConnection } from './redis-connection.js';
import type { RedisScript, ScriptArgument, ScriptReply } from './redis.script.js';

/**
 * For the beginning of a script that reads or writes of a partition. Its first key begins the names of all its keys; its arguments begin with
 * what `Standing` gives. Declares `base` and `arg`, the number of the first argument of its own. Returns `lost` where a reader stands before
 * the position at which it was last seen: Redis was emptied, or has come back with an older copy. Declares `overtaken`, the position of a
 * reader that stands where we have not brought it: somebody else goes on from there.
 */
export const STANDS = `
local base, arg, overtaken = KEYS[1], 2 + 3 * tonumber(ARGV[1]), false
for i = 2, arg - 1, 3 do
  local kept = redis.call('HGET', base .. 'positions', ARGV[i])
  if not kept or tonumber(kept) < tonumber(ARGV[i + 1]) then return {'lost'} end
  if kept ~= ARGV[i + 1] and kept ~= ARGV[i + 2] then overtaken = kept end
end
`;

/** After STANDS, where what is read must be of our own position. */
export const FENCED = `
if overtaken then return {'stale', overtaken} end
`;

/**
 * After STANDS, in a script whose own arguments begin with a reader and its next position. Returns `stale` where a later one is kept, or one
 * that is not ours.
 */
export const ADVANCES = `
${FENCED}
local reader, following = ARGV[arg], ARGV[arg + 1]
arg = arg + 2
local kept = redis.call('HGET', base .. 'positions', reader)
if kept and tonumber(kept) > tonumber(following) then return {'stale', kept} end
`;

/** Asks a projection about its partitions, and sees to it that what is built on it builds on no less than was there before. */
export class Standing {
  /** By partition and reader, where it was last seen. */
  private readonly seen = new Map<number, Map<string, number>>();
  /** By partition and reader, where we may have brought it since: the answer is not here. */
  private readonly tried = new Map<number, Map<string, number>>();

  constructor(
    private readonly connection: RedisConnection,
    private readonly baseOf: (partition: number) => string,
  ) {}

  /**
   * @returns the script's answer; its first element says what it is
   * @throws state_lost, state_unavailable; position_stale where somebody else goes on from a position of his
   */
  async ask(script: RedisScript, partition: number, args: readonly ScriptArgument[]): Promise<readonly ScriptReply[]> {
    const reply = await script.run(this.connection, () => {
      const tried = this.tried.get(partition);
      const seen = [...(this.seen.get(partition) ?? [])].map(([reader, at]) => [reader, at, tried?.get(reader) ?? at]);
      return { keys: [this.baseOf(partition)], args: [seen.length, ...seen.flat(), ...args] };
    });
    const answer = reply as readonly ScriptReply[];
    if (answer[0] === 'lost') throw new Fault('state_lost', { partition });
    if (answer[0] === 'stale') throw new Fault('position_stale', { partition, kept: Number(answer[1]) });
    return answer;
  }

  /** Where a reader stands now, whatever it was before: what follows builds on that. */
  async position(reader: string, partition: number): Promise<number | undefined> {
    const kept = await this.connection.use(({ client }) => client.hget(`${this.baseOf(partition)}positions`, reader));
    this.tried.get(partition)?.delete(reader);
    if (kept !== null) this.advanced(reader, partition, Number(kept));
    else this.seen.get(partition)?.delete(reader);
    return kept === null ? undefined : Number(kept);
  }

  /** The reader is about to be brought to a position: it may be there before the answer is here. */
  advances(reader: string, partition: number, offset: number): void {
    note(this.tried, reader, partition, offset);
  }

  advanced(reader: string, partition: number, offset: number): void {
    note(this.seen, reader, partition, offset);
  }
}

function note(of: Map<number, Map<string, number>>, reader: string, partition: number, offset: number): void {
  const readers = of.get(partition) ?? new Map<string, number>();
  of.set(partition, readers.set(reader, offset));
}
