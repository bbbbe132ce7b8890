import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonical } from '#core/json.js';
import { LIMITS } from '#core/limits.js';
import type { Op, Outcome } from '#core/run/run.ops.js';
import { readReply, unreachable } from './call.reply.js';
import { sign } from './signing.js';

const NOW = 1_795_370_534_000;
const KEY = 'signkey-test-00ff';
const TS = { 'x-inngest-sdk': 'inngest-js:v4.24.0', 'x-inngest-sdk-handled': 'true', 'x-inngest-req-version': '2' };
const PY = { 'x-inngest-sdk': 'inngest-py:v0.5.18', 'x-inngest-req-version': '2' };
const GO = { 'x-inngest-sdk': 'go:v0.16.0', 'x-inngest-sdk-handled': 'true' };
const KT = { 'x-inngest-sdk': 'inngest-kt:0.2.2' };

type Headers = Record<string, string>;

function outcome(status: number, body: unknown, headers: Headers = TS): Outcome {
  return readReply({ status, headers, body: typeof body === 'string' ? body : JSON.stringify(body) }, { now: NOW })
    .outcome;
}

function ops(items: unknown, headers: Headers = TS): readonly Op[] {
  const read = outcome(206, items, headers);
  if (read.kind !== 'ops') throw new Error(`an error: ${read.fault.message}`);
  return read.ops;
}

function op(item: unknown, headers: Headers = TS): Op {
  const [only, ...rest] = ops([item], headers);
  if (!only || rest.length > 0) throw new Error('not one operation');
  return only;
}

function failed(read: Outcome): Extract<Outcome, { kind: 'error' }> {
  if (read.kind !== 'error') throw new Error('no error');
  return read;
}

describe('a function that returns', () => {
  it.each([
    ['{"b":1.0,"a":"é"}', '{"a":"é","b":1}'],
    ['null', 'null'],
    ['', 'null'],
    ['\ufeff "x" \n', '"x"'],
    ['1e3', '1000'],
  ])('%s', (body, data) => {
    expect(outcome(200, body)).toEqual({
      kind: 'ops',
      ops: [{ op: 'RunComplete', id: '0737c22d3bfae812339732d14d8c7dbd6dc4e09c', name: 'complete', data }],
      noRetry: false,
      plain: true,
    });
  });

  it('but half of it', () => {
    expect(failed(outcome(200, '{"ok":tr'))).toMatchObject({
      code: 'reply_unreadable',
      noRetry: false,
      transport: true,
    });
  });

  it('with checkpoints: the completion is an operation, and no plain answer', () => {
    const read = outcome(206, [
      { op: 'RunComplete', id: '0737c22d3bfae812339732d14d8c7dbd6dc4e09c', data: { ok: true } },
    ]);
    expect(read).toEqual({
      kind: 'ops',
      ops: [
        {
          op: 'RunComplete',
          id: '0737c22d3bfae812339732d14d8c7dbd6dc4e09c',
          name: '0737c22d3bfae812339732d14d8c7dbd6dc4e09c',
          data: '{"ok":true}',
        },
      ],
      noRetry: false,
    });
  });

  it('from a durable endpoint: one object in place of the list', () => {
    expect(ops({ op: 'SyncRunComplete', data: { status: 200 } })).toMatchObject([
      { op: 'RunComplete', data: '{"status":200}' },
    ]);
  });
});

describe('the request version', () => {
  const version = (headers: Headers) => readReply({ status: 200, headers, body: '1' }, { now: NOW }).requestVersion;
  it('is what the SDK names, else nothing', () => {
    expect(version(TS)).toBe(2);
    expect(version({ ...TS, 'x-inngest-req-version': '1' })).toBe(1);
    for (const bad of ['-1', '0', '', 'x', '1.5', '1e9'])
      expect(version({ ...TS, 'x-inngest-req-version': bad })).toBeUndefined();
    expect(version(GO)).toBeUndefined();
  });
});

