import { setImmediate as turn } from 'node:timers/promises';
import type { SqlRow } from './clickhouse.transport.js';

/** Rows go over in pieces of about this size. */
const PIECE_CHARS_MAX = 8 * 1024 ** 2;
const ROWS_PER_TURN = 256;

/** The rows as JSON lines, in pieces that a message carries well. A row is never cut. Lets others have a turn every now and then. */
export async function* jsonLines(rows: readonly SqlRow[]): AsyncGenerator<Uint8Array> {
  let lines = '';
  for (const [index, row] of rows.entries()) {
    if (index > 0 && index % ROWS_PER_TURN === 0) await turn();
    lines += `${JSON.stringify(row)}\n`;
    if (lines.length >= PIECE_CHARS_MAX) {
      yield Buffer.from(lines);
      lines = '';
    }
  }
  if (lines !== '') yield Buffer.from(lines);
}
