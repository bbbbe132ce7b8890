import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { FunctionConfig } from './function.config.js';
import { checkExpression, type CheckExpression, type ExpressionUse } from './function.expressions.js';
import { readFunctions } from './function.read.js';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const url = 'http://localhost:9002/api/inngest?fnId=app-f&stepId=step';
const steps = { step: { id: 'step', name: 'step', runtime: { type: 'http', url } } };

/** What is not compiled at sync is still accepted when it reads BAD. */
const check: CheckExpression = (text) => (text.includes('BAD') ? 'it is bad' : undefined);

function read(fields: object, by = check): FunctionConfig {
  const { functions, mistakes } = readFunctions([{ id: 'app-f', triggers: [], steps, ...fields }], by);
  if (mistakes) throw new Error(mistakes.join('\n'));
  return functions[0] as FunctionConfig;
}

function mistakes(fields: object, by = check): readonly string[] {
  return readFunctions([{ id: 'app-f', triggers: [], steps, ...fields }], by).mistakes ?? [];
}

describe('a function', () => {
  it('needs an id and a step only', () =>
    expect(read({ triggers: undefined })).toEqual({
      slug: 'app-f',
      name: 'app-f',
      triggers: [],
      url,
      retries: 4,
      cancelOn: [],
      timeouts: {},
    }));

  it('may have null, and empty text, for everything that is optional', () => {
    const names = [
      'name',
      'triggers',
      'concurrency',
      'throttle',
      'rateLimit',
      'debounce',
      'batchEvents',
      'singleton',
      'priority',
    ];
    names.push('idempotency', 'cancel', 'timeouts', 'checkpoint', 'retries');
    expect(read(Object.fromEntries(names.map((name) => [name, null])))).toEqual(read({}));
    expect(read({ name: '', idempotency: '' })).toEqual(read({}));
  });

  it('may have fields that are not known', () =>
    expect(read({ description: 'x', future: { deep: [1] }, hash: '' })).toEqual(read({})));

  it('is read in any letter case', () => {
    const shouted = { ID: 'app-f', Name: 'F', Steps: { Step: { Runtime: { URL: url }, Retries: { Attempts: 2 } } } };
    expect(readFunctions([shouted], check).functions?.[0]).toMatchObject({ slug: 'app-f', name: 'F', url, retries: 2 });
    expect(read({ Singleton: { mode: 'cancel' }, throttle: { Limit: 2, PERIOD: '5s' } })).toMatchObject({
      singleton: { mode: 'cancel' },
      throttle: { limit: 2, periodMs: 5_000 },
    });
  });

  it('has a slug made of its name where it has no id', () => {
    expect(read({ id: undefined, name: ' Send  Mail, now! ' })).toMatchObject({
      slug: 'send-mail-now',
      name: ' Send  Mail, now! ',
    });
    expect(mistakes({ id: null })).toEqual(['functions[0].id: is required']);
    expect(mistakes({ id: 5, name: '' })).toContain('functions[0].id: must be a text');
  });

  it('is called where it says, less what a deploy adds', () => {
    const at = (text: string) => read({ steps: { any: { runtime: { url: text } } } }).url;
    expect(at('http://127.0.0.1:9002/x?fnId=app-f&step=step&deployId=d')).toBe(
      'http://localhost:9002/x?fnId=app-f&step=step',
    );
    expect(at('wss://connect?fnId=app-f&stepId=step')).toBe('wss://connect/?fnId=app-f&stepId=step');
    expect(at('ws://connect/?fnId=app-f')).toBe('ws://connect/?fnId=app-f');
    expect(at('https://app.example/x')).toBe('https://app.example/x');
  });

  it.each([
    [undefined, ['functions[0].steps: there must be exactly one step']],
    [{}, ['functions[0].steps: there must be exactly one step']],
    [{ step: null }, ['functions[0].steps: there must be exactly one step']],
    [{ a: steps.step, b: steps.step }, ['functions[0].steps: there must be exactly one step']],
    [[], ['functions[0].steps: must be an object']],
    [{ step: 1 }, ['functions[0].steps.step: must be an object']],
    [{ step: {} }, ['functions[0].steps.step.runtime: is required']],
    [{ step: { runtime: 'x' } }, ['functions[0].steps.step.runtime: must be an object']],
    [
      { step: { runtime: {} } },
      ['functions[0].steps.step.runtime.url: must be an absolute URL of http, https, ws, wss'],
    ],
    [
      { step: { runtime: { url: 'ftp://x' } } },
      ['functions[0].steps.step.runtime.url: must be an absolute URL of http, https, ws, wss'],
    ],
  ])('has exactly one step with a URL: %j', (given, expected) => expect(mistakes({ steps: given })).toEqual(expected));

  it.each([
    [undefined, undefined, 4],
    [null, null, 4],
    [{ attempts: null }, undefined, 4],
    [{ attempts: 0 }, undefined, 0],
    [{ attempts: 2 }, undefined, 2],
    [{ attempts: 20 }, undefined, 20],
    [{ attempts: 21 }, undefined, 20],
    [{ attempts: 1_000 }, undefined, 20],
    [3, undefined, 3],
    [undefined, { attempts: 7 }, 7],
    [null, 7, 7],
    [{ attempts: 1 }, { attempts: 7 }, 1],
  ])('with step retries %j and its own %j has %i', (ofStep, own, retries) =>
    expect(read({ steps: { step: { ...steps.step, retries: ofStep } }, retries: own }).retries).toBe(retries),
  );

  it('has whole retries from 0 on', () => {
    expect(mistakes({ retries: { attempts: -1 } })).toEqual(['functions[0].retries.attempts: must not be negative']);
    expect(mistakes({ retries: -1 })).toEqual(['functions[0].retries: must not be negative']);
    expect(mistakes({ retries: { attempts: 1.5 } })).toEqual(['functions[0].retries.attempts: must be a whole number']);
    expect(mistakes({ retries: 'three' })).toEqual(['functions[0].retries: must be an object']);
  });

  it('keeps what Go says of checkpoints', () => {
    const checkpoint = { batch_steps: 3, batch_interval: '3s', max_runtime: 5_000_000_000 };
    expect(read({ checkpoint }).checkpoint).toEqual(checkpoint);
    expect(read({ checkpoint: {} }).checkpoint).toEqual({});
  });
});

