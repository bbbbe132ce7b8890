import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cronNext } from './cron.next.js';

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

function ticks(text: string, from: string, count: number): readonly string[] {
  const found: string[] = [];
  for (let at = Date.parse(from); found.length < count;) {
    const tick = cronNext(text, at);
    if (tick === undefined) break;
    found.push(new Date(tick).toISOString().replace(':00.000Z', 'Z'));
    at = tick;
  }
  return found;
}

describe('the ticks of a cron', () => {
  it('come strictly after, on whole minutes', () => {
    expect(ticks('* * * * *', '2026-11-22T10:00:00Z', 2)).toEqual(['2026-11-22T10:01Z', '2026-11-22T10:02Z']);
    expect(ticks('* * * * *', '2026-11-22T10:00:00.001Z', 1)).toEqual(['2026-11-22T10:01Z']);
    expect(ticks('* * * * *', '2026-11-22T09:59:59.999Z', 1)).toEqual(['2026-11-22T10:00Z']);
    expect(ticks('0 0 1 1 *', '2026-12-31T23:59:59.999Z', 2)).toEqual(['2027-01-01T00:00Z', '2028-01-01T00:00Z']);
  });

  it('fit either day field when both are restricted', () =>
    expect(ticks('0 0 1 * 1', '2026-11-22T00:00:00Z', 4)).toEqual([
      '2026-11-23T00:00Z',
      '2026-11-30T00:00Z',
      '2026-12-01T00:00Z',
      '2026-12-07T00:00Z',
    ]));

  it('fit both day fields when one is a star', () => {
    expect(ticks('0 0 ? * 1', '2026-11-22T00:00:00Z', 2)).toEqual(['2026-11-23T00:00Z', '2026-11-30T00:00Z']);
    expect(ticks('0 0 15 * ?', '2026-11-22T00:00:00Z', 2)).toEqual(['2026-12-15T00:00Z', '2027-01-15T00:00Z']);
  });

  it.each(['0 0 31 2 *', '0 0 30 feb *', '0 0 31 4,6,9,11 *', 'TZ=America/New_York 0 0 31 2 *'])('%s: never', (text) =>
    expect(ticks(text, '2026-11-22T00:00:00Z', 1)).toEqual([]),
  );

  it('wait for leap days, also past a century without one', () => {
    expect(ticks('0 0 29 2 *', '2026-01-01T00:00:00Z', 2)).toEqual(['2028-02-29T00:00Z', '2032-02-29T00:00Z']);
    expect(ticks('0 0 29 2 *', '2096-03-01T00:00:00Z', 1)).toEqual(['2104-02-29T00:00Z']);
  });

  it('follow the clocks of the zone', () =>
    expect(ticks('TZ=Europe/Berlin 0 9 * * *', '2026-03-27T00:00:00Z', 3)).toEqual([
      '2026-03-27T08:00Z',
      '2026-03-28T08:00Z',
      '2026-03-29T07:00Z',
    ]));

  it('leave out a local time that a day does not have', () => {
    expect(ticks('TZ=America/New_York 30 2 * * *', '2026-03-07T00:00:00Z', 2)).toEqual([
      '2026-03-07T07:30Z',
      '2026-03-09T06:30Z',
    ]);
    expect(ticks('TZ=America/New_York 30 2 8 3 *', '2026-01-01T00:00:00Z', 1)).toEqual(['2027-03-08T07:30Z']);
    expect(ticks('TZ=Pacific/Apia 0 12 30 12 *', '2011-01-01T00:00:00Z', 1)).toEqual(['2012-12-29T22:00Z']);
  });

  it('come once for a local time that a day has twice, where the cron names hours', () => {
    expect(ticks('TZ=America/New_York 30 1 * * *', '2026-10-31T12:00:00Z', 2)).toEqual([
      '2026-11-01T05:30Z',
      '2026-11-02T06:30Z',
    ]);
    expect(ticks('TZ=America/New_York */30 0-2 * * *', '2026-11-01T04:45:00Z', 3)).toEqual([
      '2026-11-01T05:00Z',
      '2026-11-01T05:30Z',
      '2026-11-01T07:00Z',
    ]);
  });

  it('come first in the first of two passes, also when asked from half a year and two changes of the clock before', () => {
    expect(ticks('TZ=America/New_York 30 1 1 11 *', '2026-01-15T00:00:00Z', 2)).toEqual([
      '2026-11-01T05:30Z',
      '2027-11-01T05:30Z',
    ]);
    expect(ticks('TZ=America/New_York 30 * 1 11 *', '2026-11-01T04:30:00Z', 2)).toEqual([
      '2026-11-01T05:30Z',
      '2026-11-01T06:30Z',
    ]);
  });

  it('come once also when asked from between the two', () =>
    expect(ticks('TZ=America/New_York 30 1 * * *', '2026-11-01T06:10:00Z', 1)).toEqual(['2026-11-02T06:30Z']));

  it('go on through a repeated hour where the cron is for every hour', () => {
    expect(ticks('TZ=America/New_York 30 * * * *', '2026-11-01T05:00:00Z', 3)).toEqual([
      '2026-11-01T05:30Z',
      '2026-11-01T06:30Z',
      '2026-11-01T07:30Z',
    ]);
    expect(ticks('TZ=Australia/Lord_Howe 45 * * * *', '2026-04-04T14:00:00Z', 3)).toEqual([
      '2026-04-04T14:45Z',
      '2026-04-04T15:15Z',
      '2026-04-04T16:15Z',
    ]);
  });
});

/** What a zone's clocks show at one minute. */
interface Shown {
  readonly at: number;
  readonly minute: number;
  readonly hour: number;
  readonly monthDay: number;
  readonly month: number;
  readonly weekDay: number;
  /** The clocks showed this before. */
  readonly again: boolean;
}

