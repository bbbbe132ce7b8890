import type { Env, EpochMs } from '../words.js';
import type { RunFlow, Wait, Waited } from './flow.js';

/** What goes through the queue and what the queue tells of it. */

/** A call to make. Its id comes from (run, seq, generation), so putting it out twice is harmless. */
export interface WorkItem {
  readonly id: string;
  readonly env: Env;
  readonly runId: string;
  readonly functionId: string;
  readonly kind: 'call' | 'gateway';
  /** `step` or the id of the step to run. */
  readonly target: string;
  readonly seq: number;
  readonly generation: number;
  readonly attempt: number;
  /** Not handed out before. */
  readonly dueAt: EpochMs;
  /** Place in its line once due: the run's creation, less its priority. Lower goes first. */
  readonly rank: number;
  /** Keys of its run. */
  readonly flow?: RunFlow;
  /** The first request of its run: it passes the throttle and takes the run's slot, unless the run is known to hold one already. */
  readonly starts?: boolean;
  /**
   * It was handed out already and nothing was heard of it: whoever holds the queue has lost it. It counts as under way for the length of
   * one lease from when it is put out, then it goes out again.
   */
  readonly underWay?: boolean;
}

/** What must be on the log before the call is made, since a limit rests on it. */
export interface Grant {
  /** Where the throttle stands now that the run starts. */
  readonly throttle?: { readonly key: string; readonly tat: number };
  /** Absent: it was handed out as soon as it was due. */
  readonly waited?: Waited;
}

export interface Lease {
  readonly item: WorkItem;
  readonly token: string;
  readonly until: EpochMs;
  /** Set where a limit that is declared counts the item, where it passed a throttle, and where it took the slot of its run. */
  readonly grant?: Grant;
}

/** A run between its first request and its end, where its function limits whole runs. */
export interface RunSlot {
  readonly runId: string;
  readonly env: Env;
  readonly functionId: string;
  readonly key: NonNullable<RunFlow['run']>;
}

export interface QueueCounts {
  readonly running: number;
  readonly ready: number;
  readonly later: number;
}

export interface QueuedItem extends WorkItem {
  readonly leased: boolean;
  /** Of an item that is due and not leased: what it waits for. */
  readonly wait?: Wait;
}

/** One line of a function: items whose keys are the same. */
export interface BacklogLine {
  /** Values of the keys, in the order of the limits: step, run, throttle. */
  readonly keys: readonly {
    readonly limit: 'step' | 'run' | 'throttle';
    readonly expression?: string;
    readonly value: string;
  }[];
  readonly ready: number;
  readonly running: number;
  /** What its first item waits for; absent where none is due. */
  readonly wait?: Wait;
}

export interface Backlog extends QueueCounts {
  /** The longest first, at most as many as were asked for. Items that are not due yet stand in no line. */
  readonly lines: readonly BacklogLine[];
  /** How many lines there are. */
  readonly lineCount: number;
  /** When the next item may go that does not go now: it falls due, a throttle opens or a lease ends. */
  readonly nextAt?: EpochMs;
}