describe('the functions of an app', () => {
  it('may be none, also as Go writes that', () => {
    expect(readFunctions([], check)).toEqual({ functions: [] });
    expect(readFunctions(null, check)).toEqual({ functions: [] });
    expect(readFunctions(undefined, check)).toEqual({ functions: [] });
  });

  it('must be a list of objects', () => {
    expect(readFunctions({}, check).mistakes).toEqual(['functions: must be a list']);
    expect(readFunctions([{ id: 'a', steps }, 5, null], check).mistakes).toEqual([
      'functions[1]: must be an object',
      'functions[2]: must be an object',
    ]);
  });

  it('have each a slug of its own', () =>
    expect(
      readFunctions(
        [
          { id: 'a', steps },
          { id: 'b', steps },
          { id: 'a', steps },
        ],
        check,
      ).mistakes,
    ).toEqual(['functions[2].id: there are two functions "a"']));

  it('are not told to be the same where they have no id at all', () =>
    expect(readFunctions([{ steps }, { steps }], check).mistakes).toEqual([
      'functions[0].id: is required',
      'functions[1].id: is required',
    ]));

  it('tell all that is wrong with any of them', () => {
    const wrong = {
      id: 'b',
      steps,
      triggers: [{ cron: '@hourly' }, { event: 'a', expression: 'BAD' }],
      rateLimit: { limit: 0 },
    };
    expect(readFunctions([{ id: 'a', steps }, wrong, { id: 'c' }], check).mistakes).toEqual([
      'functions[1].triggers[0].cron: Descriptors such as @hourly are not known: write the five fields.',
      'functions[1].triggers[1].expression: the expression does not compile: it is bad',
      'functions[1].rateLimit.period: is required',
      'functions[1].rateLimit.limit: must be at least 1',
      'functions[2].steps: there must be exactly one step',
    ]);
  });
});

