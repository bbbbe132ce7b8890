import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Api } from '../harness/api.client.js';
import { done, RawApp } from '../harness/raw-app.js';
import { Server } from '../harness/server.process.js';
import { until } from '../harness/until.js';

const MB = 1024 * 1024;

describe('a server among strangers', () => {
  let server: Server;
  let api: Api;
  beforeAll(async () => {
    server = await Server.start({
      flags: { 'log-level': 'warn' },
      env: { MILLRACE_EVENT_BODY_BYTES_MAX: String(8 * MB) },
    });
    api = server.api;
  });
  afterAll(() => server[Symbol.asyncDispose]());

  /** Still there, still working. */
  async function works(): Promise<void> {
    expect((await api.request('GET', '/health')).body).toEqual({ status: 200, message: 'OK' });
    await using app = await RawApp.start(api);
    await app.add('f', () => done('fine'));
    expect((await app.play('f')).run).toMatchObject({ status: 'Completed', output: 'fine' });
  }

  /** Says bytes to the port. @returns what it answered until it closed, or for a while */
  async function say(...parts: readonly (string | Buffer)[]): Promise<string> {
    const { hostname, port } = new URL(server.url);
    const socket = connect(Number(port), hostname);
    let answer = '';
    socket.on('data', (data) => (answer += data.toString('latin1')));
    const ended = new Promise<void>((resolve) => socket.on('close', () => resolve()).on('error', () => resolve()));
    await new Promise((resolve) => socket.on('connect', resolve));
    for (const part of parts) socket.write(part);
    await Promise.race([
      ended,
      until(() => (answer === '' ? undefined : answer), { what: 'an answer', withinMs: 3_000 }).catch(() => undefined),
    ]);
    socket.destroy();
    return answer;
  }

  const post = (headers: string) => `POST /e/test HTTP/1.1\r\nhost: x\r\n${headers}\r\n\r\n`;

  it.each<[string, readonly (string | Buffer)[], RegExp]>([
    ['half a body', [post('content-length: 1000'), '{"name":'], /^$/],
    ['a body without end', [post('transfer-encoding: chunked'), '5\r\n{"nam\r\n'], /^$/],
    ['a body in nonsense pieces', [post('transfer-encoding: chunked'), 'zz\r\n{}\r\n'], /^(HTTP\/1\.1 400|$)/],
    ['something else than HTTP', ['\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'], /^(HTTP\/1\.1 400|$)/],
    [
      'a header of 100 kB',
      [`GET /health HTTP/1.1\r\nhost: x\r\na: ${'x'.repeat(100_000)}\r\n\r\n`],
      /^(HTTP\/1\.1 431|$)/,
    ],
    ['two lengths', [post('content-length: 2\r\ncontent-length: 3'), '{}'], /^(HTTP\/1\.1 400|$)/],
    [
      'a length and pieces',
      [post('content-length: 2\r\ntransfer-encoding: chunked'), '0\r\n\r\n'],
      /^(HTTP\/1\.1 400|$)/,
    ],
    [
      'a packed body',
      [post('content-encoding: gzip\r\ncontent-length: 4'), Buffer.from([0x1f, 0x8b, 0x08, 0x00])],
      /^HTTP\/1\.1 4/,
    ],
    ['zero bytes', [post('content-length: 3'), '\0\0\0'], /^HTTP\/1\.1 400/],
  ])('is told %s, and stays', async (_, parts, answer) => {
    expect(await say(...parts)).toMatch(answer);
    expect(await say('GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')).toMatch(/^HTTP\/1\.1 200/);
  });

  it('waits for slow senders without keeping others waiting', async () => {
    const { hostname, port } = new URL(server.url);
    const slow = Array.from({ length: 100 }, () => {
      const socket = connect(Number(port), hostname);
      socket.on('error', () => undefined);
      socket.write(post('content-length: 100000') + '[{"name":"slow","data":{"text":"');
      return socket;
    });
    const drip = setInterval(() => slow.forEach((socket) => socket.write('x')), 20);
    for (let n = 0; n < 5; n++) await works();
    clearInterval(drip);
    slow.forEach((socket) => socket.destroy());
    await works();
  });

  const hostile: readonly (readonly [string, string | undefined])[] = [
    ['no body', undefined],
    ['nothing', ''],
    ['null', 'null'],
    ['a number', '7'],
    ['a text', '"x"'],
    ['a list', '[]'],
    ['a list of nothing', '[null]'],
    ['an empty object', '{}'],
    ['half an object', '{"a":'],
    ['depth', `${'[{"a":'.repeat(50_000)}`],
    ['closed depth', `{"data":${'['.repeat(50_000)}${']'.repeat(50_000)}}`],
    ['zero bytes', '\0\0\0\0'],
    ['a method by its name', '{"__proto__":{"x":1},"constructor":{"prototype":{"y":1}}}'],
    [
      'wrong types everywhere',
      '{"name":[],"data":7,"signal":{},"functions":{"a":1},"steps":"x","run_id":{},"qi_id":[],"url":7,"appName":{}}',
    ],
    ['large', `{"data":"${'x'.repeat(300_000)}"}`],
  ];
  const doors: readonly (readonly [string, string])[] = [
    ['POST', '/e/test'],
    ['POST', '/v2/events'],
    ['POST', '/invoke/x'],
    ['POST', '/fn/register'],
    ['POST', '/v1/signals'],
    ['POST', '/v1/checkpoint/01ARZ3NDEKTSV4RRFFQ69G5FAV/async'],
    ['POST', '/v1/checkpoint/nonsense/async'],
    ['POST', '/v1/runs/01ARZ3NDEKTSV4RRFFQ69G5FAV/metadata'],
    ['POST', '/v1/runs/nonsense/metadata'],
    ['POST', '/v1/functions/nonsense/pause'],
    ['POST', '/v1/functions/%2e%2e%2f/resume'],
  ];
  it.each(doors)('answers no 5xx at %s %s, whatever it is given', async (method, path) => {
    for (const [what, body] of hostile) {
      const { status, body: said } = await api.request<{ error?: string; code?: string }>(method, path, body);
      expect([what, status < 500]).toEqual([what, true]);
      if (status >= 400)
        expect(said).toMatchObject({ error: expect.any(String) as string, code: expect.any(String) as string });
      expect(JSON.stringify(said ?? '')).not.toMatch(/node_modules|\.js:\d|Unexpected token/);
    }
  });

  it.each([
    ['/v1/runs/nonsense', 400],
    ['/v1/runs/01ARZ3NDEKTSV4RRFFQ69G5FAV', 404],
    ['/v1/runs/%00', 400],
    ['/v1/runs/%ff', 400],
    [`/v1/runs/${'x'.repeat(500)}`, 400],
    ['/v1/events?name=a&name=b', 200],
    ['/v1/runs?status=failed&status=completed', 200],
    ['/v1/runs/01ARZ3NDEKTSV4RRFFQ69G5FAV/jobs', 404],
    ['/v1/runs/01ARZ3NDEKTSV4RRFFQ69G5FAV/transitions', 404],
    ['/v1/runs?limit=nonsense', 400],
    ['/v1/runs?limit=-1', 400],
    ['/v1/runs?status=Sleeping', 400],
    ['/v1/runs?from=yesterday', 400],
    ["/v1/runs?function=');DROP TABLE runs;--", 200],
    ['/v1/runs?cursor=nonsense', 400],
    ['/v1/events?limit=0', 400],
    ['/v1/events?received_after=x', 400],
    ["/v1/events?name=x' OR 1=1", 200],
    ['/v1/events?cursor=%27', 400],
    ['/v1/events/nonsense', 404],
    ['/v1/events/nonsense/runs', 404],
    ['/v0/runs/nonsense/actions', 400],
    ['/v0/runs/01ARZ3NDEKTSV4RRFFQ69G5FAV/batch', 404],
    ['/v1/nowhere', 404],
    ['/../../etc/passwd', 404],
    ['/e', 404],
    ['/e/', 404],
  ])('answers GET %s with %i, as JSON', async (path, expected) => {
    const { status, body, text } = await api.request<{ code?: string; status?: number }>('GET', path);
    expect([status, text.slice(0, 200)]).toEqual([expected, expect.any(String)]);
    if (status >= 400)
      expect(body).toMatchObject({
        status,
        error: expect.any(String) as string,
        code: expect.any(String) as string,
        data: null,
      });
  });

  it('takes keys and slugs of any length that a path can have', async () => {
    const long = 'k'.repeat(256);
    expect((await api.request('POST', `/e/${long}`, { name: 'x' })).status).toBe(200);
    expect((await api.request('POST', `/invoke/${long}`, {})).status).toBe(200);
  });

  it('cancels nothing that there is not', async () => {
    expect(await api.request('DELETE', '/v1/runs/nonsense')).toMatchObject({
      status: 400,
      body: { code: 'run_id_invalid' },
    });
    expect(await api.request('DELETE', '/v1/runs/01ARZ3NDEKTSV4RRFFQ69G5FAV')).toMatchObject({
      status: 404,
      body: { code: 'run_unknown' },
    });
  });

  it('holds only so much of what it is sent, and says so', async () => {
    const residentBytes = async () => {
      const status = await readFile(`/proc/${server.pid}/status`, 'utf8').catch(() => undefined);
      const kb = /VmRSS:\s+(\d+) kB/.exec(status ?? '')?.[1];
      return kb === undefined ? undefined : Number(kb) * 1024;
    };
    await works();
    const before = await residentBytes();
    // Sixty senders with 7 MB each of a list that never ends: four of the largest bodies may be held.
    const { hostname, port } = new URL(server.url);
    const chunk = `[${`${JSON.stringify({ name: 'held', data: { text: 'x'.repeat(100_000) } })},`.repeat(70)}`;
    const statuses: number[] = [];
    const senders = Array.from({ length: 60 }, () => {
      const sender = httpRequest(
        { host: hostname, port, method: 'POST', path: '/e/test', headers: { 'transfer-encoding': 'chunked' } },
        (response) => {
          statuses.push(response.statusCode ?? 0);
          response.resume();
        },
      );
      sender.on('error', () => undefined);
      sender.write(chunk);
      return sender;
    });
    await until(() => (statuses.length >= 30 ? true : undefined), { what: 'most of the senders to be refused' });
    expect(new Set(statuses)).toEqual(new Set([503]));
    const during = await residentBytes();
    if (before !== undefined && during !== undefined) expect(during - before).toBeLessThan(400 * MB);
    // Others get in once the room is free again.
    senders.forEach((sender) => sender.destroy());
    await until(async () => ((await api.send({ name: randomUUID() })).status === 200 ? true : undefined), {
      what: 'room for an event',
    });
    await works();
  });

  it('has nothing to say of all this as its own mistake', async () => {
    await works();
    expect(server.alive).toBe(true);
    expect(server.output).not.toMatch(/"level":(50|60)|request failed|Unhandled|uncaught/i);
  });
});
