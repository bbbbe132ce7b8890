import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { jitterOf } from './cron.jitter.js';

describe('jitter', () => {
  const at = Date.UTC(2026, 10, 22);

  it('adds nothing where there is none', () => {
    expect(jitterOf('f', '* * * * *', at, undefined)).toBe(0);
    expect(jitterOf('f', '* * * * *', at, 0)).toBe(0);
  });

  it('adds 1 s where it is 1 s', () => expect(jitterOf('f', '* * * * *', at, 1_000)).toBe(1_000));

  it('stays from 1 s to below its bound, and is the same each time', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1_001, max: 300_000 }), fc.uuid(), fc.nat(), (jitterMs, functionId, minute) => {
        const offset = jitterOf(functionId, '* * * * *', at + minute * 60_000, jitterMs);
        expect(offset).toBeGreaterThanOrEqual(1_000);
        expect(offset).toBeLessThan(jitterMs);
        expect(jitterOf(functionId, '* * * * *', at + minute * 60_000, jitterMs)).toBe(offset);
      }),
    );
  });

  it('spreads functions and occurrences', () => {
    const offsets = Array.from({ length: 100 }, (_, i) => jitterOf(`f${i % 10}`, '* * * * *', at + i * 60_000, 30_000));
    expect(new Set(offsets).size).toBeGreaterThan(90);
  });
});
