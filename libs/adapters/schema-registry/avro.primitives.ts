import avro from 'avsc';

/** Bytes that the longest of our numbers takes. */
const BYTES_MAX = 8;

/** What is written is copied at once, so a buffer for each length does. */
const buffers = Array.from({ length: BYTES_MAX + 1 }, (_, length) => Buffer.alloc(length));
const bytes = new Uint8Array(BYTES_MAX);

/**
 * Avro's long for all whole numbers that JavaScript has. The library's own doubles a number before it writes it, and so gives back another
 * one from 2^52 on.
 */
const long: avro.Type = avro.types.LongType.__with(
  {
    toBuffer: write,
    fromBuffer: read,
    isValid: (value: unknown) => Number.isSafeInteger(value),
    compare: (a: number, b: number) => Math.sign(a - b),
    fromJSON: (value: unknown) => value,
    toJSON: (value: unknown) => value,
  },
  true,
);

/** Zigzag, seven bits a byte, the lowest first: n >= 0 is 2n, n < 0 is 2(-n - 1) + 1. */
function write(value: number): Buffer {
  const sign = value < 0 ? 1 : 0;
  let left = sign === 1 ? -value - 1 : value;
  let length = 1;
  bytes[0] = (left % 64) * 2 + sign;
  for (left = Math.floor(left / 64); left > 0; left = Math.floor(left / 128)) {
    bytes[length - 1] = (bytes[length - 1] as number) | 0x80;
    bytes[length++] = left % 128;
  }
  const buffer = buffers[length] as Buffer;
  for (let index = 0; index < length; index++) buffer[index] = bytes[index] as number;
  return buffer;
}

/** @throws RangeError for a number that JavaScript does not have */
function read(buffer: Buffer): number {
  const first = buffer[0] as number;
  let magnitude = (first & 0x7f) >> 1;
  let weight = 64;
  for (let index = 1; index < buffer.length; index++) {
    magnitude += ((buffer[index] as number) & 0x7f) * weight;
    weight *= 128;
  }
  const value = first & 1 ? -magnitude - 1 : magnitude;
  if (!Number.isSafeInteger(value)) throw new RangeError('a whole number is beyond 2^53');
  return value;
}

/** The part of the library's writer that is used here. */
interface Tap {
  writeString(value: unknown): void;
}

/** Avro's string, always UTF-8: the library's own writes half of a surrogate pair as bytes that others refuse. It becomes U+FFFD. */
class WellFormedString extends avro.types.StringType {
  _write(tap: Tap, value: unknown): void {
    if (typeof value !== 'string') throw new TypeError(`a text is a ${typeof value}`);
    tap.writeString(value.toWellFormed());
  }
}

/** What stands in for the library's own types of these names. */
export const PRIMITIVES: Readonly<Record<string, avro.Type>> = { long, string: new WellFormedString() };