describe('whatever comes as a function', () => {
  const names = [
    'id',
    'name',
    'triggers',
    'steps',
    'retries',
    'concurrency',
    'throttle',
    'rateLimit',
    'debounce',
    'batchEvents',
  ];
  names.push('singleton', 'priority', 'idempotency', 'cancel', 'timeouts', 'checkpoint');
  const inner = [
    'limit',
    'period',
    'key',
    'scope',
    'step',
    'fn',
    'maxSize',
    'timeout',
    'if',
    'mode',
    'run',
    'event',
    'cron',
    'jitter',
  ];
  inner.push('expression', 'attempts', 'runtime', 'url', 'start', 'finish', 'burst');
  const text = fc.constantFrom('', '1s', '1d', '-1s', 'x', 'BAD', '* * * * *', '@hourly', 'fn', 'Env', 'skip', url);
  const leaf = fc.oneof(fc.constantFrom(null, true, 0, -1, 1.5, 3), text);
  const object = (value: fc.Arbitrary<unknown>) => fc.dictionary(fc.constantFrom(...inner), value, { maxKeys: 4 });
  const list = (value: fc.Arbitrary<unknown>) => fc.array(value, { maxLength: 3 });
  const shallow = fc.oneof(leaf, object(leaf), list(object(leaf)));
  const value = fc.oneof(leaf, object(shallow), list(object(shallow)), list(leaf));

  it('is read or told what is wrong with it', () => {
    fc.assert(
      fc.property(fc.array(fc.dictionary(fc.constantFrom(...names), value)), (list) => {
        const { functions, mistakes } = readFunctions(list, check);
        expect(functions?.length).toBe(mistakes ? undefined : list.length);
        for (const mistake of mistakes ?? []) expect(mistake).toMatch(/^functions\[\d+\].*: ./);
      }),
      { numRuns: 500 },
    );
  });
});

describe('triggers', () => {
  it('are events and crons', () =>
    expect(
      read({
        triggers: [
          { event: 'a/b' },
          { event: 'a/*', expression: 'event.data.x > 1' },
          { event: 'c', expression: null },
          { event: 'd', expression: '', cron: '' },
          { cron: '0 5 * * *' },
          { cron: 'TZ=Europe/Paris 0 5 * * *', jitter: '30s', event: null },
        ],
      }).triggers,
    ).toEqual([
      { event: 'a/b' },
      { event: 'a/*', expression: 'event.data.x > 1' },
      { event: 'c' },
      { event: 'd' },
      { cron: '0 5 * * *' },
      { cron: 'TZ=Europe/Paris 0 5 * * *', jitterMs: 30_000 },
    ]));

  it('are ten at most', () => {
    const triggers = (count: number) => Array.from({ length: count }, (_, i) => ({ event: `e${i}` }));
    expect(read({ triggers: triggers(10) }).triggers).toHaveLength(10);
    expect(mistakes({ triggers: triggers(11) })).toEqual([
      'functions[0].triggers: a function may have 10 triggers, and this one has 11',
    ]);
  });

  it('differ', () => {
    const same = ['functions[0].triggers[1]: the same trigger stands before it'];
    expect(mistakes({ triggers: [{ event: 'a' }, { event: 'a' }] })).toEqual(same);
    expect(mistakes({ triggers: [{ event: 'a' }, { event: 'a', expression: null }] })).toEqual(same);
    expect(mistakes({ triggers: [{ cron: '* * * * *' }, { cron: '* * * * *', jitter: '5s' }] })).toEqual(same);
    expect(mistakes({ triggers: [{ event: 'a' }, { event: 'a', expression: 'true' }, { event: 'A' }] })).toEqual([]);
  });

  it.each([
    [{}, 'triggers[0]: a trigger needs an event or a cron'],
    [{ event: '', cron: '' }, 'triggers[0]: a trigger needs an event or a cron'],
    [{ event: 'a', cron: '* * * * *' }, 'triggers[0]: a trigger is an event or a cron, not both'],
    [{ event: 5 }, 'triggers[0].event: must be a text'],
    [{ event: 'x'.repeat(256) }, 'triggers[0].event: must not be longer than 255 characters'],
    [{ event: 'a', expression: 5 }, 'triggers[0].expression: must be a text'],
    [{ event: 'a', expression: 'BAD' }, 'triggers[0].expression: the expression does not compile: it is bad'],
    [{ cron: '0 0 * * 7' }, 'triggers[0].cron: The day of week must lie in 0 to 6, and 7 does not.'],
    [{ cron: 'TZ=Mars/X 0 0 * * *' }, 'triggers[0].cron: The time zone "Mars/X" is unknown.'],
    [{ cron: '0 0 * * 1' + ' '.repeat(250) }, 'triggers[0].cron: It is longer than 255 characters.'],
    [{ cron: '* * * * *', jitter: '999ms' }, 'triggers[0].jitter: must be 0, or lie in 1 s to 5 min'],
    [{ cron: '* * * * *', jitter: '301s' }, 'triggers[0].jitter: must be 0, or lie in 1 s to 5 min'],
    [{ cron: '* * * * *', jitter: '-5s' }, 'triggers[0].jitter: must be 0, or lie in 1 s to 5 min'],
    [{ cron: '* * * * *', jitter: 'a bit' }, 'triggers[0].jitter: must be a length of time such as "30s" or "1h30m"'],
    ['a', 'triggers[0]: must be an object'],
  ])('are not %j', (trigger, mistake) =>
    expect(mistakes({ triggers: [trigger] })).toContain(`functions[0].${mistake}`),
  );

  it.each([
    [undefined, undefined],
    ['', undefined],
    ['0', undefined],
    ['0s', undefined],
    ['1s', SECOND],
    ['5m', 5 * MINUTE],
  ])('have jitter %j: %j', (jitter, jitterMs) =>
    expect(read({ triggers: [{ cron: '* * * * *', jitter }] }).triggers).toEqual([
      { cron: '* * * * *', ...(jitterMs === undefined ? {} : { jitterMs }) },
    ]),
  );

  it('may have an event name of 255 characters, and patterns that never match', () =>
    expect(read({ triggers: [{ event: 'x'.repeat(255) }, { event: '*' }, { event: 'app*' }] }).triggers).toHaveLength(
      3,
    ));
});

