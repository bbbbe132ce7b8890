import { describe, expect, it } from 'vitest';
import type { FunctionConfig, FunctionVersion } from '../function/function.config.js';
import { limitsOf } from './flow.of-function.js';
import { flowOf, viewOf } from './flow.of-run.js';

const AT = 1_800_000_000_000;

function functionOf(config: Partial<FunctionConfig>): FunctionVersion {
  const base = { slug: 'app-fn', name: 'fn', triggers: [], url: '', retries: 4, cancelOn: [], timeouts: {} };
  return { id: 'fn', env: 'env', appId: 'app', appName: 'app', version: 1, config: { ...base, ...config } };
}

function flow(config: Partial<FunctionConfig>, data: unknown = {}) {
  return flowOf(functionOf(config), { value: { name: 'a/b', data } }, AT);
}

const throttle = (key?: string) => ({ limit: 1, periodMs: 1_000, burst: 0, ...(key === undefined ? {} : { key }) });

describe('what a run carries of flow control', () => {
  it('is nothing where nothing is declared, or only what is read from the function', () => {
    expect(flow({})).toBeUndefined();
    expect(flow({ concurrency: { step: [{ limit: 4, scope: 'fn' }], fn: [] } })).toBeUndefined();
    expect(flow({ priority: '0' })).toBeUndefined();
  });

  it('are the keys of its step limits, with scope and number', () =>
    expect(
      flow(
        {
          concurrency: {
            step: [
              { limit: 4, scope: 'fn' },
              { limit: 2, scope: 'account', key: '"all"' },
              { limit: 3, scope: 'env', key: 'event.data.n' },
            ],
            fn: [],
          },
        },
        { n: 5 },
      ),
    ).toEqual({
      step: [
        { scope: 'account', expression: '"all"', value: 'all', limit: 2 },
        { scope: 'env', expression: 'event.data.n', value: '5', limit: 3 },
      ],
    }));

  it('is the limit on runs and the throttle, keyless too', () => {
    expect(flow({ concurrency: { step: [], fn: [{ limit: 1, scope: 'fn' }] }, throttle: throttle() })).toEqual({
      run: { scope: 'fn', value: '', limit: 1 },
      throttle: { value: '' },
    });
    expect(
      flow({
        concurrency: { step: [], fn: [{ limit: 1, scope: 'fn', key: 'event.name' }] },
        throttle: throttle('event.name'),
      }),
    ).toEqual({
      run: { scope: 'fn', expression: 'event.name', value: 'a/b', limit: 1 },
      throttle: { expression: 'event.name', value: 'a/b' },
    });
  });

  it('is the priority: whole seconds, also of a plain number', () => {
    expect(flow({ priority: 'event.data.n' }, { n: 7 })).toEqual({ priority: 7 });
    expect(flow({ priority: '-5' })).toEqual({ priority: -5 });
    expect(flow({ priority: '99999' })).toEqual({
      priority: 43_200,
      notes: ['priority.run: 43200 is the most; it counts as 43200'],
    });
  });

  it('is a bucket of all where a key fails, does not compile or is missing, and a note', () => {
    const concurrency = {
      step: [{ limit: 2, scope: 'fn', key: '[1][9]' }],
      fn: [{ limit: 1, scope: 'fn', key: 'event.data.none' }],
    } as const;
    const found = flow({ concurrency, throttle: throttle('no CEL ('), priority: '"high"' });
    expect(found).toMatchObject({ step: [{ value: 'false' }], run: { value: 'false' }, throttle: { value: 'false' } });
    expect(found).not.toHaveProperty('priority');
    expect(found?.notes).toMatchObject([
      expect.stringMatching(/^concurrency\.key failed: .+; all such runs share one bucket$/),
      'concurrency.fn.key is missing in the event; all such runs share one bucket',
      expect.stringMatching(/^throttle\.key failed: .+; all such runs share one bucket$/),
      expect.stringMatching(/^priority\.run: the result is no integer but .+; it counts as 0$/),
    ]);
    expect(flow({ priority: 'no CEL (' })?.notes).toHaveLength(1);
  });

  it('is the bucket `false` where the key is false: that is a value', () =>
    expect(flow({ throttle: throttle('event.data.on') }, { on: false })).toEqual({
      throttle: { expression: 'event.data.on', value: 'false' },
    }));
});

describe('the view of an event', () => {
  it('parses what it is asked for once, and what it is not asked for never', () => {
    const view = viewOf('{"data":{"n":1}}');
    expect(view.value).toBe(view.value);
    const broken = viewOf('no json');
    expect(flowOf(functionOf({ throttle: throttle() }), broken, AT)).toEqual({ throttle: { value: '' } });
    expect(() => broken.value).toThrow(SyntaxError);
  });
});

describe('the numbers of a function', () => {
  it('are a thousand requests where nothing is declared', () =>
    expect(limitsOf(functionOf({}))).toEqual({ concurrency: 1_000, declared: false }));

  it('are those of its concurrency: the smallest without a key, and all that have one', () =>
    expect(
      limitsOf(
        functionOf({
          concurrency: {
            step: [
              { limit: 9, scope: 'fn' },
              { limit: 4, scope: 'fn' },
              { limit: 2, scope: 'env', key: 'event.name' },
            ],
            fn: [{ limit: 1, scope: 'fn', key: 'event.data.n' }],
          },
        }),
      ),
    ).toEqual({
      concurrency: 4,
      declared: true,
      step: [{ scope: 'env', expression: 'event.name', limit: 2 }],
      run: { expression: 'event.data.n', limit: 1 },
    }));

  it('say that concurrency is declared where only whole runs are limited', () =>
    expect(limitsOf(functionOf({ concurrency: { step: [], fn: [{ limit: 1, scope: 'fn' }] } }))).toEqual({
      concurrency: 1_000,
      declared: false,
      step: [],
      run: { limit: 1 },
    }));

  it('are those of its throttle', () =>
    expect(
      limitsOf(functionOf({ throttle: { limit: 2, periodMs: 5_000, burst: 1, key: 'event.name' } })).throttle,
    ).toEqual({
      limit: 2,
      periodMs: 5_000,
      burst: 1,
    }));
});
