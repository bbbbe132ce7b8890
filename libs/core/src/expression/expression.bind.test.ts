import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { anyEvent, anyMatchExpression } from '#testkit/any-match.js';
import { bind, demandsOf, evaluateBound, foldsFalse, neverTrue, offered, usesEvent } from './expression.bind.js';
import { compile, MATCH_ROOTS } from './expression.compile.js';
import { evaluateBoolean } from './expression.evaluate.js';

const AT = Date.UTC(2026, 0, 1);

function compiled(text: string) {
  const { expression, flaw } = compile(text, { roots: MATCH_ROOTS, policy: 'any' });
  if (!expression) throw new Error(flaw.text);
  return expression;
}

function bound(text: string, data: unknown = {}) {
  const result = bind(compiled(text), { data });
  if (!result) throw new Error('not bound');
  return result;
}

const demands = (text: string, data?: unknown) => demandsOf(bound(text, data));

describe('an expression whose event is known', () => {
  const path = ['data', 'id'];

  it.each([
    ['async.data.id == event.data.id', { id: 'x' }, { path, value: 'x', whole: true }],
    ['event.data.id == async.data.id', { id: 'x' }, { path, value: 'x', whole: true }],
    ['async["data"]["id"] == event.data.id', { id: 'x' }, { path, value: 'x', whole: true }],
    ['async.data.id == 5', {}, { path, value: 5, whole: true }],
    ['async.data.id == event.data.id', { id: 5 }, { path, value: 5, whole: true }],
    ['async.data.id == true', {}, { path, value: true, whole: true }],
    [
      'async.data.id == event.data.first + "-" + event.data.last',
      { first: 'a', last: 'b' },
      { path, value: 'a-b', whole: true },
    ],
    ['async.data.id == "x" && async.data.n > 3', {}, { path, value: 'x', whole: false }],
    ['(async.data.n > 3 && (event.data.ok && async.data.id == "x"))', { ok: true }, { path, value: 'x', whole: false }],
  ])('%s demands its equality', (text, data, demand) => {
    expect(demands(text, data)).toEqual([demand]);
  });

  it.each([
    ['async.data.id == null', {}],
    ['async.data.id == event.data.id', { id: null }],
    ['async.data.id == event.data.id', {}],
  ])('%s with nothing on one side demands null or nothing, which is not the whole', (text, data) => {
    expect(demands(text, data)).toEqual([{ path, value: null, whole: false }]);
  });

  it('demands all equalities of a conjunction', () => {
    expect(demands('async.data.a == 1 && async.data.b == event.data.b', { b: 'x' })).toEqual([
      { path: ['data', 'a'], value: 1, whole: false },
      { path: ['data', 'b'], value: 'x', whole: false },
    ]);
  });

  it.each([
    'async.data.id != "x"',
    'async.data.id == "x" || async.data.n == 1',
    '!(async.data.id == "x")',
    'async.data.ok ? async.data.id == "x" : false',
    'async.data.id == async.data.other',
    'async.data.ids[0] == "x"',
    'async.data.id == [1]',
    'async.data.id == double("NaN")',
    'async.data.at == string(now())',
    '[1].exists(x, async.data.id == x)',
    'async.data.id == timestamp("2026-01-01T00:00:00Z")',
  ])('%s demands nothing', (text) => {
    expect(demands(text)).toEqual([]);
  });

  it('keeps of the event the values that the expression asks for, and nothing else', () => {
    expect(
      bound('async.data.n > event.data.n && event.data.name == "x"', { n: 5, name: 'x', rest: 'long' }).slots,
    ).toEqual([5, true]);
  });

  it('takes macros over the event as one value, and those that look at what arrives apart', () => {
    const data = { list: [1, 2, 3] };
    expect(bound('async.data.n == 1 && event.data.list.exists(i, [i].exists(j, j == 3))', data).slots).toEqual([true]);
    expect(bound('event.data.list.exists(i, i == async.data.n)', data).slots).toEqual([[1, 2, 3]]);
    expect(bound('async.data.list.exists(i, event.data.list.exists(j, i == j))', data).slots).toEqual([[1, 2, 3]]);
  });

  it('does not take the time of binding for that of matching', () => {
    const late = bound('now() > timestamp("2026-01-01T12:00:00Z") && async.data.n == 1');
    expect(evaluateBound(late, { data: { n: 1 } }, AT)).toEqual({ value: false });
    expect(evaluateBound(late, { data: { n: 1 } }, AT + 86_400_000)).toEqual({ value: true });
    expect(neverTrue(late)).toBe(false);
  });

  it('says whether it needs the event', () => {
    expect(usesEvent(compiled('async.data.id == event.data.id'))).toBe(true);
    expect(usesEvent(compiled('async.data.id == "x"'))).toBe(false);
  });

  it('is not bound when the part over the event alone costs too much', () => {
    const list = Array.from({ length: 2_000 }, (_, i) => i);
    const costly = compiled('async.data.n == 1 || event.data.list.exists(i, event.data.list.exists(j, i + j < 0))');
    expect(bind(costly, { data: { list } })).toBeUndefined();
    expect(foldsFalse(costly, { data: { list } })).toBe(false);
    expect(evaluateBoolean(costly, { event: { data: { list } }, async: { data: { n: 1 } } }, AT)).toEqual({
      value: true,
    });
  });
});