describe('cancelOn', () => {
  it('has an event, a condition and a time', () =>
    expect(
      read({
        cancel: [
          { event: 't/c', if: 'event.data.u == async.data.u', timeout: '1h' },
          { event: 't/k', timeout: '"3600s"' },
          { event: 't/d', timeout: '2027-01-01T00:00:00Z' },
          { event: 't/n', if: null, timeout: null },
          { event: 't/x', timeout: 'whenever' },
        ],
      }).cancelOn,
    ).toEqual([
      { event: 't/c', if: 'event.data.u == async.data.u', timeout: '1h' },
      { event: 't/k', timeout: '3600s' },
      { event: 't/d', timeout: '2027-01-01T00:00:00Z' },
      { event: 't/n' },
      { event: 't/x', timeout: 'whenever' },
    ]));

  it('is given five times at most', () => {
    const cancel = (count: number) => Array.from({ length: count }, (_, i) => ({ event: `e${i}` }));
    expect(read({ cancel: cancel(5) }).cancelOn).toHaveLength(5);
    expect(mistakes({ cancel: cancel(6) })).toEqual([
      'functions[0].cancel: a function may have 5 of them, and this one has 6',
    ]);
  });

  it('needs an event, and a condition that compiles', () => {
    expect(mistakes({ cancel: [{}] })).toEqual(['functions[0].cancel[0].event: is required']);
    expect(mistakes({ cancel: [{ event: 'a', if: 'BAD' }] })).toEqual([
      'functions[0].cancel[0].if: the expression does not compile: it is bad',
    ]);
    expect(mistakes({ cancel: {} })).toEqual(['functions[0].cancel: must be a list']);
  });
});

