/**
 * The partition of a key, as the clients of Java and kafkajs choose it: positive murmur2 of its UTF-8, modulo the number of partitions. So an
 * outside producer's records of a key stand with ours.
 */
export function partitionOfKey(key: Uint8Array, partitions: number): number {
  return (murmur2(key) & 0x7fffffff) % partitions;
}

const SEED = 0x9747b28c;
const M = 0x5bd1e995;

/** 32-bit MurmurHash2, little endian. */
function murmur2(data: Uint8Array): number {
  const { length } = data;
  const view = new DataView(data.buffer, data.byteOffset, length);
  let h = SEED ^ length;
  let at = 0;
  for (; at + 4 <= length; at += 4) {
    let k = Math.imul(view.getInt32(at, true), M);
    k = Math.imul(k ^ (k >>> 24), M);
    h = Math.imul(h, M) ^ k;
  }
  const left = length - at;
  if (left > 0) {
    for (let i = left - 1; i >= 0; i--) h ^= view.getUint8(at + i) << (8 * i);
    h = Math.imul(h, M);
  }
  h = Math.imul(h ^ (h >>> 13), M);
  return h ^ (h >>> 15);
}
