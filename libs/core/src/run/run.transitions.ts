import type { InvokeParent } from '../event/event.js';
import type { RunFlow, Waited } from '../flow/flow.js';
import type { EpochMs, Json } from '../words.js';
import type { CancelWatch, SkipReason } from './run.commands.js';
import type { StepFault } from './run.ops.js';

/** How a step came to be, for people and for History. */
export type StepKind = 'run' | 'sleep' | 'wait' | 'signal' | 'invoke' | 'ai' | 'fetch';

/** What was accepted of a run, in order. The public contract; `at` is its command's. */
export type RunTransition =
  | {
      readonly type: 'RunScheduled';
      readonly at: EpochMs;
      readonly functionId: string;
      readonly functionSlug: string;
      readonly functionVersion: number;
      readonly appId: string;
      readonly appName: string;
      readonly events: readonly Json[];
      readonly eventIds: readonly string[];
      readonly eventName: string;
      readonly startAt: EpochMs;
      readonly maxAttempts: number;
      readonly parents: readonly InvokeParent[];
      readonly cancelOn: readonly CancelWatch[];
      readonly startTimeoutAt?: EpochMs;
      readonly cron?: string;
      readonly batchId?: string;
      /** Keys and priority that stay with the run. */
      readonly flow?: RunFlow;
      /** W3C trace context of the event. */
      readonly trace?: string;
    }
  /** Recorded behind `RunScheduled`, under the same command: it never runs. */
  | { readonly type: 'RunSkipped'; readonly at: EpochMs; readonly reason: SkipReason; readonly blockedBy?: string }
  /** `implied`: work came in before the word that it had begun, which brings the finish timeout. */
  | {
      readonly type: 'RunStarted';
      readonly at: EpochMs;
      readonly finishTimeoutAt?: EpochMs;
      readonly implied?: boolean;
    }
  /** The SDK told which request version it speaks. */
  | { readonly type: 'VersionNegotiated'; readonly at: EpochMs; readonly requestVersion: number }
  | {
      readonly type: 'StepPlanned';
      readonly at: EpochMs;
      readonly stepId: string;
      readonly name: string;
      readonly kind: StepKind;
      /** The steps that were reported together; the function is entered again when all of a group are resolved. */
      readonly group: number;
      readonly race: boolean;
      readonly subtype?: string;
      readonly input?: Json;
      /** When a sleep ends or a wait gives up. */
      readonly until?: EpochMs;
      readonly event?: string;
      readonly expression?: string;
      readonly signal?: string;
      readonly conflict?: 'fail' | 'replace';
      readonly functionRef?: string;
      /** Invoke: the payload. Gateway: the request without its keys; also so it is taken out of the public record. */
      readonly request?: Json;
    }
  /** Resolved for good: completed, timed out, resumed. First wins. */
  | {
      readonly type: 'StepCompleted';
      readonly at: EpochMs;
      readonly stepId: string;
      readonly name: string;
      readonly kind: StepKind;
      readonly memo: Json;
      readonly subtype?: string;
      readonly input?: Json;
      readonly attempt?: number;
      readonly startedAt?: EpochMs;
      readonly ranMs?: number;
      readonly timedOut?: boolean;
      readonly eventId?: string;
      readonly childRunId?: string;
      /** Came by checkpoint, while its call goes on. */
      readonly checkpointed?: boolean;
    }
  /** An attempt of a step failed; another follows. */
  | {
      readonly type: 'StepErrored';
      readonly at: EpochMs;
      readonly stepId: string;
      readonly name: string;
      readonly fault: StepFault;
      readonly attempt: number;
      readonly startedAt: EpochMs;
      readonly retryAt: EpochMs;
    }
  /** Failed for good; the function gets the error. */
  | {
      readonly type: 'StepFailed';
      readonly at: EpochMs;
      readonly stepId: string;
      readonly name: string;
      readonly kind: StepKind;
      readonly fault: StepFault;
      readonly attempt?: number;
      readonly startedAt?: EpochMs;
      readonly timedOut?: boolean;
      readonly childRunId?: string;
    }
  /** A call that a limit counts is about to be made. `waited`: how long it stood in line, and for what. */
  | {
      readonly type: 'CallStarted';
      readonly at: EpochMs;
      readonly target: string;
      readonly seq: number;
      readonly generation: number;
      readonly lease: string;
      readonly waited?: Waited;
    }
  /** A call was answered or lost: its work item is done with. */
  | {
      readonly type: 'CallSettled';
      readonly at: EpochMs;
      readonly target: string;
      readonly seq: number;
      readonly attempt: number;
      readonly startedAt: EpochMs;
    }
  /** A call failed outside steps; it is made again. */
  | {
      readonly type: 'CallErrored';
      readonly at: EpochMs;
      readonly target: string;
      readonly seq: number;
      readonly attempt: number;
      readonly startedAt: EpochMs;
      readonly fault: StepFault;
      readonly code: string;
      readonly retryAt: EpochMs;
    }
  /** A call in progress made headway: its attempts count anew. */
  | { readonly type: 'CallProgressed'; readonly at: EpochMs; readonly seq: number }
  /** The run that an invoke started. */
  | { readonly type: 'ChildLinked'; readonly at: EpochMs; readonly stepId: string; readonly childRunId: string }
  /**
   * A call to make: `step` enters the function, a step's id runs that step. The same `seq` with a higher generation is a retry; a higher
   * `seq` takes the place of a retry that had not come yet.
   */
  | {
      readonly type: 'CallPlanned';
      readonly at: EpochMs;
      readonly target: string;
      readonly seq: number;
      readonly generation: number;
      readonly attempt: number;
      readonly dueAt: EpochMs;
      readonly gateway?: boolean;
      /** Not before `dueAt`, whatever happens: a failed step's own delay, or what the app asked for. */
      readonly held?: boolean;
    }
  /** The entry of the function that is under way is to be followed by another. */
  | { readonly type: 'EntryWanted'; readonly at: EpochMs }
  | { readonly type: 'TimeoutMoved'; readonly at: EpochMs; readonly kind: 'start' | 'finish'; readonly until?: EpochMs }
  | {
      readonly type: 'DeferAdded';
      readonly at: EpochMs;
      readonly deferId: string;
      readonly functionRef: string;
      readonly payload: Json;
      readonly rejected?: string;
    }
  | { readonly type: 'DeferAborted'; readonly at: EpochMs; readonly deferId: string }
  | { readonly type: 'MetadataAdded'; readonly at: EpochMs; readonly body: Json }
  | { readonly type: 'RunCompleted'; readonly at: EpochMs; readonly output: Json }
  | {
      readonly type: 'RunFailed';
      readonly at: EpochMs;
      readonly output: Json;
      readonly fault: StepFault;
      readonly errorClass: string;
    }
  | {
      readonly type: 'RunCancelled';
      readonly at: EpochMs;
      readonly by: 'api' | 'event' | 'singleton' | 'function_paused' | 'start_timeout' | 'finish_timeout';
      readonly cause?: string;
    };

/** A transition as it stands on `transitions`: with the run it is of and the place of its command. */
export interface PlacedTransition {
  readonly runId: string;
  /** Position of the command, and the transition's number under it: together its id. */
  readonly command: { readonly partition: number; readonly offset: number };
  readonly index: number;
  readonly transition: RunTransition;
}
