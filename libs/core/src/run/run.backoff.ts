import type { EpochMs } from '../words.js';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** Contract 19.3: the base delay after attempt 0, 1, 2, ...; the last one for all that follow. */
const TABLE = [
  15 * SECOND,
  30 * SECOND,
  MINUTE,
  2 * MINUTE,
  5 * MINUTE,
  10 * MINUTE,
  20 * MINUTE,
  40 * MINUTE,
  HOUR,
  2 * HOUR,
];
const JITTER_MS = 30 * SECOND;

export interface Backoff {
  /** The attempt that failed, from 0. */
  readonly attempt: number;
  readonly at: EpochMs;
  /** Uniform in [0, 1). */
  readonly dice: number;
  /** What the app asked for, already clamped; wins. */
  readonly retryAfterMs?: number | undefined;
  /** Fixed interval instead of the table. */
  readonly intervalMs?: number | undefined;
}

/** When the next attempt may be made. */
export function retryAt({ attempt, at, dice, retryAfterMs, intervalMs }: Backoff): EpochMs {
  if (retryAfterMs !== undefined) return at + retryAfterMs;
  if (intervalMs !== undefined) return at + intervalMs;
  const base = TABLE[Math.min(attempt, TABLE.length - 1)] ?? 2 * HOUR;
  return at + base + Math.floor(dice * JITTER_MS);
}
