import type { Env, EpochMs, Json, Position } from '#core/words.js';

export type RunStatus = 'Scheduled' | 'Running' | 'Completed' | 'Failed' | 'Cancelled' | 'Skipped';

/** A row a stored delivery of an event: same internal id, same row. */
export interface EventRow {
  readonly internalId: string;
  readonly env: Env;
  readonly id: string;
  readonly name: string;
  readonly ts: EpochMs;
  readonly receivedAt: EpochMs;
  readonly source: string;
  readonly payload: Json;
  readonly position: Position;
}

/** A run as it stands at `version`; the highest version of a run wins, of equal ones the one that is further along. */
export interface RunRow {
  readonly runId: string;
  readonly env: Env;
  readonly functionId: string;
  readonly functionSlug: string;
  readonly functionVersion: number;
  readonly appId: string;
  readonly appName: string;
  readonly status: RunStatus;
  readonly eventName: string;
  readonly eventIds: readonly string[];
  readonly cron: string;
  readonly batchId: string;
  readonly queuedAt: EpochMs;
  readonly startAt: EpochMs;
  readonly startedAt: EpochMs | null;
  readonly endedAt: EpochMs | null;
  readonly output: Json | null;
  /** Why it never ran, in the contract's words (section 16): `Singleton`, `FunctionPaused`. Empty unless it was skipped. */
  readonly skipReason: string;
  /** The run that held its singleton; empty where there is none. */
  readonly skippedFor: string;
  /** Offset of the command that it reflects. */
  readonly version: number;
}

/** One accepted transition: (run, command position, index) names it, so a second insert is the same row. */
export interface TransitionRow {
  readonly env: Env;
  readonly runId: string;
  readonly functionId: string;
  readonly partition: number;
  readonly offset: number;
  readonly index: number;
  readonly type: string;
  readonly at: EpochMs;
  /** Empty where the transition is not of a step. */
  readonly stepId: string;
  readonly stepName: string;
  /** The transition, without the secrets that `transitions` leaves out. */
  readonly body: Json;
}

/**
 * What was decided about an event and a function before there was a run. Event, key, place and index name it: of two rows that they name,
 * the one decided later wins (the intake may take an event again after a crash, and does so at another instant).
 */
export interface DecisionRow {
  readonly env: Env;
  /** Internal id. A decision about two events is a row of each. */
  readonly eventId: string;
  readonly functionId: string;
  /** The record's key: the control and the value of its key, or the intake. */
  readonly key: string;
  /** What was decided: an event that the intake took, or a command of a control. With partition and offset its place. */
  readonly topic: 'events' | 'commands';
  readonly partition: number;
  readonly offset: number;
  readonly index: number;
  readonly type: string;
  readonly at: EpochMs;
  /** The run that it names; empty where it names none. */
  readonly runId: string;
  /** The transition. */
  readonly body: Json;
}

export interface HistoryBatch {
  readonly events: readonly EventRow[];
  readonly runs: readonly RunRow[];
  readonly transitions: readonly TransitionRow[];
  readonly decisions: readonly DecisionRow[];
}

export const NO_ROWS: HistoryBatch = { events: [], runs: [], transitions: [], decisions: [] };

/** By reader. */
export type HistoryPositions = Readonly<Record<string, readonly Position[]>>;

export interface EventFilter {
  /** Exact; an internal event is not hidden from who asks for its name. */
  readonly name?: string;
  /** Events received in [receivedAfter, receivedBefore). */
  readonly receivedAfter?: EpochMs;
  readonly receivedBefore?: EpochMs;
  /** Internal events (`inngest/...`) too; they are hidden by default. */
  readonly internal?: boolean;
  /** Internal id of the last row of the page before. */
  readonly cursor?: string;
  readonly limit: number;
}

export interface RunFilter {
  readonly statuses?: readonly RunStatus[];
  readonly functionSlugs?: readonly string[];
  readonly appName?: string;
  readonly eventName?: string;
  /** Runs queued in [from, until). */
  readonly from?: EpochMs;
  readonly until?: EpochMs;
  /** Run id of the last row of the page before. */
  readonly cursor?: string;
  readonly limit: number;
}

/** What happened, for questions. A projection; the same SQL for the embedded engine and for a server. */
export abstract class History {
  /**
   * Adds rows and, with them, the positions they reflect. A second append of the same rows changes nothing that is read.
   * @param next by reader, of each partition that it has moved on in, the first position that is not reflected
   * @param held where History stood for whoever appends: it must stand there still, or further on
   * @throws history_unavailable; try again with the same rows
   * @throws state_lost when it stands before `held`: it was emptied, or is an older copy, and what lies between would be missing for good.
   * Nothing of `next` is kept; go on from `positions`
   */
  abstract append(batch: HistoryBatch, next: HistoryPositions, held?: HistoryPositions): Promise<void>;
  /** Where a reader goes on, by partition; none where it has not begun. @throws history_unavailable */
  abstract positions(reader: string): Promise<readonly Position[]>;

  /** Newest first by internal id. @throws history_unavailable, also from all below */
  abstract events(env: Env, filter: EventFilter): Promise<readonly EventRow[]>;
  abstract event(env: Env, internalId: string): Promise<EventRow | undefined>;
  /** Newest first by run id. */
  abstract runs(env: Env, filter: RunFilter): Promise<readonly RunRow[]>;
  abstract run(env: Env, runId: string): Promise<RunRow | undefined>;
  /** Those of the runs that are known, in no order: one question where `run` would be many. */
  abstract runsById(env: Env, runIds: readonly string[]): Promise<readonly RunRow[]>;
  /** The runs that an event is among the triggers of. */
  abstract runsOfEvent(env: Env, internalId: string): Promise<readonly RunRow[]>;
  /** In the order they were accepted. */
  abstract transitions(env: Env, runId: string): Promise<readonly TransitionRow[]>;
  /** In the order they were made: by instant, at one instant the intake's first, then as their commands stand on the log. */
  abstract decisionsOfEvent(env: Env, internalId: string): Promise<readonly DecisionRow[]>;
  /** Forgets all rows and positions, also those that are on their way: all readers begin anew. Where it fails half way History stays closed to appends until it is done. */
  abstract empty(): Promise<void>;
  abstract close(): Promise<void>;
}
