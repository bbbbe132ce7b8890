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
  private readonly rows = new Map<string, RunRow>();
  /** Runs that were looked at since the last `settled`. */
  private readonly touched = new Set<string>();
  /** By partition, the furthest command of which a transition was seen: transitions are appended in the order of their commands. */
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
    const wanted = new Map<Env, Set<string>>();
    const begun = new Set<string>();
    for (const { env, placed } of records) {
      const { runId } = placed;
      if (this.isNew(placed)) begun.add(runId);
      if (begun.has(runId) || this.rows.has(runId)) continue;
      const ids = wanted.get(env) ?? new Set();
      wanted.set(env, ids.add(runId));
    }
    for (const [env, ids] of wanted) {
      for (const row of await this.history.runsById(env, [...ids])) this.keep(row);
    }
  }

  /** Takes records in their order. Their rows stay until `settled`. */
  fold(records: readonly RunRecord[]): RunRows {
    const changed = new Map<string, RunRow>();
    const transitions = records.map(({ env, placed, body }) => {
      const before = this.rows.get(placed.runId);
      const after = foldRun(before, env, placed);
      if (after && after !== before) {
        this.keep(after);
        changed.set(placed.runId, after);
      }
      return rowOfTransition(env, after?.functionId ?? '', placed, body);
    });
    return { runs: [...changed.values()], transitions };
  }

  /** History has what was folded: runs that ended may go, and what is too much. */
  settled(): void {
    for (const runId of this.touched) if (this.rows.get(runId)?.endedAt !== null) this.rows.delete(runId);
    this.touched.clear();
    for (const runId of this.rows.keys()) {
      if (this.rows.size <= this.rowsMax) return;
      this.rows.delete(runId);
    }
  }

  /** Whether nobody can know the run yet. A beginning that is told again (its append was repeated) comes behind later commands. */
  private isNew({ command, transition }: PlacedTransition): boolean {
    const { partition, offset } = command;
    const seen = this.seenUpTo.get(partition);
    this.seenUpTo.set(partition, Math.max(seen ?? 0, offset));
    return transition.type === 'RunScheduled' && seen !== undefined && offset > seen;
  }

  private keep(row: RunRow): void {
    this.rows.set(row.runId, row);
    this.touched.add(row.runId);
  }
}
