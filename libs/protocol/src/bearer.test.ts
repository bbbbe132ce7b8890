import fc from 'fast-check';
import { expect, it } from 'vitest';
import { bearerCheck, hashSigningKey } from './bearer.js';

const HEX = '12345678abcdef00112233445566778899aabbccddeeff001122334455667788';
const HASH = '9fa3e30d07517b0880dfcedc6a1f5047a2f7630ca96839c98ee2e45a8b6a51d6';
const KEY = `signkey-test-${HEX}`;
const OLD_KEY = 'signkey-prod-12345678';
const OLD_HASH = 'b2ed992186a5cb19f6668aade821f502c1d00970dfd0e35128d51bac4649916c';

it('hashes the decoded key: the vectors of the contract', () => {
  expect(hashSigningKey(KEY)).toBe(`signkey-test-${HASH}`);
  expect(hashSigningKey(OLD_KEY)).toBe(`signkey-prod-${OLD_HASH}`);
  expect(hashSigningKey(HEX)).toBe(HASH);
});

const check = bearerCheck([KEY, OLD_KEY]);

it.each([
  [`Bearer signkey-test-${HASH}`, 0],
  [`Bearer ${HASH}`, 0],
  [`Bearer ${KEY}`, 0],
  [`Bearer ${HEX}`, 0],
  [`bearer  ${HEX} `, 0],
  [`Bearer ${OLD_KEY}`, 1],
  ['Bearer 12345678', 1],
  [`Bearer signkey-prod-${OLD_HASH}`, 1],
  [`Bearer ${OLD_HASH}`, 1],
])('takes "%s" for key %i', (header, place) => {
  expect(check(header)).toBe(place);
});

it.each([
  undefined,
  '',
  'Bearer',
  'Bearer ',
  'Bearer undefined',
  HEX,
  `Basic ${HEX}`,
  `Bearer ${HEX.slice(1)}`,
  `Bearer ${HEX}0`,
  `Bearer ${HASH} ${HEX}`,
  'Bearer signkey-test-',
])('does not take "%s"', (header) => {
  expect(check(header)).toBeUndefined();
});

it('takes a key without prefix as its hash with one: SDKs may be told either', () => {
  expect(bearerCheck([HEX])(`Bearer signkey-test-${HASH}`)).toBe(0);
});

it('makes no hash of a key that is not hex: everybody would know it', () => {
  const emptyHash = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
  const loose = bearerCheck(['signkey-test-not-hex', '']);
  expect(loose(`Bearer ${emptyHash}`)).toBeUndefined();
  expect(loose('Bearer signkey-test-not-hex')).toBe(0);
  expect(hashSigningKey('signkey-test-not-hex')).toBeUndefined();
  expect(bearerCheck([])(`Bearer ${HEX}`)).toBeUndefined();
});

it('takes nothing else', () => {
  fc.assert(fc.property(fc.string(), (token) => check(`Bearer ${token}`) === undefined));
});