describe('concurrency', () => {
  const three = { limit: 3, scope: 'fn' };
  const keyed = { key: 'event.data.u', limit: 2, scope: 'env' };

  it.each([
    [3, { step: [three], fn: [] }],
    [{ limit: 3 }, { step: [three], fn: [] }],
    [
      { limit: 3, key: '', scope: null },
      { step: [three], fn: [] },
    ],
    [[{ limit: 3 }], { step: [three], fn: [] }],
    [[keyed, { limit: 3 }], { step: [keyed, three], fn: [] }],
    [
      { step: [{ ...keyed, scope: 'Env', hash: '' }], fn: [{ limit: 3, hash: '' }] },
      { step: [keyed], fn: [three] },
    ],
    [{ step: [{ ...keyed, scope: 'Account' }] }, { step: [{ ...keyed, scope: 'account' }], fn: [] }],
    [{ fn: [{ limit: 3, key: 'event.data.k', scope: 'Fn' }] }, { step: [], fn: [{ ...three, key: 'event.data.k' }] }],
    [
      { step: null, fn: [{ limit: 3 }] },
      { step: [], fn: [three] },
    ],
  ])('%j', (concurrency, expected) => expect(read({ concurrency }).concurrency).toEqual(expected));

  it.each([
    0,
    -1,
    1.5,
    'many',
    [],
    {},
    { limit: 0 },
    { limit: -5 },
    { limit: 'many' },
    { limit: null },
    [{ limit: 0 }],
    { step: null, fn: null },
    { step: [], fn: [] },
    { fn: [{ limit: 0 }] },
  ])('%j is no limit', (concurrency) => expect(read({ concurrency })).not.toHaveProperty('concurrency'));

  it.each([
    [[{ limit: 1 }, { limit: 2 }, { limit: 0 }], 'concurrency: may have 2 of them, and this one has 3'],
    [{ step: [{ limit: 1 }, { limit: 2 }, { limit: 3 }] }, 'concurrency.step: may have 2 of them, and this one has 3'],
    [{ fn: [{ limit: 1 }, { limit: 2 }] }, 'concurrency.fn: may have 1 of them, and this one has 2'],
    [{ limit: 1, scope: 'env' }, 'concurrency.key: is required where the scope is env'],
    [[{ limit: 1, scope: 'Account' }], 'concurrency[0].key: is required where the scope is account'],
    [{ limit: 1, scope: 'app', key: 'x' }, 'concurrency.scope: must be fn or env or account'],
    [{ fn: [{ limit: 1, scope: 'app' }] }, 'concurrency.fn[0].scope: must be fn'],
    [{ fn: [{ limit: 1, scope: 'env', key: 'x' }] }, 'concurrency.fn[0].scope: must be fn'],
    [{ limit: 1, key: 'BAD' }, 'concurrency.key: the expression does not compile: it is bad'],
    [{ limit: 1, key: 5 }, 'concurrency.key: must be a text'],
    [[5], 'concurrency[0]: must be an object'],
    [{ step: {} }, 'concurrency.step: must be a list'],
  ])('is not %j', (concurrency, mistake) => expect(mistakes({ concurrency })).toEqual([`functions[0].${mistake}`]));
});

describe('throttle', () => {
  it.each([
    [
      { limit: 1, period: '5s' },
      { limit: 1, periodMs: 5_000, burst: 0 },
    ],
    [
      { limit: 1, period: '5s', burst: 0, key: '' },
      { limit: 1, periodMs: 5_000, burst: 0 },
    ],
    [
      { limit: 3, period: '1d', burst: 2, key: 'BAD' },
      { limit: 3, periodMs: DAY, burst: 2, key: 'BAD' },
    ],
    [
      { limit: 0, period: '60d' },
      { limit: 1, periodMs: 60 * DAY, burst: 0 },
    ],
    [
      { limit: -3, period: '2500ms', burst: -1 },
      { limit: 1, periodMs: 2_000, burst: 0 },
    ],
    [
      { limit: 1, period: '10ms' },
      { limit: 1, periodMs: 1_000, burst: 0 },
    ],
    [
      { limit: 1, period: '0s' },
      { limit: 1, periodMs: 1_000, burst: 0 },
    ],
  ])('%j', (throttle, expected) => expect(read({ throttle }).throttle).toEqual(expected));

  it.each([
    [{}, ['throttle.limit: is required', 'throttle.period: is required']],
    [{ limit: 1, period: '' }, ['throttle.period: is required']],
    [{ limit: 1, period: 'x' }, ['throttle.period: must be a length of time such as "30s" or "1h30m"']],
    [{ limit: 1, period: 5 }, ['throttle.period: must be a text']],
    [{ limit: '1', period: '5s' }, ['throttle.limit: must be a whole number']],
    [{ limit: 1, period: '5s', burst: 0.5 }, ['throttle.burst: must be a whole number']],
    [5, ['throttle: must be an object']],
  ])('is not %j', (throttle, expected) =>
    expect(mistakes({ throttle })).toEqual(expected.map((text) => `functions[0].${text}`)),
  );
});

describe('rateLimit', () => {
  it.each([
    [
      { limit: 1, period: '1ms' },
      { limit: 1, periodMs: 1 },
    ],
    [
      { limit: 10, period: '24h', key: 'event.data.u' },
      { limit: 10, periodMs: DAY, key: 'event.data.u' },
    ],
    [
      { limit: 10, period: '1d' },
      { limit: 10, periodMs: DAY },
    ],
    [{ limit: 10, period: '0s' }, undefined],
  ])('%j', (rateLimit, expected) => expect(read({ rateLimit }).rateLimit).toEqual(expected));

  it.each([
    [{ limit: 0, period: '1s' }, 'limit: must be at least 1'],
    [{ limit: -1, period: '1s' }, 'limit: must be at least 1'],
    [{ period: '1s' }, 'limit: is required'],
    [{ limit: 1 }, 'period: is required'],
    [{ limit: 1, period: '24h1ms' }, 'period: must not be longer than 24 h, nor negative'],
    [{ limit: 1, period: '-1s' }, 'period: must not be longer than 24 h, nor negative'],
    [{ limit: 1, period: '1s', key: 'BAD' }, 'key: the expression does not compile: it is bad'],
  ])('is not %j', (rateLimit, mistake) =>
    expect(mistakes({ rateLimit })).toEqual([`functions[0].rateLimit.${mistake}`]),
  );
});

