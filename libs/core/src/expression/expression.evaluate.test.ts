import { describe, expect, it } from 'vitest';
import { compile, EVENT_ROOTS } from './expression.compile.js';
import { evaluate, evaluateBoolean, evaluateKey, evaluatePriority } from './expression.evaluate.js';

const AT = Date.UTC(2026, 0, 1);

function compiled(text: string) {
  const { expression, flaw } = compile(text, { roots: EVENT_ROOTS, policy: 'any' });
  if (!expression) throw new Error(flaw.text);
  return expression;
}

const key = (text: string, data: unknown = {}) => evaluateKey(compiled(text), { event: { data } }, AT);
const priority = (text: string, data: unknown = {}) => evaluatePriority(compiled(text), { event: { data } }, AT);

describe('a key', () => {
  it.each<[string, unknown, string]>([
    ['event.data.id', { id: 'x' }, 'x'],
    ['event.data.id', { id: '' }, ''],
    ['event.data.id', { id: 5 }, '5'],
    ['event.data.id', { id: -0 }, '0'],
    ['event.data.id', { id: 0.25 }, '0.25'],
    ['event.data.id', { id: true }, 'true'],
    ['event.data.id', { id: null }, 'null'],
    ['event.data.id', { id: { b: [1, 'x'], a: null } }, '{"a":null,"b":[1,"x"]}'],
    ['event.data.a + "-" + event.data.b', { a: 'x', b: 7 }, 'x-7'],
    ['event.data.a + "-" + event.data.b', { a: 'x' }, 'x-'],
    ['5', {}, '5'],
    ['"false"', {}, 'false'],
    ['event.data.at', { at: '2026' }, '2026'],
    ['date("2026-01-01")', {}, '2026-01-01T00:00:00Z'],
    [
      '[timestamp(0), duration("1s"), 1u, 9007199254740993, double("NaN")]',
      {},
      '["1970-01-01T00:00:00Z","1s",1,9007199254740993,NaN]',
    ],
  ])('%s of %j is %s', (text, data, expected) => {
    expect(key(text, data)).toEqual({ text: expected });
  });

  it('that is false, or missing, says so: it switches some controls off', () => {
    expect(key('event.data.id', { id: false })).toEqual({ text: 'false', off: 'false' });
    expect(key('event.data.plan == "pro" && event.data.id', { plan: 'free' })).toEqual({ text: 'false', off: 'false' });
    expect(key('event.data.id')).toEqual({ text: 'false', off: 'missing' });
  });

  it('that fails is an error', () => {
    expect(key('event.data.id < 5', { id: 'x' })).toEqual({ error: 'no order between string and int' });
  });
});

describe('a priority', () => {
  it.each<[string, unknown, number]>([
    ['100', {}, 100],
    ['-5', {}, -5],
    ['7u', {}, 7],
    ['event.data.n', { n: 60 }, 60],
    ['event.data.n', { n: -0 }, 0],
    ['int(event.data.n)', { n: 60 }, 60],
    ['event.data.plan == "pro" ? 180 : 0', { plan: 'pro' }, 180],
    ['43200', {}, 43_200],
  ])('%s of %j is %d', (text, data, seconds) => {
    expect(priority(text, data)).toEqual({ seconds });
  });

  it.each<[string, unknown, number, string]>([
    ['43201', {}, 43_200, '43200 is the most'],
    ['event.data.n', { n: -1e300 }, -43_200, '-43200 is the least'],
    ['event.data.n', { n: 1.5 }, 0, 'the result is no integer but double'],
    ['event.data.n', { n: '60' }, 0, 'the result is no integer but string'],
    ['event.data.n', {}, 0, 'the result is no integer but missing'],
    ['event.data.n > 1', { n: 60 }, 0, 'the result is no integer but bool'],
    ['1 / 0', {}, 0, 'division by zero'],
  ])('%s of %j is %d: %s', (text, data, seconds, reason) => {
    expect(priority(text, data)).toEqual({ seconds, reason });
  });
});

describe('the cost of an evaluation is bounded', () => {
  const list = Array.from({ length: 20_000 }, (_, i) => i);
  const text = 'a'.repeat(1_000_000);
  const long = 'ab'.repeat(50_000) + 'c' + 'ab'.repeat(50_000);
  const event = { data: { list, text, long, lists: [list, list], map: Object.fromEntries(list.map((i) => [i, i])) } };
  const errorOf = (expression: string) => evaluate(compiled(expression), { event }, AT).error;

  it.each([
    ['event.data.list.exists(i, event.data.list.exists(j, i + j < 0))'],
    ['event.data.list.exists(i, i in event.data.list && i < 0)'],
    ['event.data.list.exists(i, event.data.list == event.data.lists[0] && i < 0)'],
    ['event.data.list.exists(i, event.data.map.size() < 0)'],
    ['event.data.list.exists(i, "" + event.data.map == "")'],
    ['event.data.list.map(i, event.data.text) + "" == ""'],
    ['event.data.list.map(i, event.data.list + event.data.list)'],
    ['event.data.list.exists(i, event.data.text + "b" + event.data.text == "")'],
    ['event.data.list.exists(i, lowercase(event.data.text) == "")'],
    ['event.data.list.exists(i, event.data.text.contains(event.data.long))'],
    ['event.data.text.matches("(a|b)*a(a|b){900}c")'],
    ['event.data.list.exists(i, event.data.text.matches(string(i)))'],
    ['event.data.list.exists(i, now().getHours("Europe/Berlin") < 0)'],
  ])('%s', (expression) => {
    expect(errorOf(expression)).toBe('the evaluation takes too many steps');
  });

  it('text that doubles again and again', () => {
    let expression = 'event.data.text';
    for (let i = 0; i < 60; i++) expression = `[${expression}].map(x${i}, x${i} + x${i})[0]`;
    expect(errorOf(expression)).toBe('the evaluation takes too many steps');
  });

  it('values that hold one another many times', () => {
    let expression = '[1]';
    for (let i = 0; i < 60; i++) expression = `[${expression}].map(x${i}, [x${i}, x${i}])[0]`;
    expect(errorOf(expression)).toBeUndefined();
    expect(errorOf(`${expression} == ${expression}`)).toBe('the evaluation takes too many steps');
    expect(evaluateKey(compiled(expression), { event }, AT).error).toBe('the evaluation takes too many steps');
  });

  it('nothing hides that it is used up', () => {
    const costly = 'event.data.list.exists(i, event.data.list.exists(j, i + j < 0))';
    expect(errorOf(`${costly} || true`)).toBe('the evaluation takes too many steps');
    expect(evaluateBoolean(compiled(`!(${costly}) && false`), { event }, AT).value).toBeUndefined();
  });

  it('json_parse does not nest deeper than events do', () => {
    const nested = (depth: number) => JSON.stringify('{"a":' + '['.repeat(depth) + ']'.repeat(depth) + '}');
    expect(errorOf(`json_parse(${nested(499)}).a == 1`)).toBeUndefined();
    expect(errorOf(`json_parse(${nested(500)}).a == 1`)).toBe('json_parse: this nests too deeply');
    expect(errorOf(`json_parse("{\\"a\\": \\"${'['.repeat(600)}\\"}").a == 1`)).toBeUndefined();
  });

  it('what people write stays far below', () => {
    expect(errorOf('event.data.list.exists(i, i == 19999) && event.data.text.contains("b")')).toBeUndefined();
    expect(errorOf('event.data.text.matches("^a+$")')).toBe('the evaluation takes too many steps');
    expect(errorOf('event.data.long.matches("b+c")')).toBeUndefined();
  });
});
