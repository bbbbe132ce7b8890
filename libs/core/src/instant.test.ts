import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseHttpDate, parseIsoInstant } from './instant.js';

describe('an ISO date', () => {
  it.each([
    ['2026-11-22', Date.UTC(2026, 10, 22)],
    ['2024-02-29', Date.UTC(2024, 1, 29)],
    ['2026-11-22T10:20', Date.UTC(2026, 10, 22, 10, 20)],
    ['2026-11-22T10:20:30', Date.UTC(2026, 10, 22, 10, 20, 30)],
    ['2026-11-22 10:20:30Z', Date.UTC(2026, 10, 22, 10, 20, 30)],
    ['2026-11-22t10:20:30z', Date.UTC(2026, 10, 22, 10, 20, 30)],
    ['2026-11-22T10:20:30.5Z', Date.UTC(2026, 10, 22, 10, 20, 30, 500)],
    ['2026-11-22T10:20:30.123456789Z', Date.UTC(2026, 10, 22, 10, 20, 30, 123)],
    ['2026-11-22T10:20:30-05:30', Date.UTC(2026, 10, 22, 15, 50, 30)],
    ['2026-11-22T10:20:30+0100', Date.UTC(2026, 10, 22, 9, 20, 30)],
    ['0001-01-01T00:00:00Z', Date.parse('0001-01-01T00:00:00Z')],
  ])('%s', (text, at) => expect(parseIsoInstant(text)).toBe(at));

  it.each([
    '',
    '2026',
    '2026-11',
    '2026-13-01',
    '2026-00-01',
    '2026-11-31',
    '2025-02-29',
    '2026-11-22T24:00:00Z',
    '2026-11-22T10:60:00Z',
    '2026-11-22T10:20:60Z',
    '2026-11-22T10:20:30+24:00',
    '2026-11-22T10:20:30Zx',
    '2026-11-22T',
    '2026-11-22Z',
    '22-11-2026',
    'Sun, 22 Nov 2026 17:41:13 GMT',
  ])('%j is none', (text) => expect(parseIsoInstant(text)).toBeUndefined());

  it('reads what Date writes', () =>
    fc.assert(
      fc.property(
        fc.date({ min: new Date('0000-01-01T00:00:00Z'), max: new Date('9999-12-31T23:59:59Z'), noInvalidDate: true }),
        (date) => {
          expect(parseIsoInstant(date.toISOString())).toBe(date.getTime());
        },
      ),
    ));
});

describe('an HTTP date', () => {
  const now = Date.UTC(2026, 10, 22);
  const at = Date.UTC(1994, 10, 6, 8, 49, 37);

  it.each([
    ['Sun, 06 Nov 1994 08:49:37 GMT', at],
    ['Sunday, 06-Nov-94 08:49:37 GMT', at],
    ['Sun Nov  6 08:49:37 1994', at],
    ['Tuesday, 06-Nov-76 08:49:37 GMT', Date.UTC(2076, 10, 6, 8, 49, 37)],
    ['Tuesday, 06-Nov-77 08:49:37 GMT', Date.UTC(1977, 10, 6, 8, 49, 37)],
  ])('%s', (text, instant) => expect(parseHttpDate(text, now)).toBe(instant));

  it.each([
    '',
    'Sun, 06 Nov 1994 08:49:37',
    'Sun, 31 Feb 1994 08:49:37 GMT',
    'Sun, 06 Foo 1994 08:49:37 GMT',
    'Sun, 06 Nov 1994 25:49:37 GMT',
    '1994-11-06',
  ])('%j is none', (text) => expect(parseHttpDate(text, now)).toBeUndefined());
});
