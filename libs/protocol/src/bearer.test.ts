import fc from 'fast-check';
import { expect, it } from 'vitest';
import { bearerMatches, hashSigningKey } from './bearer.js';

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

const KEYS = [KEY, OLD_KEY];

it.each([
  `Bearer signkey-test-${HASH}`,
  `Bearer ${HASH}`,
  `Bearer ${KEY}`,
  `Bearer ${HEX}`,
  `bearer  ${HEX} `,
  `Bearer ${OLD_KEY}`,
  'Bearer 12345678',
  `Bearer signkey-prod-${OLD_HASH}`,
  `Bearer ${OLD_HASH}`,
])('takes "%s"', (header) => {
  expect(bearerMatches(header, KEYS)).toBe(true);
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
  expect(bearerMatches(header, KEYS)).toBe(false);
});

it('takes a key without prefix as its hash with one: SDKs may be told either', () => {
  expect(bearerMatches(`Bearer signkey-test-${HASH}`, [HEX])).toBe(true);
});

it('makes no hash of a key that is not hex: everybody would know it', () => {
  const emptyHash = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
  const loose = ['signkey-test-not-hex', ''];
  expect(bearerMatches(`Bearer ${emptyHash}`, loose)).toBe(false);
  expect(bearerMatches('Bearer signkey-test-not-hex', loose)).toBe(true);
  expect(hashSigningKey('signkey-test-not-hex')).toBeUndefined();
  expect(bearerMatches(`Bearer ${HEX}`, [])).toBe(false);
});

it('takes nothing else', () => {
  fc.assert(fc.property(fc.string(), (token) => !bearerMatches(`Bearer ${token}`, KEYS)));
});
