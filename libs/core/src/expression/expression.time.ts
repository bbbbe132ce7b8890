import { Duration, Timestamp } from './expression.values.js';

const NS_PER_MS = 1_000_000n;
const NS_PER_SECOND = 1_000_000_000n;
/** 0001-01-01T00:00:00Z and the last nanosecond of 9999: what RFC 3339 can write. */
const NS_MIN = -62_135_596_800n * NS_PER_SECOND;
const NS_MAX = 253_402_300_800n * NS_PER_SECOND - 1n;

const NS_PER_UNIT: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1_000n,
  µs: 1_000n,
  μs: 1_000n,
  ms: NS_PER_MS,
  s: NS_PER_SECOND,
  m: 60n * NS_PER_SECOND,
  h: 3_600n * NS_PER_SECOND,
  d: 86_400n * NS_PER_SECOND,
  w: 604_800n * NS_PER_SECOND,
};

/** @returns undefined outside the years 1 to 9999 */
export function timestamp(ns: bigint): Timestamp | undefined {
  return ns >= NS_MIN && ns <= NS_MAX ? new Timestamp(ns) : undefined;
}

export function timestampOfMs(ms: bigint): Timestamp | undefined {
  return timestamp(ms * NS_PER_MS);
}

export function timestampOfSeconds(seconds: bigint): Timestamp | undefined {
  return timestamp(seconds * NS_PER_SECOND);
}

/** @returns undefined outside int64 */
export function duration(ns: bigint): Duration | undefined {
  return BigInt.asIntN(64, ns) === ns ? new Duration(ns) : undefined;
}

export function secondsOf(at: Timestamp): bigint {
  return floorDiv(at.ns, NS_PER_SECOND);
}

const RFC_3339 = /^(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9})\d*)?([Zz]|[+-]\d\d:\d\d)$/;
const LOOSE_DATE =
  /^(\d{4})-(\d\d)-(\d\d)(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9})\d*)?)?\s?([Zz]|[+-]\d\d:?\d\d)?)?$/;

/** `timestamp("2026-01-02T03:04:05.678Z")`: RFC 3339. */
export function parseTimestamp(text: string): Timestamp | undefined {
  return fromParts(RFC_3339.exec(text));
}

/** `date("2026-01-02")`: an ISO date, with or without a time and a zone; without a zone it is UTC. */
export function parseDate(text: string): Timestamp | undefined {
  return fromParts(LOOSE_DATE.exec(text));
}

function fromParts(parts: RegExpExecArray | null): Timestamp | undefined {
  if (!parts) return undefined;
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = parts
    .slice(1, 7)
    .map((part) => Number(part || 0));
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return undefined;
  if (hour > 23 || minute > 59 || second > 59) return undefined;
  const offset = offsetMinutes(parts[8] ?? 'Z');
  if (offset === undefined) return undefined;
  const seconds = date.getTime() / 1000 + hour * 3600 + (minute - offset) * 60 + second;
  return timestamp(BigInt(seconds) * NS_PER_SECOND + BigInt((parts[7] ?? '').padEnd(9, '0')));
}

function offsetMinutes(zone: string): number | undefined {
  if (zone === 'Z' || zone === 'z') return 0;
  const parts = /^([+-]?)(\d\d):?(\d\d)$/.exec(zone);
  const hours = Number(parts?.[2] ?? 99);
  const minutes = Number(parts?.[3] ?? 99);
  if (hours > 23 || minutes > 59) return undefined;
  return (parts?.[1] === '-' ? -1 : 1) * (hours * 60 + minutes);
}

/** RFC 3339 in UTC, with as many digits of the fraction as there are. */
export function formatTimestamp(at: Timestamp): string {
  const seconds = secondsOf(at);
  return new Date(Number(seconds) * 1000).toISOString().slice(0, 19) + fraction(at.ns - seconds * NS_PER_SECOND) + 'Z';
}

/** `"1h30m"`, `"-1.5s"`, `"250ms"`: Go's units, and `d` and `w`. A bare number is none, but for `"0"`. */
export function parseDuration(text: string): Duration | undefined {
  const sign = text.startsWith('-') ? -1n : 1n;
  const body = text.replace(/^[+-]/, '');
  if (body === '0') return new Duration(0n);
  // 30 digits are more than int64 holds: it keeps BigInt from long texts.
  if (!/^(?:(?:\d{1,30}(?:\.\d{0,30})?|\.\d{1,30})(?:ns|us|µs|μs|ms|s|m|h|d|w))+$/.test(body)) return undefined;
  let ns = 0n;
  for (const [, whole = '', part = '', unit = ''] of body.matchAll(/(\d*)(?:\.(\d*))?(ns|us|µs|μs|ms|s|m|h|d|w)/g)) {
    const perUnit = NS_PER_UNIT[unit] ?? 0n;
    ns += BigInt(whole || 0) * perUnit + (BigInt(part || 0) * perUnit) / 10n ** BigInt(part.length);
  }
  return duration(sign * ns);
}