describe('operations of each SDK', () => {
  it('reads sleeps', () => {
    const id = 'a0f1490a';
    const until = { at: NOW + 1000 };
    const sleep = { op: 'Sleep', id, name: 's', until };
    expect(op({ displayName: 's', op: 'Sleep', id, name: '1s', opts: {}, userland: { id: 's' }, data: null })).toEqual(
      sleep,
    );
    expect(
      op(
        {
          op: 'Sleep',
          id,
          name: 's',
          opts: { duration: '1s' },
          data: null,
          error: null,
          displayName: null,
          timing: { a: 0, b: 0 },
          userland: { id: 's' },
        },
        GO,
      ),
    ).toEqual(sleep);
    expect(op({ id, name: 's', op: 'Sleep', statusCode: 'StepComplete', opts: { duration: '1s' } }, KT)).toEqual(sleep);
    const date = new Date(NOW + 5000).toISOString();
    expect(
      op(
        { displayName: 's', id, name: date, op: 'Sleep', opts: null, userland: { id: 's', index: null }, data: null },
        PY,
      ),
    ).toEqual({
      ...sleep,
      until: { at: NOW + 5000 },
    });
    expect(op({ op: 'Sleep', id, name: '', opts: null })).toMatchObject({ until: { at: NOW } });
    expect(op({ op: 'Sleep', id, name: 'soon' })).toMatchObject({ until: { invalid: 'soon' } });
    expect(op({ op: 'Sleep', id, name: '9000h' })).toMatchObject({ until: { tooLong: '9000h' } });
    expect(op({ op: 'Sleep', id, name: 5 })).toMatchObject({ until: { invalid: 'of type number' } });
  });

  it('reads waits for events', () => {
    const condition = 'event.data.u == async.data.u';
    const wait = {
      op: 'WaitForEvent',
      id: 'w1',
      name: 'w',
      event: 't/resume',
      if: condition,
      until: { at: NOW + 10_000 },
    };
    expect(
      op({
        displayName: 'w',
        op: 'WaitForEvent',
        id: 'w1',
        name: 't/resume',
        opts: { timeout: '10s', if: condition },
        userland: { id: 'w' },
        data: null,
      }),
    ).toEqual(wait);
    expect(
      op({ op: 'WaitForEvent', id: 'w1', name: 'w', opts: { event: 't/resume', if: condition, timeout: '10s' } }, GO),
    ).toEqual(wait);
    const bare = op(
      { displayName: 'w', op: 'WaitForEvent', id: 'w1', name: 't/resume', opts: { timeout: '10s', if: null } },
      PY,
    );
    expect(bare).not.toHaveProperty('if');
    expect(op({ op: 'WaitForEvent', id: 'w1', name: 't/x', opts: { timeout: '' } })).toMatchObject({
      until: { at: NOW },
    });
  });

  it('reads invocations', () => {
    expect(
      op({
        displayName: 'i1',
        op: 'InvokeFunction',
        id: 'h',
        opts: { payload: { data: { q: 1, a: 2 } }, function_id: 'app4-callee', timeout: '20s' },
        userland: { id: 'i1' },
        data: null,
      }),
    ).toEqual({
      op: 'InvokeFunction',
      id: 'h',
      name: 'i1',
      functionRef: 'app4-callee',
      payload: '{"data":{"a":2,"q":1}}',
      until: { at: NOW + 20_000 },
    });
    expect(
      op(
        {
          op: 'InvokeFunction',
          id: 'h',
          opts: {
            payload: { data: null, v: null, user: { u: 1 }, meta: { sessions: {} } },
            function_id: 'x',
            timeout: null,
          },
        },
        PY,
      ),
    ).toMatchObject({
      payload: '{"data":{},"meta":{"sessions":{}},"user":{"u":1}}',
      until: { at: NOW + LIMITS.invokeMsDefault },
    });
    expect(
      failed(outcome(206, [{ op: 'InvokeFunction', id: 'h', opts: { payload: { data: [1] }, function_id: 'x' } }]))
        .fault.message,
    ).toBe('error reading generator opcode response: step h invokes with data that is no object');
  });

  it('reads waits for signals', () => {
    expect(
      op({
        displayName: 'ws',
        op: 'WaitForSignal',
        id: 'h',
        name: 'sig-1',
        opts: { signal: 'sig-1', timeout: '20s', conflict: 'fail' },
      }),
    ).toEqual({
      op: 'WaitForSignal',
      id: 'h',
      name: 'ws',
      signal: 'sig-1',
      conflict: 'fail',
      until: { at: NOW + 20_000 },
    });
    expect(
      op({ op: 'WaitForSignal', id: 'h', opts: { signal: 'sig-1', timeout: null, conflict: 'replace' } }, GO),
    ).toMatchObject({
      conflict: 'replace',
      until: { at: NOW + LIMITS.signalMsDefault },
    });
  });

  it('reads steps that ran', () => {
    const ran = {
      displayName: 'a',
      op: 'StepRun',
      id: 'h',
      name: 'a',
      opts: {},
      userland: { id: 'a' },
      data: { z: 1, a: 'A' },
      timing: { a: 1_795_370_534_231_000_000, b: 1_500_000 },
      mode: 'sync',
      rawArgs: ['secret'],
      hashedId: 'h',
      promise: {},
      middleware: {},
    };
    expect(op(ran)).toEqual({
      op: 'StepDone',
      id: 'h',
      name: 'a',
      memo: '{"data":{"a":"A","z":1}}',
      startedAt: 1_795_370_534_231,
      ranMs: 2,
    });
    expect(op({ op: 'StepRun', id: 'h', name: 'a' })).toMatchObject({ memo: '{"data":null}' });
    expect(
      op({ op: 'StepRun', id: 'h', opts: { type: 'step.ai.wrap', input: [{ b: 1, a: 2 }] }, data: 1 }),
    ).toMatchObject({ type: 'step.ai.wrap', input: '[{"a":2,"b":1}]' });
    expect(op({ op: 'StepRun', id: 'h', opts: { input: 'no list' }, data: 1 })).not.toHaveProperty('input');
    for (const timing of [{ a: 0, b: 0 }, { a: 1e300, b: 1 }, { a: 'x' }, null, 5])
      expect(op({ op: 'StepRun', id: 'h', timing })).not.toHaveProperty('startedAt');
  });

  it('reads what is attached to a step, and stumbles over none of it', () => {
    const attached = (metadata: unknown) => op({ op: 'StepRun', id: 'h', metadata });
    const item = { kind: 'userland.x', scope: 'step', op: 'merge', values: { b: 1, a: 2 } };
    expect(
      attached([
        { ...item, junk: 1 },
        { ...item, scope: null },
      ]),
    ).toMatchObject({
      metadata:
        '[{"kind":"userland.x","op":"merge","scope":"step","values":{"a":2,"b":1}},{"kind":"userland.x","op":"merge","values":{"a":2,"b":1}}]',
    });
    const deep = JSON.parse('['.repeat(600) + ']'.repeat(600)) as unknown;
    const large = 'x'.repeat(LIMITS.metadataItemBytesMax);
    const bad = [
      null,
      5,
      {},
      { ...item, kind: 5 },
      { ...item, values: [] },
      { ...item, values: { deep } },
      { ...item, values: { large } },
    ];
    for (const metadata of [bad, 'text', null, { 0: item }]) expect(attached(metadata)).not.toHaveProperty('metadata');
    expect(attached([...bad, item])).toHaveProperty('metadata');
  });

  it('keeps what the Step of Kotlin holds as it is', () => {
    const step = (data: unknown) =>
      op({ id: '00762ccf', name: 'se', op: 'Step', statusCode: 'StepComplete', data, error: null }, KT);
    expect(step({ event_ids: ['01M8'] })).toEqual({
      op: 'StepDone',
      id: '00762ccf',
      name: 'se',
      memo: '{"event_ids":["01M8"]}',
    });
    expect(step([1])).toMatchObject({ memo: '{"data":[1]}' });
    expect(step(null)).toMatchObject({ memo: '{"data":null}' });
  });

  it('reads planned steps and their mode, however it is spelled', () => {
    expect(op({ op: 'StepPlanned', id: 'h', name: 'a', displayName: 'A', opts: { parallelMode: 'race' } })).toEqual({
      op: 'StepPlanned',
      id: 'h',
      name: 'A',
      race: true,
    });
    expect(op({ op: 'Sleep', id: 'h', name: 'a', opts: { parallelMode: 'Race', duration: '0s' } }, GO)).toEqual({
      op: 'Sleep',
      id: 'h',
      name: 'a',
      race: true,
      until: { at: NOW },
    });
    expect(op({ op: 'StepPlanned', id: 'h', opts: { parallelMode: 'wait' } })).toEqual({
      op: 'StepPlanned',
      id: 'h',
      name: 'h',
    });
  });

  it('reads calls that the server makes, and nothing more of them', () => {
    expect(
      op({
        displayName: 'ai',
        op: 'AIGateway',
        id: 'h',
        opts: {
          type: 'step.ai.infer',
          url: 'http://x/v1',
          auth_key: 'sk-x',
          format: 'openai-chat',
          headers: null,
          body: { m: 1 },
          junk: 1,
        },
      }),
    ).toEqual({
      op: 'AIGateway',
      id: 'h',
      name: 'ai',
      type: 'step.ai.infer',
      request: '{"auth_key":"sk-x","body":{"m":1},"format":"openai-chat","url":"http://x/v1"}',
    });
    expect(
      op({
        displayName: 'step.fetch: x',
        op: 'Gateway',
        id: 'h',
        opts: { url: 'http://x', method: 'POST', headers: { 'x-a': 'b' }, body: '{"k":1}' },
      }),
    ).toMatchObject({
      request: '{"body":"{\\"k\\":1}","headers":{"x-a":"b"},"method":"POST","url":"http://x"}',
    });
  });

  it('reads defers, and only notes those that break a rule', () => {
    expect(
      op({
        op: 'DeferAdd',
        id: 'd',
        displayName: 'later',
        opts: { fn_slug: 'app-later', input: { b: 1, a: 2 }, meta: {} },
      }),
    ).toEqual({ op: 'DeferAdd', id: 'd', name: 'later', functionRef: 'app-later', payload: '{"a":2,"b":1}' });
    expect(op({ op: 'DeferAdd', id: 'd', opts: { input: {} } })).toMatchObject({
      rejected: 'invalid_opts',
      payload: 'null',
    });
    expect(op({ op: 'DeferAdd', id: 'd', opts: { fn_slug: 'x', input: 'text' } })).toMatchObject({
      rejected: 'invalid_opts',
    });
    const input = { text: 'x'.repeat(LIMITS.deferInputBytesMax) };
    expect(op({ op: 'DeferAdd', id: 'd', opts: { fn_slug: 'x', input } })).toMatchObject({
      rejected: 'per_defer_size',
      payload: 'null',
    });
    expect(
      op({ op: 'DeferAbort', id: 'da', opts: { target_hashed_id: 'd', fn_slug: 'x', id: 'later' } }),
    ).toMatchObject({ target: 'd' });
    expect(op({ op: 'DeferAbort', id: 'da', opts: {} })).toMatchObject({ target: '' });
  });

  it('reads a wish to go on', () => {
    expect(op({ op: 'DiscoveryRequest', id: 'h' })).toEqual({ op: 'DiscoveryRequest', id: 'h', name: 'h' });
  });
});