describe('folding', () => {
  it.each([
    ['event.data.plan == "pro" && async.data.id == event.data.id', { plan: 'free' }],
    ['async.data.id == event.data.id && event.data.plan == "pro"', { plan: 'free' }],
    ['event.data.missing && async.data.id == "x"', {}],
    ['event.data.s < 5 && async.data.id == "x"', { s: 'text' }],
    ['event.data.a == 1 || (event.data.b == 1 && async.data.id == "x")', { a: 2, b: 2 }],
    ['event.data.a == 1 ? async.data.id == "x" : false', { a: 2 }],
    ['async.data.id == event.data.list[3]', { list: [] }],
    ['event.data.s', { s: 'text' }],
    ['false', {}],
  ])('%s is false whatever arrives', (text, data) => {
    expect(foldsFalse(compiled(text), { data })).toBe(true);
  });

  it.each([
    ['event.data.plan == "pro" && async.data.id == event.data.id', { plan: 'pro', id: 'x' }],
    ['event.data.plan == "pro" || async.data.id == event.data.id', { plan: 'free', id: 'x' }],
    ['!event.data.missing && async.data.id == "x"', {}],
    ['async.data.id == event.data.missing', {}],
    ['true', {}],
  ])('%s may become true', (text, data) => {
    expect(foldsFalse(compiled(text), { data })).toBe(false);
  });
});

describe('laws', () => {
  const scene = fc.record({ text: anyMatchExpression, event: anyEvent, async: anyEvent });

  it('what is bound says the same as the whole', () => {
    fc.assert(
      fc.property(scene, ({ text, event, async }) => {
        const expression = compiled(text);
        const whole = evaluateBoolean(expression, { event, async }, AT);
        const parts = bind(expression, event);
        expect(parts && evaluateBound(parts, async, AT)).toEqual(whole);
      }),
      { numRuns: 1_000 },
    );
  });

  it('nothing is true without its demands, and a demand that is the whole is enough', () => {
    fc.assert(
      fc.property(scene, ({ text, event, async }) => {
        const expression = compiled(text);
        const { value } = evaluateBoolean(expression, { event, async }, AT);
        const parts = bind(expression, event);
        const met = (parts ? demandsOf(parts) : []).map((demand) => ({
          ...demand,
          met: offered(async, demand.path) === demand.value,
        }));
        if (value) expect(met.filter((demand) => !demand.met)).toEqual([]);
        for (const demand of met) if (demand.whole) expect(demand.met).toBe(value === true);
      }),
      { numRuns: 1_000 },
    );
  });

  it('what folds to false is true for nothing that arrives', () => {
    fc.assert(
      fc.property(scene, ({ text, event, async }) => {
        const expression = compiled(text);
        if (foldsFalse(expression, event)) {
          expect(evaluateBoolean(expression, { event, async }, AT).value).not.toBe(true);
        }
      }),
      { numRuns: 1_000 },
    );
  });
});