/** Minute by minute, four days from a date on. */
function shown(zone: string, from: string): readonly Shown[] {
  const clock = new Intl.DateTimeFormat('en-GB', {
    timeZone: zone,
    hourCycle: 'h23',
    weekday: 'short',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
  });
  const minutes: Shown[] = [];
  let latest = -Infinity;
  for (let at = Date.parse(from), end = at + 4 * DAY; at < end; at += MINUTE) {
    const parts = Object.fromEntries(clock.formatToParts(at).map(({ type, value }) => [type, value]));
    const [year, month, monthDay] = [Number(parts.year), Number(parts.month), Number(parts.day)];
    const [hour, minute] = [Number(parts.hour), Number(parts.minute)];
    const stamp = Date.UTC(year, month - 1, monthDay, hour, minute);
    const weekDay = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'].indexOf(parts.weekday ?? '');
    minutes.push({ at, minute, hour, monthDay, month, weekDay, again: stamp <= latest });
    latest = Math.max(latest, stamp);
  }
  return minutes;
}

const windows = [
  ['UTC', '2024-02-27T00:00:00Z'],
  ['Asia/Kolkata', '2026-12-30T00:00:00Z'],
  ['America/New_York', '2026-03-06T12:00:00Z'],
  ['America/New_York', '2026-10-30T12:00:00Z'],
  ['Europe/Berlin', '2026-03-27T12:00:00Z'],
  ['Europe/Berlin', '2026-10-23T12:00:00Z'],
  ['Europe/London', '2026-10-23T12:00:00Z'],
  ['Australia/Lord_Howe', '2026-04-03T00:00:00Z'], // half an hour back
  ['Australia/Lord_Howe', '2026-10-02T00:00:00Z'],
  ['Asia/Beirut', '2026-03-27T00:00:00Z'], // midnight is left out
  ['Asia/Beirut', '2026-10-23T00:00:00Z'], // back into the day before
  ['Antarctica/Troll', '2026-03-27T00:00:00Z'], // two hours
  ['Antarctica/Troll', '2026-10-23T00:00:00Z'],
  ['America/St_Johns', '2011-11-04T12:00:00Z'], // at one minute past midnight, back into the day before
  ['Pacific/Apia', '2011-12-28T00:00:00Z'], // a whole day is left out
].map(([zone = '', from = '']) => ({ zone, minutes: shown(zone, from) }));

/** A field's text together with what it means, made the other way round than the parser reads. */
function field(
  min: number,
  max: number,
): fc.Arbitrary<{ text: string; values: readonly number[]; restricted: boolean }> {
  const value = fc.integer({ min, max });
  const all = Array.from({ length: max - min + 1 }, (_, i) => min + i);
  return fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom('*', '?').map((text) => ({ text, values: all, restricted: false })) },
    {
      weight: 2,
      arbitrary: fc
        .uniqueArray(value, { minLength: 1, maxLength: 6 })
        .map((values) => ({ text: values.join(','), values, restricted: true })),
    },
    fc.tuple(value, value).map(([a, b]) => {
      const [from, to] = [Math.min(a, b), Math.max(a, b)];
      return { text: `${from}-${to}`, values: all.filter((v) => v >= from && v <= to), restricted: true };
    }),
    fc.integer({ min: 2, max: 20 }).map((step) => ({
      text: `*/${step}`,
      values: all.filter((v) => (v - min) % step === 0),
      restricted: true,
    })),
  );
}

describe('the next tick', () => {
  it('does not come where the text is no cron', () => expect(cronNext('@hourly', 0)).toBeUndefined());

  it('is what a look at every single minute finds', () => {
    const earlyHour = fc
      .integer({ min: 0, max: 3 })
      .map((hour) => ({ text: `${hour}`, values: [hour], restricted: true }));
    const everyMonth = fc.constant({
      text: '*',
      values: Array.from({ length: 12 }, (_, i) => i + 1),
      restricted: false,
    });
    const fields = fc.record({
      minute: field(0, 59),
      hour: fc.oneof(field(0, 23), earlyHour),
      monthDay: field(1, 31),
      month: fc.oneof({ weight: 4, arbitrary: everyMonth }, field(1, 12)),
      weekDay: field(0, 6),
    });
    fc.assert(
      fc.property(fields, fc.nat(windows.length - 1), fc.nat(), (fit, window, dice) => {
        const { zone, minutes } = windows[window] as (typeof windows)[number];
        const everyHour = new Set(fit.hour.values).size === 24;
        const fits = (now: Shown) => {
          const monthDay = fit.monthDay.values.includes(now.monthDay);
          const weekDay = fit.weekDay.values.includes(now.weekDay);
          return (
            fit.minute.values.includes(now.minute) &&
            fit.hour.values.includes(now.hour) &&
            fit.month.values.includes(now.month) &&
            (fit.monthDay.restricted && fit.weekDay.restricted ? monthDay || weekDay : monthDay && weekDay) &&
            (everyHour || !now.again)
          );
        };
        const start = dice % minutes.length;
        const after = (minutes[start]?.at ?? 0) + (dice % MINUTE);
        const tick = cronNext(
          `TZ=${zone} ${fit.minute.text} ${fit.hour.text} ${fit.monthDay.text} ${fit.month.text} ${fit.weekDay.text}`,
          after,
        );
        const expected = minutes.slice(start + 1).find(fits);
        if (expected) expect(tick).toBe(expected.at);
        else expect(tick ?? Infinity).toBeGreaterThan(minutes.at(-1)?.at ?? 0);
      }),
      { numRuns: 1_000 },
    );
  });
});
