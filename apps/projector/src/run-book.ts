import type { PlacedTransition } from '#core/run/run.transitions.js';
import type { Env, Json } from '#core/words.js';
import type { PlacedRecord } from '#ports/event-log.port.js';
import type { History, RunRow, TransitionRow } from '#ports/history.port.js';
import { foldRun, rowOfTransition } from './rows.of-transition.js';

/** A record of `transitions` that is of a run, and what it says. */
export interface RunRecord {
  readonly env: Env;
  readonly placed: PlacedTransition;
  readonly body: Json;
  readonly record: PlacedRecord;
}

/** A row, and the partition that its run's transitions are in. */
interface Kept {
  readonly row: RunRow;
  readonly partition: number;
}

export interface RunRows {
  /** Runs that changed, each as it stands in the end. */
  readonly runs: readonly RunRow[];
  readonly transitions: readonly TransitionRow[];
}

/**
 * The rows of the runs that are on their way, so that their transitions find what they change. Keeps so many; the others are asked
 * of History, which knows every run that is not here.
 */
export class RunBook {
  /** Oldest first. */
  private readonly rows = new Map<string, Kept>();
  /** Runs that were looked at since the last `settled`. */
  private readonly touched = new Set<string>();
  /** By partition of `transitions`, the furthest command of which one was seen: they are appended in the order of their commands. */
  private readonly seenUpTo = new Map<number, number>();

  constructor(
    private readonly history: History,
    private readonly rowsMax: number,
  ) {}

  get size(): number {
    return this.rows.size;
  }

  /** Gets the rows that `fold` will ask for. @throws history_unavailable; it may be called again with the same records */
  async prepare(records: readonly RunRecord[]): Promise<void> {
    const wanted = new Map<Env, Map<string, number>>();
    const begun = new Set<string>();
    for (const record of records) {
      const { env, placed } = record;
      const { runId } = placed;
      if (this.isNew(record)) begun.add(runId);
      if (begun.has(runId) || this.rows.has(runId)) continue;
      const partitions = wanted.get(env) ?? new Map<string, number>();
      wanted.set(env, partitions.set(runId, partitionOf(record)));
    }
    for (const [env, partitions] of wanted) {
      const rows = await this.history.runsById(env, [...partitions.keys()]);
      for (const row of rows) this.keep({ row, partition: partitions.get(row.runId)! });
    }
  }

  /** Takes records in their order. Their rows stay until `settled`. */
  fold(records: readonly RunRecord[]): RunRows {
    const changed = new Map<string, RunRow>();
    const transitions = records.map((record) => {
      const { env, placed, body } = record;
      const before = this.rows.get(placed.runId)?.row;
      const after = foldRun(before, env, placed);
      if (after && after !== before) {
        this.keep({ row: after, partition: partitionOf(record) });
        changed.set(placed.runId, after);
      }
      return rowOfTransition(env, after?.functionId ?? '', placed, body);
    });
    return { runs: [...changed.values()], transitions };
  }

  /** History has what was folded: runs that ended may go, and what is too much. */
  settled(): void {
    for (const runId of this.touched) if (this.rows.get(runId)?.row.endedAt !== null) this.rows.delete(runId);
    this.touched.clear();
    for (const runId of this.rows.keys()) {
      if (this.rows.size <= this.rowsMax) return;
      this.rows.delete(runId);
    }
  }

  /** Another may bring this partition on from now on: what is known of it here would grow old. */
  forget(partition: number): void {
    for (const [runId, kept] of this.rows) if (kept.partition === partition) this.rows.delete(runId);
    this.seenUpTo.delete(partition);
  }

  clear(): void {
    this.rows.clear();
    this.touched.clear();
    this.seenUpTo.clear();
  }

  /** Whether nobody can know the run yet. A beginning that is told again (its append was repeated) comes behind later commands. */
  private isNew(record: RunRecord): boolean {
    const { command, transition } = record.placed;
    const partition = partitionOf(record);
    const seen = this.seenUpTo.get(partition);
    this.seenUpTo.set(partition, Math.max(seen ?? 0, command.offset));
    return transition.type === 'RunScheduled' && seen !== undefined && command.offset > seen;
  }

  private keep(kept: Kept): void {
    this.rows.set(kept.row.runId, kept);
    this.touched.add(kept.row.runId);
  }
}

function partitionOf({ record }: RunRecord): number {
  return record.position.partition;
}
