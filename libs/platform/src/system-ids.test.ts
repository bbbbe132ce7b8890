import { expect, it } from 'vitest';
import { SystemIds } from './system-ids.js';

it('makes ULIDs that rise and are of this instant', () => {
  const ids = new SystemIds();
  const before = Date.now();
  const made = Array.from({ length: 5_000 }, () => ids.ulid());
  expect(new Set(made).size).toBe(made.length);
  expect([...made].sort()).toEqual(made);
  for (const id of made) expect(id).toMatch(/^[0-9A-HJKMNP-TV-Z]{26}$/);
  const digits = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
  const time = [...(made[0] ?? '').slice(0, 10)].reduce((ms, digit) => ms * 32 + digits.indexOf(digit), 0);
  expect(time).toBeGreaterThanOrEqual(before);
  expect(time).toBeLessThanOrEqual(Date.now());
});

it('draws every digit at every place', () => {
  const places = Array.from({ length: 16 }, () => new Set<string>());
  // Of each maker the first id is all random; those after it in the same millisecond count up.
  for (let i = 0; i < 2_000; i++) [...new SystemIds().ulid().slice(10)].forEach((digit, at) => places[at]?.add(digit));
  for (const drawn of places) expect(drawn.size).toBe(32);
});
