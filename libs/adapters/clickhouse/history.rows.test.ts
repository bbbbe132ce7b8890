import fc from 'fast-check';
import { expect, it } from 'vitest';
import { toInstant } from './history.rows.js';

it('writes an instant as the engine reads it, whatever it wrote before', () => {
  const anyInstant = fc.integer({ min: Date.UTC(1900, 0, 1), max: Date.UTC(2299, 11, 31) });
  const near = fc.tuple(anyInstant, fc.array(fc.integer({ min: -1_500, max: 1_500 }), { maxLength: 8 }));
  fc.assert(
    fc.property(near, ([at, steps]) => {
      for (const step of [0, ...steps]) {
        const instant = Math.min(Math.max(at + step, Date.UTC(1900, 0, 1)), Date.UTC(2299, 11, 31));
        expect(toInstant(instant)).toBe(new Date(instant).toISOString().replace('T', ' ').replace('Z', ''));
      }
    }),
  );
});

it('keeps to what the engine can hold', () => {
  expect(toInstant(Number.MAX_SAFE_INTEGER)).toBe('2299-12-31 00:00:00.000');
  expect(toInstant(-Number.MAX_SAFE_INTEGER)).toBe('1900-01-01 00:00:00.000');
});
