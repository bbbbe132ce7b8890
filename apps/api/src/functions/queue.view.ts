import type { EpochMs } from '#core/words.js';
import type { Backlog, BacklogLine, QueuedItem } from '#ports/work-queue.port.js';
import { viewOfWait, type WaitView } from './wait.view.js';

/** What waits of a function, and what is under way, as REST v1 shows it. */
export interface QueueView {
  readonly running: number;
  readonly ready: number;
  /** Not due yet. */
  readonly later: number;
  /** When the next call may go that does not go now. */
  readonly next_at: string | null;
  readonly line_count: number;
  /** The longest first. */
  readonly lines: readonly LineView[];
}

/** Calls under the same keys. */
export interface LineView {
  readonly keys: readonly KeyView[];
  readonly ready: number;
  readonly running: number;
  /** What the first of them waits for; null where none is due. */
  readonly wait: WaitView | null;
}

export interface KeyView {
  readonly limit: 'step' | 'run' | 'throttle';
  /** Null: the whole function. */
  readonly expression: string | null;
  readonly value: string;
}

/** A call that is to be made or under way. */
export interface QueuedView {
  /** `step` enters the function. */
  readonly step_id: string;
  readonly attempt: number;
  readonly status: 'running' | 'queued' | 'scheduled';
  readonly at: string;
  readonly wait: WaitView | null;
}

export function viewOfBacklog({ running, ready, later, nextAt, lineCount, lines }: Backlog): QueueView {
  return {
    running,
    ready,
    later,
    next_at: nextAt === undefined ? null : new Date(nextAt).toISOString(),
    line_count: lineCount,
    lines: lines.map(viewOfLine),
  };
}

function viewOfLine({ keys, ready, running, wait }: BacklogLine): LineView {
  return {
    keys: keys.map(({ limit, expression = null, value }) => ({ limit, expression, value })),
    ready,
    running,
    wait: wait === undefined ? null : viewOfWait(wait),
  };
}

export function viewOfQueued({ target, attempt, dueAt, leased, wait }: QueuedItem, now: EpochMs): QueuedView {
  return {
    step_id: target,
    attempt,
    status: leased ? 'running' : dueAt > now ? 'scheduled' : 'queued',
    at: new Date(dueAt).toISOString(),
    wait: wait === undefined ? null : viewOfWait(wait),
  };
}
