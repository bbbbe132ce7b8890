import type { Effect } from '../effects.js';
import { derivedUlid } from '../event/event.ids.js';
import { scheduledTimer } from '../run/run.lifecycle.js';
import type { Env, EpochMs } from '../words.js';

/** The clockwork of one cron trigger of one function. */
export interface CronState {
  readonly env: Env;
  readonly functionId: string;
  readonly functionVersion: number;
  readonly cron: string;
  /** The next occurrence, and when it fires: later by its jitter. Absent: there is none. */
  readonly scheduledAt?: EpochMs;
  readonly fireAt?: EpochMs;
}

interface CronCommandBase {
  readonly env: Env;
  readonly functionId: string;
  readonly cron: string;
  readonly at: EpochMs;
  readonly ask?: string;
}

/** Stands on `commands`, keyed by `cronKey`. */
export type CronCommand =
  | (CronCommandBase & { readonly type: 'ArmCron'; readonly functionVersion: number; readonly jitterMs?: number })
  | (CronCommandBase & { readonly type: 'DisarmCron' })
  /** `jitterMs` as it is configured now, for the occurrence after this one. */
  | (CronCommandBase & { readonly type: 'TickCron'; readonly scheduledAt: EpochMs; readonly jitterMs?: number });

export type CronTransition =
  | {
      readonly type: 'CronArmed';
      readonly at: EpochMs;
      readonly functionId: string;
      readonly functionVersion: number;
      readonly cron: string;
      readonly scheduledAt?: EpochMs;
      readonly fireAt?: EpochMs;
    }
  | { readonly type: 'CronDisarmed'; readonly at: EpochMs; readonly functionId: string; readonly cron: string }
  | {
      readonly type: 'CronTicked';
      readonly at: EpochMs;
      readonly functionId: string;
      readonly cron: string;
      readonly scheduledAt: EpochMs;
      readonly fireAt: EpochMs;
    };

export interface CronDecision {
  readonly transitions: readonly CronTransition[];
  readonly next: CronState | undefined;
  readonly ignored?: 'cron_unchanged' | 'cron_unknown' | 'tick_unknown' | 'timer_early';
}

/** What is asked of the calendar: the occurrence after an instant, and how much later it fires. */
export interface Calendar {
  next(cron: string, after: EpochMs): EpochMs | undefined;
  jitter(functionId: string, cron: string, scheduledAt: EpochMs, jitterMs: number | undefined): number;
}

export function cronKey(env: Env, functionId: string, cron: string): string {
  return `cron:${env}:${functionId}:${cron}`;
}

export function decideCron(state: CronState | undefined, command: CronCommand, calendar: Calendar): CronDecision {
  const { at, functionId, cron } = command;
  const occurrence = (after: EpochMs, jitterMs: number | undefined) => {
    const scheduledAt = calendar.next(cron, after);
    return scheduledAt === undefined
      ? {}
      : { scheduledAt, fireAt: scheduledAt + calendar.jitter(functionId, cron, scheduledAt, jitterMs) };
  };
  switch (command.type) {
    case 'ArmCron': {
      const { functionVersion } = command;
      if (state?.functionVersion === functionVersion)
        return { transitions: [], next: state, ignored: 'cron_unchanged' };
      // An occurrence that is due but has not fired yet stays: a sync must not skip it.
      const kept =
        state?.scheduledAt !== undefined && state.scheduledAt <= at
          ? { scheduledAt: state.scheduledAt, fireAt: state.fireAt ?? at }
          : occurrence(at, command.jitterMs);
      const armed = { functionId, functionVersion, cron, ...kept };
      return { transitions: [{ type: 'CronArmed', at, ...armed }], next: { env: command.env, ...armed } };
    }
    case 'DisarmCron':
      return state
        ? { transitions: [{ type: 'CronDisarmed', at, functionId, cron }], next: undefined }
        : { transitions: [], next: undefined, ignored: 'cron_unknown' };
    case 'TickCron': {
      if (!state) return { transitions: [], next: undefined, ignored: 'cron_unknown' };
      if (state.scheduledAt !== command.scheduledAt) return { transitions: [], next: state, ignored: 'tick_unknown' };
      if (at < command.scheduledAt) return { transitions: [], next: state, ignored: 'timer_early' };
      const fireAt = state.fireAt ?? command.scheduledAt;
      // Counted from the scheduled time; what was missed while nothing ran is not caught up.
      let coming = occurrence(command.scheduledAt, command.jitterMs);
      if (coming.scheduledAt !== undefined && coming.scheduledAt < at) coming = occurrence(at - 1, command.jitterMs);
      return {
        transitions: [{ type: 'CronTicked', at, functionId, cron, scheduledAt: command.scheduledAt, fireAt }],
        next: { env: state.env, functionId, functionVersion: state.functionVersion, cron, ...coming },
      };
    }
  }
}

/** The event of an occurrence. One run per function and scheduled time, also where two triggers of it coincide. */
export function cronEffects(transitions: readonly CronTransition[], { env }: CronCommand): readonly Effect[] {
  return transitions.flatMap((t): readonly Effect[] => {
    if (t.type !== 'CronTicked') return [];
    const { functionId, cron, scheduledAt, fireAt, at } = t;
    const internalId = derivedUlid(at, functionId, cron, String(scheduledAt));
    const name = 'inngest/scheduled.timer';
    const payload = scheduledTimer({ cron, scheduledAt, fireAt });
    const internal = { kind: 'cron', functionId, scheduledAt } as const;
    const id = `${functionId}@${new Date(scheduledAt).toISOString()}`;
    return [
      {
        kind: 'event',
        event: { internalId, env, id, name, ts: fireAt, receivedAt: at, payload, source: 'cron', internal },
      },
    ];
  });
}

/** The tick that should be out. */
export function cronOwed(
  state: CronState | undefined,
): readonly { readonly kind: 'tick'; readonly id: string; readonly at: EpochMs }[] {
  if (state?.fireAt === undefined) return [];
  return [{ kind: 'tick', id: cronKey(state.env, state.functionId, state.cron), at: state.fireAt }];
}
