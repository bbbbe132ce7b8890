import type { Env, EpochMs } from '#core/words.js';

/** A call to make. Its id comes from (run, seq, attempt), so putting it out twice is harmless. */
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
  /** Place in the function's line once due: the run's creation, less its priority. Lower goes first. */
  readonly rank: number;
}

export interface Lease {
  readonly item: WorkItem;
  readonly token: string;
  readonly until: EpochMs;
}

export interface QueueCounts {
  readonly running: number;
  readonly ready: number;
  readonly later: number;
}

/** Work that is due, handed out under leases; all flow control. A projection of what runs are owed. */
export abstract class WorkQueue {
  /** Puts items out. An item that is out or leased already is left as it is. */
  abstract enqueue(items: readonly WorkItem[]): Promise<void>;
  /** Takes items back that are no longer owed; a leased one ends with its lease. */
  abstract withdraw(ids: readonly string[]): Promise<void>;
  /** The next item that is due and allowed; waits until there is one. Undefined after `signal` is aborted. */
  abstract claim(signal: AbortSignal): Promise<Lease | undefined>;
  /** @throws lease_lost */
  abstract extend(lease: Lease): Promise<Lease>;
  /** Gives the slot back. Harmless when the lease is gone. */
  abstract complete(lease: Lease): Promise<void>;
  /** How many requests of a function may be in progress; undefined: the default. Applies to what waits already. */
  abstract limit(functionId: string, concurrency: number | undefined): Promise<void>;
  abstract counts(functionId?: string): Promise<QueueCounts>;
  /** The items of a run that are out, leased ones included. */
  abstract ofRun(runId: string): Promise<readonly (WorkItem & { readonly leased: boolean })[]>;
}
