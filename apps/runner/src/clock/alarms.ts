import type { CronState } from '#core/cron/cron.aggregate.js';
import type { TimerKind } from '#core/run/run.commands.js';
import type { Env } from '#core/words.js';
import type { Catalog } from '#ports/catalog.port.js';
import type { Clock } from '#ports/clock.port.js';
import type { Addressed, Letterbox } from '#ports/letterbox.port.js';
import type { Logger } from '#ports/logger.port.js';

/** What a timer stands for. */
export type Alarm =
  | {
      readonly kind: 'run';
      readonly runId: string;
      readonly env: Env;
      readonly functionId: string;
      readonly timer: TimerKind;
      readonly stepId?: string;
    }
  | { readonly kind: 'cron'; readonly key: string; readonly state: CronState };

/** Turns timers that rang into commands. Whether a timer is right is decided by its aggregate, in log order. */
export class Alarms {
  constructor(
    private readonly letterbox: Letterbox,
    private readonly catalog: Catalog,
    private readonly clock: Clock,
    private readonly logger: Logger,
  ) {}

  /** Posts what is due; what cannot be posted now is posted a little later. */
  ring(due: readonly Alarm[]): void {
    const commands = due.flatMap((alarm) => this.command(alarm) ?? []);
    this.letterbox.post(commands).catch((error: unknown) => {
      this.logger.warn({ err: error, timers: due.length }, 'timers could not be posted; trying again');
      this.clock.at(this.clock.now() + 1_000, () => this.ring(due));
    });
  }

  private command(alarm: Alarm): Addressed | undefined {
    const at = this.clock.now();
    if (alarm.kind === 'cron') {
      const { env, functionId, cron, scheduledAt } = alarm.state;
      if (scheduledAt === undefined) return undefined;
      const known = this.catalog.function(functionId);
      const trigger =
        known?.archivedAt === undefined
          ? known?.config.triggers.find((it) => 'cron' in it && it.cron === cron)
          : undefined;
      // The trigger went while nobody was there to see it.
      if (!trigger) return { key: alarm.key, command: { type: 'DisarmCron', env, functionId, cron, at } };
      const jitter = 'cron' in trigger && trigger.jitterMs !== undefined ? { jitterMs: trigger.jitterMs } : {};
      return { key: alarm.key, command: { type: 'TickCron', env, functionId, cron, scheduledAt, at, ...jitter } };
    }
    const { runId, env, timer, stepId, functionId } = alarm;
    const timeouts = this.catalog.function(functionId)?.config.timeouts;
    const limitMs = timer === 'start' ? timeouts?.startMs : timer === 'finish' ? timeouts?.finishMs : undefined;
    return {
      key: runId,
      command: {
        type: 'FireTimer',
        runId,
        env,
        at,
        kind: timer,
        ...(stepId === undefined ? {} : { stepId }),
        ...(limitMs === undefined ? {} : { limitMs }),
      },
    };
  }
}
