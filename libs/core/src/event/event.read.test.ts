import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Fault } from '../faults.js';
import { canonical } from '../json.js';
import { readEvent, type Arrival } from './event.read.js';

const receivedAt = Date.UTC(2026, 10, 22, 17);
const internalId = '01M826RJA3J747FVFV9R62358C';

function arrival(value: unknown, more: Partial<Arrival> = {}): Arrival {
  return { value, bytes: 100, internalId, env: 'e1', receivedAt, source: 'api', ...more };
}

function seen(value: unknown): Record<string, unknown> {
  return JSON.parse(readEvent(arrival(value)).payload) as Record<string, unknown>;
}

function faultOf(value: unknown, more?: Partial<Arrival>): Fault {
  try {
    readEvent(arrival(value, more));
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
  throw new Error('no fault');
}

describe('an event', () => {
  it('is stored with what the door knows and what functions see', () => {
    const value = { name: 'a/b', data: { z: 1, a: [true] }, user: { u: 1 }, id: 'mine', ts: 1_700_000_000_000, v: '1' };
    expect(readEvent(arrival(value, { trace: '00-a-b-01' }))).toEqual({
      internalId,
      env: 'e1',
      id: 'mine',
      name: 'a/b',
      ts: 1_700_000_000_000,
      receivedAt,
      source: 'api',
      trace: '00-a-b-01',
      payload: '{"data":{"a":[true],"z":1},"id":"mine","name":"a/b","ts":1700000000000,"user":{"u":1},"v":"1"}',
    });
  });

  it('needs a name only', () => {
    const event = readEvent(arrival({ name: 'a' }));
    expect(event).toMatchObject({ id: internalId, ts: receivedAt });
    expect(event.payload).toBe(`{"data":{},"id":"${internalId}","name":"a","ts":${receivedAt},"user":{}}`);
    expect(event).not.toHaveProperty('trace');
  });

  it('may have null for what is optional, and empty texts', () => {
    const bare = readEvent(arrival({ name: 'a' }));
    expect(readEvent(arrival({ name: 'a', data: null, user: null, id: null, ts: null, v: null, meta: null }))).toEqual(
      bare,
    );
    expect(readEvent(arrival({ name: 'a', id: '', v: '', ts: 0 }))).toEqual(bare);
  });

  it('loses unknown members and data._inngest, but not what lies deeper', () => {
    const value = { name: 'a', data: { _inngest: { x: 1 }, kept: { _inngest: 2 } }, extra: 1, meta: { other: 1 } };
    expect(seen(value)).toEqual({
      data: { kept: { _inngest: 2 } },
      id: internalId,
      name: 'a',
      ts: receivedAt,
      user: {},
    });
  });

  it('keeps members of any name in its data', () => {
    const value: unknown = JSON.parse('{"name":"a","data":{"__proto__":{"x":1},"constructor":2}}');
    expect(readEvent(arrival(value)).payload).toContain('"data":{"__proto__":{"x":1},"constructor":2}');
  });

  it.each(['inngest.foo', 'inngest', 'inngestx/y', 'xinngest/y', ' ', 'é'.repeat(10_000)])('may be called %j', (name) =>
    expect(readEvent(arrival({ name })).name).toBe(name),
  );

  it.each([Date.UTC(1980, 0, 1), Date.UTC(2100, 0, 1), receivedAt + 86_400_000, 1e12])('may be of time %i', (ts) =>
    expect(readEvent(arrival({ name: 'a', ts })).ts).toBe(ts),
  );

  it.each([
    [null, 'event_body_invalid', 'Request body must contain an event object or an array of event objects'],
    ['x', 'event_body_invalid', 'Request body must contain an event object or an array of event objects'],
    [5, 'event_body_invalid', 'Request body must contain an event object or an array of event objects'],
    [[], 'event_body_invalid', 'Request body must contain an event object or an array of event objects'],
    [{}, 'event_name_empty', 'event name is empty'],
    [{ name: '' }, 'event_name_empty', 'event name is empty'],
    [{ name: null }, 'event_name_empty', 'event name is empty'],
    [{ name: 5 }, 'event_invalid', 'event name must be a string'],
    [{ name: ['a'] }, 'event_invalid', 'event name must be a string'],
    [{ name: 'a', id: 5 }, 'event_invalid', 'event id must be a string'],
    [{ name: 'a', v: 1 }, 'event_invalid', 'event v must be a string'],
    [{ name: 'a', data: [] }, 'event_invalid', 'event data must be an object'],
    [{ name: 'a', data: 'x' }, 'event_invalid', 'event data must be an object'],
    [{ name: 'a', data: false }, 'event_invalid', 'event data must be an object'],
    [{ name: 'a', user: 1 }, 'event_invalid', 'event user must be an object'],
    [{ name: 'a', meta: [] }, 'event_invalid', 'event meta must be an object'],
    [{ name: 'a', ts: '1700000000000' }, 'event_invalid', 'event ts must be a whole number of milliseconds'],
    [{ name: 'a', ts: 1_700_000_000_000.5 }, 'event_invalid', 'event ts must be a whole number of milliseconds'],
    [{ name: 'a', ts: true }, 'event_invalid', 'event ts must be a whole number of milliseconds'],
    [{ name: 'a', ts: 1_700_000_000 }, 'event_ts_out_of_range', 'timestamp is before Jan 1, 1980'],
    [{ name: 'a', ts: -1 }, 'event_ts_out_of_range', 'timestamp is before Jan 1, 1980'],
    [{ name: 'a', ts: Date.UTC(1980, 0, 1) - 1 }, 'event_ts_out_of_range', 'timestamp is before Jan 1, 1980'],
    [{ name: 'a', ts: Date.UTC(2100, 0, 1) + 1 }, 'event_ts_out_of_range', 'timestamp is after Jan 1, 2100'],
    [{ name: 'inngest/foo' }, 'event_name_reserved', 'event name is reserved for internal use: inngest/foo'],
    [{ name: 'InnGest/foo' }, 'event_name_reserved', 'event name is reserved for internal use: InnGest/foo'],
    [{ name: 'inngest/' }, 'event_name_reserved', 'event name is reserved for internal use: inngest/'],
  ])('%j is refused: %s', (value, code, message) => {
    const fault = faultOf(value);
    expect([fault.code, fault.message, fault.status]).toEqual([code, message, 400]);
  });

  it('may take 3 MB', () => {
    expect(readEvent(arrival({ name: 'a' }, { bytes: 3_145_728 })).name).toBe('a');
    expect(faultOf({ name: 'a' }, { bytes: 5_242_911 })).toMatchObject({
      code: 'event_too_large',
      message: 'Event is over the max size: Max 3145728 bytes / Size 5242911 bytes',
    });
  });

  it('may be deep, within bounds', () => {
    const nested = (depth: number): unknown => JSON.parse('['.repeat(depth) + ']'.repeat(depth));
    expect(readEvent(arrival({ name: 'a', data: { d: nested(498) } })).name).toBe('a');
    expect(faultOf({ name: 'a', data: { d: nested(499) } }).code).toBe('body_too_deep');
  });

  it('has a bounded name where the door says so', () => {
    expect(readEvent(arrival({ name: 'x'.repeat(512) }, { nameCharsMax: 512 })).name).toHaveLength(512);
    expect(faultOf({ name: 'x'.repeat(513) }, { nameCharsMax: 512 }).code).toBe('event_name_too_long');
  });

  it('is stored or refused, whatever it is', () => {
    const value = fc.oneof(
      fc.jsonValue(),
      fc.constantFrom(null, 0, 1.5, '', 'x', 1_700_000_000_000, {}, [], { a: null }, { sessions: { a: 1 } }),
    );
    const names = fc.constantFrom('name', 'data', 'user', 'id', 'ts', 'v', 'meta', 'x');
    fc.assert(
      fc.property(fc.oneof(fc.dictionary(names, value), fc.jsonValue()), (given) => {
        try {
          expect(JSON.parse(readEvent(arrival(given)).payload)).toMatchObject({
            name: (given as { name: string }).name,
          });
        } catch (error) {
          if (!(error instanceof Fault)) throw error;
          expect(error.blame).toBe('caller');
        }
      }),
      { numRuns: 500 },
    );
  });

  it('is canonical, and the same when it is read again', () => {
    const data = fc.dictionary(
      fc.string().filter((key) => key !== '_inngest'),
      fc.jsonValue(),
    );
    fc.assert(
      fc.property(data, data, (given, user) => {
        const first = readEvent(arrival({ name: 'a', data: given, user, v: '2' }));
        const again: unknown = JSON.parse(first.payload);
        expect(canonical(again)).toBe(first.payload);
        expect(readEvent(arrival(again)).payload).toBe(first.payload);
      }),
      { numRuns: 300 },
    );
  });
});

describe('the sessions of an event', () => {
  function sessionsOf(meta: unknown): unknown {
    return (seen({ name: 'a', meta }).meta as { sessions?: unknown } | undefined)?.sessions;
  }

  it.each([
    [{ sessions: { a: '1' } }, { a: '1' }],
    [{ sessions: { a: 1.5 } }, { a: '1.5' }],
    [{ propagated_sessions: { a: '1' } }, { a: '1' }],
    [
      { sessions: { a: '1' }, propagated_sessions: { a: '2', b: '2' } },
      { a: '1', b: '2' },
    ],
    [{ sessions: { a: null }, propagated_sessions: { a: '2', b: '2' } }, { b: '2' }],
    [{ sessions: null, propagated_sessions: { a: '2' } }, undefined],
    [{ sessions: null }, undefined],
    [{ sessions: {} }, undefined],
    [{ sessions: { a: null } }, undefined],
    [{ sessions: {}, propagated_sessions: { a: '2' } }, { a: '2' }],
    [{ sessions: { z: '1' }, propagated_sessions: null }, { z: '1' }],
    [
      { sessions: { x: '1', y: '1' }, propagated_sessions: { e: '2', d: '2', c: '2', b: '2', a: '2' } },
      { x: '1', y: '1', a: '2', b: '2', c: '2' },
    ],
    [
      { sessions: { a: '1', b: '1', c: '1', d: '1', e: '1', f: null }, propagated_sessions: { g: '2' } },
      { a: '1', b: '1', c: '1', d: '1', e: '1' },
    ],
    [{ sessions: { ['k'.repeat(128)]: 'i'.repeat(512) } }, { ['k'.repeat(128)]: 'i'.repeat(512) }],
  ])('%j: %j', (meta, sessions) => expect(sessionsOf(meta)).toEqual(sessions));

  it('are inherited in the order of UTF-8, where characters beyond 16 bits come last', () => {
    const inherited = { '\u{1f600}': 'x', '\uff5e': 'x', d: 'x', c: 'x', b: 'x', a: 'x' };
    expect(Object.keys(sessionsOf({ propagated_sessions: inherited }) as object).sort()).toEqual([
      'a',
      'b',
      'c',
      'd',
      '\uff5e',
    ]);
  });

  it.each([
    [{ sessions: { a: true } }, 'an id in meta.sessions must be a string, a number or null'],
    [{ sessions: { a: {} } }, 'an id in meta.sessions must be a string, a number or null'],
    [{ sessions: { a: [] } }, 'an id in meta.sessions must be a string, a number or null'],
    [{ propagated_sessions: { a: false } }, 'an id in meta.propagated_sessions must be a string, a number or null'],
    [{ sessions: 'a' }, 'meta.sessions must be an object'],
    [{ sessions: [] }, 'meta.sessions must be an object'],
    [
      { sessions: { a: '1', b: '1', c: '1', d: '1', e: '1', f: '1' } },
      'meta.sessions has 6 entries, and an event may carry 5',
    ],
    [{ sessions: { ['k'.repeat(129)]: '1' } }, 'a key of meta.sessions must have 1 to 128 bytes'],
    [{ sessions: { ['é'.repeat(65)]: '1' } }, 'a key of meta.sessions must have 1 to 128 bytes'],
    [{ sessions: { '': '1' } }, 'a key of meta.sessions must have 1 to 128 bytes'],
    [{ sessions: { a: 'i'.repeat(513) } }, 'an id in meta.sessions must have 1 to 512 bytes'],
    [{ sessions: { a: '' } }, 'an id in meta.sessions must have 1 to 512 bytes'],
  ])('%j are refused: %s', (meta, message) =>
    expect(faultOf({ name: 'a', meta })).toMatchObject({ code: 'event_invalid', message }),
  );
});
