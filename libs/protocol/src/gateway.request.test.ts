import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonical } from '#core/json.js';
import { LIMITS } from '#core/limits.js';
import type { Outcome } from '#core/run/run.ops.js';
import {
  gatewayFailure,
  gatewayOutcome,
  gatewayRefused,
  gatewayRequest,
  shownRequest,
  type GatewayKind,
  type GatewayRequest,
} from './gateway.request.js';

const NOW = 1_795_370_534_000;
const KEY = 'sk-very-hush';

function request(kind: GatewayKind, fields: object): GatewayRequest {
  const made = gatewayRequest(kind, canonical(fields));
  if ('fault' in made) throw new Error(made.fault.message);
  return made;
}

const infer = (fields: object) =>
  request('ai', { url: 'https://ai.test/v1/chat', auth_key: KEY, body: { m: 1 }, ...fields });

describe('step.ai.infer', () => {
  it.each([
    ['openai-chat', { authorization: `Bearer ${KEY}` }],
    ['openai-responses', { authorization: `Bearer ${KEY}` }],
    [undefined, { authorization: `Bearer ${KEY}` }],
    ['anthropic', { 'x-api-key': KEY }],
    ['bedrock', { authorization: KEY }],
  ])('of format %s has its key where the provider looks', (format, headers) => {
    const made = infer({ format });
    expect(made).toMatchObject({ method: 'POST', url: 'https://ai.test/v1/chat', body: '{"m":1}' });
    expect(made.headers).toEqual({ 'user-agent': 'Inngest', 'content-type': 'application/json', ...headers });
  });

  it('of format gemini has it in the URL, once', () => {
    const made = infer({ format: 'gemini', url: 'https://ai.test/v1/m:generateContent?key=old' });
    expect(made.url).toBe(`https://ai.test/v1/m:generateContent?key=${KEY}`);
    expect(made.headers).not.toHaveProperty('authorization');
  });

  it('takes more headers, whose word is the last', () => {
    const made = infer({
      headers: { 'Anthropic-Version': '2023-06-01', Authorization: 'Own', Host: 'x', 'content-length': 5 },
      method: 'GET',
    });
    expect(made.headers).toEqual({
      'user-agent': 'Inngest',
      'content-type': 'application/json',
      'anthropic-version': '2023-06-01',
      authorization: 'Own',
    });
    expect(made.method).toBe('POST');
    expect(infer({ auth_key: '' }).headers).not.toHaveProperty('authorization');
  });

  const step = { id: 'h', name: 'ai', kind: 'ai' } as const;
  const answered = (status: number, body: string, headers: Record<string, string> = {}): Outcome =>
    gatewayOutcome(step, infer({}), { status, headers, body, url: 'https://ai.test/' }, NOW);

  it('is done with what the provider says', () => {
    expect(answered(200, '{"b": 1.0, "a": 2}')).toEqual({
      kind: 'ops',
      ops: [{ op: 'StepDone', id: 'h', name: 'ai', memo: '{"data":{"a":2,"b":1}}' }],
      noRetry: false,
    });
  });

  it.each([301, 401, 429, 500])('fails with status %i, and may be tried again', (status) => {
    const body = `{"error":{"message":"bad key ${KEY}"}}`;
    const read = answered(status, body, { 'retry-after': '7' });
    expect(read).toMatchObject({
      noRetry: false,
      retryAfterMs: 7000,
      ops: [
        {
          op: 'StepError',
          fault: { name: 'AIGatewayError', message: `Error making AI request: unsuccessful status code: ${status}` },
        },
      ],
    });
    expect(JSON.stringify(read)).not.toContain(KEY);
    const [op] = read.kind === 'ops' ? read.ops : [];
    expect(op && 'fault' in op && JSON.parse(op.fault.json)).toMatchObject({
      name: 'AIGatewayError',
      data: { error: { message: 'bad key [secret]' } },
      stack: '{"error":{"message":"bad key [secret]"}}',
    });
  });

  it('fails with what is no JSON', () => {
    expect(answered(200, '<html>')).toMatchObject({ ops: [{ op: 'StepError', fault: { name: 'AIGatewayError' } }] });
    expect(answered(200, '['.repeat(9000) + ']'.repeat(9000))).toMatchObject({ ops: [{ op: 'StepError' }] });
    expect(answered(500, '<html>')).toMatchObject({
      ops: [{ op: 'StepError', fault: { json: expect.stringContaining('"data":null') as string } }],
    });
  });
});

