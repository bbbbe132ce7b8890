import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Fault } from '../faults.js';
import { EventSplitter, type SplitEvent, type SplitLimits } from './event.split.js';

const BOM = '\ufeff';

/** Feeds a body in pieces of the given lengths; the rest follows in one. */
function split(
  body: string | Uint8Array,
  lengths: readonly number[] = [],
  limits?: SplitLimits,
): readonly SplitEvent[] {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  const splitter = new EventSplitter(limits);
  const events: SplitEvent[] = [];
  let at = 0;
  for (const length of [...lengths, bytes.length]) {
    events.push(...splitter.push(bytes.subarray(at, at + length)));
    at += length;
  }
  splitter.end();
  return events;
}

function faultOf(body: string | Uint8Array, lengths?: readonly number[], limits?: SplitLimits): Fault {
  try {
    split(body, lengths, limits);
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
  throw new Error('no fault');
}

describe('a request body', () => {
  it.each([
    ['', []],
    [' \r\n\t', []],
    [BOM, []],
    ['[]', []],
    [' [ ] ', []],
    ['{}', [{}]],
    ['{"name":"a"}', [{ name: 'a' }]],
    [' {"name":"a"}\n', [{ name: 'a' }]],
    ['[{"name":"a"},{"name":"b"}]', [{ name: 'a' }, { name: 'b' }]],
    [' [ {"name":"a"} ,\n{"name":"b"} ] ', [{ name: 'a' }, { name: 'b' }]],
    [BOM + '[{"name":"a"}]', [{ name: 'a' }]],
    ['{"a":"}]{[,\\"\\\\"}', [{ a: '}]{[,"\\' }]],
    ['{"a":[{"b":[]},{}]}', [{ a: [{ b: [] }, {}] }]],
    ['{"a":"é😀\\ud83d"}', [{ a: 'é😀\ud83d' }]],
  ])('%j has the events %j, also byte by byte', (body, values) => {
    expect(split(body).map((event) => event.value)).toEqual(values);
    expect(split(body, Array(100).fill(1)).map((event) => event.value)).toEqual(values);
  });

  it('gives an event as soon as its last byte is in', () => {
    const splitter = new EventSplitter();
    expect(splitter.push(Buffer.from('[{"n":1},{"n":'))).toEqual([{ value: { n: 1 }, bytes: 7 }]);
    expect(splitter.push(Buffer.from('2'))).toEqual([]);
    expect(splitter.push(Buffer.from('} , {}'))).toEqual([
      { value: { n: 2 }, bytes: 7 },
      { value: {}, bytes: 2 },
    ]);
    splitter.push(Buffer.from(']'));
    splitter.end();
  });

  it.each([
    'null',
    '"x"',
    '5',
    'true',
    'hello',
    '}',
    ',',
    '\u00e9',
    '\ufeffnull',
    '[5]',
    '["a"]',
    '[null]',
    '[[{}]]',
    '[{},-1]',
  ])('%j is neither an event nor a list of events', (body) => {
    const fault = faultOf(body);
    expect(fault.code).toBe('event_body_invalid');
    expect(fault.message).toBe('Request body must contain an event object or an array of event objects');
  });

  it.each([
    '{',
    '[',
    '[{}',
    '[{},',
    '[,{}]',
    '[{},]',
    '[{} {}]',
    '[}',
    '{"a"}',
    "{'a':1}",
    '{"a":1,}',
    '{"a":[}]',
    '{"a":"\n"}',
    '{"a":01}',
    '{} {}',
    '{}x',
    '{},',
    '[]]',
    '[] {}',
    '[{}]\0',
    '{}\ufeff',
    '[\ufeff{}]',
    '[\u00a0]',
  ])('%j is not valid JSON', (body) => expect(faultOf(body).code).toBe('body_unreadable'));

  it('may not begin with half a byte order mark', () => {
    expect(faultOf(Buffer.from([0xef, 0xbb])).code).toBe('body_unreadable');
    expect(faultOf(Buffer.from([0xef, 0xbb, 0x7b, 0x7d])).code).toBe('event_body_invalid');
    expect(faultOf(Buffer.from([0x20, 0xef, 0xbb, 0xbf, 0x7b, 0x7d])).code).toBe('event_body_invalid');
    expect(faultOf(BOM + BOM + '{}').code).toBe('event_body_invalid');
  });

  it('is a list or is not, from its first byte on', () => {
    const splitter = new EventSplitter();
    splitter.push(Buffer.from(' '));
    expect(splitter.isList).toBe(false);
    splitter.push(Buffer.from('['));
    expect(splitter.isList).toBe(true);
  });

  it('must be UTF-8', () => {
    for (const bytes of [[0xff], [0xc3], [0xed, 0xa0, 0x80], [0xc0, 0x80], [0xf5, 0x80, 0x80, 0x80]]) {
      const body = Buffer.concat([Buffer.from('{"a":"'), Buffer.from(bytes), Buffer.from('"}')]);
      expect(faultOf(body).code).toBe('body_unreadable');
    }
  });

  it('says which event of a list is at fault, and keeps saying it', () => {
    expect(faultOf('[{},{},{"a"}]').data).toEqual({ index: 2 });
    expect(faultOf('[{},5]').data).toEqual({ index: 1 });
    expect(faultOf('{"a"}').data).toEqual({});
    const splitter = new EventSplitter();
    expect(() => splitter.push(Buffer.from('[{"a"},'))).toThrow(Fault);
    expect(() => splitter.push(Buffer.from('{}]'))).toThrow('not valid JSON');
    expect(() => splitter.end()).toThrow('not valid JSON');
  });
});

describe('the limits of a request', () => {
  it('bound an event at 3 MB, and tell its size', () => {
    const largest = `{"s":"${'x'.repeat(3_145_728 - 8)}"}`;
    expect(split(largest).map((event) => event.bytes)).toEqual([3_145_728]);
    const fault = faultOf(`[{},${largest.replace('"s"', '"s" ')}]`, [1_000, 2_000_000, 1_145_000]);
    expect(fault.code).toBe('event_too_large');
    expect(fault.message).toBe('Event is over the max size: Max 3145728 bytes / Size 3145729 bytes');
    expect(fault.data).toEqual({ bytes: 3_145_729, bytesMax: 3_145_728, index: 1 });
    expect(faultOf(`{"s":"${'x'.repeat(5_242_911 - 8)}"}`).message).toContain('Size 5242911 bytes');
  });

  const limits = { eventBytesMax: 10, eventsMax: 3, depthMax: 3 };

  it('bound an event that has no end', () => {
    expect(faultOf('{"s":"1234', [], limits).code).toBe('body_unreadable');
    expect(faultOf('{"s":"12345', [], limits).code).toBe('event_too_large');
    expect(faultOf('{"s":"12345', [1, 1, 1, 1], limits).data).toEqual({ bytes: 11, bytesMax: 10 });
  });

  it('bound the number of events, before the one too many is in', () => {
    expect(split('[{},{},{}]', [], limits)).toHaveLength(3);
    expect(faultOf('[{},{},{},{', [], limits).code).toBe('events_too_many');
    expect(split(`[${Array(5_000).fill('{}').join()}]`)).toHaveLength(5_000);
    expect(faultOf(`[${Array(5_001).fill('{}').join()}]`).code).toBe('events_too_many');
  });

  it('bound the depth of an event, before its end is in', () => {
    expect(split('[{"a":[[]]}]', [], { ...limits, eventBytesMax: 99 })).toHaveLength(1);
    expect(faultOf('{"a":[[[', [], limits).code).toBe('body_too_deep');
    expect(split(`{"a":${'['.repeat(499)}${']'.repeat(499)}}`)).toHaveLength(1);
    expect(faultOf(`{"a":${'['.repeat(500)}${']'.repeat(500)}}`).code).toBe('body_too_deep');
  });
});

/** What JSON.parse makes of a whole body: its events, or nothing. */
function whole(body: Uint8Array): readonly unknown[] | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(body);
    if (/^[ \t\r\n]*$/.test(text)) return [];
    const value: unknown = JSON.parse(text);
    const values: readonly unknown[] = Array.isArray(value) ? value : [value];
    return values.every((item) => typeof item === 'object' && item !== null && !Array.isArray(item))
      ? values
      : undefined;
  } catch {
    return undefined;
  }
}