describe('debounce', () => {
  it.each([
    [{ period: '1s' }, { periodMs: SECOND }],
    [
      { period: '7d', key: 'event.data.u', timeout: '1h' },
      { periodMs: 7 * DAY, key: 'event.data.u', timeoutMs: HOUR },
    ],
    [
      { period: '5s', timeout: '2s' },
      { periodMs: 5_000, timeoutMs: 2_000 },
    ],
    [
      { period: '5s', timeout: '1500ms' },
      { periodMs: 5_000, timeoutMs: 1_000 },
    ],
    [
      { period: '5s', timeout: '100ms' },
      { periodMs: 5_000, timeoutMs: 1_000 },
    ],
    [{ period: '5s', timeout: 'x' }, { periodMs: 5_000 }],
    [{ period: '5s', timeout: null }, { periodMs: 5_000 }],
  ])('%j', (debounce, expected) => expect(read({ debounce }).debounce).toEqual(expected));

  it.each([
    [{}, 'period: is required'],
    [{ period: '999ms' }, 'period: must lie in 1 s to 7 d'],
    [{ period: '7d1s' }, 'period: must lie in 1 s to 7 d'],
    [{ period: '5s', key: 'BAD' }, 'key: the expression does not compile: it is bad'],
  ])('is not %j', (debounce, mistake) => expect(mistakes({ debounce })).toEqual([`functions[0].debounce.${mistake}`]));
});

describe('batchEvents', () => {
  it.each([
    [
      { maxSize: 2, timeout: '1s' },
      { maxSize: 2, timeoutMs: SECOND },
    ],
    [
      { maxSize: 100_000, timeout: '500h' },
      { maxSize: 100_000, timeoutMs: 500 * HOUR },
    ],
    [
      { maxSize: 5, timeout: '1m30s', key: 'event.data.u', if: 'event.data.b' },
      { maxSize: 5, timeoutMs: 90_000, key: 'event.data.u', if: 'event.data.b' },
    ],
  ])('%j', (batchEvents, expected) => expect(read({ batchEvents }).batch).toEqual(expected));

  it.each([
    [{ timeout: '1s' }, 'maxSize: is required'],
    [{ maxSize: 2 }, 'timeout: is required'],
    [{ maxSize: 1, timeout: '1s' }, 'maxSize: must be at least 2'],
    [{ maxSize: 2, timeout: '999ms' }, 'timeout: must be at least 1 s'],
    [
      { maxSize: 2, timeout: '1d' },
      'timeout: must be a length of time such as "30s" or "1h30m", without days or weeks',
    ],
    [{ maxSize: 2, timeout: '1s', key: 'BAD' }, 'key: the expression does not compile: it is bad'],
    [{ maxSize: 2, timeout: '1s', if: 'BAD' }, 'if: the expression does not compile: it is bad'],
  ])('is not %j', (batchEvents, mistake) =>
    expect(mistakes({ batchEvents })).toEqual([`functions[0].batchEvents.${mistake}`]),
  );

  const batchEvents = { maxSize: 2, timeout: '1s' };

  it.each([
    [{ debounce: { period: '1s' } }, 'debounce'],
    [{ singleton: {} }, 'singleton'],
    [{ cancel: [{ event: 'a' }] }, 'cancel'],
    [{ priority: { run: '1' } }, 'priority'],
  ])('does not go with %j', (other, name) =>
    expect(mistakes({ batchEvents, ...other })).toEqual([`functions[0].batchEvents: cannot be combined with ${name}`]),
  );

  it('goes with everything else', () => {
    const others = {
      rateLimit: { limit: 1, period: '1s' },
      throttle: { limit: 1, period: '1s' },
      concurrency: 1,
      idempotency: 'event.id',
    };
    expect(read({ batchEvents, ...others, cancel: [], priority: {}, timeouts: { start: '1s' } }).batch).toBeDefined();
  });
});

