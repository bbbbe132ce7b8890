import { Fault } from '#core/faults.js';
import type { PlacedRecord } from '#ports/event-log.port.js';
import { NO_ROWS, type History, type HistoryBatch } from '#ports/history.port.js';
import type { Gathered } from './gathered.js';
import type { RunRows } from './run-book.js';

/** Rows of one kind, and the record that they are of. */
interface Piece {
  readonly rows: HistoryBatch;
  readonly record: PlacedRecord;
}

export interface RefusedRow {
  readonly record: PlacedRecord;
  readonly reason: Fault;
}

/**
 * Adds what it can of rows of which the store will not take one, by halves.
 * @returns those it will never take. @throws history_unavailable
 */
export async function appendPiecewise(
  history: History,
  gathered: Gathered,
  rows: RunRows,
): Promise<readonly RefusedRow[]> {
  const recordOf = new Map(gathered.runs.map(({ placed, record }) => [placed.runId, record]));
  const pieces: Piece[] = [
    ...gathered.events.map(({ row, record }) => ({ rows: { ...NO_ROWS, events: [row] }, record })),
    ...gathered.decisions.map(({ rows: decisions, record }) => ({ rows: { ...NO_ROWS, decisions }, record })),
    ...rows.transitions.map((row, i) => ({
      rows: { ...NO_ROWS, transitions: [row] },
      record: gathered.runs[i]!.record,
    })),
    ...rows.runs.map((row) => ({ rows: { ...NO_ROWS, runs: [row] }, record: recordOf.get(row.runId)! })),
  ];
  return halves(history, pieces);
}

async function halves(history: History, pieces: readonly Piece[]): Promise<readonly RefusedRow[]> {
  const [first] = pieces;
  if (!first) return [];
  try {
    await history.append(joined(pieces), {});
    return [];
  } catch (error) {
    if (!(error instanceof Fault) || error.code !== 'record_unreadable') throw error;
    if (pieces.length === 1) return [{ record: first.record, reason: error }];
    const middle = pieces.length >> 1;
    return [...(await halves(history, pieces.slice(0, middle))), ...(await halves(history, pieces.slice(middle)))];
  }
}

function joined(pieces: readonly Piece[]): HistoryBatch {
  return {
    events: pieces.flatMap(({ rows }) => rows.events),
    runs: pieces.flatMap(({ rows }) => rows.runs),
    transitions: pieces.flatMap(({ rows }) => rows.transitions),
    decisions: pieces.flatMap(({ rows }) => rows.decisions),
  };
}
