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
 * Makes the check of `Authorization: Bearer …` on the API. http.md section 9; for one key `signkey-<word>-<hex>`, all of these pass:
 *     signkey-<word>-<hash>     TypeScript, Go, Kotlin
 *     <hash>                    Python
 *     signkey-<word>-<hex>      Go: checkpoints, durable endpoints, realtime
 *     <hex>                     people
 * The prefix is no secret and is not compared.
 * @returns tells the one of the keys that a header names, by its place; undefined for none. Takes as long for any.
 */
export function bearerCheck(signingKeys: readonly string[]): (authorization: string | undefined) => number | undefined {
  const accepted = signingKeys.flatMap((signingKey, place) => {
    const key = signingKey.replace(KEY_PREFIX, '');
    return [key, keyHash(key)].flatMap((token) => (token ? [{ place, digest: digestOf(token) }] : []));
  });
  return (authorization) => {
    const [, token] = /^bearer +(\S+)\s*$/i.exec(authorization ?? '') ?? [];
    const digest = digestOf((token ?? '').replace(KEY_PREFIX, ''));
    let found: number | undefined;
    for (const each of accepted) if (timingSafeEqual(each.digest, digest)) found ??= each.place;
    return found;
  };
}

/** Tokens are compared by their hashes, which have one length. */
function digestOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
