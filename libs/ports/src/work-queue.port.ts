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
  /** The numbers of a function; undefined: the defaults. They apply to what waits already; what is under way is let finish. */
  abstract limits(functionId: string, limits: FunctionLimits | undefined): Promise<void>;
  /**
   * These runs hold their slots until they are vacated, also beyond the number. Harmless when they hold them already. Their first requests
   * pass for any others from now on: a run that has started waits for no slot and no throttle again.
   */
  abstract occupy(slots: readonly RunSlot[]): Promise<void>;
  /** These runs have ended; what their first requests hold for them comes back as well. Harmless when they hold no slot. */
  abstract vacate(runIds: readonly string[]): Promise<void>;
  /** These throttles stand there at least. */
  abstract throttled(states: readonly { readonly key: string; readonly tat: number }[]): Promise<void>;
  abstract counts(functionId?: string): Promise<QueueCounts>;
  /** The items of a run that are out, leased ones included, by arrival, and what they wait for. */
  abstract ofRun(runId: string): Promise<readonly QueuedItem[]>;
  /** What waits and what is under way of a function. */
  abstract backlog(functionId: string, linesMax: number): Promise<Backlog>;
}
