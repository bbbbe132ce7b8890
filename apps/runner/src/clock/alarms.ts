import type { Admission, AdmissionOf, Offer } from '#core/admission/admission.js';
import { planAfterBatch, planAfterDebounce } from '#core/admission/admission.plan.js';
import type { CronState } from '#core/cron/cron.aggregate.js';
import type { FunctionVersion } from '#core/function/function.config.js';
import type { TimerKind } from '#core/run/run.commands.js';
import type { Env, EpochMs } from '#core/words.js';
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
  | { readonly kind: 'cron'; readonly key: string; readonly state: CronState }
  /** A debounce or a batch is due. */
  | { readonly kind: 'admission'; readonly key: string; readonly turn: number };

type Other = Exclude<Alarm, { kind: 'admission' }>;
type OfAdmission = Extract<Alarm, { kind: 'admission' }>;

const AGAIN_MS = 1_000;

function isAdmission(alarm: Alarm): alarm is OfAdmission {
  return alarm.kind === 'admission';
}

function isOther(alarm: Alarm): alarm is Other {
  return !isAdmission(alarm);
}

/** Turns timers that rang into commands. Whether a timer is right is decided by its aggregate, in log order. */
export class Alarms {
  constructor(
    private readonly letterbox: Letterbox,
    private readonly catalog: Catalog,
    private readonly clock: Clock,
    private readonly logger: Logger,
    /** A debounce or a batch as it stands: what it holds may be large, so that no timer carries it. */
    private readonly admission: (key: string) => Promise<Admission | undefined>,
  ) {}

  /** Posts what is due; what cannot be posted now is posted a little later. Each debounce and batch by itself: no other waits for it. */
  ring(due: readonly Alarm[]): void {
    const [gathered, others] = [due.filter(isAdmission), due.filter(isOther)];
    if (others.length > 0) void this.sure(others, () => others.flatMap((alarm) => this.command(alarm) ?? []));
    for (const alarm of gathered) void this.sure([alarm], () => this.fire(alarm));
  }

  private async sure(
    due: readonly Alarm[],
    made: () => readonly Addressed[] | Promise<readonly Addressed[]>,
  ): Promise<void> {
    try {
      await this.letterbox.post(await made());
    } catch (error) {
      const [first] = due;
      const whose =
        due.length === 1 && first?.kind === 'run' ? { runId: first.runId, functionId: first.functionId } : {};
      this.logger.warn({ err: error, ...whose, timers: due.length }, 'timers could not be posted; trying again');
      this.clock.at(this.clock.now() + AGAIN_MS, () => void this.sure(due, made));
    }
  }

  /** What becomes of what has gathered is said by the function as it is configured now: contract 10. */
  private async fire({ key, turn }: OfAdmission): Promise<readonly Addressed[]> {
    const state = await this.admission(key);
    if (state?.kind !== 'debounce' && state?.kind !== 'batch') return [];
    const { env, functionId } = state;
    const at = this.clock.now();
    const fn = this.catalog.function(functionId);
    const offer = fn?.archivedAt === undefined ? fn && offerOf(state, fn, at) : undefined;
    const fired = { type: 'FireAdmission', env, functionId, key, at, turn } as const;
    return [{ key, command: offer === undefined ? fired : { ...fired, offer } }];
  }

  private command(alarm: Other): Addressed | undefined {
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

/** @returns undefined where nothing waits any more */
function offerOf(state: AdmissionOf<'debounce' | 'batch'>, fn: FunctionVersion, at: EpochMs): Offer | undefined {
  const paused = fn.paused !== undefined;
  if (state.kind === 'debounce') return state.window && planAfterDebounce({ fn, window: state.window, at, paused });
  return state.buffer && planAfterBatch({ fn, buffer: state.buffer, at, paused });
}
