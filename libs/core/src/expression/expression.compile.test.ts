import { describe, expect, it } from 'vitest';
import { compile, EVENT_ROOTS, MATCH_ROOTS } from './expression.compile.js';

const flawOf = (text: string, policy: 'any' | 'restricted' = 'any', roots: readonly string[] = MATCH_ROOTS) =>
  compile(text, { roots, policy }).flaw;

describe('what compiles', () => {
  it.each([
    'event.data.id == async.data.id',
    'event.data.if && event.data.for',
    'event.data.list.exists(event, event == 1)',
    'event.data.list.map(i, i > 1, i * 2) == [4]',
    'event.data.x // a comment\n == 1',
    'r"\\d" == "\\\\d"',
    '"""a\n"b" c""" == event.name',
    '[1, 2, ] == [1, 2]',
    '{"a": 1, }.a == 1',
    'type(event.data.n) == double',
    'type(event.data.at) == google.protobuf.Timestamp',
    '-9223372036854775808 < 18446744073709551615u',
  ])('%s', (text) => {
    expect(flawOf(text)).toBeUndefined();
  });
});

describe('what does not', () => {
  it.each([
    ['foo == 1', `undeclared reference to 'foo'`, 1],
    ['event.data.x == foo.bar', `undeclared reference to 'foo'`, 17],
    ['event.data.a === 1', 'Syntax error: Unexpected character: =', 16],
    ['', 'Syntax error: Unexpected token: EOF', 1],
    ['event.data.a ==', 'Syntax error: Unexpected token: EOF', 16],
    ['event.data.a == "x', 'Syntax error: Unterminated string', 17],
    ['event.data.a = 1', 'Syntax error: Unexpected character: =', 14],
    ['9223372036854775808', 'this number is out of range', 1],
    ['event.data.s.lowercase()', `undeclared reference to 'lowercase': it is a function, lowercase(x)`, 1],
    ['event.data.s.now()', `undeclared reference to 'now': it is a function, now(x)`, 1],
    ['contains(event.data.s, "x")', `undeclared reference to 'contains': it is a method, x.contains(...)`, 1],
    ['event.data.s.split(",")', `undeclared reference to 'split'`, 1],
    ['event.data.list.join(",")', `undeclared reference to 'join'`, 1],
    ['event.data.s.lowerAscii()', `undeclared reference to 'lowerAscii'`, 1],
    ['math.greatest(1, 2)', `undeclared reference to 'greatest'`, 1],
    ['event.constructor("x")', `undeclared reference to 'constructor'`, 1],
    ['toString()', `undeclared reference to 'toString'`, 1],
    ['size()', `'size' does not take 0 arguments`, 1],
    ['now(1)', `'now' does not take 1 arguments`, 1],
    ['has(event)', `'has' takes one field, has(x.y)`, 1],
    ['has(event["data"])', `'has' takes one field, has(x.y)`, 1],
    ['event.data.list.exists(i)', `'exists' takes a variable and an expression, x.exists(i, ...)`, 1],
    ['event.data.list.exists(i, j == 1)', `undeclared reference to 'j'`, 27],
    ['[1].exists(i, i == 1) && i == 1', `undeclared reference to 'i'`, 26],
    ['event.data.s.matches("(")', 'invalid pattern: error parsing regexp: missing closing ): `(`', 22],
    [
      'event.data.s.matches("(?=a)")',
      'invalid pattern: error parsing regexp: invalid or unsupported Perl syntax: `(?=`',
      22,
    ],
    ['cel.bind(x, 1, x)', `undeclared reference to 'bind'`, 1],
    ['event.?data', 'Syntax error: Expected IDENTIFIER, got QUESTION', 7],
    ['b"é" == bytes("é")', 'a bytes literal is written in ASCII', 1],
  ])('%s: %s', (text, reason, column) => {
    expect(flawOf(text)).toMatchObject({ reason, line: 1, column });
  });

  it.each([
    ['many operators in a row', '!'.repeat(300) + 'true', 'the expression nests too deeply'],
    ['more than the stack holds', '!'.repeat(50_000) + 'true', 'Syntax error: the expression nests too deeply'],
    ['brackets', '('.repeat(300) + '1' + ')'.repeat(300), 'Syntax error: Exceeded maxDepth (250)'],
    ['a long sum', 'event.data.n' + ' + 1'.repeat(300), 'the expression nests too deeply'],
    ['a long path', 'event' + '.a'.repeat(300), 'Syntax error: Exceeded maxDepth (250)'],
    ['a long text', '"' + 'x'.repeat(70_000) + '"', 'an expression has 65536 characters at most'],
    ['a long list', '[' + '1,'.repeat(20_000) + '1]', 'Syntax error: Exceeded maxAstNodes (10000)'],
  ])('%s', (_, text, reason) => {
    expect(flawOf(text)?.reason).toBe(reason);
  });

  it('a row of conditions may be long', () => {
    const ids = Array.from({ length: 1_000 }, (_, i) => `event.data.id == "${i}"`);
    expect(flawOf(ids.join(' || '))).toBeUndefined();
    expect(flawOf(ids.join(' && '))).toBeUndefined();
  });

  it('async is known in waits and cancellations only', () => {
    expect(flawOf('async.data.id == 1', 'any', EVENT_ROOTS)?.reason).toBe(`undeclared reference to 'async'`);
  });

  it('shows where', () => {
    expect(flawOf('event.data.a == 1 &&\n  foo')).toEqual({
      reason: `undeclared reference to 'foo'`,
      line: 2,
      column: 3,
      text: `ERROR: <input>:2:3: undeclared reference to 'foo'\n |   foo\n |   ^`,
    });
    const { text } = flawOf('"' + 'x'.repeat(5_000) + '" == foo') ?? {};
    expect(text?.length).toBeLessThan(400);
    expect(text?.split('\n').at(1)?.indexOf('foo')).toBe(text?.split('\n').at(2)?.indexOf('^'));
  });
});

