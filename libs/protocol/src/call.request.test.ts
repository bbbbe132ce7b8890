import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonical } from '#core/json.js';
import { LIMITS } from '#core/limits.js';
import type { CallView } from '#core/run/run.call.js';
import { callRequest, callUrl, type CallInput } from './call.request.js';
import { verifySignature } from './signing.js';

const EVENT = '{"data":{"u":1},"id":"01M826RH32JC767B9553168PSJ","name":"t/par","ts":1795370533986,"user":{}}';
const HASH = '86f7e437faa5a7fce15d1ddcb9eaeaea377667b8';
const KEY = 'signkey-test-00ff';

const view: CallView = {
  runId: '01M826RHBPP47SA1YZNBK2261F',
  functionId: '4c06f5a6-3a0b-549f-8d25-7237f71e8e14',
  functionSlug: 'app4-par',
  target: 'step',
  attempt: 0,
  maxAttempts: 5,
  generation: 1,
  qiId: 'Q1',
  requestVersion: 2,
  disableImmediateExecution: false,
  events: [EVENT],
  steps: [{ id: HASH, memo: '{"data":"A"}' }],
  stack: [HASH],
  defers: [],
};
const input: CallInput = {
  view,
  url: 'http://localhost:9002/api/inngest?fnId=app4-par&stepId=step',
  sdk: 'js:v4.24.0',
  serverKind: 'dev',
  requestId: '01M826RHW940ZYCJ05VN9HJATV',
  jobId: 'J1',
  now: 1_700_000_000_000,
};
const call = (changed: Partial<CallInput>, changedView: Partial<CallView> = {}) =>
  callRequest({ ...input, ...changed, view: { ...view, ...changedView } });

