import { hash } from 'node:crypto';
import type { EpochMs } from '../words.js';

/** Crockford's base 32. */
const DIGITS = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

/** The time of a ULID takes 48 bits. */
const TIME_MAX = 2 ** 48 - 1;
const ENTROPY_BYTES = 10;
const COUNTER_AT = 6;

/** What a sender keeps over its retries, so that an event has the same internal id each time. */
export interface EventIdSeed {
  readonly timeMs: EpochMs;
  /** 10 bytes. */
  readonly entropy: Uint8Array;
}

/**
 * Reads the header `x-inngest-event-id-seed`. Contract: semantics 3.5, events-api.md 2.
 *     <unix ms>,<base64 of 10 bytes>      1795367605583,tluKt/Gpm81myQ==
 * @returns undefined for what is malformed: then the ids are random
 */
export function parseEventIdSeed(header: string | undefined): EventIdSeed | undefined {
  const [, time, entropy] = /^(\d{1,15}),([A-Za-z0-9+/]{14}==)$/.exec(header?.trim() ?? '') ?? [];
  if (time === undefined || entropy === undefined || Number(time) > TIME_MAX) return undefined;
  return { timeMs: Number(time), entropy: Buffer.from(entropy, 'base64') };
}

/**
 * The internal id of an event of a request. The events count from 1 in it: that number is added to the seed's last four bytes, read as one
 * big-endian number, which wraps.
 * @param index of the event in the request, from 0
 */
export function seededUlid(seed: EventIdSeed, index: number): string {
  const entropy = Buffer.from(seed.entropy);
  entropy.writeUInt32BE((entropy.readUInt32BE(COUNTER_AT) + index + 1) % 2 ** 32, COUNTER_AT);
  return ulidOf(seed.timeMs, entropy);
}

/** The ULID of a time and 10 bytes. */
export function ulidOf(timeMs: EpochMs, entropy: Uint8Array): string {
  if (!Number.isInteger(timeMs) || timeMs < 0 || timeMs > TIME_MAX)
    throw new RangeError(`no time of a ULID: ${timeMs}`);
  let text = '';
  for (let place = 45; place >= 0; place -= 5) text += DIGITS.charAt(Math.floor(timeMs / 2 ** place) % 32);
  let pending = 0;
  let bits = 0;
  for (const byte of entropy.subarray(0, ENTROPY_BYTES)) {
    pending = ((pending << 8) | byte) & 0xfff;
    for (bits += 8; bits >= 5; bits -= 5) text += DIGITS.charAt((pending >> (bits - 5)) & 31);
  }
  return text;
}

/** The ULID of a time whose entropy comes from what it names: the same parts in the same order, the same id. */
export function derivedUlid(timeMs: EpochMs, ...parts: readonly string[]): string {
  return ulidOf(timeMs, hash('sha256', JSON.stringify(parts), 'buffer'));
}

/** Random, chosen once: UUIDs of ours are of no other's namespace. */
const NAMESPACE = Buffer.from('6c1f1d0e8b5a4d0f9f3c2a7be4d15c80', 'hex');

/** A name-based UUID (RFC 9562, version 5): the same parts in the same order, the same id. */
export function derivedUuid(...parts: readonly string[]): string {
  const bytes = hash('sha1', Buffer.concat([NAMESPACE, Buffer.from(JSON.stringify(parts))]), 'buffer').subarray(0, 16);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x50, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
