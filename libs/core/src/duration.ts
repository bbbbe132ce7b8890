import { parseIsoInstant } from './instant.js';
import { LIMITS } from './limits.js';
import type { WaitUntil } from './run/run.ops.js';
import type { EpochMs } from './words.js';

const NS_PER_MS = 1_000_000n;
const SECOND_NS = 1_000n * NS_PER_MS;
const UNITS_NS: ReadonlyMap<string, bigint> = new Map([
  ['ns', 1n],
  ['us', 1_000n],
  ['\u00b5s', 1_000n], // micro sign
  ['\u03bcs', 1_000n], // Greek mu
  ['ms', NS_PER_MS],
  ['s', SECOND_NS],
  ['m', 60n * SECOND_NS],
  ['h', 3_600n * SECOND_NS],
  ['d', 24n * 3_600n * SECOND_NS],
  ['w', 7n * 24n * 3_600n * SECOND_NS],
]);
const PART = /(\d*)(?:\.(\d*))?(ns|us|\u00b5s|\u03bcs|ms|[smhdw])/y;

/** Longer texts are nonsense, and arithmetic on them would cost. */
const CHARS_MAX = 255;

/** What is longer counts as this, so that added to an instant of ours it gives another: a whole number that a Date can hold. */
const MS_MAX = 8e15;

/**
 * A length of time as SDKs write it: decimals with the units `ns us µs ms s m h d w`, joined (`1w2d`, `1.5h`), with an optional sign;
 * a bare `0`; also in double quotes, which Kotlin adds. A day is 24 h. Contract: semantics 17.3, http.md 6.1.
 * @param goUnits only what Go itself knows: no `d` and `w`, as the batch timeout wants (semantics 11)
 * @returns whole ms, rounded away from zero so that nothing is early; undefined for what is no length of time
 */
export function parseDuration(text: string, goUnits = false): number | undefined {
  const plain = unquote(text);
  if (plain.length > CHARS_MAX) return undefined;
  const signed = plain.startsWith('-') || plain.startsWith('+');
  const body = signed ? plain.slice(1) : plain;
  if (body === '0') return 0;
  let ns = 0n;
  let read = 0;
  while (read < body.length) {
    PART.lastIndex = read;
    const part = PART.exec(body);
    if (!part) return undefined;
    const [matched, whole = '', fraction = '', unit = ''] = part;
    const unitNs = UNITS_NS.get(unit);
    if (unitNs === undefined || whole + fraction === '') return undefined;
    if (goUnits && (unit === 'd' || unit === 'w')) return undefined;
    ns += (BigInt(whole + fraction) * unitNs) / 10n ** BigInt(fraction.length);
    read += matched.length;
  }
  if (read === 0) return undefined;
  const ms = Math.min(Number((ns + NS_PER_MS - 1n) / NS_PER_MS), MS_MAX);
  return plain.startsWith('-') && ms > 0 ? -ms : ms;
}

/**
 * When a wait ends that an SDK gave as a length of time or as a date (RFC 3339, ISO 8601). Contract: semantics 17.3 and 17.4.
 * Nothing, zero, negative or past means now; a date counts in whole seconds, rounded.
 * @param at the moment from which a length of time counts
 * @param maxMs a longer wait is `tooLong`
 */
export function waitUntil(text: string | undefined, at: EpochMs, maxMs: number = LIMITS.waitMsMax): WaitUntil {
  if (text === undefined || unquote(text) === '') return { at };
  const waitMs = parseDuration(text) ?? untilDate(unquote(text), at);
  if (waitMs === undefined) return { invalid: text };
  if (waitMs > maxMs) return { tooLong: text };
  return { at: at + Math.max(0, waitMs) };
}

function untilDate(text: string, at: EpochMs): number | undefined {
  const date = parseIsoInstant(text);
  return date === undefined ? undefined : Math.round(date / 1000) * 1000 - at;
}

/** The text without white space around it, and without the double quotes that Kotlin sends as part of it. */
export function unquote(text: string): string {
  const plain = text.trim();
  return plain.length >= 2 && plain.startsWith('"') && plain.endsWith('"') ? plain.slice(1, -1).trim() : plain;
}