describe('errors of steps', () => {
  const json = (item: unknown, headers?: Headers) => {
    const read = op(item, headers);
    if (!('fault' in read)) throw new Error('no fault');
    expect(read.fault.json).toBe(canonical(JSON.parse(read.fault.json)));
    return { ...read, fault: { ...read.fault, json: JSON.parse(read.fault.json) as unknown } };
  };

  it('reads those of TypeScript, without what is its own', () => {
    const error = {
      name: 'NonRetriableError',
      message: 'never',
      stack: 'at x',
      cause: 'c',
      __serialized: true,
      code: 'E',
    };
    expect(
      json({
        id: 'h',
        op: 'StepFailed',
        name: 'n',
        error,
        data: { __serialized: true, name: 'X', message: 'never', stack: '' },
      }),
    ).toEqual({
      op: 'StepFailed',
      id: 'h',
      name: 'n',
      fault: {
        name: 'NonRetriableError',
        message: 'never',
        json: { name: 'NonRetriableError', message: 'never', stack: 'at x', cause: 'c', data: null },
      },
    });
  });

  it('reads those of Go, whose data must stay', () => {
    expect(
      json(
        {
          op: 'StepFailed',
          id: 'h',
          name: 'boom',
          opts: null,
          data: null,
          error: { name: 'Step failed', message: 'kaput', data: { a: 1 } },
        },
        GO,
      ),
    ).toMatchObject({
      op: 'StepFailed',
      fault: { json: { name: 'Step failed', message: 'kaput', data: { a: 1 } } },
    });
  });

  it('reads those of Kotlin, which have no name', () => {
    const error = { cause: null, stackTrace: [{ a: 1 }], message: 'x', suppressed: [], localizedMessage: 'x' };
    expect(
      json({ id: 'h', name: 'boom', op: 'StepError', statusCode: 'StepError', data: null, error }, KT),
    ).toMatchObject({
      op: 'StepError',
      fault: { name: '', message: 'x', json: { name: '', message: 'x', data: null } },
    });
  });

  it('reads whatever else was thrown', () => {
    expect(json({ id: 'h', op: 'StepError', error: 'text' }).fault).toMatchObject({ name: '', message: 'text' });
    expect(
      json({ id: 'h', op: 'StepError', error: null, data: { name: 'E', message: 'in data' } }).fault,
    ).toMatchObject({ name: 'E', message: 'in data' });
    expect(json({ id: 'h', op: 'StepError' }).fault.json).toEqual({ name: '', message: '', data: null });
    expect(json({ id: 'h', op: 'StepError', error: { message: { a: 1 }, name: 5, stack: [] } }).fault.json).toEqual({
      name: '',
      message: '',
      data: null,
    });
  });

  it('cuts one that is too large for a memo', () => {
    const read = op({
      id: 'h',
      op: 'StepError',
      error: { name: 'E', message: 'x'.repeat(LIMITS.stepOutputBytesMax), stack: 's', data: 1 },
    });
    if (read.op !== 'StepError') throw new Error('no error');
    expect(read.fault.json.length).toBeLessThan(100_000);
    expect(JSON.parse(read.fault.json)).toMatchObject({ name: 'E', stack: 's', data: null });
  });

  it('takes the word of one operation that it must not be retried', () => {
    expect(op({ id: 'h', op: 'StepError', noRetry: true, error: { message: 'x' } })).toMatchObject({
      op: 'StepFailed',
    });
  });

  it('passes on whether and when to try again', () => {
    const error = [{ id: 'h', op: 'StepError', error: { name: 'RetryAfterError', message: 'later' } }];
    expect(outcome(206, error, { ...TS, 'x-inngest-no-retry': 'false', 'retry-after': '2' })).toMatchObject({
      noRetry: false,
      retryAfterMs: 2000,
    });
    expect(outcome(206, error, { ...TS, 'x-inngest-no-retry': 'True' })).toMatchObject({ noRetry: true });
    expect(outcome(206, error, { ...GO, 'retry-after': new Date(NOW + 30_000).toISOString() })).toMatchObject({
      retryAfterMs: 30_000,
    });
    const final = [{ ...error[0], op: 'StepFailed' }];
    expect(outcome(206, final, { ...GO, 'retry-after': '2' })).not.toHaveProperty('retryAfterMs');
  });
});

