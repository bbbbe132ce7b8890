import { Fault } from '#core/faults.js';
import type { Env, Position } from '#core/words.js';
import { History } from '#ports/history.port.js';
import type {
  DecisionRow,
  EventFilter,
  EventRow,
  HistoryBatch,
  HistoryPositions,
  RunFilter,
  RunRow,
  RunStatus,
  TransitionRow,
} from '#ports/history.port.js';

const PHASE: Readonly<Record<RunStatus, number>> = {
  Scheduled: 0,
  Running: 1,
  Completed: 2,
  Failed: 2,
  Cancelled: 2,
  Skipped: 2,
};

/** The highest version of a run wins; of equal ones the one that is further along. */
function isNewer(a: RunRow, b: RunRow): boolean {
  return (a.version - b.version || PHASE[a.status] - PHASE[b.status]) >= 0;
}

/** Whether a position that somebody counts on is not reached any more. */
function isBehind(held: HistoryPositions, reached: (reader: string, partition: number) => number | undefined): boolean {
  return Object.entries(held).some(([reader, positions]) =>
    positions.some(({ partition, offset }) => offset > (reached(reader, partition) ?? 0)),
  );
}

/** History said in a few lines over maps: what the SQL is compared with, and quick company for tests of other rooms. */
export class MemoryHistory extends History {
  private readonly eventRows = new Map<string, EventRow>();
  private readonly runRows = new Map<string, RunRow>();
  private readonly transitionRows = new Map<string, TransitionRow>();
  private readonly decisionRows = new Map<string, DecisionRow>();
  private readonly reached = new Map<string, Map<number, Position>>();
  /** Set to make every call throw it. */
  fault: Error | undefined;

  override append(batch: HistoryBatch, next: HistoryPositions, held: HistoryPositions = {}): Promise<void> {
    return this.answer(() => {
      for (const row of batch.events) {
        const key = `${row.env}/${row.internalId}`;
        const old = this.eventRows.get(key);
        if (!old || row.position.offset >= old.position.offset) this.eventRows.set(key, row);
      }
      for (const row of batch.runs) {
        const key = `${row.env}/${row.runId}`;
        const old = this.runRows.get(key);
        if (!old || isNewer(row, old)) this.runRows.set(key, row);
      }
      for (const row of batch.transitions)
        this.transitionRows.set(`${row.env}/${row.runId}/${row.offset}/${row.index}`, row);
      for (const row of batch.decisions) {
        const { env, eventId, topic, partition, offset, index, key } = row;
        const id = [env, eventId, topic, partition, offset, index, key].join('/');
        if (row.at >= (this.decisionRows.get(id)?.at ?? -Infinity)) this.decisionRows.set(id, row);
      }
      if (isBehind(held, (reader, partition) => this.reached.get(reader)?.get(partition)?.offset))
        throw new Fault('state_lost');
      for (const [reader, positions] of Object.entries(next)) {
        const reached = this.reached.get(reader) ?? new Map<number, Position>();
        this.reached.set(reader, reached);
        for (const position of positions) {
          const { partition, offset } = position;
          if (offset > (reached.get(partition)?.offset ?? -1)) reached.set(partition, position);
        }
      }
    });
  }

  override positions(reader: string): Promise<readonly Position[]> {
    return this.answer(() => [...(this.reached.get(reader)?.values() ?? [])].sort((a, b) => a.partition - b.partition));
  }

  override events(env: Env, filter: EventFilter): Promise<readonly EventRow[]> {
    return this.answer(() =>
      [...this.eventRows.values()]
        .filter(
          (row) =>
            row.env === env &&
            (filter.cursor === undefined || row.internalId < filter.cursor) &&
            (filter.name === undefined || row.name === filter.name) &&
            (filter.receivedAfter === undefined || row.receivedAt >= filter.receivedAfter) &&
            (filter.receivedBefore === undefined || row.receivedAt < filter.receivedBefore) &&
            (filter.internal === true || filter.name !== undefined || !row.name.startsWith('inngest/')),
        )
        .sort((a, b) => (a.internalId < b.internalId ? 1 : -1))
        .slice(0, filter.limit),
    );
  }

  override event(env: Env, internalId: string): Promise<EventRow | undefined> {
    return this.answer(() => this.eventRows.get(`${env}/${internalId}`));
  }

  override runs(env: Env, filter: RunFilter): Promise<readonly RunRow[]> {
    return this.answer(() =>
      this.newest(
        (row) =>
          row.env === env &&
          (filter.cursor === undefined || row.runId < filter.cursor) &&
          (filter.statuses === undefined || filter.statuses.includes(row.status)) &&
          (filter.functionSlugs === undefined || filter.functionSlugs.includes(row.functionSlug)) &&
          (filter.appName === undefined || row.appName === filter.appName) &&
          (filter.eventName === undefined || row.eventName === filter.eventName) &&
          (filter.from === undefined || row.queuedAt >= filter.from) &&
          (filter.until === undefined || row.queuedAt < filter.until),
      ).slice(0, filter.limit),
    );
  }

  override run(env: Env, runId: string): Promise<RunRow | undefined> {
    return this.answer(() => this.runRows.get(`${env}/${runId}`));
  }

  override runsById(env: Env, runIds: readonly string[]): Promise<readonly RunRow[]> {
    return this.answer(() => this.newest((row) => row.env === env && runIds.includes(row.runId)));
  }

  override runsOfEvent(env: Env, internalId: string): Promise<readonly RunRow[]> {
    return this.answer(() => this.newest((row) => row.env === env && row.eventIds.includes(internalId)));
  }

  override transitions(env: Env, runId: string): Promise<readonly TransitionRow[]> {
    return this.answer(() =>
      [...this.transitionRows.values()]
        .filter((row) => row.env === env && row.runId === runId)
        .sort((a, b) => a.offset - b.offset || a.index - b.index),
    );
  }

  override decisionsOfEvent(env: Env, internalId: string): Promise<readonly DecisionRow[]> {
    return this.answer(() =>
      [...this.decisionRows.values()]
        .filter((row) => row.env === env && row.eventId === internalId)
        .sort(
          (a, b) =>
            a.at - b.at ||
            Number(a.topic === 'commands') - Number(b.topic === 'commands') ||
            a.partition - b.partition ||
            a.offset - b.offset ||
            a.index - b.index ||
            (a.key < b.key ? -1 : 1),
        ),
    );
  }

  override empty(): Promise<void> {
    return this.answer(() => {
      for (const rows of [this.eventRows, this.runRows, this.transitionRows, this.decisionRows, this.reached])
        rows.clear();
    });
  }

  /** A copy as of a backup. @returns puts it back */
  copy(): () => void {
    const all: readonly Map<string, unknown>[] = [
      this.eventRows,
      this.runRows,
      this.transitionRows,
      this.decisionRows,
      this.reached,
    ];
    const copies = structuredClone(all);
    return () => {
      for (const [i, rows] of all.entries()) {
        rows.clear();
        for (const [key, value] of structuredClone(copies[i]!)) rows.set(key, value);
      }
    };
  }

  override close(): Promise<void> {
    return Promise.resolve();
  }

  private newest(wanted: (row: RunRow) => boolean): RunRow[] {
    return [...this.runRows.values()].filter(wanted).sort((a, b) => (a.runId < b.runId ? 1 : -1));
  }

  private answer<T>(read: () => T): Promise<T> {
    return new Promise((resolve) => {
      if (this.fault) throw this.fault;
      resolve(read());
    });
  }
}