/** Seconds, as CEL writes durations: `"5400s"`, `"-0.25s"`. */
export function formatDuration(length: Duration): string {
  const size = length.ns < 0n ? -length.ns : length.ns;
  const seconds = size / NS_PER_SECOND;
  return `${length.ns < 0n ? '-' : ''}${seconds}${fraction(size - seconds * NS_PER_SECOND)}s`;
}

function fraction(ns: bigint): string {
  return ns === 0n ? '' : '.' + ns.toString().padStart(9, '0').replace(/0+$/, '');
}

export type DurationPart = 'getHours' | 'getMinutes' | 'getSeconds' | 'getMilliseconds';

/** The whole length in that unit, cut. */
export function durationPart(length: Duration, part: DurationPart): bigint {
  switch (part) {
    case 'getHours':
      return length.ns / (3_600n * NS_PER_SECOND);
    case 'getMinutes':
      return length.ns / (60n * NS_PER_SECOND);
    case 'getSeconds':
      return length.ns / NS_PER_SECOND;
    case 'getMilliseconds':
      return length.ns / NS_PER_MS;
  }
}

export type TimestampPart =
  DurationPart | 'getFullYear' | 'getMonth' | 'getDate' | 'getDayOfMonth' | 'getDayOfWeek' | 'getDayOfYear';

/**
 * A field of an instant in a zone: months, days of the week, of the month and of the year from 0, dates from 1.
 * @param zone an IANA name or an offset like `+02:00`
 * @returns undefined when there is no such zone
 */
export function timestampPart(at: Timestamp, part: TimestampPart, zone: string): bigint | undefined {
  const utcMs = Number(floorDiv(at.ns, NS_PER_MS));
  const offset = zoneOffsetMs(zone, utcMs);
  if (offset === undefined) return undefined;
  const local = new Date(utcMs + offset);
  switch (part) {
    case 'getFullYear':
      return BigInt(local.getUTCFullYear());
    case 'getMonth':
      return BigInt(local.getUTCMonth());
    case 'getDate':
      return BigInt(local.getUTCDate());
    case 'getDayOfMonth':
      return BigInt(local.getUTCDate() - 1);
    case 'getDayOfWeek':
      return BigInt(local.getUTCDay());
    case 'getDayOfYear':
      return BigInt(Math.floor((local.getTime() - new Date(local).setUTCMonth(0, 1)) / 86_400_000));
    case 'getHours':
      return BigInt(local.getUTCHours());
    case 'getMinutes':
      return BigInt(local.getUTCMinutes());
    case 'getSeconds':
      return BigInt(local.getUTCSeconds());
    case 'getMilliseconds':
      return BigInt(local.getUTCMilliseconds());
  }
}

function zoneOffsetMs(zone: string, utcMs: number): number | undefined {
  if (zone === '' || zone === 'UTC') return 0;
  const minutes = offsetMinutes(zone);
  if (minutes !== undefined) return minutes * 60_000;
  const format = formatOf(zone);
  if (!format) return undefined;
  const parts = new Map(format.formatToParts(utcMs).map(({ type, value }) => [type, value]));
  const read = (name: Intl.DateTimeFormatPartTypes) => Number(parts.get(name) ?? 0);
  const year = parts.get('era')?.startsWith('B') ? 1 - read('year') : read('year');
  const local = new Date(0);
  local.setUTCFullYear(year, read('month') - 1, read('day'));
  local.setUTCHours(read('hour'), read('minute'), read('second'));
  return local.getTime() - Math.floor(utcMs / 1000) * 1000;
}

/** One costs a hundred times what it costs to use. */
const formats = new Map<string, Intl.DateTimeFormat>();
const FORMATS_MAX = 64;

function formatOf(zone: string): Intl.DateTimeFormat | undefined {
  const known = formats.get(zone);
  if (known) return known;
  try {
    const format = new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      hourCycle: 'h23',
      era: 'short',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
    if (formats.size >= FORMATS_MAX) formats.clear();
    formats.set(zone, format);
    return format;
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function floorDiv(value: bigint, by: bigint): bigint {
  const cut = value / by;
  return value % by < 0n ? cut - 1n : cut;
}
