import fc from 'fast-check';
import { decodeTime } from 'ulid';
import { describe, expect, it } from 'vitest';
import { derivedUlid, derivedUuid, parseEventIdSeed, seededUlid, ulidOf } from './event.ids.js';

describe('ids from a seed', () => {
  const header = '1795367605583,tluKt/Gpm81myQ==';

  it('are those that were seen on the wire: the first event counts as 1', () => {
    const seed = parseEventIdSeed(header);
    expect(seed && [0, 1].map((index) => seededUlid(seed, index))).toEqual([
      '01M823Z5AFPSDRNDZHN6DWTSPA',
      '01M823Z5AFPSDRNDZHN6DWTSPB',
    ]);
  });

  it('wrap in the last four bytes', () => {
    const seed = { timeMs: 0, entropy: Buffer.from('000000000000ffffffff', 'hex') };
    expect(seededUlid(seed, 0)).toBe('0'.repeat(26));
  });

  it.each([
    undefined,
    '',
    'x',
    '1795367605583',
    '1795367605583,',
    ',tluKt/Gpm81myQ==',
    '1795367605583,tluKt/Gpm81myQ',
    '1795367605583,tluKt/Gpm81my===',
    '1795367605583,tluKt/Gpm81m',
    '1795367605583,tluKt/Gpm81myQAA',
    '1795367605583,tluKt_Gpm81myQ==',
    '-1,tluKt/Gpm81myQ==',
    '1.5,tluKt/Gpm81myQ==',
    '281474976710656,tluKt/Gpm81myQ==',
    '1795367605583,tluKt/Gpm81myQ==,1',
  ])('%j is no seed', (text) => expect(parseEventIdSeed(text)).toBeUndefined());

  it('differ for each event of the largest request', () => {
    const seed = parseEventIdSeed(header);
    expect(seed && new Set(Array.from({ length: 5_000 }, (_, i) => seededUlid(seed, i))).size).toBe(5_000);
  });
});

describe('a ULID', () => {
  it('is its 128 bits in base 32', () =>
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 2 ** 48 - 1 }),
        fc.uint8Array({ minLength: 10, maxLength: 10 }),
        (timeMs, entropy) => {
          const text = ulidOf(timeMs, entropy);
          const digits = [...text].map((digit) => BigInt('0123456789ABCDEFGHJKMNPQRSTVWXYZ'.indexOf(digit)));
          const bits = digits.reduce((sum, digit) => sum * 32n + digit, 0n);
          expect(text).toHaveLength(26);
          expect(bits).toBe((BigInt(timeMs) << 80n) | BigInt('0x' + Buffer.from(entropy).toString('hex')));
          expect(decodeTime(text)).toBe(timeMs);
        },
      ),
    ));

  it.each([-1, 0.5, 2 ** 48, Number.NaN])('has no time %j', (timeMs) =>
    expect(() => ulidOf(timeMs, new Uint8Array(10))).toThrow(RangeError),
  );
});

describe('derived ids', () => {
  it('stay what they were: runs and apps are found by them', () => {
    expect(derivedUlid(1_795_367_605_583, 'f', 'e')).toBe('01M823Z5AFS1A8087XV882FH6P');
    expect(derivedUuid('app', 'e', 'a')).toBe('36e93439-d5e7-5ab2-b7e9-59b8f98211c3');
  });

  it('have the form of their kind', () => {
    expect(derivedUlid(1_795_367_605_583, 'f')).toMatch(/^01M823Z5AF[0-9A-HJKMNP-TV-Z]{16}$/);
    expect(derivedUuid('a')).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });

  it('differ when any part does, also where the parts join to the same text', () => {
    expect(
      new Set([derivedUlid(1, 'ab', 'c'), derivedUlid(1, 'a', 'bc'), derivedUlid(1, 'abc'), derivedUlid(2, 'abc')])
        .size,
    ).toBe(4);
    expect(
      new Set([derivedUuid('ab', 'c'), derivedUuid('a', 'bc'), derivedUuid('abc'), derivedUuid('a', 'b', 'c')]).size,
    ).toBe(4);
  });
});
