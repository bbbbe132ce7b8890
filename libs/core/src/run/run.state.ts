import type { InvokeParent } from '../event/event.js';
import type { RunFlow } from '../flow/flow.js';
import type { Env, EpochMs, Json } from '../words.js';
import type { CancelWatch, SkipReason } from './run.commands.js';
import type { StepKind } from './run.transitions.js';

/** A step as its run knows it. Resolved when it has a memo: that is what calls carry under its id, and it never changes. */
export interface Step {
  readonly id: string;
  readonly name: string;
  readonly kind: StepKind;
  readonly group: number;
  readonly race: boolean;
  readonly memo?: Json;
  readonly failed?: boolean;
  /** What a pending step waits for. */
  readonly wait?: {
    readonly since: EpochMs;
    readonly until?: EpochMs;
    readonly event?: string;
    readonly expression?: string;
    readonly signal?: string;
    /** Invoke: the run that it started. */
    readonly childRunId?: string;
    /** Gateway: the request to make. */
    readonly request?: Json;
  };
}

/** A call that is to be made or under way. */
export interface Call {
  /** `step` to enter the function, else the id of the step to run. */
  readonly target: string;
  readonly seq: number;
  readonly generation: number;
  readonly attempt: number;
  readonly dueAt: EpochMs;
  /** The server makes it itself: `step.fetch`, `step.ai.infer`. */
  readonly gateway: boolean;
  /** A checkpoint came from it. */
  readonly progressed: boolean;
  /** A retry that nothing pulls forward. */
  readonly held?: boolean;
  /** A limit counts it, and it was about to be made under this lease: it may be under way, whatever became of who made it. */
  readonly lease?: string;
}

export interface Defer {
  readonly id: string;
  readonly functionRef: string;
  readonly payload: Json;
  readonly state: 'live' | 'aborted' | 'rejected';
}

export type RunState = 'queued' | 'running' | 'completed' | 'failed' | 'cancelled' | 'skipped';

/** One execution of one function version, folded from its transitions. */
export interface Run {
  readonly id: string;
  readonly env: Env;
  readonly state: RunState;
  readonly functionId: string;
  readonly functionSlug: string;
  readonly functionVersion: number;
  readonly appId: string;
  readonly appName: string;
  readonly events: readonly Json[];
  readonly eventIds: readonly string[];
  readonly eventName: string;
  readonly parents: readonly InvokeParent[];
  readonly cancelOn: readonly CancelWatch[];
  readonly cron?: string;
  readonly batchId?: string;
  readonly flow?: RunFlow;
  /** W3C trace context of the event. */
  readonly trace?: string;
  readonly createdAt: EpochMs;
  readonly startAt: EpochMs;
  readonly startedAt?: EpochMs;
  /** Started, but the finish timeout has not been told yet. */
  readonly startImplied?: boolean;
  readonly endedAt?: EpochMs;
  readonly maxAttempts: number;
  /** What the SDK answered; -1 before the first answer. */
  readonly requestVersion: number;
  /** By id, in the order they were found. */
  readonly steps: Readonly<Record<string, Step>>;
  readonly stepCount: number;
  /** Ids of the resolved steps, in the order they were resolved. */
  readonly stack: readonly string[];
  /** Pending steps by group, those of mode `race` left out. */
  readonly openInGroup: Readonly<Record<number, number>>;
  /** Steps were reported together at least once. */
  readonly wasParallel: boolean;
  /** Group of the step that was planned last. */
  readonly groupOfLast: number;
  readonly calls: Readonly<Record<string, Call>>;
  /** Calls that were under way when the run ended, and that a limit counts: until they are answered or their leases end. */
  readonly lingering?: readonly Call[];
  /** Enter the function once more when the entry under way is done. */
  readonly entryWanted: boolean;
  readonly seqNext: number;
  readonly groupNext: number;
  readonly startTimeoutAt?: EpochMs;
  readonly finishTimeoutAt?: EpochMs;
  /** Events and memos, as UTF-8. */
  readonly stateBytes: number;
  readonly metadataBytes: number;
  readonly defers: Readonly<Record<string, Defer>>;
  readonly output?: Json;
  /** Why it never runs. */
  readonly skip?: { readonly reason: SkipReason; readonly blockedBy?: string };
}

/** How people are told why a run was skipped. Contract 16. */
export const SKIP_REASON: Readonly<Record<SkipReason, string>> = {
  singleton: 'Singleton',
  function_paused: 'FunctionPaused',
};

/** The target that enters the function. */
export const ENTRY = 'step';

export function isEnded(run: Run): boolean {
  return run.state !== 'queued' && run.state !== 'running';
}

/** Nothing more can come of it. */
export function isOver(run: Run): boolean {
  return isEnded(run) && run.lingering === undefined;
}

export function isResolved(step: Step | undefined): boolean {
  return step?.memo !== undefined;
}

/** Steps that are found but not resolved. */
export function pendingCount(run: Run): number {
  return run.stepCount - run.stack.length;
}
