import { createHash, timingSafeEqual } from 'node:crypto';
import { KEY_PREFIX } from './signing.js';

/**
 * A signing key as SDKs send it: its prefix and, in hex, the SHA-256 of the key's decoded hex. http.md section 9. (A signature is made
 * with the key's text instead.)
 * @returns undefined for a key that is not hex
 */
export function hashSigningKey(signingKey: string): string | undefined {
  const prefix = KEY_PREFIX.exec(signingKey)?.[0] ?? '';
  const hash = keyHash(signingKey.slice(prefix.length));
  return hash && prefix + hash;
}

/**
 * What is not hex has no hash: SDKs decode it to next to nothing, so that anybody could tell the result. An odd number of digits is read
 * as TypeScript reads it, with a zero before.
 */
function keyHash(key: string): string | undefined {
  if (!/^[0-9a-f]+$/i.test(key)) return undefined;
  const hex = key.length % 2 === 0 ? key : `0${key}`;
  return createHash('sha256').update(Buffer.from(hex, 'hex')).digest('hex');
}

/**
 * Whether `Authorization: Bearer …` on the API names one of the keys. http.md section 9; for a key `signkey-<word>-<hex>`, all of these do:
 *     signkey-<word>-<hash>     TypeScript, Go, Kotlin
 *     <hash>                    Python
 *     signkey-<word>-<hex>      Go: checkpoints, durable endpoints, realtime
 *     <hex>                     people
 * The prefix is no secret and is not compared. Takes as long whether, where and how much of it matches.
 */
export function bearerMatches(authorization: string | undefined, signingKeys: readonly string[]): boolean {
  const [, token = ''] = /^bearer +(\S+)\s*$/i.exec(authorization ?? '') ?? [];
  const given = digestOf(token.replace(KEY_PREFIX, ''));
  let matches = false;
  for (const signingKey of signingKeys) {
    const key = signingKey.replace(KEY_PREFIX, '');
    for (const accepted of [key, keyHash(key)]) {
      if (accepted && timingSafeEqual(digestOf(accepted), given)) matches = true;
    }
  }
  return matches;
}

/** Tokens are compared by their hashes, which have one length. */
function digestOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