describe('step.fetch', () => {
  const step = { id: 'h', name: 'f', kind: 'fetch' } as const;

  it('is sent as it was asked for', () => {
    expect(
      request('fetch', {
        url: 'http://x.test/a?b=c',
        method: 'post',
        headers: { 'X-A': 'b', 'X-L': ['1', '2'] },
        body: '{"k":  1}',
      }),
    ).toEqual({
      method: 'POST',
      url: 'http://x.test/a?b=c',
      headers: { 'user-agent': 'Inngest', 'x-a': 'b', 'x-l': '1, 2' },
      body: '{"k":  1}',
      secrets: [],
    });
    expect(request('fetch', { url: 'http://x.test/', auth_key: KEY })).toEqual({
      method: 'GET',
      url: 'http://x.test/',
      headers: { 'user-agent': 'Inngest' },
      secrets: [],
    });
    expect(request('fetch', { url: 'http://x.test/', headers: { 'User-Agent': 'mine' } }).headers).toEqual({
      'user-agent': 'mine',
    });
    expect(request('fetch', { url: 'http://x.test/', body: 'x' })).not.toHaveProperty('body');
  });

  it('is done with any status', () => {
    const headers = { 'content-type': 'text/plain', 'content-length': '9', connection: 'close', 'x-y': 'z' };
    const memo = (changed: object) => {
      const read = gatewayOutcome(
        step,
        request('fetch', { url: 'http://x.test' }),
        { status: 500, headers: { ...headers, ...changed }, body: 'no', url: 'http://y.test/' },
        NOW,
      );
      const [op] = read.kind === 'ops' ? read.ops : [];
      return op?.op === 'StepDone' ? (JSON.parse(op.memo) as unknown) : op;
    };
    expect(memo({})).toEqual({
      data: {
        body: 'no',
        headers: { 'Content-Type': 'text/plain', 'Content-Length': '9', 'X-Y': 'z' },
        status_code: 500,
        url: 'http://y.test/',
      },
    });
    expect(memo({ 'content-encoding': 'gzip' })).toEqual({
      data: {
        body: 'no',
        headers: { 'Content-Type': 'text/plain', 'X-Y': 'z' },
        status_code: 500,
        url: 'http://y.test/',
      },
    });
  });

  it('fails with more than a step may hold', () => {
    const reply = { status: 200, headers: {}, body: '"'.repeat(LIMITS.stepOutputBytesMax / 2), url: '' };
    expect(gatewayOutcome(step, request('fetch', { url: 'http://x.test' }), reply, NOW)).toMatchObject({
      ops: [{ op: 'StepError', fault: { name: 'GatewayError' } }],
    });
  });

  it('fails without an answer, and tells no secret', () => {
    const made = request('fetch', {
      url: 'http://me:hidden@x.test/?key=k%20ey',
      headers: { Authorization: 'Bearer tok/en' },
    });
    const read = gatewayFailure(step, made, 'no answer from hidden, k ey, k%20ey, tok/en, tok%2Fen, Bearer tok/en');
    expect(read).toMatchObject({
      ops: [
        {
          op: 'StepError',
          fault: {
            message:
              'Error making gateway request: no answer from [secret], [secret], [secret], [secret], [secret], [secret]',
          },
        },
      ],
    });
    expect(gatewayFailure(step, made, 'never', true)).toMatchObject({ ops: [{ op: 'StepFailed' }] });
  });
});

describe('a request that cannot be sent', () => {
  it.each<[GatewayKind, object]>([
    ['fetch', {}],
    ['fetch', { url: 5 }],
    ['fetch', { url: 'file:///etc/passwd' }],
    ['fetch', { url: 'http://x.test', method: 'GET / HTTP/1.1' }],
    ['fetch', { url: 'http://x.test', method: 'CONNECT' }],
    ['ai', { url: 'nonsense', auth_key: KEY }],
  ])('%s %j', (kind, fields) => {
    const made = gatewayRequest(kind, canonical(fields));
    if (!('fault' in made)) throw new Error('it was made');
    expect(made.fault.name).toBe(kind === 'ai' ? 'AIGatewayError' : 'GatewayError');
    expect(made.fault.json).not.toContain(KEY);
    expect(gatewayRefused({ id: 'h', name: 'n', kind }, made.fault)).toMatchObject({
      ops: [{ op: 'StepFailed', id: 'h' }],
    });
  });

  it('is no reason to stumble', () => {
    fc.assert(
      fc.property(
        fc.constantFrom<GatewayKind>('ai', 'fetch'),
        fc.dictionary(
          fc.constantFrom('url', 'method', 'headers', 'body', 'auth_key', 'format'),
          fc.oneof(fc.jsonValue(), fc.webUrl()),
        ),
        (kind, fields) => {
          gatewayRequest(kind, canonical(fields));
          shownRequest(canonical(fields));
        },
      ),
    );
  });
});

it('shows of a request what is no secret', () => {
  const shown = shownRequest(
    canonical({
      url: `https://me:pass@ai.test:81/v1/x?key=${KEY}#h`,
      auth_key: KEY,
      headers: { a: KEY },
      format: 'gemini',
      body: { m: 1 },
    }),
  );
  expect(shown).toBe('{"body":{"m":1},"format":"gemini","url":"https://ai.test:81/v1/x"}');
  expect(shownRequest('{"method":"GET","url":"nonsense"}')).toBe('{"method":"GET"}');
});
