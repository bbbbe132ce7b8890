import {
  type CompressionAlgorithmValue,
  compressionsAlgorithms,
  compressionsAlgorithmsByBitmask,
  crc32c,
} from '@platformatic/kafka';
import type { EpochMs } from '#core/words.js';
import type { WireRecord } from './record.codec.js';

/*
 * Record batches, version 2. https://kafka.apache.org/documentation/#recordbatch
 *     baseOffset int64, batchLength int32, partitionLeaderEpoch int32, magic int8 = 2, crc uint32 (CRC-32C of all that follows),
 *     attributes int16, lastOffsetDelta int32, baseTimestamp int64, maxTimestamp int64, producerId int64, producerEpoch int16,
 *     baseSequence int32, count int32, records (compressed together)
 * A record:
 *     length varint, attributes int8, timestampDelta varlong, offsetDelta varint, keyLength varint, key, valueLength varint, value,
 *     headers varint, then for each: key length varint, key, value length varint, value
 */
const HEADER_BYTES = 61;
const LENGTH_AT = 8;
const AFTER_LENGTH = 12;
const MAGIC = 2;
const MAGIC_AT = 16;
const CRC_AT = 17;
const CRC_FROM = 21;
const COMPRESSION_BITS = 0b111;
const LOG_APPEND_TIME = 0b1000;
const TRANSACTIONAL = 0b1_0000;
const CONTROL = 0b10_0000;
const NO_BYTES = Buffer.alloc(0);

/** A record made ready: all of it but its place in a batch. */
export interface PackedRecord {
  readonly timestamp: EpochMs;
  /** Key, value and headers as they stand in a batch. */
  readonly bytes: Buffer;
}

/** What identifies a batch to the broker, so that it takes a second copy for what it is. */
export interface BatchOrigin {
  readonly producerId: bigint;
  readonly epoch: number;
  readonly sequence: number;
}

const names = new Map<string, Buffer>();

/** The bytes of a header's name; there are few names, again and again. */
function nameBytes(name: string): Buffer {
  let bytes = names.get(name);
  if (!bytes) {
    bytes = Buffer.from(name);
    if (names.size < 1_000) names.set(name, bytes);
  }
  return bytes;
}

export function pack({ key, value, headers }: WireRecord, timestamp: EpochMs): PackedRecord {
  const entries = Object.entries(headers);
  let size = varintSize(key.length) + key.length + varintSize(value?.length ?? -1) + (value?.length ?? 0);
  size += varintSize(entries.length);
  const sizes: number[] = [];
  for (const [name, text] of entries) {
    const [nameSize, textSize] = [nameBytes(name).length, Buffer.byteLength(text)];
    sizes.push(textSize);
    size += varintSize(nameSize) + nameSize + varintSize(textSize) + textSize;
  }
  const bytes = Buffer.allocUnsafe(size);
  let at = writeVarint(bytes, 0, key.length);
  at += key.copy(bytes, at);
  at = writeVarint(bytes, at, value?.length ?? -1);
  if (value) at += value.copy(bytes, at);
  at = writeVarint(bytes, at, entries.length);
  for (const [index, [name, text]] of entries.entries()) {
    const written = nameBytes(name);
    at = writeVarint(bytes, at, written.length);
    at += written.copy(bytes, at);
    at = writeVarint(bytes, at, sizes[index] ?? 0);
    at += bytes.write(text, at);
  }
  return { timestamp: Math.max(0, timestamp), bytes };
}

/** What a record takes in a batch beside its bytes, at most. */
const RECORD_HEAD_BYTES_MAX = 5 + 1 + 10 + 5;

/** Upper bound of the size of an uncompressed batch. */
export function batchBytesMax(records: number, bytes: number): number {
  return HEADER_BYTES + records * RECORD_HEAD_BYTES_MAX + bytes;
}

export function encodeBatch(
  records: readonly PackedRecord[],
  origin: BatchOrigin,
  compression: CompressionAlgorithmValue,
): Buffer {
  let bytes = 0;
  // The smallest is the base, so that no delta is negative: twice a negative one need not be exact.
  let [first, last] = [Infinity, 0];
  for (const record of records) {
    bytes += record.bytes.length;
    first = Math.min(first, record.timestamp);
    last = Math.max(last, record.timestamp);
  }
  const whole = Buffer.allocUnsafe(batchBytesMax(records.length, bytes));
  let at = HEADER_BYTES;
  for (const [index, record] of records.entries()) {
    const delta = record.timestamp - first;
    at = writeVarint(whole, at, 1 + varintSize(delta) + varintSize(index) + record.bytes.length);
    at = whole.writeInt8(0, at);
    at = writeVarint(whole, at, delta);
    at = writeVarint(whole, at, index);
    at += record.bytes.copy(whole, at);
  }
  const { bitmask, compressSync } = compressionsAlgorithms[compression];
  const batch =
    compression === 'none'
      ? whole.subarray(0, at)
      : Buffer.concat([whole.subarray(0, HEADER_BYTES), compressSync(whole.subarray(HEADER_BYTES, at))]);
  batch.writeBigInt64BE(0n, 0);
  batch.writeInt32BE(batch.length - AFTER_LENGTH, LENGTH_AT);
  batch.writeInt32BE(-1, AFTER_LENGTH);
  batch.writeInt8(MAGIC, MAGIC_AT);
  batch.writeInt16BE(bitmask, CRC_FROM);
  batch.writeInt32BE(records.length - 1, 23);
  batch.writeBigInt64BE(BigInt(first), 27);
  batch.writeBigInt64BE(BigInt(last), 35);
  batch.writeBigInt64BE(origin.producerId, 43);
  batch.writeInt16BE(origin.epoch, 51);
  batch.writeInt32BE(origin.sequence, 53);
  batch.writeInt32BE(records.length, 57);
  batch.writeUInt32BE(crc32c(batch.subarray(CRC_FROM)), CRC_AT);
  return batch;
}

