import type { EpochMs } from '../words.js';

/** So many at once, and then one for each part of the period: the generic cell rate algorithm. */
export interface Rate {
  /** From 1 on. */
  readonly limit: number;
  /** Above 0. */
  readonly periodMs: number;
  /** How many may come at one moment, from 1 on. */
  readonly atOnce: number;
}

export interface Admitted {
  readonly allowed: boolean;
  /** The bucket afterwards: the theoretical time of arrival of the next one, ms, with fractions. */
  readonly tat: number;
  /** When the next one is allowed; `at` or earlier: at once. Whole ms, never early. */
  readonly nextAt: EpochMs;
}

/** One that wants through. @param tat of the bucket so far; undefined: nothing has come through, or long ago */
export function gcra(tat: number | undefined, at: EpochMs, rate: Rate): Admitted {
  const allowed = nextAt(tat, rate) <= at;
  const after = allowed ? Math.max(tat ?? at, at) + rate.periodMs / rate.limit : (tat ?? at);
  return { allowed, tat: after, nextAt: nextAt(after, rate) };
}

/** Intervals need not be whole, and a double of today's size has steps of a 4,096th of a ms: rounding must not cost a whole one. */
const ROUNDING_MS = 0.01;

/** When one is allowed, by what has come through so far. */
export function nextAt(tat: number | undefined, { limit, periodMs, atOnce }: Rate): EpochMs {
  if (tat === undefined) return Number.NEGATIVE_INFINITY;
  return Math.ceil(tat - (atOnce - 1) * (periodMs / limit) - ROUNDING_MS);
}

/** Contract 13: `limit + burst` at once, then one for each `period / limit`. */
export function throttleRate(throttle: { limit: number; periodMs: number; burst: number }): Rate {
  return { limit: throttle.limit, periodMs: throttle.periodMs, atOnce: throttle.limit + throttle.burst };
}

/** Contract 9: a tenth of the limit more than one at once, then one for each `period / limit`. */
export function rateLimitRate(rateLimit: { limit: number; periodMs: number }): Rate {
  return {
    limit: rateLimit.limit,
    periodMs: rateLimit.periodMs,
    atOnce: Math.floor(rateLimit.limit / 10) + 1,
  };
}