describe('the body of a call', () => {
  it('is what SDKs expect', () => {
    expect(call({}).body).toBe(
      '{"ctx":{"attempt":0,"disable_immediate_execution":false,"env":"","fn_id":"4c06f5a6-3a0b-549f-8d25-7237f71e8e14",' +
        '"generation_id":1,"job_id":"J1","max_attempts":5,"qi_id":"Q1","request_id":"01M826RHW940ZYCJ05VN9HJATV",' +
        '"run_id":"01M826RHBPP47SA1YZNBK2261F","stack":{"current":1,"stack":["86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"]},' +
        '"step_id":"step","use_api":false},"defers":{},' +
        `"event":${EVENT},"events":[${EVENT}],` +
        '"steps":{"86f7e437faa5a7fce15d1ddcb9eaeaea377667b8":{"data":"A"}},"use_api":false,"version":2}',
    );
  });

  it('is canonical, whatever users sent and however ids look', () => {
    const json = fc.jsonValue({ maxDepth: 3 }).map((value) => canonical(value));
    const id = fc.oneof(
      fc.string(),
      fc.constantFrom('__proto__', 'constructor', '10', '9', '\u{1f600}', '\ufb33', '"'),
    );
    fc.assert(
      fc.property(
        fc.array(json, { minLength: 1, maxLength: 3 }),
        fc.array(fc.record({ id, memo: json }), { maxLength: 8 }),
        fc.array(fc.record({ id, abortable: fc.boolean() }), { maxLength: 4 }),
        fc.string(),
        (events, steps, defers, text) => {
          const { body } = call(
            { env: text, jobId: text, requestId: text },
            { events, steps, defers, stack: steps.map((step) => step.id), qiId: text },
          );
          const parsed = JSON.parse(body) as { steps: Record<string, unknown>; events: unknown[] };
          expect(body).toBe(canonical(parsed));
          expect(parsed.events).toEqual(events.map((event) => JSON.parse(event) as unknown));
          for (const step of steps) expect(Object.hasOwn(parsed.steps, step.id)).toBe(true);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('names a step once: the first', () => {
    const steps = [
      { id: 'b', memo: '1' },
      { id: 'a', memo: '2' },
      { id: 'b', memo: '3' },
    ];
    expect(call({}, { steps }).body).toContain('"steps":{"a":2,"b":1}');
  });

  it('names defers', () => {
    const defers = [
      { id: 'd2', abortable: true },
      { id: 'd1', abortable: false },
    ];
    expect(call({}, { defers }).body).toContain('"defers":{"d1":{"abortable":false},"d2":{"abortable":true}}');
  });
});

describe('a state too large for a body', () => {
  const memoOf = (bytes: number) => `{"data":"${'x'.repeat(bytes - 11)}"}`;
  const eventOf = (bytes: number, id: string) => `{"data":{"x":"${'é'.repeat(bytes / 2)}"},"id":"${id}"}`;
  const overhead = call({}, { steps: [{ id: HASH, memo: '' }] }).body.length;
  const parse = (body: string) =>
    JSON.parse(body) as {
      ctx: { use_api: boolean; stack: object };
      use_api: boolean;
      steps: object;
      events: { id: string }[];
    };

  it('goes inline up to the limit', () => {
    const steps = [{ id: HASH, memo: memoOf(LIMITS.callBodyBytesMax - overhead) }];
    const { body, useApi } = call({}, { steps });
    expect(body).toHaveLength(LIMITS.callBodyBytesMax);
    expect(useApi).toBe(false);
  });

  it.each(['js:v4.24.0', 'py:v0.5.18', 'inngest-js:v3.54.2'])(
    'is left out for %s, the order of completion is not',
    (sdk) => {
      const steps = [{ id: HASH, memo: memoOf(LIMITS.callBodyBytesMax - overhead + 1) }];
      const { body, useApi } = call({ sdk }, { steps });
      expect(useApi).toBe(true);
      expect(parse(body)).toMatchObject({
        use_api: true,
        ctx: { use_api: true, stack: { current: 1, stack: [HASH] } },
        steps: {},
      });
      expect(parse(body).events).toHaveLength(1);
      expect(body).toBe(canonical(JSON.parse(body)));
    },
  );

  it.each(['go:v0.16.0', 'inngest-kt:0.2.2', ''])('goes whole to %s, which would not fetch it', (sdk) => {
    const { body, useApi } = call({ sdk }, { steps: [{ id: HASH, memo: memoOf(LIMITS.callBodyBytesMax) }] });
    expect(useApi).toBe(false);
    expect(parse(body)).toMatchObject({ use_api: false, ctx: { use_api: false } });
    expect(Object.keys(parse(body).steps)).toEqual([HASH]);
  });

  it('keeps the events as long as they fit, then the first', () => {
    const steps = [{ id: HASH, memo: memoOf(LIMITS.callBodyBytesMax) }];
    const small = call({}, { steps, events: [eventOf(100_000, 'a'), eventOf(100_000, 'b')] });
    expect(parse(small.body).events.map((event) => event.id)).toEqual(['a', 'b']);
    const large = call({}, { steps: [], events: [eventOf(1_000_000, 'a'), eventOf(3_000_000, 'b')] });
    expect(large.useApi).toBe(true);
    expect(parse(large.body).events.map((event) => event.id)).toEqual(['a']);
  });
});

describe('the headers of a call', () => {
  it('say which call it is', () => {
    const { headers } = call(
      { serverKind: 'cloud', traceparent: '00-1-2-01', tracestate: 'a=b' },
      { target: HASH, generation: 3, requestVersion: -1 },
    );
    expect(headers).toEqual({
      'content-type': 'application/json',
      'user-agent': 'Inngest',
      'x-inngest-server-kind': 'cloud',
      'x-inngest-req-version': '-1',
      'x-run-id': view.runId,
      'x-request-id': input.requestId,
      'x-inngest-step-id': HASH,
      'x-inngest-job-id': 'J1',
      'x-inngest-generation-id': '3',
      'account-id': '00000000-0000-4000-a000-000000000000',
      traceparent: '00-1-2-01',
      tracestate: 'a=b',
    });
  });

  it('sign the body with the key, where there is one', () => {
    const { headers, body } = call({ signingKey: KEY });
    expect(verifySignature(headers['x-inngest-signature'] ?? '', body, [KEY], input.now)).toEqual({
      ok: true,
      key: KEY,
    });
  });
});

describe('where a call goes', () => {
  it.each([
    ['http://localhost:9002/api/inngest?fnId=a&stepId=step', 'http://localhost:9002/api/inngest?fnId=app-fn&stepId=h1'],
    [
      'https://x.test/in?token=a%20b&fnId=other&step=step',
      'https://x.test/in?token=a+b&fnId=app-fn&step=step&stepId=h1',
    ],
    ['http://127.0.0.1:80/x', 'http://127.0.0.1/x?fnId=app-fn&stepId=h1'],
    ['http://127.0.0.1:3000/x', 'http://localhost:3000/x?fnId=app-fn&stepId=h1'],
    ['http://0.0.0.0:3000/x', 'http://localhost:3000/x?fnId=app-fn&stepId=h1'],
    ['http://127.0.0.2:3000/x', 'http://127.0.0.2:3000/x?fnId=app-fn&stepId=h1'],
    ['http://[::1]:3000', 'http://[::1]:3000/?fnId=app-fn&stepId=h1'],
    ['not a url', 'not a url'],
  ])('%s', (registered, called) => {
    expect(callUrl(registered, 'app-fn', 'h1')).toBe(called);
  });
});