describe('however the body is cut', () => {
  const space = fc.constantFrom('', '', '', ' ', '\n', '\t \r\n');
  const event = fc.dictionary(fc.string({ unit: 'binary', maxLength: 5 }), fc.jsonValue(), { maxKeys: 3 });
  const text = fc.tuple(event, fc.boolean()).map(([value, wide]) => JSON.stringify(value, null, wide ? 1 : 0));
  const body = fc.oneof(
    fc
      .tuple(space, fc.array(fc.tuple(space, text, space)), space, fc.constantFrom('', BOM))
      .map(([before, items, after, mark]) => {
        const inner = items.map(([left, item, right]) => left + item + right).join();
        return { text: `${mark}${before}[${inner}]${after}`, sizes: items.map(([, item]) => Buffer.byteLength(item)) };
      }),
    fc
      .tuple(space, text, space)
      .map(([before, item, after]) => ({ text: before + item + after, sizes: [Buffer.byteLength(item)] })),
  );
  const lengths = fc.array(fc.integer({ min: 0, max: 12 }), { maxLength: 200 });

  it('has the events that JSON.parse finds in the whole', () => {
    fc.assert(
      fc.property(body, lengths, ({ text, sizes }, cuts) => {
        const events = split(text, cuts);
        expect(events.map((item) => item.value)).toEqual(whole(Buffer.from(text)));
        expect(events.map((item) => item.bytes)).toEqual(sizes);
      }),
      { numRuns: 500 },
    );
  });

  it('is refused exactly where JSON.parse refuses the whole, or finds no objects', () => {
    const byte = fc.oneof(fc.constantFrom(...Buffer.from('{}[]",:\\ 0n')), fc.nat(255));
    const damage = fc.record({ place: fc.nat(), drop: fc.nat(2), bytes: fc.array(byte, { maxLength: 2 }) });
    fc.assert(
      fc.property(body, damage, lengths, ({ text }, { place, drop, bytes }, cuts) => {
        const clean = Buffer.from(text);
        const at = place % (clean.length + 1);
        const damaged = Buffer.concat([clean.subarray(0, at), Uint8Array.from(bytes), clean.subarray(at + drop)]);
        const expected = whole(damaged);
        if (expected) expect(split(damaged, cuts).map((item) => item.value)).toEqual(expected);
        else expect(['body_unreadable', 'event_body_invalid']).toContain(faultOf(damaged, cuts).code);
      }),
      { numRuns: 1_000 },
    );
  });
});
