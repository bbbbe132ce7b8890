import type { Source } from '../origin.js';
import type { InvokeParent, StoredEvent } from '../event/event.js';
import type { RunFlow } from '../flow/flow.js';
import type { ScheduleRun } from '../run/run.commands.js';
import type { Env, EpochMs, Json } from '../words.js';

/**
 * What happens before a run exists: one aggregate for each control of a function and value of its key. An event's offer goes from one to the
 * next until it is a run, or is told why it is none. Contract 4 and 7 to 12.
 */

/** A control that an offer has to pass. `key` names the aggregate, `value` is what the function's expression came to. */
export type Stage =
  | {
      readonly kind: 'rate';
      readonly key: string;
      readonly value: string;
      readonly limit: number;
      readonly periodMs: number;
      /** It stands for the function's `idempotency`: one in 24 h. */
      readonly idempotency?: boolean;
    }
  | {
      readonly kind: 'debounce';
      readonly key: string;
      readonly value: string;
      readonly periodMs: number;
      /** Never later than this after its first event. */
      readonly timeoutMs?: number;
    }
  | {
      readonly kind: 'batch';
      readonly key: string;
      readonly value: string;
      readonly maxSize: number;
      readonly timeoutMs: number;
      readonly bytesMax: number;
    }
  /** The sender's event id starts one run of the function in 24 h. */
  | { readonly kind: 'once'; readonly key: string; readonly value: string }
  | { readonly kind: 'singleton'; readonly key: string; readonly value: string; readonly mode: 'skip' | 'cancel' };

/** An event without its payload, which stands in the run that is offered. */
export type OfferedEvent = Omit<StoredEvent, 'payload'>;

/** An event that may become a run of a function. */
export interface Offer {
  readonly event: OfferedEvent;
  /** The run as it will be scheduled. */
  readonly run: ScheduleRun;
  /** What is still to be passed, in order: without the stage that it is offered to. */
  readonly then: readonly Stage[];
  /** The function is paused: in the end it is recorded as skipped. */
  readonly skip?: 'function_paused';
}

interface AdmissionCommandBase {
  readonly env: Env;
  readonly functionId: string;
  /** The aggregate: also the record's key. */
  readonly key: string;
  /** The only clock of `decideAdmission`. */
  readonly at: EpochMs;
  readonly ask?: string;
}

/** Stands on `commands`, keyed by the stage's key. */
export type AdmissionCommand =
  | (AdmissionCommandBase & {
      readonly type: 'OfferRun';
      readonly stage: Stage;
      readonly offer: Offer;
      readonly source: Source;
    })
  /**
   * A debounce or a batch is due. `turn` is the one that was seen when it was posted; `offer` what becomes of it by the function's present
   * configuration, absent where the function is gone. That of a batch is made of its first event: the rest of them is in the state.
   */
  | (AdmissionCommandBase & { readonly type: 'FireAdmission'; readonly turn: number; readonly offer?: Offer })
  /** A run that held a singleton has ended, or never came to be. */
  | (AdmissionCommandBase & { readonly type: 'ReleaseSingleton'; readonly runId: string })
  /** A run starts, and its throttle moves. `tat` is where it stands then. */
  | (AdmissionCommandBase & { readonly type: 'SpendThrottle'; readonly runId: string; readonly tat: number })
  /** Its time is over: there is nothing left to remember. */
  | (AdmissionCommandBase & { readonly type: 'ForgetAdmission' });

interface AdmissionStateBase {
  readonly env: Env;
  readonly functionId: string;
  readonly key: string;
  /** By source (`e0`, `c3`: topic and partition) the highest offset that has been taken. */
  readonly taken: Readonly<Record<string, number>>;
  /** From then on it may be forgotten. Absent: it stands for something. */
  readonly until?: EpochMs;
}

export interface BatchedEvent {
  readonly payload: Json;
  readonly internalId: string;
  readonly parent?: InvokeParent;
}

/** An event that waits for its debounce to fire. */
export interface DebounceWindow {
  readonly event: OfferedEvent;
  readonly payload: Json;
  /** Of the key. */
  readonly value: string;
  readonly openedAt: EpochMs;
  readonly dueAt: EpochMs;
  /** Events that this one took the place of, or that came behind it in `ts`. */
  readonly superseded: number;
}

/** Events that wait for their batch to close. */
export interface BatchBuffer {
  readonly batchId: string;
  /** The first event, which keys are evaluated on. */
  readonly event: OfferedEvent;
  /** What the first event's run would carry of flow control. */
  readonly flow?: RunFlow;
  /** Of the key. */
  readonly value: string;
  /** In the order they came, in chunks whose lengths are falling powers of two: one more event moves few of those before it. */
  readonly chunks: readonly (readonly BatchedEvent[])[];
  readonly size: number;
  /** UTF-8 of the payloads. */
  readonly bytes: number;
  readonly openedAt: EpochMs;
  readonly dueAt: EpochMs;
}

