import { createHmac, timingSafeEqual } from 'node:crypto';
import type { EpochMs } from '#core/words.js';

/** How old, or how far ahead, a signature may be. */
export const SIGNATURE_AGE_MS_MAX = 5 * 60 * 1000;

/** `signkey-prod-` of `signkey-prod-0123…`; keys may come without. */
export const KEY_PREFIX = /^signkey-\w+-/;

/**
 * The value of `x-inngest-signature`. http.md section 8:
 *     t=<unix seconds>&s=<hex>     s = HMAC-SHA256(key, body || ascii(t))
 *     key = the signing key without its `signkey-<word>-`, as ASCII text
 * SDKs check it over the canonical form of the body (Kotlin: over the bytes), so what is signed and sent must be canonical JSON.
 */
export function sign(body: string, signingKey: string, now: EpochMs): string {
  const seconds = String(Math.floor(now / 1000));
  return `t=${seconds}&s=${mac(body, signingKey, seconds)}`;
}

function mac(body: string, signingKey: string, seconds: string): string {
  return createHmac('sha256', signingKey.replace(KEY_PREFIX, '')).update(body).update(seconds).digest('hex');
}

export type SignatureCheck =
  /** `key`: the one of the given keys that it was made with. */
  | { readonly ok: true; readonly key: string }
  | { readonly ok: false; readonly reason: 'malformed' | 'expired' | 'wrong' };

const SIGNATURE = /^t=(\d{1,12})&s=([0-9a-f]{64})$/;

/**
 * Checks a signature over a body as it came. Keys that rotate are given together: current first, then the fallback.
 * Go signs its sync answer without the newline that ends it, so a body is tried with and without.
 */
export function verifySignature(
  header: string,
  body: string,
  signingKeys: readonly string[],
  now: EpochMs,
): SignatureCheck {
  const [, seconds, given] = SIGNATURE.exec(header.trim()) ?? [];
  if (seconds === undefined || given === undefined) return { ok: false, reason: 'malformed' };
  const bodies = body.endsWith('\n') ? [body, body.slice(0, -1)] : [body];
  for (const key of signingKeys) {
    if (!bodies.some((text) => timingSafeEqual(Buffer.from(mac(text, key, seconds)), Buffer.from(given)))) continue;
    return Math.abs(now - Number(seconds) * 1000) > SIGNATURE_AGE_MS_MAX
      ? { ok: false, reason: 'expired' }
      : { ok: true, key };
  }
  return { ok: false, reason: 'wrong' };
}
