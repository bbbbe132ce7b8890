import { Fault } from '#core/faults.js';
import type { EpochMs, Position } from '#core/words.js';
import { deadLetter as letterOf, recordOfDeadLetter } from '#ports/records.js';
import type { DeadLetter, LogRecord, PlacedRecord } from '#ports/event-log.port.js';
import type { DecisionRow, EventRow } from '#ports/history.port.js';
import { isOfDecision, rowsOfDecision } from './rows.of-decision.js';
import { rowOfEvent } from './rows.of-event.js';
import { bodyOf, isOfRun, transitionOf } from './rows.of-transition.js';
import type { RunRecord } from './run-book.js';

/** The topics that History reflects. */
export const PROJECTED = ['events', 'transitions'] as const;
export type ProjectedTopic = (typeof PROJECTED)[number];

/** What was read of a partition and is not in History yet. */
interface Stretch {
  /** The first position that comes after it. */
  readonly next: Position;
  /** When the oldest of it was appended. */
  readonly oldestAt: EpochMs;
}

/** What was read of the log and is not in History yet, of all partitions. */
export class Gathered {
  readonly events: { readonly row: EventRow; readonly record: PlacedRecord }[] = [];
  readonly runs: RunRecord[] = [];
  readonly decisions: { readonly rows: readonly DecisionRow[]; readonly record: PlacedRecord }[] = [];
  /** Records that nobody can read, for `dead-letters`. */
  readonly unreadable: LogRecord<DeadLetter>[] = [];
  records = 0;
  /** About as many as the rows will take. */
  chars = 0;
  private readonly stretches: Readonly<Record<ProjectedTopic, Map<number, Stretch>>> = {
    events: new Map(),
    transitions: new Map(),
  };

  take(topic: ProjectedTopic, record: PlacedRecord): void {
    try {
      if (topic === 'events') this.takeEvent(record);
      else if (isOfRun(record)) this.takeTransition(record);
      else if (isOfDecision(record)) this.takeDecision(record);
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      this.unreadable.push(deadLetter(record, error));
    }
    this.records++;
    const { partition, offset } = record.position;
    const oldestAt = Math.min(record.at, this.stretch(topic, partition)?.oldestAt ?? Infinity);
    this.stretches[topic].set(partition, { next: { partition, offset: offset + 1 }, oldestAt });
  }

  stretch(topic: ProjectedTopic, partition: number): Stretch | undefined {
    return this.stretches[topic].get(partition);
  }

  /** Whether anything of it is of the partition. */
  isOf(partition: number): boolean {
    return PROJECTED.some((topic) => this.stretches[topic].has(partition));
  }

  /** The first positions that come after it. */
  next(topic: ProjectedTopic): readonly Position[] {
    return [...this.stretches[topic].values()].map(({ next }) => next);
  }

  private takeEvent(record: PlacedRecord): void {
    const row = rowOfEvent(record);
    this.events.push({ row, record });
    this.chars += row.payload.length;
  }

  private takeTransition(record: PlacedRecord): void {
    const placed = transitionOf(record);
    const body = bodyOf(placed);
    this.runs.push({ env: record.env, placed, body, record });
    this.chars += body.length;
  }

  private takeDecision(record: PlacedRecord): void {
    const rows = rowsOfDecision(record);
    this.decisions.push({ rows, record });
    for (const { body } of rows) this.chars += body.length;
  }
}

export function deadLetter(record: PlacedRecord, reason: Error): LogRecord<DeadLetter> {
  return recordOfDeadLetter(letterOf(record, 'History', reason), record.env, record.at);
}
