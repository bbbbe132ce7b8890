import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { FunctionVersion, Trigger } from '../function/function.config.js';
import { DEFAULT_ENV } from '../words.js';
import { TriggerIndex } from './trigger.index.js';
import { matchesName } from './trigger.name.js';

const AT = Date.UTC(2026, 0, 1);

function fn(slug: string, triggers: readonly Trigger[], rest: Partial<FunctionVersion> = {}): FunctionVersion {
  return {
    id: slug,
    env: DEFAULT_ENV,
    appId: 'app',
    appName: 'app',
    version: 1,
    config: { slug, name: slug, triggers, url: 'http://app', retries: 4, cancelOn: [], timeouts: {} },
    ...rest,
  };
}

function matched(functions: readonly FunctionVersion[], name: string, data: unknown = {}) {
  const { matches, misses } = new TriggerIndex(functions).match({
    env: DEFAULT_ENV,
    name,
    value: { name, data },
    at: AT,
  });
  return {
    matches: matches.map((match) =>
      [match.fn.id, match.trigger.event, match.trigger.expression].filter(Boolean).join(' '),
    ),
    misses: misses.map(({ fn, trigger, reason }) => `${fn.id} ${trigger.event}: ${reason}`),
  };
}

const triggers = (pattern: string, name: string) => matched([fn('f', [{ event: pattern }])], name).matches.length === 1;

describe('names', () => {
  it.each([
    ['app/user.created', 'app/user.created'],
    ['app/*', 'app/x'],
    ['app/*', 'app/user.created'],
    ['app/*', 'app/user/created'],
    ['app/user.*', 'app/user.created'],
    ['app/user.*', 'app/user.created.v2'],
    ['app/user/*', 'app/user/created'],
    ['a.*', 'a.b.c'],
    ['a.b.*', 'a.b.c'],
    ['app/user.created.*', 'app/user.created.v2'],
    ['inngest/*', 'inngest/function.finished'],
    ['inngest/function.failed', 'inngest/function.failed'],
    ['App/*', 'App/x'],
  ])('%s matches %s', (pattern, name) => {
    expect(triggers(pattern, name)).toBe(true);
    expect(matchesName(pattern, name)).toBe(true);
  });

  const NAMES = ['app/x', 'app/user.created', 'app/user/created', 'a.b.c', 'app', 'application/x', 'app/user'];

  it.each([
    ['app/*', 'application/x'],
    ['app/*', 'app'],
    ['app/*', 'app/'],
    ['app/user.*', 'app/user'],
    ['app/user.*', 'app/user/created'],
    ['app/user/*', 'app/user.created'],
    ['app/user.created.*', 'app/user.created'],
    ['app/user.created', 'app/user.Created'],
    ['app/user.created', 'app/user.created.v2'],
    ...['*', 'app*', 'app/user*', 'App/*'].flatMap((pattern) => NAMES.map((name): [string, string] => [pattern, name])),
  ])('%s does not match %s', (pattern, name) => {
    expect(triggers(pattern, name)).toBe(false);
    expect(matchesName(pattern, name)).toBe(false);
  });

  it('are found by the index as by looking at every trigger', () => {
    const anyName = fc.array(fc.constantFrom('a', 'b', '/', '.', '*'), { maxLength: 6 }).map((chars) => chars.join(''));
    fc.assert(
      fc.property(fc.array(anyName, { maxLength: 8 }), anyName, (patterns, name) => {
        const functions = patterns.map((event, i) => fn(`f${i}`, [{ event }]));
        const found = new TriggerIndex(functions).match({ env: DEFAULT_ENV, name, value: {}, at: AT }).matches;
        expect(found.map(({ trigger }) => trigger.event)).toEqual(patterns.filter((event) => matchesName(event, name)));
      }),
      { numRuns: 1_000 },
    );
  });

  it('of any length cost no more than the longest pattern', () => {
    const name = '/'.repeat(3_000_000);
    expect(
      matched([fn('f', [{ event: '/*' }]), fn('g', [{ event: `${'/'.repeat(250)}*` }])], name).matches,
    ).toHaveLength(2);
  });
});

describe('functions', () => {
  it('each match once, by the first trigger that holds, in their order', () => {
    const functions = [
      fn('late', [{ event: 'a.*' }, { event: 'a.b' }]),
      fn('both', [
        { event: 'a.b', expression: 'event.data.n > 1' },
        { event: 'a.*', expression: 'event.data.n > 0' },
        { event: 'a.b' },
      ]),
      fn('other', [{ event: 'a.c' }, { cron: '* * * * *' }]),
      fn('none', []),
    ];
    expect(matched(functions, 'a.b', { n: 2 }).matches).toEqual(['late a.*', 'both a.b event.data.n > 1']);
    expect(matched(functions, 'a.b', { n: 1 }).matches).toEqual(['late a.*', 'both a.* event.data.n > 0']);
    expect(matched(functions, 'a.b', { n: 0 })).toEqual({
      matches: ['late a.*', 'both a.b'],
      misses: ['both a.b: the expression is false', 'both a.*: the expression is false'],
    });
  });

  it('pass over a trigger that fails or is no boolean, and say so', () => {
    const functions = [
      fn('f', [
        { event: 'a', expression: 'event.data.s < 5' },
        { event: 'a', expression: 'event.data.s' },
        { event: 'a', expression: 'nonsense(' },
        { event: 'a', expression: 'event.data.missing' },
      ]),
      fn('g', [{ event: 'a', expression: 'event.data.s < 5' }, { event: 'a' }]),
    ];
    const { matches, misses } = matched(functions, 'a', { s: 'text' });
    expect(matches).toEqual(['g a']);
    expect(misses).toEqual([
      'f a: no order between string and int',
      'f a: the result is no boolean but string',
      'f a: ERROR: <input>:1:10: Syntax error: Unexpected token: EOF\n | nonsense(\n |          ^',
      'f a: the expression is false',
      'g a: no order between string and int',
    ]);
  });

  it('are of one environment, and not archived', () => {
    const functions = [fn('f', [{ event: 'a' }], { env: 'other' }), fn('g', [{ event: 'a' }], { archivedAt: AT })];
    expect(matched(functions, 'a')).toEqual({ matches: [], misses: [] });
  });

  it('leave the event unparsed when no expression asks for it, and parse it once when some do', () => {
    let parsed = 0;
    const event = {
      env: DEFAULT_ENV,
      name: 'a',
      at: AT,
      get value() {
        parsed++;
        return { data: { n: 1 } };
      },
    };
    new TriggerIndex([fn('f', [{ event: 'a' }])]).match(event);
    expect(parsed).toBe(0);
    const asking = [1, 2, 3].map((i) => fn(`f${i}`, [{ event: 'a', expression: `event.data.n == ${i}` }]));
    expect(new TriggerIndex(asking).match(event).matches).toHaveLength(1);
    expect(parsed).toBe(1);
  });

  it('compare with the time of receipt', () => {
    const fresh = [fn('f', [{ event: 'a', expression: 'date(event.data.at) > now_minus("1h")' }])];
    expect(matched(fresh, 'a', { at: AT - 3_599_999 }).matches).toHaveLength(1);
    expect(matched(fresh, 'a', { at: AT - 3_600_000 }).matches).toHaveLength(0);
  });
});
