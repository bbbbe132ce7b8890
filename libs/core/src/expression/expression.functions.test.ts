import fc from 'fast-check';
import { evaluate as evaluateByLibrary } from '@marcbachmann/cel-js';
import { describe, expect, it } from 'vitest';
import { compile, EVENT_ROOTS } from './expression.compile.js';
import { evaluate } from './expression.evaluate.js';
import { Duration, Timestamp, TypeName, Uint } from './expression.values.js';

const AT = Date.parse('2026-03-08T09:10:11.012Z');
const data = {
  n: 5,
  ms: 1_767_225_600_000,
  s: 'Straße 😀',
  at: '2026-01-02T03:04:05.678+02:00',
  list: [3, 1, 2],
  map: { b: 1, a: 2 },
  json: '{"a": {"b": [1]}}',
};

function run(text: string) {
  const { expression, flaw } = compile(text, { roots: EVENT_ROOTS, policy: 'any' });
  if (!expression) throw new Error(flaw.text);
  return evaluate(expression, { event: { data } }, AT);
}

describe('functions', () => {
  it.each<[string, unknown]>([
    ['size(event.data.s)', 8n],
    ['event.data.list.size()', 3n],
    ['size(event.data.map)', 2n],
    ['size(b"abc")', 3n],
    ['event.data.s.contains("raß")', true],
    ['event.data.s.startsWith("Str")', true],
    ['event.data.s.endsWith("😀")', true],
    ['event.data.s.matches("^S.*e .$")', true],
    ['matches(event.data.s, "raß")', true],
    ['event.data.s.matches("^raß")', false],
    ['event.data.s.matches(event.data.json)', false],
    ['int("42") + int(event.data.n)', 47n],
    ['int(-2.9)', -2n],
    ['int(3u)', 3n],
    ['int(timestamp("1970-01-02T00:00:00Z"))', 86_400n],
    ['uint("42") == 42u', true],
    ['uint(event.data.n)', new Uint(5n)],
    ['double("1.5e3")', 1500],
    ['double("-Inf") < 0', true],
    ['double(5)', 5],
    ['string(event.data.n)', '5'],
    ['string(1.5)', '1.5'],
    ['string(-7)', '-7'],
    ['string(true)', 'true'],
    ['string(b"abc")', 'abc'],
    ['string(duration("90m"))', '5400s'],
    ['string(timestamp(event.data.at))', '2026-01-02T01:04:05.678Z'],
    ['bool("true") && !bool("0")', true],
    ['bytes("é") == b"\\xc3\\xa9"', true],
    ['b"a" + b"b" == b"ab"', true],
    ['dyn(event.data.n)', 5],
    ['type(event.data.n)', new TypeName('double')],
    ['type(1) == int && type(1u) == uint && type("") == string && type(null) == null_type', true],
    ['type([]) == list && type({}) == map && type(true) == bool && type(b"") == bytes', true],
    ['type(int) == type && type(now()) == google.protobuf.Timestamp', true],
    ['type(duration("1s")) == google.protobuf.Duration', true],
    ['lowercase(event.data.s)', 'straße 😀'],
    ['uppercase("abc")', 'ABC'],
    ['b64decode("aGVsbG8gw6k=")', 'hello é'],
    ['b64decode("aGVsbG8")', 'hello'],
    ['json_parse(event.data.json).a.b[0]', 1],
    ['json_parse("{\\"__proto__\\": 1}").polluted == null', true],
    ['date("2026-01-01") == timestamp("2026-01-01T00:00:00Z")', true],
    ['date("2026-01-01 10:30") == timestamp("2026-01-01T10:30:00Z")', true],
    ['date("2026-01-01T10:30:15.5+0130") == timestamp("2026-01-01T09:00:15.5Z")', true],
    ['date(event.data.ms) == timestamp("2026-01-01T00:00:00Z")', true],
    ['date(1767225600000) == date(event.data.ms)', true],
    ['timestamp(1767225600) == date(event.data.ms)', true],
    ['now()', new Timestamp(BigInt(AT) * 1_000_000n)],
    ['string(now_plus("1h"))', '2026-03-08T10:10:11.012Z'],
    ['string(now_minus("1d"))', '2026-03-07T09:10:11.012Z'],
    ['date(event.data.ms) < now() && now() < now_plus("1ms")', true],
    ['now() - now_minus("90s") == duration("1m30s")', true],
    ['string(timestamp("2026-01-31T00:00:00Z") + duration("-1.5s"))', '2026-01-30T23:59:58.5Z'],
    ['string(duration("1h") + timestamp("2026-01-31T00:00:00Z"))', '2026-01-31T01:00:00Z'],
    ['duration("1w2d3h4m5s6ms7us8ns")', new Duration(788_645_006_007_008n)],
    ['duration(".5s") - duration("1s") == -duration("500ms")', true],
    ['duration("0") < duration("1ns")', true],
  ])('%s is %s', (text, value) => {
    expect(run(text)).toEqual({ value });
  });

  it.each<[string, bigint]>([
    ['timestamp("2026-03-08T09:10:11.012Z").getFullYear()', 2026n],
    ['now().getMonth()', 2n],
    ['now().getDate()', 8n],
    ['now().getDayOfMonth()', 7n],
    ['now().getDayOfWeek()', 0n],
    ['now().getDayOfYear()', 66n],
    ['now().getHours()', 9n],
    ['now().getHours("America/New_York")', 5n],
    ['now_minus("3h").getHours("America/New_York")', 1n],
    ['now().getDate("Pacific/Auckland")', 8n],
    ['now_plus("2h").getDate("Pacific/Auckland")', 9n],
    ['now().getHours("+05:30")', 14n],
    ['now().getMinutes("-00:15")', 55n],
    ['now().getMinutes()', 10n],
    ['now().getSeconds()', 11n],
    ['now().getMilliseconds()', 12n],
    ['timestamp("0001-01-01T00:00:00Z").getFullYear("America/New_York")', 0n],
    ['duration("90m").getHours()', 1n],
    ['duration("90m").getMinutes()', 90n],
    ['duration("1.5s").getMilliseconds()', 1500n],
  ])('%s is %s', (text, value) => {
    expect(run(text)).toEqual({ value });
  });

  it.each<[string, unknown]>([
    ['event.data.list.all(i, i > 0)', true],
    ['event.data.list.exists(i, i == 2)', true],
    ['event.data.list.exists_one(i, i > 2)', true],
    ['event.data.list.exists_one(i, i > 1)', false],
    ['event.data.list.map(i, i * 2)', [6, 2, 4]],
    ['event.data.list.map(i, i > 1, i * 2)', [6, 4]],
    ['event.data.list.filter(i, i > 1)', [3, 2]],
    ['event.data.map.exists(key, event.data.map[key] == 2)', true],
    ['event.data.map.map(key, key)', ['b', 'a']],
    ['[[1, 2], [3]].map(row, row.map(i, i + size(row)))', [[3n, 4n], [4n]]],
    ['[1, 2].exists(i, [2, 3].exists(j, i == j))', true],
    ['[1].exists(i, [2].exists(i, i == 2) && i == 1)', true],
    ['{1: "one", "two": 2, true: 3}[event.data.list[1]]', 'one'],
    ['"a" in {"a": null} && !("b" in {"a": null}) && 1.0 in {1: 1}', true],
    ['{"a": 1, "b": [2]} == {"b": [2.0], "a": 1u}', true],
    ['{"b": 1, "a": 2} == event.data.map', true],
    ['{"b": 1, "c": 2} == event.data.map', false],
    ['{"b": 1, "a": 2} == {"a": 2}', false],
    ['"" + {"b": 1, "a": "\\n"}', '{"a":"\\n","b":1}'],
    ['"Z" < "a" && "a" < "ab" && "\\uffff" < "😀"', true],
    ['false < true', true],
  ])('%s is %s', (text, value) => {
    expect(run(text)).toEqual({ value });
  });

  it.each([
    'size(5)',
    'int("4.2")',
    'int("99999999999999999999")',
    'int(9.3e18)',
    'int(double("NaN"))',
    'uint(-1)',
    'double("1,5")',
    'bool("yes")',
    'string(event.data.list)',
    'timestamp("2026-02-30T00:00:00Z")',
    'timestamp("2026-01-01T24:00:00Z")',
    'timestamp("2026-01-01")',
    'timestamp("0000-01-01T00:00:00Z")',
    'timestamp("9999-12-31T23:59:59Z") + duration("1s")',
    'date("yesterday")',
    'date(0.5)',
    'duration("1")',
    'duration("1y")',
    'duration("300000h") + duration("300000h") + duration("3000000h")',
    'now_plus("soon")',
    'now().getHours("Mars/Olympus")',
    'event.data.s.getHours()',
    'lowercase(5)',
    'b64decode("*")',
    'b64decode("a")',
    'json_parse("[1]")',
    'json_parse("null")',
    'json_parse("{")',
    'event.data.n.contains("5")',
    'event.data.s.matches(event.data.s + "(")',
    '{"a": 1, "a": 2}',
    '{[]: 1}',
    'now() < event.data.ms',
  ])('%s fails', (text) => {
    expect(run(text).error).toBeTypeOf('string');
  });
});

