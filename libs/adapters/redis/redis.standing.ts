import { Fault } from '#core/faults.js';
import type { RedisConnection } from './redis-connection.js';
import type { RedisScript, ScriptArgument, ScriptReply } from './redis.script.js';

/**
 * For the beginning of a script that reads or writes of a partition. Its first key begins the names of all its keys; its arguments begin with
 * what `Standing` gives. Declares `base` and `arg`, the number of the first argument of its own. Returns `lost` where a reader stands before
 * the position at which it was last seen: Redis was emptied, or has come back with an older copy.
 */
export const STANDS = `
local base, arg = KEYS[1], 2 + 2 * tonumber(ARGV[1])
for i = 2, arg - 1, 2 do
  local kept = redis.call('HGET', base .. 'positions', ARGV[i])
  if not kept or tonumber(kept) < tonumber(ARGV[i + 1]) then return {'lost'} end
end
`;

/** After STANDS, in a script whose own arguments begin with a reader and its next position. Returns `stale` where a later one is kept. */
export const ADVANCES = `
local reader, following = ARGV[arg], ARGV[arg + 1]
arg = arg + 2
local kept = redis.call('HGET', base .. 'positions', reader)
if kept and tonumber(kept) > tonumber(following) then return {'stale', kept} end
`;

/** Asks a projection about its partitions, and sees to it that what is built on it builds on no less than was there before. */
export class Standing {
  /** By partition and reader, where it was last seen. */
  private readonly seen = new Map<number, Map<string, number>>();

  constructor(
    private readonly connection: RedisConnection,
    private readonly baseOf: (partition: number) => string,
  ) {}

  /**
   * @returns the script's answer; its first element says what it is
   * @throws state_lost, state_unavailable
   */
  async ask(script: RedisScript, partition: number, args: readonly ScriptArgument[]): Promise<readonly ScriptReply[]> {
    const reply = await script.run(this.connection, () => {
      const seen = [...(this.seen.get(partition) ?? [])];
      return { keys: [this.baseOf(partition)], args: [seen.length, ...seen.flat(), ...args] };
    });
    const answer = reply as readonly ScriptReply[];
    if (answer[0] === 'lost') throw new Fault('state_lost', { partition });
    return answer;
  }

  /** Where a reader stands now, whatever it was before: what follows builds on that. */
  async position(reader: string, partition: number): Promise<number | undefined> {
    const kept = await this.connection.use(({ client }) => client.hget(`${this.baseOf(partition)}positions`, reader));
    if (kept !== null) this.advanced(reader, partition, Number(kept));
    else this.seen.get(partition)?.delete(reader);
    return kept === null ? undefined : Number(kept);
  }

  advanced(reader: string, partition: number, offset: number): void {
    const seen = this.seen.get(partition) ?? new Map<string, number>();
    this.seen.set(partition, seen.set(reader, offset));
  }
}
