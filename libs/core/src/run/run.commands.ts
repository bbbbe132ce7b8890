import type { Env, EpochMs, Json } from '../words.js';
import type { InvokeParent } from '../event/event.js';
import type { RunFlow, Waited } from '../flow/flow.js';
import type { Source } from '../origin.js';
import type { Op, Outcome, StepFault } from './run.ops.js';

interface CommandBase {
  readonly runId: string;
  readonly env: Env;
  /** The only clock of `decide`. */
  readonly at: EpochMs;
  /** Somebody waits for the decision under this name; no part of what is decided. */
  readonly ask?: string;
}

/** What anybody may want of a run. Stands on `commands`, keyed by the run's id. */
export type RunCommand =
  | ScheduleRun
  | SkipRun
  | StartRun
  | StartCall
  | DropCall
  | ReportCall
  | CheckpointSteps
  | FireTimer
  | ResumeStep
  | LinkChild
  | CancelRun
  | ReviewTimeouts
  | AddMetadata;

export interface ScheduleRun extends CommandBase {
  readonly type: 'ScheduleRun';
  readonly functionId: string;
  readonly functionSlug: string;
  readonly functionVersion: number;
  readonly appId: string;
  readonly appName: string;
  /** The triggering events, as functions see them, and their internal ids. */
  readonly events: readonly Json[];
  readonly eventIds: readonly string[];
  readonly eventName: string;
  /** When the first call may be made: later than `at` for an event dated in the future. */
  readonly startAt: EpochMs;
  readonly maxAttempts: number;
  readonly parents: readonly InvokeParent[];
  readonly cancelOn: readonly CancelWatch[];
  /** Now configured; read again when it fires. A batch has none. */
  readonly startTimeoutMs?: number;
  readonly cron?: string;
  readonly batchId?: string;
  /** Keys and priority, as evaluated for the event. */
  readonly flow?: RunFlow;
  /** W3C trace context of the event; of a batch, of its first one. */
  readonly trace?: string;
  /** The record that made it. Commands from before it was noted have none. */
  readonly source?: Source;
}

/** Why a run never runs. Contract 16. */
export type SkipReason = 'singleton' | 'function_paused';

/** A run that is recorded, and never runs: its event wanted it, and a rule stood against it. */
export interface SkipRun extends Omit<ScheduleRun, 'type'> {
  readonly type: 'SkipRun';
  readonly reason: SkipReason;
  /** The run that holds the singleton. */
  readonly blockedBy?: string;
}

/** A `cancelOn` entry of a run: the expression stays, the end is an instant. */
export interface CancelWatch {
  readonly event: string;
  readonly if?: string;
  /** Events received from `since` on and before `until` count. */
  readonly since: EpochMs;
  readonly until: EpochMs;
}

/** An executor makes the run's first request. */
export interface StartRun extends CommandBase {
  readonly type: 'StartRun';
  readonly finishTimeoutMs?: number;
}

/**
 * A call is about to be made that a limit counts: on the log before the app hears of it, so that it counts also for whoever comes after a
 * crash. Where it is ignored the call is not made. Starts the run where it is the first.
 */
export interface StartCall extends CommandBase {
  readonly type: 'StartCall';
  readonly work: WorkRef;
  /** Token of the lease: the same call is made again under another, when one has ended. */
  readonly lease: string;
  readonly waited?: Waited;
  readonly finishTimeoutMs?: number;
}

/** The call of a run that has ended counts no more: its lease is over, and nobody waits for its answer. */
export interface DropCall extends CommandBase {
  readonly type: 'DropCall';
  readonly work: WorkRef;
}

/** How an executor names the work it did. */
export interface WorkRef {
  /** Key of the work item inside the run: `step` for discovery, else the step's id. */
  readonly target: string;
  /** Which item of that target: rises with every new item of the run. */
  readonly seq: number;
  /** Which try of the item: rises with each retry, also where the attempts count anew. */
  readonly generation: number;
}

/** What a call came to. */
export interface ReportCall extends CommandBase {
  readonly type: 'ReportCall';
  readonly work: WorkRef;
  readonly outcome: Outcome;
  readonly startedAt: EpochMs;
  /** How many resolved steps the call carried: of those that came later it knew nothing. Older logs do not say. */
  readonly told?: number;
  /** What the SDK answered in `x-inngest-req-version`. */
  readonly requestVersion?: number;
  /** Uniform in [0, 1): the jitter of a backoff, drawn by the reporter. */
  readonly dice: number;
  /** Fixed interval of `--retry-interval`, instead of the table. */
  readonly retryIntervalMs?: number;
}

/** Steps that a call in progress has finished. */
export interface CheckpointSteps extends CommandBase {
  readonly type: 'CheckpointSteps';
  readonly seq: number;
  /** Which try of the item it is, where the SDK says so. */
  readonly generation?: number;
  readonly ops: readonly Op[];
  /**
   * A step that has another result already: whoever tells this goes on with a result that does not count, so it is refused. Older logs
   * pass over it.
   */
  readonly diverging?: 'refused';
}

export type TimerKind = 'sleep' | 'wait' | 'invoke' | 'signal' | 'start' | 'finish';

export interface FireTimer extends CommandBase {
  readonly type: 'FireTimer';
  readonly kind: TimerKind;
  /** The step, for the kinds of a step. */
  readonly stepId?: string;
  /** For `start` and `finish`: the limit as it is configured now; absent when there is none any more. */
  readonly limitMs?: number;
}

/** A wait is over: an event matched, an invoked run ended, a signal came. */
export interface ResumeStep extends CommandBase {
  readonly type: 'ResumeStep';
  readonly stepId: string;
  /** What later calls carry under the step's id. */
  readonly result: { readonly memo: Json } | { readonly fault: StepFault };
  /** Internal id of the event that did it. */
  readonly eventId?: string;
  /** The invoked run that ended. */
  readonly childRunId?: string;
  /** Set when the run must end instead: a signal conflict. */
  readonly fails?: boolean;
}

/** The run that an invoke started is there: it is shown with the step while that waits. */
export interface LinkChild extends CommandBase {
  readonly type: 'LinkChild';
  readonly stepId: string;
  readonly childRunId: string;
}

export interface CancelRun extends CommandBase {
  readonly type: 'CancelRun';
  readonly by: 'api' | 'event' | 'singleton' | 'function_paused';
  /** Internal id of the cancelling event, id of the superseding run. */
  readonly cause?: string;
}

/** The function's timeouts changed while the run is on its way. */
export interface ReviewTimeouts extends CommandBase {
  readonly type: 'ReviewTimeouts';
  readonly startTimeoutMs?: number;
  readonly finishTimeoutMs?: number;
}

/** Key/value maps that an SDK attaches to a run, a step or an attempt. */
export interface AddMetadata extends CommandBase {
  readonly type: 'AddMetadata';
  /** `{"target":{...},"metadata":[...]}` as it came, canonical. */
  readonly body: Json;
}