describe('where the types are those of CEL, the results are', () => {
  /** Integers, booleans and strings only: no JSON, nothing missing. */
  const ints = fc.letrec<{ int: string }>((tie) => ({
    int: fc.oneof(
      { maxDepth: 3 },
      fc.integer({ min: -20, max: 20 }).map(String),
      fc
        .tuple(tie('int'), fc.constantFrom('+', '-', '*', '/', '%'), tie('int'))
        .map(([left, by, right]) => `(${left} ${by} ${right})`),
      fc.string({ maxLength: 5 }).map((text) => `size(${JSON.stringify(text)})`),
    ),
  })).int;
  const anyTruth = fc.letrec<{ truth: string }>((tie) => ({
    truth: fc.oneof(
      { maxDepth: 3 },
      fc.constantFrom('true', 'false'),
      fc
        .tuple(ints, fc.constantFrom('==', '!=', '<', '<=', '>', '>='), ints)
        .map(([left, by, right]) => `${left} ${by} ${right}`),
      fc.tuple(tie('truth'), fc.constantFrom('&&', '||'), tie('truth')).map(([a, by, b]) => `(${a} ${by} ${b})`),
      tie('truth').map((truth) => `!(${truth})`),
      fc.tuple(fc.array(ints, { maxLength: 3 }), ints).map(([list, int]) => `[${list.join()}].exists(i, i == ${int})`),
      fc.tuple(ints, fc.array(ints, { maxLength: 3 })).map(([int, list]) => `${int} in [${list.join()}]`),
    ),
  })).truth;

  it.each([
    ['numbers', ints],
    ['conditions', anyTruth],
  ])('%s', (_, any) => {
    fc.assert(
      fc.property(any, (text) => {
        let expected: unknown;
        try {
          expected = evaluateByLibrary(text);
        } catch {
          expect(run(text).error).toBeTypeOf('string');
          return;
        }
        expect(run(text)).toEqual({ value: expected });
      }),
      { numRuns: 500 },
    );
  });
});
