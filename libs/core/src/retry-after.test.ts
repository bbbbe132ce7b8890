import { describe, expect, it } from 'vitest';
import { retryAfterMs } from './retry-after.js';

const HOUR = 3_600_000;

describe('Retry-After', () => {
  const now = Date.UTC(2026, 10, 22, 17, 41, 13);

  it.each([
    ['2', 2_000],
    [' 30 ', 30_000],
    ['0030', 30_000],
    ['86400', 24 * HOUR],
    ['86401', 24 * HOUR],
    ['9999999', 24 * HOUR],
    ['Sun, 22 Nov 2026 17:41:43 GMT', 30_000],
    ['Sun, 22 Nov 2020 17:41:43 GMT', 1_000],
    ['2026-11-22T17:41:15.250Z', 2_250],
    ['2026-11-22T18:42:13+01:00', 60_000],
    ['2026-11-22T17:41:13.100Z', 1_000],
    ['2020-01-01T00:00:00Z', 1_000],
    ['2030-01-01T00:00:00Z', 24 * HOUR],
  ])('%j waits %i ms', (text, ms) => expect(retryAfterMs(text, now)).toBe(ms));

  it.each([undefined, '', '0', '000', '10000000', '-5', '1.5', '30s', 'soon'])('%j says nothing', (text) =>
    expect(retryAfterMs(text, now)).toBeUndefined(),
  );
});
