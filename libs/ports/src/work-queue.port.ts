import type { FunctionLimits } from '#core/flow/flow.js';
import type { Backlog, Lease, QueueCounts, QueuedItem, RunSlot, WorkItem } from '#core/flow/flow.work.js';

export type {
  Backlog,
  BacklogLine,
  Grant,
  Lease,
  QueueCounts,
  QueuedItem,
  RunSlot,
  WorkItem,
} from '#core/flow/flow.work.js';

/** What changes in the queue at once, in the order of the fields. */
export interface QueueChange {
  /** Items that are no longer owed. */
  readonly withdraw: readonly string[];
  /** Runs that have ended. */
  readonly vacate: readonly string[];
  readonly occupy: readonly RunSlot[];
  readonly throttled: readonly ThrottleState[];
  readonly enqueue: readonly WorkItem[];
}

export interface ThrottleState {
  readonly key: string;
  readonly tat: number;
}

/** Commands of one partition, from `from` to before `next`. */
export interface Stretch {
  readonly partition: number;
  readonly from: number;
  readonly next: number;
}

/**
 * Work that is due, handed out under leases; all flow control, by the rules of `core/flow`. A projection of what runs are owed: items, slots
 * of running runs, throttles and the numbers of functions are put in again after any loss. A limit holds at every instant, also across a
 * loss: what was handed out before it counts (`underWay`) until its lease would have ended. Whatever may go goes to who waits at once.
 */
export abstract class WorkQueue {
  /** Puts items out. One that is out or leased already is left as it is; one that was withdrawn while leased is owed again. */
  abstract enqueue(items: readonly WorkItem[]): Promise<void>;
  /** Takes items back that are no longer owed; a leased one is let finish, and does not come back when its lease ends. */
  abstract withdraw(ids: readonly string[]): Promise<void>;
  /**
   * The next item that is due and allowed; waits until there is one. In a line the lowest rank first, then arrival; lines of a function take
   * turns, and functions do. Undefined after `signal` is aborted.
   */
  abstract claim(signal: AbortSignal): Promise<Lease | undefined>;
  /** @throws lease_lost */
  abstract extend(lease: Lease): Promise<Lease>;
  /** The item is done: what it holds comes back, but for the slot of a run that is occupied. Harmless when the lease is gone. */
  abstract complete(lease: Lease): Promise<void>;
  /**
   * The numbers of a function; undefined: the defaults. They apply to what waits already; what is under way is let finish.
   * @param revision rises with each change of the numbers; older ones than those in force are left out
   */
  abstract limits(functionId: string, limits: FunctionLimits | undefined, revision?: number): Promise<void>;
  /**
   * These runs hold their slots until they are vacated, also beyond the number. Harmless when they hold them already. Their first requests
   * pass for any others from now on: a run that has started waits for no slot and no throttle again.
   */
  abstract occupy(slots: readonly RunSlot[]): Promise<void>;
  /** These runs have ended; what their first requests hold for them comes back as well. Harmless when they hold no slot. */
  abstract vacate(runIds: readonly string[]): Promise<void>;
  /** These throttles stand there at least. */
  abstract throttled(states: readonly ThrottleState[]): Promise<void>;

  /**
   * Applies what a stretch of commands changes, all of it or nothing. A stretch that lies whole behind what the queue reflects of its partition
   * is left out: a later owner has been there.
   * @throws state_lost when the queue does not reflect the partition up to `from`: it has lost what it held, and everything is put out again
   */
  abstract settle(change: QueueChange, stretch: Stretch): Promise<void>;
  /** The first command of the partition that the queue does not reflect; undefined: it knows nothing of it, and everything is put out again. */
  abstract reflects(partition: number): Promise<number | undefined>;
  /** Puts out a part of everything that a partition is owed. */
  abstract restore(partition: number, part: QueueChange): Promise<void>;
  /** Everything is out that a partition is owed by its commands before `next`. Nothing is handed out until all partitions are there. */
  abstract restored(partition: number, next: number): Promise<void>;
  /** Forgets everything, also the numbers of functions: what it holds is not what the partitions are owed. */
  abstract clear(): Promise<void>;

  abstract counts(functionId?: string): Promise<QueueCounts>;
  /** The items of a run that are out, leased ones included, by arrival, and what they wait for. */
  abstract ofRun(runId: string): Promise<readonly QueuedItem[]>;
  /** What waits and what is under way of a function. */
  abstract backlog(functionId: string, linesMax: number): Promise<Backlog>;
}
