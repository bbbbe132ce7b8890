import { describe, expect, it } from 'vitest';
import { compile, EVENT_ROOTS } from './expression.compile.js';
import { evaluate, evaluateBoolean } from './expression.evaluate.js';
import { MISSING } from './expression.values.js';

/** The tables of sections 6.3 and 6.4, row by row. `m` and `m2` stand for paths that are missing. */
const data = {
  n: 5,
  half: 0.5,
  zero: 0,
  s: 'text',
  empty: '',
  yes: true,
  no: false,
  nothing: null,
  list: [1, 'a', { id: 7 }],
  none: [],
  map: { a: 1, null: null },
};

function compiled(text: string) {
  const cel = text.replace(/\bm2\b/g, 'event.data.gone.too').replace(/\bm\b/g, 'event.data.gone');
  const { expression, flaw } = compile(cel, { roots: EVENT_ROOTS, policy: 'any' });
  if (!expression) throw new Error(flaw.text);
  return expression;
}

const AT = Date.UTC(2026, 0, 1);
const valueOf = (text: string) => evaluate(compiled(text), { event: { data } }, AT).value;
const errorOf = (text: string) => evaluate(compiled(text), { event: { data } }, AT).error;
const verdictOf = (text: string) => evaluateBoolean(compiled(text), { event: { data } }, AT);

describe('what is missing', () => {
  it('is false where a condition is wanted, and a value of its own where it is not', () => {
    expect(verdictOf('m')).toEqual({ value: false });
    expect(verdictOf('event.gone.deep["down"].there')).toEqual({ value: false });
    expect(valueOf('m')).toBe(MISSING);
  });

  it.each([
    ['m == null', true],
    ['m != null', false],
    ['null == m', true],
    ['m == 1', false],
    ['m == "x"', false],
    ['m == false', false],
    ['m == 0', false],
    ['m == ""', false],
    ['m == []', false],
    ['m != 1', true],
    ['m != false', true],
    ['m != ""', true],
    ['m == m2', false],
    ['m != m2', true],
    ['m == m', false],
    ['m < 1', true],
    ['m <= 1', true],
    ['1 > m', true],
    ['1 >= m', true],
    ['m > 1', false],
    ['m >= 1', false],
    ['1 < m', false],
    ['1 <= m', false],
    ['m < "x"', true],
    ['m < m2', false],
    ['m >= m2', false],
    ['m <= null', true],
    ['m + "x"', 'x'],
    ['"x" + m', 'x'],
    ['m + m2', MISSING],
    ['m + m2 == m', false],
    ['size(m)', 0n],
    ['m.size() == 0', true],
    ['m in [1, null]', false],
    ['1 in m', false],
    ['m in m2', false],
    ['m.contains("x")', false],
    ['event.data.s.contains(m)', false],
    ['m.startsWith("x")', false],
    ['m.endsWith("x")', false],
    ['m.matches("x")', false],
    ['matches(m, "x")', false],
    ['m.exists(i, i == 1)', false],
    ['m.exists_one(i, i == 1)', false],
    ['m.all(i, i == 1)', false],
    ['m.map(i, i)', MISSING],
    ['size(m.filter(i, true))', 0n],
    ['!m', true],
    ['!(m + m2)', true],
    ['has(m)', false],
    ['!has(m)', true],
    ['has(event.data.gone.deep.down)', false],
    ['has(event.data.s)', true],
    ['m || "default"', 'default'],
    ['m && true', MISSING],
    ['m ? 1 : 2', 2n],
    ['m.deep["down"][3]', MISSING],
    ['event.data.map[m]', MISSING],
    ['event.data.s.deep', MISSING],
    ['event.data.nothing.deep == null', true],
    ['lowercase(m)', MISSING],
    ['lowercase(m) == "x"', false],
    ['[m] == [null]', true],
    ['{"a": m}.a == null', true],
  ])('%s is %s', (text, value) => {
    expect(valueOf(text)).toEqual(value);
  });

  it.each(['m - 1', '1 * m', 'm / 2', 'm % 2', '-m'])('%s fails', (text) => {
    expect(errorOf(text)).toBeTypeOf('string');
  });
});

describe('null', () => {
  it.each([
    ['event.data.nothing == null', true],
    ['event.data.nothing == 0', false],
    ['event.data.nothing == false', false],
    ['event.data.nothing > 1', false],
    ['event.data.nothing < 1', true],
    ['event.data.nothing <= null', true],
    ['event.data.nothing < null', false],
    ['has(event.data.nothing)', true],
    ['event.data.nothing || "default"', 'default'],
    ['event.data.nothing in [null]', true],
  ])('%s is %s', (text, value) => {
    expect(valueOf(text)).toEqual(value);
  });

  it.each(['!event.data.nothing', 'event.data.nothing + 1', 'event.data.nothing.size()'])('%s fails', (text) => {
    expect(errorOf(text)).toBeTypeOf('string');
  });
});

