import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseDuration, waitUntil } from './duration.js';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const WEEK = 7 * DAY;

describe('a length of time', () => {
  it.each([
    ['1s', SECOND],
    ['1m', MINUTE],
    ['1h', HOUR],
    ['1d', DAY],
    ['1w', WEEK],
    ['250ms', 250],
    ['1w2d', WEEK + 2 * DAY],
    ['1w2d3h4m5s', WEEK + 2 * DAY + 3 * HOUR + 4 * MINUTE + 5 * SECOND],
    ['1d12h', DAY + 12 * HOUR],
    ['12h1d', DAY + 12 * HOUR],
    ['1.5h', 90 * MINUTE],
    ['.5s', 500],
    ['2.s', 2_000],
    ['1.1h', 66 * MINUTE],
    ['0', 0],
    ['0s', 0],
    ['-5s', -5_000],
    ['+5s', 5_000],
    ['-0', 0],
    ['"3600s"', HOUR],
    [' 10s ', 10_000],
  ])('%j is %i ms', (text, ms) => expect(parseDuration(text)).toBe(ms));

  it.each([
    ['1ns', 1],
    ['1us', 1],
    ['1µs', 1],
    ['1μs', 1],
    ['1500us', 2],
    ['1000000ns', 1],
    ['1.0000001s', 1_001],
    ['-1500us', -2],
  ])('%j becomes whole ms, away from zero: %i', (text, ms) => expect(parseDuration(text)).toBe(ms));

  it.each([
    '',
    '  ',
    '""',
    's',
    '.s',
    '5',
    '1.5',
    '1 s',
    '1S',
    '1y',
    '1h30',
    'h1',
    '1h-5m',
    '--5s',
    '1e3s',
    '1,5s',
    '0x1s',
    'tomorrow',
    '9'.repeat(300) + 's',
  ])('%j is none', (text) => expect(parseDuration(text)).toBeUndefined());

  it.each([`${'9'.repeat(200)}w`, `-${'9'.repeat(200)}w`])('%j is as long as can be added to an instant', (text) => {
    const ms = parseDuration(text) ?? 0;
    expect(Math.abs(ms)).toBe(8e15);
    expect(new Date(Date.UTC(2100, 0, 1) + ms).getTime()).toBe(Date.UTC(2100, 0, 1) + ms);
  });

  it('is without days and weeks where Go reads it', () => {
    expect(parseDuration('1h30m5s', true)).toBe(HOUR + 30 * MINUTE + 5 * SECOND);
    expect(parseDuration('1d', true)).toBeUndefined();
    expect(parseDuration('1h1w', true)).toBeUndefined();
  });

  it('is the sum of its parts, in any order', () => {
    const units = { ms: 1, s: SECOND, m: MINUTE, h: HOUR, d: DAY, w: WEEK };
    const part = fc.record({
      whole: fc.nat(10_000),
      thousandths: fc.nat(999),
      unit: fc.constantFrom(...(Object.keys(units) as (keyof typeof units)[])),
    });
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 6 }), (parts) => {
        const text = parts.map((p) => `${p.whole}.${String(p.thousandths).padStart(3, '0')}${p.unit}`).join('');
        const thousandths = parts.reduce((sum, p) => sum + (p.whole * 1000 + p.thousandths) * units[p.unit], 0);
        expect(parseDuration(text)).toBe(Math.ceil(thousandths / 1000));
      }),
    );
  });
});

describe('when a wait ends', () => {
  const at = Date.UTC(2026, 10, 22, 17, 41, 13, 200);

  it.each([undefined, '', '""', '0', '0s', '-5s', '2020-01-01', '2026-11-22T17:41:13Z'])('%j: now', (text) =>
    expect(waitUntil(text, at)).toEqual({ at }),
  );

  it.each([
    ['2s', at + 2_000],
    ['"3600s"', at + HOUR],
    ['366d', at + 366 * DAY],
    ['2026-11-22T17:41:20.632Z', Date.UTC(2026, 10, 22, 17, 41, 21)],
    ['2026-11-22T17:41:20.400Z', Date.UTC(2026, 10, 22, 17, 41, 20)],
    ['2026-11-22T18:41:20+01:00', Date.UTC(2026, 10, 22, 17, 41, 20)],
    ['2026-11-23', Date.UTC(2026, 10, 23)],
    ['"2026-11-23T00:00:00"', Date.UTC(2026, 10, 23)],
  ])('%j: at %i', (text, until) => expect(waitUntil(text, at)).toEqual({ at: until }));

  it.each(['366d1ms', '367d', '53w', '2027-11-24', '9999-12-31T23:59:59Z', '9'.repeat(200) + 'w'])(
    '%j lies too far ahead',
    (text) => expect(waitUntil(text, at)).toEqual({ tooLong: text }),
  );

  it.each(['soon', '5', '2026-02-30', '2026-1-1', 'null', '1 day'])('%j cannot be read', (text) =>
    expect(waitUntil(text, at)).toEqual({ invalid: text }),
  );

  it('takes another bound', () => expect(waitUntil('2s', at, 1_000)).toEqual({ tooLong: '2s' }));
});
