import type { Effect } from '../effects.js';
import { derivedUlid } from '../event/event.ids.js';
import { scheduledTimer } from '../run/run.lifecycle.js';
import { unreachable, type Env, type EpochMs } from '../words.js';

/** The next occurrence of a cron trigger, and when it fires: later by its jitter. Both absent: there is none. */
interface Occurrence {
  readonly scheduledAt?: EpochMs;
  readonly fireAt?: EpochMs;
}

/** The clockwork of one cron trigger of one function. */
export interface CronState extends Occurrence {
  readonly env: Env;
  readonly functionId: string;
  readonly functionVersion: number;
  readonly cron: string;
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
  | ({
      readonly type: 'CronArmed';
      readonly at: EpochMs;
      readonly functionId: string;
      readonly functionVersion: number;
      readonly cron: string;
    } & Occurrence)
  | { readonly type: 'CronDisarmed'; readonly at: EpochMs; readonly functionId: string; readonly cron: string }
  | {
      readonly type: 'CronTicked';
      readonly at: EpochMs;
      readonly functionId: string;
      readonly cron: string;
      readonly scheduledAt: EpochMs;
      readonly fireAt: EpochMs;
      /** What comes after it. */
      readonly next: Occurrence;
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
  switch (command.type) {
    case 'ArmCron':
      return arm(state, command, calendar);
    case 'DisarmCron':
      return disarm(state, command);
    case 'TickCron':
      return tick(state, command, calendar);
    default:
      return unreachable(command);
  }
}

function arm(
  state: CronState | undefined,
  command: Extract<CronCommand, { type: 'ArmCron' }>,
  calendar: Calendar,
): CronDecision {
  const { at, functionId, functionVersion, cron } = command;
  if (state?.functionVersion === functionVersion) return ignore(state, 'cron_unchanged');
  // An occurrence that is due but has not fired yet stays: a sync must not skip it.
  const { scheduledAt, fireAt = at } = state ?? {};
  const coming =
    scheduledAt !== undefined && scheduledAt <= at ? { scheduledAt, fireAt } : occurrence(calendar, command, at);
  return accept(state, command, { type: 'CronArmed', at, functionId, functionVersion, cron, ...coming });
}

function disarm(state: CronState | undefined, command: Extract<CronCommand, { type: 'DisarmCron' }>): CronDecision {
  const { at, functionId, cron } = command;
  if (!state) return ignore(state, 'cron_unknown');
  return accept(state, command, { type: 'CronDisarmed', at, functionId, cron });
}

function tick(
  state: CronState | undefined,
  command: Extract<CronCommand, { type: 'TickCron' }>,
  calendar: Calendar,
): CronDecision {
  const { at, functionId, cron, scheduledAt, jitterMs = 0 } = command;
  if (!state) return ignore(state, 'cron_unknown');
  if (state.scheduledAt !== scheduledAt) return ignore(state, 'tick_unknown');
  const { fireAt = scheduledAt } = state;
  if (at < fireAt) return ignore(state, 'timer_early');
  // Counted from the scheduled time. What was missed while nothing ran is not caught up; what only stood in line behind the jitter of
  // this one is not missed.
  const coming = occurrence(calendar, command, scheduledAt);
  const isMissed = coming.scheduledAt !== undefined && coming.scheduledAt < at - jitterMs;
  const next = isMissed ? occurrence(calendar, command, at - 1) : coming;
  return accept(state, command, { type: 'CronTicked', at, functionId, cron, scheduledAt, fireAt, next });
}

function occurrence(
  calendar: Calendar,
  { functionId, cron, jitterMs }: Extract<CronCommand, { type: 'ArmCron' | 'TickCron' }>,
  after: EpochMs,
): Occurrence {
  const scheduledAt = calendar.next(cron, after);
  if (scheduledAt === undefined) return {};
  return { scheduledAt, fireAt: scheduledAt + calendar.jitter(functionId, cron, scheduledAt, jitterMs) };
}

function ignore(state: CronState | undefined, ignored: NonNullable<CronDecision['ignored']>): CronDecision {
  return { transitions: [], next: state, ignored };
}

function accept(state: CronState | undefined, { env }: CronCommand, transition: CronTransition): CronDecision {
  return { transitions: [transition], next: evolveCron(state, transition, env) };
}

/** The clockwork after one more transition. */
export function evolveCron(state: CronState | undefined, t: CronTransition, env: Env): CronState | undefined {
  switch (t.type) {
    case 'CronArmed': {
      const { functionId, functionVersion, cron, scheduledAt, fireAt } = t;
      return { env, functionId, functionVersion, cron, ...instants(scheduledAt, fireAt) };
    }
    case 'CronDisarmed':
      return undefined;
    case 'CronTicked': {
      if (!state) return undefined;
      const { functionId, functionVersion, cron } = state;
      return { env, functionId, functionVersion, cron, ...instants(t.next.scheduledAt, t.next.fireAt) };
    }
    default:
      return unreachable(t);
  }
}

function instants(scheduledAt: EpochMs | undefined, fireAt: EpochMs | undefined): Occurrence {
  return scheduledAt === undefined || fireAt === undefined ? {} : { scheduledAt, fireAt };
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
