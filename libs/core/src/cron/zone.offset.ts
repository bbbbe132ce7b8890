import type { EpochMs } from '../words.js';

const SECOND = 1_000;
const WEEK = 7 * 24 * 60 * 60 * SECOND;

/** Formatters cost far more to make than to use. The keys are names that the runtime gave back, so there are only so many. */
const clocks = new Map<string, Intl.DateTimeFormat>();

function clockOf(zone: string): Intl.DateTimeFormat {
  let clock = clocks.get(zone);
  if (!clock) {
    clock = new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      calendar: 'gregory',
      numberingSystem: 'latn',
      hourCycle: 'h23',
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      hour: '2-digit',
      minute: '2-digit',
      second: '2-digit',
    });
    clocks.set(zone, clock);
  }
  return clock;
}

/** What a zone's clocks show ahead of UTC at an instant, ms. */
export function offsetAt(zone: string, at: EpochMs): number {
  if (zone === 'UTC') return 0;
  const [month = 1, day = 1, year = 1970, hour = 0, minute = 0, second = 0] =
    clockOf(zone).format(at).match(/\d+/g)?.map(Number) ?? [];
  return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(at / SECOND) * SECOND;
}

/**
 * The first instant in (from, to] at which the zone's offset is no longer `offset`, which is the one in force right after `from`. No zone
 * changes its offset and takes it back within a week, so a look a week suffices. To the second.
 */
export function nextChange(zone: string, offset: number, from: EpochMs, to: EpochMs): EpochMs | undefined {
  if (zone === 'UTC') return undefined;
  for (let before = from; before < to;) {
    const after = Math.min(before + WEEK, to);
    if (offsetAt(zone, after) !== offset) return bisect(zone, offset, before, after);
    before = after;
  }
  return undefined;
}

/** Changes fall on whole seconds, so the search is among these. */
function bisect(zone: string, offset: number, before: EpochMs, after: EpochMs): EpochMs {
  let same = Math.floor(before / SECOND);
  let other = Math.ceil(after / SECOND);
  while (other - same > 1) {
    const middle = Math.floor((same + other) / 2);
    if (offsetAt(zone, middle * SECOND) === offset) same = middle;
    else other = middle;
  }
  return other * SECOND;
}
