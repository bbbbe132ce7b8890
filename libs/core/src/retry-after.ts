import { parseHttpDate, parseIsoInstant } from './instant.js';
import { LIMITS } from './limits.js';
import type { EpochMs } from './words.js';

/**
 * How long an app asks us to wait before the next attempt: the header `Retry-After` of its answer. Contract: semantics 19.3.
 *     seconds, up to 7 digits     `30`; `0` counts as absent
 *     HTTP date                   `Sun, 22 Nov 2026 17:41:13 GMT`
 *     RFC 3339, ISO 8601          `2026-11-22T17:41:13.632Z`
 * @returns ms in [1 s, 24 h]; 1 s for a date gone by; undefined for what says nothing: the table of delays applies
 */
export function retryAfterMs(text: string | undefined, now: EpochMs): number | undefined {
  const plain = text?.trim() ?? '';
  const waitMs = /^\d{1,7}$/.test(plain) ? Number(plain) * 1000 || undefined : untilDate(plain, now);
  if (waitMs === undefined) return undefined;
  return Math.min(Math.max(waitMs, LIMITS.retryDelayMinMs), LIMITS.retryDelayMaxMs);
}

function untilDate(text: string, now: EpochMs): number | undefined {
  const date = parseIsoInstant(text) ?? parseHttpDate(text, now);
  return date === undefined ? undefined : date - now;
}
