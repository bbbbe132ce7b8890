import type { EpochMs } from '../words.js';
import { parseCron, type Cron } from './cron.parse.js';
import { nextChange, offsetAt } from './zone.offset.js';

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const YEAR = 366 * DAY;

/** 29 February may be eight years away. */
const DATES_AHEAD = 9 * YEAR;
/** The calendar repeats after 28 years: what has not come by then is a time that its zone always leaves out. */
const TICKS_AHEAD = 40 * YEAR;

/** A point of a zone's clock and calendar, as ms that these would be in UTC. */
type LocalMs = number;

/**
 * The first tick of a cron expression after an instant. Contract: semantics 5.2; `after` is the previous scheduled time, not the clock.
 * A local time that a day leaves out (clocks forward) is skipped. Of a local time that a day has twice (clocks back) the first counts,
 * so `30 1 * * *` fires once; but a cron for every hour of the day ticks through both, as minutes and hours go by.
 * @returns undefined when there is none, as for 31 February, and for a text that is no cron expression: the sync lets none through
 */
export function cronNext(text: string, after: EpochMs): EpochMs | undefined {
  const cron = parseCron(text);
  return 'mistake' in cron ? undefined : nextTick(cron, after);
}

function nextTick(cron: Cron, after: EpochMs): EpochMs | undefined {
  const everyHour = cron.hours.length === 24;
  let from = after;
  let offset = offsetAt(cron.zone, from);
  while (from < after + TICKS_AHEAD) {
    const local = nextLocal(cron, from + offset);
    if (local === undefined) return undefined;
    const tick = local - offset;
    const change = nextChange(cron.zone, offset, from, tick);
    if (change !== undefined) {
      from = change - 1;
      offset = offsetAt(cron.zone, change);
    } else if (everyHour || !isSecondTime(cron.zone, tick, offset)) {
      return tick;
    } else {
      from = tick;
    }
  }
  return undefined;
}

/** Whether clocks were put back and show what they showed once before. */
function isSecondTime(zone: string, tick: EpochMs, offset: number): boolean {
  const earlierOffset = offsetAt(zone, tick - DAY);
  return earlierOffset > offset && offsetAt(zone, tick + offset - earlierOffset) === earlierOffset;
}

/** The first fitting local time after another, in a calendar without changes of the clock. */
function nextLocal(cron: Cron, after: LocalMs): LocalMs | undefined {
  const from = Math.floor(after / MINUTE) * MINUTE + MINUTE;
  let midnight = Math.floor(from / DAY) * DAY;
  let minute = (from - midnight) / MINUTE;
  while (midnight < after + DATES_AHEAD) {
    const date = new Date(midnight);
    if (!cron.months.includes(date.getUTCMonth() + 1)) {
      midnight = Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 1);
    } else {
      const time = fitsDay(cron, date) ? nextTime(cron, minute) : undefined;
      if (time !== undefined) return midnight + time * MINUTE;
      midnight += DAY;
    }
    minute = 0;
  }
  return undefined;
}

function fitsDay(cron: Cron, date: Date): boolean {
  const monthDay = cron.monthDays.includes(date.getUTCDate());
  const weekDay = cron.weekDays.includes(date.getUTCDay());
  return cron.eitherDay ? monthDay || weekDay : monthDay && weekDay;
}

/** The first fitting minute of a day, from one on. */
function nextTime(cron: Cron, from: number): number | undefined {
  const hourNow = Math.floor(from / 60);
  for (const hour of cron.hours) {
    if (hour < hourNow) continue;
    const minute = cron.minutes.find((value) => hour > hourNow || value >= from % 60);
    if (minute !== undefined) return hour * 60 + minute;
  }
  return undefined;
}
