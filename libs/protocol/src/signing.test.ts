import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonical } from '#core/json.js';
import { SIGNATURE_AGE_MS_MAX, sign, verifySignature } from './signing.js';

const KEY = 'signkey-test-12345678abcdef00112233445566778899aabbccddeeff001122334455667788';
const OLD_KEY = 'signkey-test-00ff';
const NOW = 1_700_000_000_000;

describe('the worked vectors of the contract', () => {
  const nested = { ctx: { run_id: '01HZ' }, event: { data: { b: 1, a: 'é' }, name: 't/x' } };

  it.each([
    [
      '{"url":"http://localhost:9002/api/inngest"}',
      1_795_367_970,
      '9ad9e62aee995c8ca300de91b97b343f3a4b9d09ea45b1acb4818200deacac57',
    ],
    ['', 1_700_000_000, 'af9df70133ea88ca3b9a19829c479763ece2f9d272f30405cfc8769fd8152a7b'],
    [canonical(nested), 1_700_000_000, '878f7afaa686d47b9a27ec367fcf2b7672950bbdb9eca228e59b4a716460f9bf'],
    [JSON.stringify(nested), 1_700_000_000, 'c8356ff7604772929482bbabc282547e715318388530828e40cfb37c4e90a6ef'],
    ['{"ok":true}', 1_700_000_000, '2b6ef7e07faa2039c0e678cd4db165f82b986d230e8b5a49e8e0f9832b8111a4'],
  ])('%s', (body, seconds, hex) => {
    const header = sign(body, KEY, seconds * 1000 + 999);
    expect(header).toBe(`t=${seconds}&s=${hex}`);
    expect(verifySignature(header, body, [KEY], seconds * 1000)).toEqual({ ok: true, key: KEY });
  });
});

it('signs with the text of a key, whatever its prefix', () => {
  const bare = KEY.replace('signkey-test-', '');
  expect(sign('x', bare, NOW)).toBe(sign('x', KEY, NOW));
  expect(sign('x', `signkey-prod-${bare}`, NOW)).toBe(sign('x', KEY, NOW));
});

it('takes the key that was rotated out', () => {
  expect(verifySignature(sign('x', OLD_KEY, NOW), 'x', [KEY, OLD_KEY], NOW)).toEqual({ ok: true, key: OLD_KEY });
  expect(verifySignature(sign('x', OLD_KEY, NOW), 'x', [KEY], NOW)).toEqual({ ok: false, reason: 'wrong' });
  expect(verifySignature(sign('x', KEY, NOW), 'x', [], NOW)).toEqual({ ok: false, reason: 'wrong' });
});

it('takes five minutes, both ways, and no more', () => {
  const header = sign('x', KEY, NOW);
  expect(verifySignature(header, 'x', [KEY], NOW + SIGNATURE_AGE_MS_MAX)).toMatchObject({ ok: true });
  expect(verifySignature(header, 'x', [KEY], NOW + SIGNATURE_AGE_MS_MAX + 1)).toEqual({ ok: false, reason: 'expired' });
  expect(verifySignature(header, 'x', [KEY], NOW - SIGNATURE_AGE_MS_MAX)).toMatchObject({ ok: true });
  expect(verifySignature(header, 'x', [KEY], NOW - SIGNATURE_AGE_MS_MAX - 1000)).toEqual({
    ok: false,
    reason: 'expired',
  });
});

it('takes a body whose last newline was not signed, as Go sends it, and no other change', () => {
  const header = sign('{"ok":true}', KEY, NOW);
  expect(verifySignature(header, '{"ok":true}\n', [KEY], NOW)).toMatchObject({ ok: true });
  expect(verifySignature(header, '{"ok":true}\n\n', [KEY], NOW)).toEqual({ ok: false, reason: 'wrong' });
  expect(verifySignature(header, '{"ok": true}', [KEY], NOW)).toEqual({ ok: false, reason: 'wrong' });
});

it('refuses what is no signature, without a stumble', () => {
  const hex = 'a'.repeat(64);
  for (const header of [
    '',
    't=1',
    `t=&s=${hex}`,
    `s=${hex}&t=1`,
    `t=1&s=${hex.toUpperCase()}`,
    `t=1&s=${hex}0`,
    `t=1e3&s=${hex}`,
  ]) {
    expect(verifySignature(header, 'x', [KEY], NOW)).toEqual({ ok: false, reason: 'malformed' });
  }
  fc.assert(fc.property(fc.string(), (header) => !verifySignature(header, 'x', [KEY], NOW).ok));
});
