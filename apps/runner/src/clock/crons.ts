import { cronKey } from '#core/cron/cron.aggregate.js';
import type { FunctionVersion } from '#core/function/function.config.js';
import type { Catalog } from '#ports/catalog.port.js';
import type { Clock } from '#ports/clock.port.js';
import type { Addressed, Letterbox } from '#ports/letterbox.port.js';
import type { Logger } from '#ports/logger.port.js';

/** Keeps the clockworks of cron triggers as the catalog has them: arms what is there, disarms what has gone. */
export class Crons {
  private stop: (() => void) | undefined;

  constructor(
    private readonly letterbox: Letterbox,
    private readonly catalog: Catalog,
    private readonly clock: Clock,
    private readonly logger: Logger,
    /** Whether an aggregate is of the partition that this is for. */
    private readonly isOurs: (key: string) => boolean,
  ) {}

  /** Arms everything once more (harmless where it is armed) and follows the catalog from then on. */
  async open(): Promise<void> {
    await this.letterbox.post(this.ours(this.catalog.allFunctions().flatMap((fn) => this.arm(fn))));
    this.stop = this.catalog.onChange((now, before) => this.follow(now, before));
  }

  close(): void {
    this.stop?.();
  }

  private follow(now: FunctionVersion, before: FunctionVersion | undefined): void {
    const kept = new Set(now.archivedAt === undefined ? cronsOf(now).map(({ cron }) => cron) : []);
    const gone = before ? cronsOf(before).filter(({ cron }) => !kept.has(cron)) : [];
    const at = this.clock.now();
    const commands = gone.map(({ cron }): Addressed => {
      const { env, id: functionId } = now;
      return { key: cronKey(env, functionId, cron), command: { type: 'DisarmCron', env, functionId, cron, at } };
    });
    if (now.archivedAt === undefined) commands.push(...this.arm(now));
    this.post(this.ours(commands));
  }

  private ours(commands: readonly Addressed[]): readonly Addressed[] {
    return commands.filter(({ key }) => this.isOurs(key));
  }

  private post(commands: readonly Addressed[]): void {
    if (commands.length === 0) return;
    this.letterbox.post(commands).catch((error: unknown) => {
      this.logger.warn({ err: error }, 'crons could not be set; trying again');
      this.clock.at(this.clock.now() + 1_000, () => this.post(commands));
    });
  }

  private arm(fn: FunctionVersion): Addressed[] {
    const { env, id: functionId, version: functionVersion } = fn;
    return cronsOf(fn).map(({ cron, jitterMs }) => ({
      key: cronKey(env, functionId, cron),
      command: {
        type: 'ArmCron',
        env,
        functionId,
        functionVersion,
        cron,
        at: this.clock.now(),
        ...(jitterMs === undefined ? {} : { jitterMs }),
      },
    }));
  }
}

function cronsOf(fn: FunctionVersion): readonly { readonly cron: string; readonly jitterMs?: number }[] {
  return fn.config.triggers.flatMap((trigger) => ('cron' in trigger ? [trigger] : []));
}
