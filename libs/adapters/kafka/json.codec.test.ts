import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { LogRecord } from '#ports/event-log.port.js';
import { jsonCodec } from './json.codec.js';
import { batchesOf, encodeBatch, pack, recordsOf } from './record.batch.js';
import { TYPE_HEADER } from './record.headers.js';

const position = { partition: 3, offset: 7 };
const anyUnit = fc.string({ unit: 'binary' });
const anyBody = fc
  .oneof(fc.jsonValue(), fc.constant(undefined))
  .map((body) => (body === undefined ? body : (JSON.parse(JSON.stringify(body)) as unknown)));
const anyRecord: fc.Arbitrary<LogRecord> = fc.record(
  {
    topic: fc.constantFrom('events', 'commands', 'transitions', 'snapshots', 'config', 'dead-letters'),
    // Keys come from users: a lone surrogate among them.
    key: fc.oneof(anyUnit, fc.string({ unit: fc.constantFrom('\ud800', 'a', '\udc00', 'é') })),
    type: anyUnit,
    schema: fc.integer(),
    env: anyUnit,
    at: fc.integer({ min: -8.64e15, max: 8.64e15 }),
    body: anyBody,
    trace: anyUnit,
  },
  { requiredKeys: ['topic', 'key', 'type', 'schema', 'env', 'at', 'body'] },
);

describe('a record on the wire', () => {
  it('comes back as it was, by itself and among others of a batch', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(anyRecord, { minLength: 1, maxLength: 20 }),
        fc.constantFrom('none', 'gzip', 'snappy', 'lz4', 'zstd'),
        async (records, compression) => {
          const packed = await Promise.all(
            records.map(async (record) => pack(await jsonCodec.encode(record), record.at)),
          );
          const batch = encodeBatch(packed, { producerId: 5n, epoch: 1, sequence: 9 }, compression);
          const [found, ...more] = batchesOf(Buffer.concat([batch, batch.subarray(0, batch.length - 1)]));
          if (!found) throw new Error('there is no batch');
          expect(more).toEqual([]);
          expect(found).toMatchObject({
            baseOffset: 0,
            lastOffset: records.length - 1,
            producerId: 5n,
            control: false,
          });
          const raw = [...recordsOf(found)];
          expect(raw.map(({ offset }) => offset)).toEqual(records.map((_, index) => index));
          expect(raw.map(({ timestamp }) => timestamp)).toEqual(records.map(({ at }) => Math.max(0, at)));
          const back = await Promise.all(
            raw.map(async (one, n) => jsonCodec.decode(records[n]?.topic ?? 'events', { ...one, position })),
          );
          expect(back).toEqual(records);
        },
      ),
    ));

  it('is refused when any byte of its batch is not as it was written', () => {
    const packed = [1, 2, 3].map((n) =>
      pack({ key: Buffer.from('k'), value: Buffer.from(`${n}`), headers: { a: 'b' } }, n),
    );
    const batch = encodeBatch(packed, { producerId: 5n, epoch: 1, sequence: 9 }, 'none');
    fc.assert(
      fc.property(fc.integer({ min: 16, max: batch.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const torn = Buffer.from(batch);
        torn.writeUInt8(torn.readUInt8(at) ^ flip, at);
        expect(() => batchesOf(torn)).toThrow();
      }),
    );
  });

  it('has the same CloudEvents id whenever the same is said', async () => {
    const id = async (record: LogRecord) => (await jsonCodec.encode(record)).headers['ce_id'];
    const record: LogRecord = {
      topic: 'transitions',
      key: 'k',
      type: 'T',
      schema: 1,
      env: 'e',
      at: 1,
      body: undefined,
    };
    const body = { command: { partition: 1, offset: 2 }, index: 3 };
    expect(await id({ ...record, body })).toBe('commands/1/2/3');
    expect(await id({ ...record, body: { event: { partition: 1, offset: 2 }, index: 0 } })).toBe('events/1/2/0/k');
    expect(await id({ ...record, topic: 'events', body: { internalId: '01A' } })).toBe('01A');
    expect(await id({ ...record, topic: 'config' })).toBe('config/k');
  });

  it('cannot be read without its headers', () => {
    const found = { key: Buffer.from('k'), value: Buffer.from('{}'), timestamp: 1, position };
    const whole = {
      [TYPE_HEADER]: 'T',
      'millrace-schema': '1',
      'millrace-env': 'e',
      ce_time: '2026-01-01T00:00:00.000Z',
    };
    expect(() => jsonCodec.decode('commands', { ...found, headers: whole })).not.toThrow();
    for (const name of Object.keys(whole)) {
      const headers = Object.fromEntries(Object.entries(whole).filter(([one]) => one !== name));
      expect(() => jsonCodec.decode('commands', { ...found, headers })).toThrow(
        expect.objectContaining({ code: 'record_unreadable' }) as Error,
      );
    }
  });
});
