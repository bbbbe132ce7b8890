import { Fault } from '#core/faults.js';
import type { PlacedRecord } from '#ports/event-log.port.js';
import type { History, HistoryBatch } from '#ports/history.port.js';
import type { Gathered } from './gathered.js';
import type { RunRows } from './run-book.js';

/** A row, and the record that it is of. */
interface Piece {
  readonly rows: HistoryBatch;
  readonly record: PlacedRecord;
}

export interface RefusedRow {
  readonly record: PlacedRecord;
  readonly reason: Fault;
}

const NONE: HistoryBatch = { events: [], runs: [], transitions: [] };

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
    ...gathered.events.map(({ row, record }) => ({ rows: { ...NONE, events: [row] }, record })),
    ...rows.transitions.map((row, i) => ({ rows: { ...NONE, transitions: [row] }, record: gathered.runs[i]!.record })),
    ...rows.runs.map((row) => ({ rows: { ...NONE, runs: [row] }, record: recordOf.get(row.runId)! })),
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
  };
}