describe('the order of operations', () => {
  it('is: defers and waits, the rest as it came, the completion', () => {
    const ids = (items: unknown) => ops(items).map(({ id }) => id);
    expect(
      ids([
        { op: 'RunComplete', id: 'done' },
        { op: 'StepRun', id: 'send' },
        { op: 'Sleep', id: 'nap', name: '1s' },
        { op: 'WaitForEvent', id: 'wait', name: 't/x', opts: { timeout: '1s' } },
        { op: 'DeferAbort', id: 'abort', opts: {} },
        { op: 'None', id: 'none' },
        { op: 'DeferAdd', id: 'defer', opts: { fn_slug: 'f' } },
      ]),
    ).toEqual(['wait', 'abort', 'defer', 'send', 'nap', 'done']);
  });

  it('has each id once: what came first', () => {
    expect(
      ops([
        { op: 'StepRun', id: 'a', data: 1 },
        { op: 'StepPlanned', id: 'a' },
        { op: 'StepRun', id: 'a', data: 2 },
      ]),
    ).toMatchObject([{ op: 'StepDone', memo: '{"data":1}' }]);
  });

  it('may be empty', () => {
    for (const body of ['[]', '', ' ', 'null', '[{"op":"None"}]'])
      expect(outcome(206, body)).toEqual({ kind: 'ops', ops: [], noRetry: false });
  });
});

