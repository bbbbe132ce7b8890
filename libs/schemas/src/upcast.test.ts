import { expect, it } from 'vitest';
import type { LogRecord } from '#ports/event-log.port.js';
import { upcast, type Upcaster } from './upcast.js';

const record: LogRecord = {
  topic: 'transitions',
  key: 'R',
  type: 'RunFailed',
  schema: 1,
  env: 'e',
  at: 1,
  body: { cents: 100 },
};
const upcasters: ReadonlyMap<string, Upcaster> = new Map<string, Upcaster>([
  ['transitions/RunFailed/1', (body) => ({ euros: (body as { cents: number }).cents / 100 })],
  ['transitions/RunFailed/2', (body) => ({ ...(body as object), currency: 'EUR' })],
]);

it('brings a record to the newest version, one version after the other', () =>
  expect(upcast(record, upcasters)).toEqual({ ...record, schema: 3, body: { euros: 1, currency: 'EUR' } }));

it('leaves alone what is new enough, of another type, or a tombstone', () => {
  for (const other of [
    { ...record, schema: 3 },
    { ...record, type: 'RunCompleted' },
    { ...record, body: undefined },
  ])
    expect(upcast(other, upcasters)).toBe(other);
  expect(upcast(record)).toBe(record);
});