/** A record as it stands in a batch. */
export interface RawRecord {
  readonly offset: number;
  readonly timestamp: EpochMs;
  readonly key: Buffer;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, string>>;
  /** Why there is nothing but bytes: the batch cannot be taken apart. */
  readonly broken?: string;
}

/** A batch as it was fetched, not yet taken apart. */
export interface FetchedBatch {
  readonly baseOffset: number;
  readonly lastOffset: number;
  readonly producerId: bigint;
  readonly transactional: boolean;
  /** Written by the broker: the end of a transaction. */
  readonly control: boolean;
  readonly bytes: Buffer;
}

/**
 * The whole batches at the start of some bytes; what is cut off at their end is left out.
 * @throws Error when they are not what the broker wrote
 */
export function batchesOf(bytes: Buffer): FetchedBatch[] {
  const batches: FetchedBatch[] = [];
  for (let at = 0; at + HEADER_BYTES <= bytes.length;) {
    const end = at + AFTER_LENGTH + bytes.readInt32BE(at + LENGTH_AT);
    if (end > bytes.length) break;
    const batch = bytes.subarray(at, end);
    const magic = batch.readInt8(MAGIC_AT);
    if (magic !== MAGIC) throw new Error(`a record batch has format ${magic}, not ${MAGIC}`);
    if (crc32c(batch.subarray(CRC_FROM)) !== batch.readUInt32BE(CRC_AT))
      throw new Error('a record batch has a wrong checksum');
    const attributes = batch.readInt16BE(CRC_FROM);
    const baseOffset = Number(batch.readBigInt64BE(0));
    batches.push({
      baseOffset,
      lastOffset: baseOffset + batch.readInt32BE(23),
      producerId: batch.readBigInt64BE(43),
      transactional: (attributes & TRANSACTIONAL) !== 0,
      control: (attributes & CONTROL) !== 0,
      bytes: batch,
    });
    at = end;
  }
  return batches;
}

/** Whether a control batch says that its transaction came to nothing. */
export function isAbort(batch: FetchedBatch): boolean {
  const [marker] = recordsOf(batch);
  return marker !== undefined && marker.key.length >= 4 && marker.key.readInt16BE(2) === 0;
}

/** The records of a batch. One that cannot be taken apart is one broken record. */
export function* recordsOf({ bytes, baseOffset }: FetchedBatch): Generator<RawRecord> {
  const attributes = bytes.readInt16BE(CRC_FROM);
  const baseTimestamp = Number(bytes.readBigInt64BE(27));
  const maxTimestamp = Number(bytes.readBigInt64BE(35));
  const count = bytes.readInt32BE(57);
  const compressed = attributes & COMPRESSION_BITS;
  let offset = baseOffset;
  try {
    const records = new BatchReader(decompress(bytes.subarray(HEADER_BYTES), compressed));
    for (let n = 0; n < count; n++) {
      records.varint(); // Its length.
      records.skip(1);
      const delta = records.varint();
      offset = baseOffset + records.varint();
      const timestamp = attributes & LOG_APPEND_TIME ? maxTimestamp : baseTimestamp + delta;
      const key = records.bytes() ?? NO_BYTES;
      const value = records.bytes();
      const headers: Record<string, string> = {};
      for (let left = records.varint(); left > 0; left--) {
        const name = (records.bytes() ?? NO_BYTES).toString();
        headers[name] = (records.bytes() ?? NO_BYTES).toString();
      }
      yield { offset, timestamp, key, value, headers };
    }
  } catch (error) {
    const broken = `its batch cannot be taken apart: ${error instanceof Error ? error.message : String(error)}`;
    yield { offset, timestamp: maxTimestamp, key: NO_BYTES, value: bytes, headers: {}, broken };
  }
}

function decompress(bytes: Buffer, compressed: number): Buffer {
  if (compressed === 0) return bytes;
  const algorithm = compressionsAlgorithmsByBitmask[compressed];
  if (!algorithm) throw new Error(`there is no compression ${compressed}`);
  return algorithm.decompressSync(bytes);
}

class BatchReader {
  private at = 0;

  constructor(private readonly buffer: Buffer) {}

  skip(bytes: number): void {
    this.at += bytes;
  }

  /** A zigzag varint or varlong, as far as a number can hold it. */
  varint(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.buffer.readUInt8(this.at++);
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
    }
  }

  bytes(): Buffer | null {
    const length = this.varint();
    if (length < 0) return null;
    const from = this.at;
    this.at += length;
    if (this.at > this.buffer.length) throw new RangeError('it ends within a record');
    return this.buffer.subarray(from, this.at);
  }
}

function zigzag(value: number): number {
  return value < 0 ? -2 * value - 1 : 2 * value;
}

function varintSize(value: number): number {
  let size = 1;
  for (let rest = zigzag(value); rest >= 128; rest /= 128) size++;
  return size;
}

function writeVarint(buffer: Buffer, at: number, value: number): number {
  let rest = zigzag(value);
  while (rest >= 128) {
    buffer[at++] = (rest % 128) | 128;
    rest = Math.floor(rest / 128);
  }
  buffer[at++] = rest;
  return at;
}