describe('a reply that breaks the protocol', () => {
  it.each([
    ['not JSON', '<html>'],
    ['half of it', '[{"op":"StepRun","id":"a"'],
    ['no object', '[5]'],
    ['a list in a list', '[[]]'],
    ['an unknown operation', '[{"op":"StepDance","id":"a"}]'],
    ['an operation in other letters', '[{"op":"steprun","id":"a"}]'],
    ['the AI gateway as it is sometimes written', '[{"op":"AiGateway","id":"a"}]'],
    ['no operation', '[{"id":"a"}]'],
    ['no id', '[{"op":"StepRun"}]'],
    ['an id that is no text', '[{"op":"StepRun","id":5}]'],
    ['an id that is too long', `[{"op":"StepRun","id":"${'x'.repeat(300)}"}]`],
    ['the name of the function for an id', '[{"op":"StepPlanned","id":"step"}]'],
    ['a name out of the prototype', '[{"op":"StepPlanned","id":"__proto__"}]'],
    ['a wait for nothing', '[{"op":"WaitForEvent","id":"a"}]'],
    ['an invocation of nothing', '[{"op":"InvokeFunction","id":"a","opts":{}}]'],
    ['a signal without a name', '[{"op":"WaitForSignal","id":"a","opts":null}]'],
    ['one bad operation among good ones', '[{"op":"StepRun","id":"a"},{"op":"X","id":"b"}]'],
    ['a state that Kotlin cannot read', '[{"op":"StepStateFailed","id":"a"}]'],
    ['too deep', `[{"op":"StepRun","id":"a","data":${'['.repeat(600)}${']'.repeat(600)}}]`],
    ['far too deep', '['.repeat(100_000)],
  ])('%s', (_, body) => {
    const read = failed(outcome(206, body));
    expect(read).toMatchObject({ code: 'reply_unreadable', noRetry: false });
    expect(read.fault.message).toMatch(/^error reading generator opcode response: /);
  });

  it('names the operation, and no more of it than needed', () => {
    expect(failed(outcome(206, [{ op: 'StepDance', id: 'a' }])).fault.message).toBe(
      'error reading generator opcode response: unknown operation "StepDance"',
    );
    expect(failed(outcome(206, [{ op: 'x'.repeat(9999), id: 'a' }])).fault.message.length).toBeLessThan(200);
  });

  it('with too large an output, or input', () => {
    const step = (data: string, opts: object = {}) => outcome(206, [{ op: 'StepRun', id: 'a', data, opts }]);
    expect(step('x'.repeat(LIMITS.stepOutputBytesMax - 2)).kind).toBe('ops');
    const read = failed(step('x'.repeat(LIMITS.stepOutputBytesMax - 1)));
    expect(read).toMatchObject({ code: 'step_output_too_large', noRetry: false, transport: false });
    expect(read.fault.message).toContain('step output size is greater than the limit');
    expect(failed(step('', { input: ['é'.repeat(LIMITS.stepInputBytesMax / 2)] }))).toMatchObject({
      code: 'step_input_too_large',
    });
  });

  it('larger than replies may be', () => {
    expect(failed(outcome(200, 'é'.repeat(LIMITS.replyBytesMax / 2) + 'x'))).toMatchObject({
      code: 'output_too_large',
      transport: true,
    });
  });

  it('with more steps than a run may have: the end of the run', () => {
    const planned = (count: number) => Array.from({ length: count }, (_, i) => ({ op: 'StepPlanned', id: `s${i}` }));
    expect(ops(planned(1000))).toHaveLength(1000);
    const read = failed(outcome(206, planned(1001)));
    expect(read).toMatchObject({ noRetry: true, transport: false, fault: { name: 'InngestErrFunctionOverflowed' } });
    expect(JSON.parse(read.output)).toMatchObject({
      error: { message: 'The function run exceeded the step limit of 1000 steps.' },
    });
  });

  it('with a status that SDKs do not use', () => {
    for (const status of [202, 204, 302, 304])
      expect(failed(outcome(status, ''))).toMatchObject({ code: 'reply_unreadable', noRetry: false });
  });

  it('says that a step is not in the code', () => {
    expect(failed(outcome(206, [{ op: 'StepNotFound', id: 'a' }]))).toMatchObject({
      code: 'step_not_found',
      noRetry: false,
    });
    const ts = {
      error: 'Could not find step "a" to run; timed out.',
      requestedStep: 'a',
      foundSteps: [],
      totalFoundSteps: 0,
    };
    expect(failed(outcome(500, ts, { ...TS, 'x-inngest-no-retry': 'false' }))).toMatchObject({
      code: 'step_not_found',
      fault: { name: 'StepNotFound', message: ts.error },
    });
    expect(
      failed(outcome(500, { code: 'step_unexpected', name: 'StepUnexpectedError', message: 'm', stack: '' }, PY)),
    ).toMatchObject({ code: 'step_not_found' });
  });
});

