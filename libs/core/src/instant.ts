import type { EpochMs } from './words.js';

const ISO =
  /^(\d{4})-(\d\d)-(\d\d)(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,12}))?)?(?:[Zz]|([+-])(\d\d):?(\d\d))?)?$/;

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const HTTP_DATE = /^[A-Z][a-z]{2}, (\d\d) ([A-Z][a-z]{2}) (\d{4}) (\d\d):(\d\d):(\d\d) GMT$/;
const RFC_850_DATE = /^[A-Z][a-z]{5,8}, (\d\d)-([A-Z][a-z]{2})-(\d\d) (\d\d):(\d\d):(\d\d) GMT$/;
const ASCTIME_DATE = /^[A-Z][a-z]{2} ([A-Z][a-z]{2}) ([ \d]\d) (\d\d):(\d\d):(\d\d) (\d{4})$/;

/**
 * The instant of an RFC 3339 or ISO 8601 date: `2026-11-22`, `2026-11-22T10:00`, `2026-11-22T10:00:00.5+01:00`.
 * Without a zone it is UTC. Fractions of a ms are cut off.
 * @returns undefined for what is no such date, also for a day that the month lacks
 */
export function parseIsoInstant(text: string): EpochMs | undefined {
  const found = ISO.exec(text);
  if (!found) return undefined;
  const [, year, month, day, hour, minute, second, fraction = '', sign, zoneHours = '0', zoneMinutes = '0'] = found;
  const at = utc(
    Number(year),
    Number(month) - 1,
    Number(day),
    Number(hour ?? 0),
    Number(minute ?? 0),
    Number(second ?? 0),
  );
  if (at === undefined || Number(zoneHours) > 23 || Number(zoneMinutes) > 59) return undefined;
  const zoneMs = (Number(zoneHours) * 60 + Number(zoneMinutes)) * 60_000;
  return at + Number(fraction.slice(0, 3).padEnd(3, '0')) - (sign === '-' ? -zoneMs : zoneMs);
}

/**
 * The instant of an HTTP date, in the three forms that RFC 9110 5.6.7 wants recipients to take.
 * @param now decides the century of a two-digit year: at most 50 years ahead of it
 */
export function parseHttpDate(text: string, now: EpochMs): EpochMs | undefined {
  const fixed = HTTP_DATE.exec(text);
  if (fixed) return fromParts(fixed[3], fixed[2], fixed[1], fixed.slice(4));
  const asctime = ASCTIME_DATE.exec(text);
  if (asctime) return fromParts(asctime[6], asctime[1], asctime[2], asctime.slice(3));
  const old = RFC_850_DATE.exec(text);
  if (!old) return undefined;
  const thisYear = new Date(now).getUTCFullYear();
  const year = thisYear - (thisYear % 100) + Number(old[3]);
  return fromParts(year > thisYear + 50 ? year - 100 : year, old[2], old[1], old.slice(4));
}

function fromParts(
  year: string | number | undefined,
  month: string | undefined,
  day: string | undefined,
  time: readonly string[],
): EpochMs | undefined {
  const monthIndex = MONTHS.indexOf(month ?? '');
  if (monthIndex < 0) return undefined;
  return utc(Number(year), monthIndex, Number(day), Number(time[0]), Number(time[1]), Number(time[2]));
}

/** Like Date.UTC, but a field out of its range gives undefined instead of running over, and years below 100 are those years. */
function utc(
  year: number,
  month: number,
  day: number,
  hour: number,
  minute: number,
  second: number,
): EpochMs | undefined {
  if (hour > 23 || minute > 59 || second > 59) return undefined;
  const date = new Date(0);
  date.setUTCFullYear(year, month, day);
  if (date.getUTCMonth() !== month || date.getUTCDate() !== day) return undefined;
  return date.setUTCHours(hour, minute, second);
}