describe('singleton', () => {
  it.each([
    [{}, { mode: 'skip' }],
    [{ mode: '' }, { mode: 'skip' }],
    [
      { mode: 'skip', key: 'event.data.u' },
      { mode: 'skip', key: 'event.data.u' },
    ],
    [
      { mode: 'cancel', key: 'BAD' },
      { mode: 'cancel', key: 'BAD' },
    ],
    [{ mode: 'Cancel' }, { mode: 'cancel' }],
  ])('%j', (singleton, expected) => expect(read({ singleton }).singleton).toEqual(expected));

  it('has a mode that is known', () =>
    expect(mistakes({ singleton: { mode: 'queue' } })).toEqual([
      'functions[0].singleton.mode: must be skip or cancel',
    ]));

  it('goes with concurrency', () =>
    expect(read({ singleton: {}, concurrency: 1 }).singleton).toEqual({ mode: 'skip' }));
});

describe('priority, idempotency, timeouts', () => {
  it('are read', () =>
    expect(
      read({
        priority: { run: 'event.data.p' },
        idempotency: 'event.data.u',
        timeouts: { start: '10s', finish: '2m' },
      }),
    ).toMatchObject({
      priority: 'event.data.p',
      idempotency: 'event.data.u',
      timeouts: { startMs: 10_000, finishMs: 2 * MINUTE },
    }));

  it('must compile', () => {
    expect(mistakes({ priority: { run: 'BAD' } })).toEqual([
      'functions[0].priority.run: the expression does not compile: it is bad',
    ]);
    expect(mistakes({ idempotency: 'BAD' })).toEqual([
      'functions[0].idempotency: the expression does not compile: it is bad',
    ]);
    expect(mistakes({ priority: { run: 5 } })).toEqual(['functions[0].priority.run: must be a text']);
  });

  it.each(['x', '', '-1s', '0s', null])('a timeout of %j is none', (text) =>
    expect(read({ timeouts: { start: text, finish: text } }).timeouts).toEqual({}),
  );

  it('stand beside a rate limit: who counts decides', () =>
    expect(read({ idempotency: 'event.id', rateLimit: { limit: 1, period: '1s' } })).toMatchObject({
      idempotency: 'event.id',
      rateLimit: { limit: 1 },
    }));
});

describe('expressions', () => {
  const everywhere = {
    triggers: [{ event: 'a', expression: 'trigger' }],
    rateLimit: { limit: 1, period: '1s', key: 'rateLimit' },
    debounce: { period: '1s', key: 'debounce' },
    singleton: { key: 'singleton' },
    throttle: { limit: 1, period: '1s', key: 'throttle' },
    concurrency: [{ limit: 1, key: 'concurrency' }],
    priority: { run: 'priority' },
    idempotency: 'idempotency',
    cancel: [{ event: 'a', if: 'cancel' }],
  };

  it('are compiled, but for the keys of throttle and singleton', () => {
    const seen: [string, ExpressionUse][] = [];
    const note: CheckExpression = (text, use) => void seen.push([text, use]);
    read(everywhere, note);
    read({ batchEvents: { maxSize: 2, timeout: '1s', key: 'batch key', if: 'batch if' } }, note);
    expect(Object.fromEntries(seen)).toEqual({
      trigger: 'event',
      rateLimit: 'event',
      debounce: 'event',
      concurrency: 'event',
      priority: 'event',
      idempotency: 'event',
      cancel: 'match',
      'batch key': 'event',
      'batch if': 'event',
    });
  });

  it('are CEL', () => {
    expect(checkExpression('event.data.x > 1 && lowercase(event.name) == "a"', 'event')).toBeUndefined();
    expect(checkExpression('event.data.u == async.data.u', 'match')).toBeUndefined();
    expect(checkExpression('async.data.u', 'event')).toContain('async');
    expect(checkExpression('foo', 'event')).toContain('line 1, column 1');
    expect(checkExpression('async.data.x.startsWith("a")', 'match')).toBeDefined();
    expect(checkExpression('event.data.x === 1', 'event')).toBeDefined();
  });
});