describe('errors of functions', () => {
  it.each([
    [
      'TypeScript, to be retried',
      500,
      { name: 'TypeError', message: 'kaput', stack: 's', __serialized: true },
      { ...TS, 'x-inngest-no-retry': 'false' },
      { noRetry: false, name: 'TypeError' },
    ],
    [
      'TypeScript, the last attempt',
      400,
      { name: 'Error', message: 'kaput', stack: 's', __serialized: true },
      { ...TS, 'x-inngest-no-retry': 'true' },
      { noRetry: true, name: 'Error' },
    ],
    [
      'Python',
      500,
      { code: 'unknown', name: 'ValueError', message: 'kaput', stack: 's' },
      PY,
      { noRetry: false, name: 'ValueError' },
    ],
    ['Go', 500, { message: 'kaput' }, GO, { noRetry: false, name: 'Error' }],
    [
      'Go, for good',
      500,
      { message: 'kaput' },
      { ...GO, 'x-inngest-no-retry': 'true' },
      { noRetry: true, name: 'Error' },
    ],
    [
      'Kotlin',
      400,
      { name: 'java.lang.X: kaput', message: 'kaput', stack: 's', __serialized: true },
      { ...KT, 'x-inngest-no-retry': 'true' },
      { noRetry: true, name: 'java.lang.X: kaput' },
    ],
    ['a 400 without the header', 400, { message: 'kaput' }, TS, { noRetry: false, name: 'Error' }],
    ['Go, a function that is gone', 410, { message: 'kaput' }, GO, { noRetry: false, name: 'Error' }],
  ])('%s', (_, status, body, headers, { noRetry, name }) => {
    const read = failed(outcome(status, body, headers));
    expect(read).toMatchObject({ noRetry, transport: false, code: String(status), fault: { name, message: 'kaput' } });
    expect(read.output).toBe(canonical(body));
    expect(JSON.parse(read.fault.json)).toMatchObject({ name, message: 'kaput', data: null });
    expect(JSON.parse(read.fault.json)).not.toHaveProperty('__serialized');
    expect(JSON.parse(read.fault.json)).not.toHaveProperty('code');
  });

  it('with a delay, as seconds, date or HTTP date', () => {
    const delay = (value: string) =>
      failed(outcome(500, { message: 'm' }, { ...TS, 'retry-after': value })).retryAfterMs;
    expect(delay('30')).toBe(30_000);
    expect(delay(new Date(NOW + 60_000).toISOString())).toBe(60_000);
    expect(delay(new Date(NOW + 60_000).toUTCString())).toBe(60_000);
    expect(delay('0')).toBeUndefined();
    expect(delay('soon')).toBeUndefined();
  });

  it('as a text, or as nothing', () => {
    expect(failed(outcome(500, 'error calling function: kaput', GO))).toMatchObject({
      fault: { name: 'Error', message: 'error calling function: kaput' },
      output: '"error calling function: kaput"',
    });
    expect(failed(outcome(500, '', PY))).toMatchObject({
      fault: { name: 'Error', message: 'Your app answered with status 500' },
      output: '""',
    });
    expect(failed(outcome(500, 'null', PY)).output).toBe('null');
    expect(failed(outcome(500, [{ op: 'StepStateFailed', error: { message: 'bad state' } }], KT)).fault.message).toBe(
      'bad state',
    );
  });

  it('a refused signature is no error of the function', () => {
    expect(failed(outcome(401, { message: 'Unauthorized' }, { 'x-inngest-sdk-handled': 'true' }))).toMatchObject({
      code: 'unauthorized',
      transport: true,
      noRetry: false,
    });
  });

  it('marks the answer of a call that another has overtaken', () => {
    const body = {
      name: 'StaleDispatchError',
      message: 'Stale dispatch: checkpoint returned 409 (run R)',
      stack: '',
      __serialized: true,
    };
    expect(failed(outcome(400, body, { ...TS, 'x-inngest-no-retry': 'true' })).code).toBe('stale_dispatch');
  });
});

