import { Fault } from '#core/faults.js';
import type { Position } from '#core/words.js';
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

/** What was read of the log and is not in History yet. */
export class Gathered {
  readonly events: { readonly row: EventRow; readonly record: PlacedRecord }[] = [];
  readonly runs: RunRecord[] = [];
  readonly decisions: { readonly rows: readonly DecisionRow[]; readonly record: PlacedRecord }[] = [];
  /** Records that nobody can read, for `dead-letters`. */
  readonly unreadable: LogRecord<DeadLetter>[] = [];
  /** By topic, the first position that comes after it. */
  readonly next: Partial<Record<ProjectedTopic, Position>> = {};
  records = 0;
  /** About as many as the rows will take. */
  chars = 0;
  /** When the oldest of it was appended. */
  oldestAt = Infinity;

  take(topic: ProjectedTopic, batch: readonly PlacedRecord[]): void {
    for (const record of batch) {
      try {
        if (topic === 'events') this.takeEvent(record);
        else if (isOfRun(record)) this.takeTransition(record);
        else if (isOfDecision(record)) this.takeDecision(record);
      } catch (error) {
        if (!(error instanceof Fault)) throw error;
        this.unreadable.push(deadLetter(record, error));
      }
      this.records++;
      this.oldestAt = Math.min(this.oldestAt, record.at);
      this.next[topic] = { partition: record.position.partition, offset: record.position.offset + 1 };
    }
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