describe('what the SDKs send', () => {
  it('Python', () => {
    const fn = {
      id: 'pyapp-full',
      name: 'Full',
      triggers: [{ event: 't/full', expression: 'event.data.x > 1' }, { cron: '0 5 * * *' }],
      steps: {
        step: {
          id: 'step',
          name: 'step',
          retries: { attempts: 2 },
          runtime: { type: 'http', url: 'http://localhost:9002/api/inngest?fnId=pyapp-full&stepId=step' },
        },
      },
      concurrency: [{ key: 'event.data.u', limit: 2, scope: 'env' }, { limit: 3 }],
      throttle: { key: 'event.data.u', limit: 1, period: '5s', burst: 1 },
      priority: { run: 'event.data.p' },
      idempotency: 'event.data.u',
      cancel: [{ event: 't/c', if: 'event.data.u == async.data.u', timeout: '1h' }],
      timeouts: { start: '10s', finish: '2m' },
    };
    expect(readFunctions([fn], checkExpression).functions).toEqual([
      {
        slug: 'pyapp-full',
        name: 'Full',
        triggers: [{ event: 't/full', expression: 'event.data.x > 1' }, { cron: '0 5 * * *' }],
        url: 'http://localhost:9002/api/inngest?fnId=pyapp-full&stepId=step',
        retries: 2,
        concurrency: {
          step: [
            { limit: 2, key: 'event.data.u', scope: 'env' },
            { limit: 3, scope: 'fn' },
          ],
          fn: [],
        },
        throttle: { limit: 1, periodMs: 5_000, burst: 1, key: 'event.data.u' },
        idempotency: 'event.data.u',
        priority: 'event.data.p',
        cancelOn: [{ event: 't/c', if: 'event.data.u == async.data.u', timeout: '1h' }],
        timeouts: { startMs: 10_000, finishMs: 120_000 },
      },
    ]);
  });

  it('Python, for a failure handler', () => {
    const fn = {
      id: 'pyapp-full-failure',
      name: 'Full (failure)',
      triggers: [{ event: 'inngest/function.failed', expression: "event.data.function_id == 'pyapp-full'" }],
      steps: { step: { id: 'step', name: 'step', retries: { attempts: 0 }, runtime: { type: 'http', url } } },
      cancel: [],
      concurrency: [],
    };
    expect(readFunctions([fn], checkExpression).functions).toEqual([
      { slug: fn.id, name: fn.name, triggers: fn.triggers, url, retries: 0, cancelOn: [], timeouts: {} },
    ]);
  });

  it('Go', () => {
    const fn = {
      id: 'goapp-full',
      name: 'Full',
      slug: 'goapp-full',
      triggers: [{ event: 't/full' }],
      retries: { attempts: 1 },
      steps: {
        step: {
          id: 'step',
          name: 'Full',
          retries: { attempts: 1 },
          runtime: { url: 'http://localhost:9003/api/inngest?fnId=goapp-full&step=step' },
        },
      },
      concurrency: {
        step: [{ limit: 2, key: 'event.data.u', scope: 'Env', hash: '' }],
        fn: [{ limit: 1, hash: '' }],
      },
      throttle: { limit: 1, period: '5s', burst: 0, key: null },
      Singleton: null,
      checkpoint: {},
      rateLimit: null,
      debounce: null,
      batchEvents: null,
      priority: null,
      idempotency: null,
      cancel: null,
      timeouts: null,
    };
    expect(readFunctions([fn], checkExpression).functions).toEqual([
      {
        slug: 'goapp-full',
        name: 'Full',
        triggers: [{ event: 't/full' }],
        url: 'http://localhost:9003/api/inngest?fnId=goapp-full&step=step',
        retries: 1,
        concurrency: {
          step: [{ limit: 2, key: 'event.data.u', scope: 'env' }],
          fn: [{ limit: 1, scope: 'fn' }],
        },
        throttle: { limit: 1, periodMs: 5_000, burst: 0 },
        cancelOn: [],
        timeouts: {},
        checkpoint: {},
      },
    ]);
  });

  it('Kotlin', () => {
    const fn = {
      id: 'ktapp-f',
      name: 'f',
      triggers: [{ event: 't/f' }],
      steps: { step: { id: 'step', name: 'step', retries: { attempts: 3 }, runtime: { type: 'http', url } } },
      debounce: { period: '60s' },
      cancel: [{ event: 't/c', if: null, timeout: '"3600s"' }],
    };
    expect(readFunctions([fn], checkExpression).functions).toEqual([
      {
        slug: 'ktapp-f',
        name: 'f',
        triggers: [{ event: 't/f' }],
        url,
        retries: 3,
        debounce: { periodMs: MINUTE },
        cancelOn: [{ event: 't/c', timeout: '3600s' }],
        timeouts: {},
      },
    ]);
  });
});