describe('an answer that no SDK gave', () => {
  it('with success', () => {
    expect(failed(outcome(200, '<html>hello', {}))).toMatchObject({
      code: 'not_sdk',
      transport: true,
      noRetry: false,
      output: '"<html>hello"',
      fault: { message: 'The response did not come from an Inngest SDK' },
    });
    expect(failed(outcome(200, '{"b":1,"a":2}', {})).output).toBe('{"a":2,"b":1}');
    expect(failed(outcome(206, [], {})).code).toBe('not_sdk');
    expect(failed(outcome(201, '', {})).code).toBe('not_sdk');
    expect(failed(outcome(200, '['.repeat(5000) + ']'.repeat(5000), {})).code).toBe('not_sdk');
  });

  it('with failure', () => {
    const read = failed(outcome(502, '<html>Bad Gateway</html>', { 'retry-after': '5' }));
    expect(read).toMatchObject({ code: 'http_error', transport: true, noRetry: false, retryAfterMs: 5000 });
    expect(read.fault.message).toBe('Server returned a fatal error: HTTP 502');
    expect(JSON.parse(read.output)).toEqual({
      error: {
        error: 'http_error: Server returned a fatal error: HTTP 502',
        name: 'http_error',
        message: 'Server returned a fatal error: HTTP 502',
        stack: '<html>Bad Gateway</html>',
      },
    });
    expect(failed(outcome(500, { message: 'mine' }, { 'x-inngest-no-retry': 'true' }))).toMatchObject({
      code: 'http_error',
      noRetry: false,
    });
  });

  it('is kept short', () => {
    expect(failed(outcome(404, 'x'.repeat(1_000_000), {})).output.length).toBeLessThan(70_000);
  });

  it('or that did not come at all', () => {
    const read = unreachable('http_unreachable', 'Your server could not be reached: connection refused');
    expect(read).toMatchObject({ kind: 'error', transport: true, noRetry: false, code: 'http_unreachable' });
    expect(JSON.parse(read.output)).toEqual({
      error: {
        error: 'http_unreachable: Your server could not be reached: connection refused',
        name: 'http_unreachable',
        message: 'Your server could not be reached: connection refused',
      },
    });
  });
});

describe('a stream', () => {
  const streamed = (
    envelope: unknown,
    headers: Headers = { 'x-inngest-sdk': 'inngest-js:v4.24.0' },
    keys: readonly string[] = [],
  ) =>
    readReply(
      { status: 201, headers, body: `   \n ${typeof envelope === 'string' ? envelope : JSON.stringify(envelope)}` },
      { now: NOW, signingKeys: keys },
    );
  const step = JSON.stringify([{ op: 'StepRun', id: 'a', data: 1 }]);

  it('of TypeScript and Python holds a text', () => {
    const envelope = {
      status: 206,
      headers: { 'X-Inngest-Req-Version': '2', 'X-Inngest-No-Retry': 'true' },
      body: step,
      version: 2,
    };
    expect(streamed(envelope)).toMatchObject({
      requestVersion: 2,
      outcome: { kind: 'ops', noRetry: true, ops: [{ memo: '{"data":1}' }] },
    });
    expect(streamed({ body: '"x"', headers: {}, status: 200 }).outcome).toMatchObject({
      plain: true,
      ops: [{ data: '"x"' }],
    });
    expect(streamed({ body: '{"message":"m"}', headers: { 'retry-after': '3' }, status: 500 }).outcome).toMatchObject({
      code: '500',
      retryAfterMs: 3000,
    });
  });

  it('of Go holds a value', () => {
    const go = { 'x-inngest-sdk': 'go:v0.16.0' };
    expect(
      streamed(
        { status: 206, body: [{ op: 'StepRun', id: 'a', data: 1 }], headers: { 'X-Inngest-Req-Version': ['2'] } },
        go,
      ),
    ).toMatchObject({ requestVersion: 2, outcome: { ops: [{ memo: '{"data":1}' }] } });
    expect(streamed({ status: 200, body: '123' }, go).outcome).toMatchObject({ ops: [{ data: '"123"' }] });
    expect(
      streamed({ status: 500, body: { message: 'm' }, noRetry: true, retryAt: new Date(NOW + 9000).toISOString() }, go)
        .outcome,
    ).toMatchObject({ noRetry: true, retryAfterMs: 9000 });
  });

  it('is checked where it is signed: inside', () => {
    const envelope = (signature: string) => ({
      status: 206,
      headers: { 'x-inngest-signature': signature },
      body: step,
    });
    expect(streamed(envelope(sign(step, KEY, NOW)), undefined, [KEY]).outcome.kind).toBe('ops');
    expect(streamed(envelope(sign('[]', KEY, NOW)), undefined, [KEY]).outcome).toMatchObject({
      code: 'signature_invalid',
    });
  });

  it('has a head of its own, whose signature is of something else', () => {
    const headers = { 'x-inngest-sdk': 'inngest-js:v4.24.0', 'x-inngest-signature': sign('filler', KEY, NOW) };
    expect(streamed({ status: 206, headers: {}, body: step }, headers, [KEY]).outcome.kind).toBe('ops');
  });

  it.each([
    ['ends early', '{"status":206,"headers":{},"bo'],
    ['holds nothing', ''],
    ['holds no envelope', '[]'],
    ['holds no body', '{"status":206}'],
    ['holds no status', '{"status":"206","body":"[]"}'],
    ['holds half a status', '{"status":206.5,"body":"[]"}'],
  ])('that %s', (_, body) => {
    const read = failed(streamed(body).outcome);
    expect(read).toMatchObject({ code: 'http_reset', transport: true, noRetry: false });
    expect(read.fault.message).toContain('Your server reset the connection while we were reading the reply');
  });

  it('in a stream is none', () => {
    expect(streamed({ status: 201, headers: {}, body: step }).outcome).toMatchObject({ code: 'reply_unreadable' });
    expect(
      streamed({
        status: 206,
        headers: { a: [[['x']]], b: 5 },
        body: JSON.parse('['.repeat(600) + ']'.repeat(600)) as unknown,
      }).outcome,
    ).toMatchObject({ code: 'reply_unreadable' });
  });
});