describe('truth', () => {
  it.each([
    ['event.data.zero || event.data.empty || event.data.s', 'text'],
    ['event.data.zero || event.data.empty', ''],
    ['event.data.none || 1', []],
    ['event.data.s && event.data.n', 5],
    ['event.data.zero && true', 0],
    ['event.data.empty && true', ''],
    ['event.data.nothing && true', null],
    ['event.data.yes && event.data.s', 'text'],
    ['event.data.s ? "yes" : "no"', 'yes'],
    ['event.data.zero ? "yes" : "no"', 'no'],
    ['event.data.none ? "yes" : "no"', 'yes'],
    ['0u ? "yes" : "no"', 'no'],
    ['event.data.no || event.data.yes', true],
    ['event.data.list.exists(i, i)', true],
    ['event.data.list.all(i, i)', true],
  ])('%s is %s', (text, value) => {
    expect(valueOf(text)).toEqual(value);
  });

  it.each([
    ['event.data.s < 1 || true', true],
    ['true || event.data.s < 1', true],
    ['event.data.s < 1 && false', false],
    ['event.data.s < 1 || event.data.n < 1 || event.data.yes', true],
    ['event.data.list.exists(i, i < 2)', true],
    ['event.data.list.all(i, i < 1)', false],
  ])('%s is %s: what decides outweighs what fails', (text, value) => {
    expect(valueOf(text)).toBe(value);
  });

  it.each([
    '!event.data.s',
    '!0',
    '!event.data.none',
    'event.data.s < 1 || false',
    'event.data.s < 1 && true',
    'event.data.s < 1 ? 1 : 2',
    'event.data.list.exists(i, i < 1)',
    'event.data.list.exists_one(i, i < 2)',
    'event.data.list.map(i, i < 2)',
    'event.data.list[3]',
    'event.data.list[-1]',
    'event.data.list[0.5]',
    'event.data.list["a"]',
    'event.data.n < "5"',
    'event.data.s > 5',
    'event.data.n in "5"',
    'event.data.map < event.data.map',
  ])('%s fails', (text) => {
    expect(errorOf(text)).toBeTypeOf('string');
  });

  it('a condition is a real boolean', () => {
    expect(verdictOf('event.data.yes')).toEqual({ value: true });
    expect(verdictOf('event.data.no')).toEqual({ value: false });
    expect(verdictOf('event.data.s')).toEqual({ error: 'the result is no boolean but string' });
    expect(verdictOf('event.data.n')).toEqual({ error: 'the result is no boolean but double' });
    expect(verdictOf('event.data.nothing')).toEqual({ error: 'the result is no boolean but null_type' });
    expect(verdictOf('event.data.list')).toEqual({ error: 'the result is no boolean but list' });
    expect(verdictOf('event.data.s && event.data.yes')).toEqual({ value: true });
    expect(verdictOf('event.data.n / 0')).toEqual({ error: 'division by zero' });
  });
});

describe('numbers', () => {
  it.each([
    ['event.data.n == 5', true],
    ['event.data.n == 5.0', true],
    ['event.data.n == 5u', true],
    ['event.data.n in [5, 6]', true],
    ['event.data.n >= 5 && 5 <= event.data.n', true],
    ['event.data.half < 1', true],
    ['event.data.n == "5"', false],
    ['event.data.n != "5"', true],
    // Arithmetic between the two is numeric: section 27, 6.
    ['event.data.n + 1', 6],
    ['event.data.n * 2', 10],
    ['event.data.n - 1', 4],
    ['event.data.n / 2', 2.5],
    ['event.data.n % 2 == 1', true],
    ['event.data.n + 1.0', 6],
    ['event.data.n * 2.0', 10],
    ['int(event.data.n) % 2 == 1', true],
    ['event.data.n + event.data.half', 5.5],
    ['-event.data.n', -5],
    ['1 / event.data.zero', Infinity],
    // Among themselves, integers are such.
    ['5 / 2', 2n],
    ['-5 / 2', -2n],
    ['-5 % 2', -1n],
    ['5u / 2u == 2u', true],
    ['7 - 9u', -2n],
    ['-9223372036854775808 + 9223372036854775807', -1n],
    ['0x10 == 16', true],
    ['2e3 == 2000', true],
    // A string takes everything in.
    ['"n: " + event.data.n', 'n: 5'],
    ['event.data.n + "!"', '5!'],
    ['"" + 7', '7'],
    ['"" + 7u', '7'],
    ['"" + event.data.half', '0.5'],
    ['"" + event.data.yes', 'true'],
    ['"" + event.data.nothing', 'null'],
    ['"" + event.data.list', '[1,"a",{"id":7}]'],
    ['[1] + event.data.none', [1n]],
  ])('%s is %s', (text, value) => {
    expect(valueOf(text)).toEqual(value);
  });

  it.each([
    'event.data.n / 0',
    'event.data.n % 0',
    '1 / 0',
    '1 % 0',
    '9223372036854775807 + 1',
    '-9223372036854775808 - 1',
    '-(-9223372036854775808 + 0)',
    '1u - 2u',
    'event.data.s * 2',
    'event.data.s - event.data.s',
    'event.data.list + 1',
    'event.data.yes + 1',
  ])('%s fails', (text) => {
    expect(errorOf(text)).toBeTypeOf('string');
  });

  it('no number equals or orders NaN', () => {
    for (const by of ['==', '<', '<=', '>', '>=']) expect(valueOf(`double("NaN") ${by} double("NaN")`)).toBe(false);
    expect(valueOf('double("NaN") != event.data.n')).toBe(true);
  });
});

describe('names of JavaScript', () => {
  it.each([
    'event.__proto__',
    'event.constructor',
    'event.data.toString',
    'event.data["__proto__"]["constructor"]',
    'event.data.list.length',
    'event.data.s.length',
    'event.data.map["hasOwnProperty"]',
    '{"a": 1}.constructor',
  ])('%s is missing', (text) => {
    expect(valueOf(text)).toBe(MISSING);
  });

  it('are fields like others when the event has them', () => {
    const event = JSON.parse('{"__proto__": {"constructor": "mine"}}') as object;
    expect(evaluate(compiled('event.__proto__.constructor == "mine"'), { event }, AT)).toEqual({ value: true });
    expect(evaluate(compiled('event["__proto__"] == {"constructor": "mine"}'), { event }, AT)).toEqual({ value: true });
    expect(evaluate(compiled('"__proto__" in event && !("toString" in event)'), { event }, AT)).toEqual({
      value: true,
    });
  });
});