export type Admission =
  /** `tat`: of the bucket, by the time at which events were received. */
  | (AdmissionStateBase & { readonly kind: 'rate'; readonly tat?: number })
  | (AdmissionStateBase & {
      readonly kind: 'debounce';
      /** Rises whenever another event is the one that waits: a firing that saw another turn is not the last. */
      readonly turn: number;
      readonly window?: DebounceWindow;
    })
  | (AdmissionStateBase & {
      readonly kind: 'batch';
      /** Rises whenever a batch is opened. Events that join it are no other turn: it is due all the same. */
      readonly turn: number;
      readonly buffer?: BatchBuffer;
    })
  /** The run has the event id before `freeAt`, however often the id comes meanwhile. */
  | (AdmissionStateBase & { readonly kind: 'once'; readonly runId: string; readonly freeAt: EpochMs })
  | (AdmissionStateBase & { readonly kind: 'singleton'; readonly holder?: string })
  | (AdmissionStateBase & { readonly kind: 'throttle'; readonly tat: number });

export type AdmissionOf<K extends Admission['kind']> = Extract<Admission, { kind: K }>;
export type StageOf<K extends Stage['kind']> = Extract<Stage, { kind: K }>;

interface Told {
  readonly at: EpochMs;
  readonly functionId: string;
}

/** Of which event it speaks: its internal id; and the value of the key. */
interface ToldOfEvent extends Told {
  readonly eventId: string;
  readonly key: string;
}

/** What was decided before a run existed, with its cause and the numbers at that moment. The public contract. */
export type AdmissionTransition =
  | (ToldOfEvent & {
      readonly type: 'RateCharged' | 'RateLimited';
      readonly limit: number;
      readonly periodMs: number;
      /** When the next one is admitted. */
      readonly nextAt: EpochMs;
      readonly idempotency?: boolean;
    })
  | (ToldOfEvent & { readonly type: 'DebounceOpened'; readonly dueAt: EpochMs })
  /** Took the place of another event, and moved the time. */
  | (ToldOfEvent & { readonly type: 'DebounceMoved'; readonly dueAt: EpochMs; readonly superseded: string })
  /** Older by `ts` than the one that is kept: it changes nothing. */
  | (ToldOfEvent & { readonly type: 'DebounceOutdated'; readonly kept: string })
  | (ToldOfEvent & { readonly type: 'DebounceFired'; readonly runId: string; readonly superseded: number })
  | (ToldOfEvent & { readonly type: 'DebounceDropped'; readonly reason: 'function_gone' })
  | (ToldOfEvent & {
      readonly type: 'BatchOpened' | 'BatchJoined';
      readonly batchId: string;
      readonly size: number;
      readonly bytes: number;
      readonly dueAt: EpochMs;
    })
  | (ToldOfEvent & {
      readonly type: 'BatchFired';
      readonly batchId: string;
      /** All of them, the first one too. */
      readonly eventIds: readonly string[];
      readonly runId: string;
      readonly size: number;
      readonly bytes: number;
      readonly by: 'size' | 'timeout' | 'bytes';
    })
  | (ToldOfEvent & {
      readonly type: 'BatchDropped';
      readonly batchId: string;
      readonly eventIds: readonly string[];
      readonly size: number;
      readonly reason: 'function_gone';
    })
  | (ToldOfEvent & { readonly type: 'EventIdTaken'; readonly runId: string; readonly until: EpochMs })
  | (ToldOfEvent & { readonly type: 'EventIdRefused'; readonly runId: string })
  /** `from`: the run that held it and is cancelled for it. */
  | (ToldOfEvent & { readonly type: 'SingletonTaken'; readonly runId: string; readonly from?: string })
  | (ToldOfEvent & { readonly type: 'SingletonSkipped'; readonly runId: string; readonly holder: string })
  | (Told & { readonly type: 'SingletonReleased'; readonly runId: string })
  | (Told & { readonly type: 'ThrottleSpent'; readonly runId: string; readonly tat: number })
  | (Told & { readonly type: 'AdmissionForgotten' });

/** What the intake decides about an event and a function by itself. The public contract. */
export type IntakeTransition =
  /** An expression failed that decides whether there is a run: there is none. */
  | (Told & {
      readonly type: 'ExpressionRefused';
      readonly eventId: string;
      readonly control: 'rateLimit.key' | 'idempotency' | 'batchEvents.key';
      readonly error: string;
    })
  /** The id has started a run of the function less than a day before. `first`: internal id of the event that did. */
  | (ToldOfEvent & { readonly type: 'EventRepeated'; readonly first: string });

/** A decision as it stands on `transitions`, keyed by the aggregate or, of the intake, by the function. */
export interface PlacedDecision {
  /** The record's key. */
  readonly runId: string;
  /** Position of the command that was decided, or of the event that the intake took; with the key and the index it is the decision's id. */
  readonly command?: { readonly partition: number; readonly offset: number };
  readonly event?: { readonly partition: number; readonly offset: number };
  readonly index: number;
  readonly transition: AdmissionTransition | IntakeTransition;
}