describe('a signed answer', () => {
  const read = (signature: string | undefined, keys: readonly string[]) =>
    readReply(
      {
        status: 200,
        headers: signature === undefined ? TS : { ...TS, 'x-inngest-signature': signature },
        body: '{"ok": true}',
      },
      { now: NOW, signingKeys: keys },
    ).outcome;

  it('must hold, over the bytes as they came', () => {
    expect(read(sign('{"ok": true}', KEY, NOW), ['signkey-test-01', KEY]).kind).toBe('ops');
    expect(failed(read(sign('{"ok":true}', KEY, NOW), [KEY]))).toMatchObject({
      code: 'signature_invalid',
      transport: true,
      noRetry: false,
    });
    expect(failed(read(sign('{"ok": true}', KEY, NOW - 600_000), [KEY])).fault.message).toContain('compare the clocks');
    expect(failed(read('nonsense', [KEY])).code).toBe('signature_invalid');
  });

  it('is not asked for, and not looked at without keys', () => {
    expect(read(undefined, [KEY]).kind).toBe('ops');
    expect(read('nonsense', []).kind).toBe('ops');
  });
});

it('never throws, whatever comes', () => {
  const word = fc.constantFrom(
    'op',
    'id',
    'name',
    'opts',
    'data',
    'error',
    'timing',
    'metadata',
    'userland',
    'displayName',
    'duration',
    'timeout',
    'payload',
    'function_id',
    'input',
    'parallelMode',
    'status',
    'headers',
    'body',
    'message',
    'stack',
    'cause',
    '__proto__',
    'constructor',
    'a',
    'b',
  );
  const names = [
    'StepRun',
    'Step',
    'StepError',
    'StepFailed',
    'StepPlanned',
    'Sleep',
    'WaitForEvent',
    'WaitForSignal',
    'InvokeFunction',
    'Gateway',
    'AIGateway',
    'RunComplete',
    'DiscoveryRequest',
    'DeferAdd',
    'DeferAbort',
    'None',
    'StepNotFound',
    'Nonsense',
  ];
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom<unknown>(null, true, '', '1s', 'x', 0, -1, 1e300, 206, ...names),
      fc.string(),
      fc.double(),
      fc.array(tie('value'), { maxLength: 4 }),
      fc.array(fc.tuple(word, tie('value')), { maxLength: 6 }).map((entries) => Object.fromEntries(entries)),
    ),
  }));
  const item = fc
    .tuple(fc.constantFrom(...names), fc.string({ minLength: 1 }), fc.dictionary(word, value))
    .map(([name, id, rest]) => ({ ...rest, op: name, id }));
  const body = fc.oneof(
    fc.oneof(value, fc.array(item, { maxLength: 5 }), item).map((sent) => JSON.stringify(sent)),
    fc.string(),
    fc
      .tuple(
        fc.array(item, { maxLength: 3 }).map((sent) => JSON.stringify(sent)),
        fc.nat(200),
      )
      .map(([text, at]) => text.slice(0, at)),
  );
  const header = fc.dictionary(
    fc.constantFrom(
      'x-inngest-sdk',
      'x-inngest-sdk-handled',
      'x-inngest-req-version',
      'x-inngest-no-retry',
      'retry-after',
      'x-inngest-signature',
    ),
    fc.oneof(fc.constantFrom('true', '2', 'go:v1'), fc.string()),
  );
  fc.assert(
    fc.property(
      fc.constantFrom(200, 201, 206, 206, 206, 400, 401, 500, 503, 302, 0),
      header,
      body,
      (status, headers, text) => {
        const { outcome: read } = readReply(
          { status, headers: { 'x-inngest-sdk': 'js', ...headers }, body: text },
          { now: NOW, signingKeys: [KEY] },
        );
        const texts =
          read.kind === 'error'
            ? [read.output, read.fault.json]
            : read.ops.flatMap((each) => [
                ...('memo' in each ? [each.memo] : []),
                ...('fault' in each ? [each.fault.json] : []),
                ...('data' in each ? [each.data] : []),
                ...('payload' in each ? [each.payload] : []),
                ...('request' in each ? [each.request] : []),
                ...(each.input === undefined ? [] : [each.input]),
                ...(each.metadata === undefined ? [] : [each.metadata]),
              ]);
        for (const kept of texts) expect(kept).toBe(canonical(JSON.parse(kept)));
      },
    ),
    { numRuns: 1000 },
  );
});
