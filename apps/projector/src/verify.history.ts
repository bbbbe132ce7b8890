import { isDeepStrictEqual } from 'node:util';
import type { Env, Position } from '#core/words.js';
import type { EventLog } from '#ports/event-log.port.js';
import type { History, RunRow } from '#ports/history.port.js';
import { foldRun, isOfRun, transitionOf } from './rows.of-transition.js';

const PAGE = 1_000;

export interface VerifiedHistory {
  readonly partition: number;
  /** Runs whose beginning is still on the log. */
  readonly runs: number;
  /** Records of `transitions` that are not in History yet. */
  readonly lag: number;
  /** Ids of runs that History does not tell as the log does. */
  readonly differences: readonly { readonly key: string; readonly what: 'missing' | 'differs' }[];
}

/** Makes the rows of a partition's runs anew from `transitions`, and compares History with them. It may go on meanwhile. @throws history_unavailable */
export async function verifyHistory(log: EventLog, history: History, partition: number): Promise<VerifiedHistory> {
  const end = (await log.ends('transitions'))[partition]?.offset ?? 0;
  const reader = (await history.positions('transitions')).find((position) => position.partition === partition);
  const until = reader?.offset ?? 0;
  const rows = await rowsUntil(log, { partition, offset: until });
  const differences: { key: string; what: 'missing' | 'differs' }[] = [];
  for (const [env, expected] of byEnv(rows)) {
    for (let from = 0; from < expected.length; from += PAGE) {
      const page = expected.slice(from, from + PAGE);
      const found = new Map(
        (
          await history.runsById(
            env,
            page.map(({ runId }) => runId),
          )
        ).map((row) => [row.runId, row]),
      );
      for (const row of page) {
        const is = found.get(row.runId);
        // It has gone on since.
        if (is && is.version > row.version) continue;
        if (!is || !isDeepStrictEqual(is, row)) differences.push({ key: row.runId, what: is ? 'differs' : 'missing' });
      }
    }
  }
  return { partition, runs: rows.size, lag: Math.max(0, end - until), differences };
}

async function rowsUntil(log: EventLog, { partition, offset }: Position): Promise<ReadonlyMap<string, RunRow>> {
  const rows = new Map<string, RunRow>();
  for (let from: Position = { partition, offset: 0 }; from.offset < offset;) {
    const page = await log.read('transitions', from, PAGE);
    const last = page.at(-1);
    if (!last) break;
    for (const record of page) {
      if (record.position.offset >= offset || !isOfRun(record)) continue;
      const row = foldRun(rows.get(record.key), record.env, transitionOf(record));
      if (row) rows.set(record.key, row);
    }
    from = { partition, offset: last.position.offset + 1 };
  }
  return rows;
}

function byEnv(rows: ReadonlyMap<string, RunRow>): ReadonlyMap<Env, readonly RunRow[]> {
  const sorted = new Map<Env, RunRow[]>();
  for (const row of rows.values()) {
    const of = sorted.get(row.env) ?? [];
    of.push(row);
    sorted.set(row.env, of);
  }
  return sorted;
}
