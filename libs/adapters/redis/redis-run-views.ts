import { isEnded, type Run } from '#core/run/run.state.js';
import { RunViews, type RunView } from '#ports/run-views.port.js';
import type { RedisConnection } from './redis-connection.js';
import { RedisScript } from './redis.script.js';

/** Runs that are on their way at once. */
const AT_ONCE = 200;

/** offset, run, how long it stays. A view that stands before the one that is shown is left out. */
const SHOW = new RedisScript(`
local shown = redis.call('HGET', KEYS[1], 'at')
if shown and tonumber(shown) > tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'at', ARGV[1], 'run', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
`);

export interface RedisRunViewsOptions {
  /** How long a run is shown after its last change while it has not ended: longer than work waits in the queue. */
  readonly activeMs?: number;
  /** How long a run is shown after it has ended. */
  readonly endedMs?: number;
}

/** Views in Redis, a key a run. */
export class RedisRunViews extends RunViews {
  private readonly activeMs: number;
  private readonly endedMs: number;

  /** The connection stays open. */
  constructor(
    private readonly connection: RedisConnection,
    { activeMs = 86_400_000, endedMs = 3_600_000 }: RedisRunViewsOptions = {},
  ) {
    super();
    this.activeMs = activeMs;
    this.endedMs = endedMs;
  }

  override async show(views: readonly RunView[]): Promise<void> {
    for (let i = 0; i < views.length; i += AT_ONCE) {
      await Promise.all(views.slice(i, i + AT_ONCE).map((view) => this.showOne(view)));
    }
  }

  override async see(runId: string): Promise<Run | undefined> {
    const run = await this.connection.use(({ client }) => client.hget(this.key(runId), 'run'));
    return run === null ? undefined : (JSON.parse(run) as Run);
  }

  private async showOne({ run, at }: RunView): Promise<void> {
    const call = {
      keys: [this.key(run.id)],
      args: [at.offset, JSON.stringify(run), isEnded(run) ? this.endedMs : this.activeMs],
    };
    await SHOW.run(this.connection, () => call);
  }

  private key(runId: string): string {
    return `${this.connection.prefix}view:${runId}`;
  }
}
