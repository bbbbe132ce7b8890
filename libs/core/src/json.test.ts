import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Fault } from './faults.js';
import { canonical, isOver, utf8Bytes } from './json.js';

/** A double from its bits, as RFC 8785 appendix B gives them. */
function double(hex: string): number {
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, BigInt(`0x${hex}`));
  return view.getFloat64(0);
}

describe('canonical JSON (RFC 8785)', () => {
  it('writes the example of section 3.2.2', () => {
    const text = String.raw`{
      "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
      "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
      "literals": [null, true, false]
    }`;
    expect(canonical(JSON.parse(text))).toBe(
      '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
    );
  });

  it('sorts keys by UTF-16 code units, as in section 3.2.3', () => {
    const keys = ['\u20ac', '\r', '\ufb33', '1', '\u{1f600}', '\u0080', '\u00f6'];
    const sorted = ['\r', '1', '\u0080', '\u00f6', '\u20ac', '\u{1f600}', '\ufb33'];
    const text = canonical(Object.fromEntries(keys.map((key) => [key, 0])));
    expect(text).toBe(`{${sorted.map((key) => `${JSON.stringify(key)}:0`).join(',')}}`);
    expect(canonical({ 10: 'b', 9: 'a', B: 0, a: 0, _: 0 })).toBe('{"10":"b","9":"a","B":0,"_":0,"a":0}');
  });

  it.each([
    ['0000000000000000', '0'],
    ['8000000000000000', '0'],
    ['0000000000000001', '5e-324'],
    ['8000000000000001', '-5e-324'],
    ['7fefffffffffffff', '1.7976931348623157e+308'],
    ['ffefffffffffffff', '-1.7976931348623157e+308'],
    ['4340000000000000', '9007199254740992'],
    ['c340000000000000', '-9007199254740992'],
    ['4430000000000000', '295147905179352830000'],
    ['44b52d02c7e14af5', '9.999999999999997e+22'],
    ['44b52d02c7e14af6', '1e+23'],
    ['44b52d02c7e14af7', '1.0000000000000001e+23'],
    ['444b1ae4d6e2ef4e', '999999999999999700000'],
    ['444b1ae4d6e2ef4f', '999999999999999900000'],
    ['444b1ae4d6e2ef50', '1e+21'],
    ['3eb0c6f7a0b5ed8c', '9.999999999999997e-7'],
    ['3eb0c6f7a0b5ed8d', '0.000001'],
    ['41b3de4355555553', '333333333.3333332'],
    ['41b3de4355555554', '333333333.33333325'],
    ['41b3de4355555555', '333333333.3333333'],
    ['41b3de4355555556', '333333333.3333334'],
    ['41b3de4355555557', '333333333.33333343'],
    ['becbf647612f3696', '-0.0000033333333333333333'],
    ['43143ff3c1cb0959', '1424953923781206.2'],
  ])('writes the number of bits %s as %s', (bits, text) => {
    expect(canonical(double(bits))).toBe(text);
  });

  it('escapes what must be, the short way, and nothing else', () => {
    expect(canonical('\b\t\n\f\r"\\/\u0000\u001f\u007f\u2028é😀')).toBe(
      '"\\b\\t\\n\\f\\r\\"\\\\/\\u0000\\u001f\u007f\u2028é😀"',
    );
    expect(canonical('\ud800')).toBe('"\\ud800"');
    expect(canonical('x'.repeat(5000) + '"')).toBe(`"${'x'.repeat(5000)}\\""`);
  });

  it('takes what JSON cannot carry as JSON.stringify does', () => {
    expect(canonical({ b: undefined, a: [undefined, () => 1, NaN, Infinity], c: Symbol('x') })).toBe(
      '{"a":[null,null,null,null]}',
    );
    expect(canonical(undefined)).toBe('null');
    expect(() => canonical(1n)).toThrow(TypeError);
  });

  it('keeps keys that name parts of prototypes', () => {
    const text = '{"__proto__":{"x":1},"constructor":2,"toString":3}';
    expect(canonical(JSON.parse(text))).toBe(text);
  });

  it('says the same value, and says it the same way twice', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
        const text = canonical(value);
        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)));
        expect(canonical(JSON.parse(text))).toBe(text);
      }),
    );
  });

  it('stops at the depth that it is given', () => {
    const nested = (depth: number): unknown => JSON.parse('['.repeat(depth) + ']'.repeat(depth));
    expect(canonical(nested(500), 500)).toHaveLength(1000);
    expect(() => canonical(nested(501), 500)).toThrow(Fault);
    expect(() => canonical(nested(1_000_000), 500)).toThrow('nests deeper');
    expect(canonical('scalar', 0)).toBe('"scalar"');
  });
});

it('counts the bytes of UTF-8', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.nat(40), (text, max) => {
      const bytes = Buffer.byteLength(text);
      expect(utf8Bytes(text)).toBe(bytes);
      expect(isOver(text, max)).toBe(bytes > max);
    }),
  );
});