describe('the restricted policy', () => {
  it.each([
    'event.data.id == async.data.id',
    'async.data.n >= 3 && !(async.data.n < -2.5) || async.data.ok != true',
    'async.data.kind in ["a", "b"]',
    'async.data["id"] == event.data.list[0]',
    'async.data.n > 1 ? async.data.a : async.data.b',
    'int(async.data.n) == 1 && uint(1) == 1u && double("1") == 1.0',
  ])('allows %s', (text) => {
    expect(flawOf(text, 'restricted')).toBeUndefined();
  });

  it.each([
    [`async.data.x.startsWith('a')`, `'startsWith'`],
    ['async.data.n + 1 == 2', `'+'`],
    ['-async.data.n == 2', `'-'`],
    ['size(async.data.list) == 1', `'size'`],
    ['has(async.data.x)', `'has'`],
    ['async.data.list.exists(i, i == 1)', `'exists'`],
    ['string(async.data.n) == "1"', `'string'`],
    ['async.ts > now()', `'now'`],
    ['lowercase(async.data.x) == "a"', `'lowercase'`],
  ])('refuses %s', (text, what) => {
    expect(flawOf(text, 'any')).toBeUndefined();
    expect(flawOf(text, 'restricted')?.reason).toMatch(what + ' is not allowed here');
  });
});

describe('what was compiled', () => {
  it('is remembered by text and rules', () => {
    const rules = { roots: MATCH_ROOTS, policy: 'any' } as const;
    const first = compile('event.data.id == 1', rules);
    expect(compile('event.data.id == 1', rules)).toBe(first);
    expect(compile('event.data.id == 1', { ...rules, policy: 'restricted' })).not.toBe(first);
    expect(compile('event.data.id == 1', { ...rules, roots: EVENT_ROOTS })).not.toBe(first);
  });

  it('is forgotten, the least recently used first, when there is too much of it', () => {
    const rules = { roots: MATCH_ROOTS, policy: 'any' } as const;
    const [old, used] = ['event.data.old == 1', 'event.data.used == 1'].map((text) => compile(text, rules));
    for (let i = 0; i < 300; i++) {
      compile(`event.data.id == "${String(i).padEnd(10_000, '-')}"`, rules);
      expect(compile('event.data.used == 1', rules)).toBe(used);
    }
    expect(compile('event.data.old == 1', rules)).not.toBe(old);
  });
});
