import { createHash, createHmac } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Api } from '../harness/api.client.js';
import { done, ops, RawApp } from '../harness/raw-app.js';
import { SdkApps, type AppSpec } from '../harness/sdk-app.process.js';
import { Server } from '../harness/server.process.js';
import { Stage } from '../harness/stage.js';
import { until } from '../harness/until.js';

const OLD = `signkey-prod-${'12'.repeat(32)}`;
const NEW = `signkey-prod-${'ab'.repeat(32)}`;
const EVENT_KEY = 'event-key-1';
const hashed = (key: string) =>
  `signkey-prod-${createHash('sha256')
    .update(Buffer.from(key.replace('signkey-prod-', ''), 'hex'))
    .digest('hex')}`;
const sign = (body: string, key: string, at = Date.now()) => {
  const t = Math.floor(at / 1_000);
  return `t=${t}&s=${createHmac('sha256', key.replace('signkey-prod-', '')).update(`${body}${t}`).digest('hex')}`;
};

const functions = ['steps', 'waits', 'parallel', 'errors', 'ends', 'limits'].map(
  (name) => `test/e2e/functions/${name}.mjs`,
);
const spec = (variant: 'v4' | 'v3', id: string = variant): AppSpec => ({ id, variant, functions });

describe('a server with keys', { concurrent: false }, () => {
  let server: Server;
  const started: SdkApps[] = [];
  beforeAll(async () => {
    server = await Server.start({
      mode: 'start',
      flags: { 'event-key': [EVENT_KEY, 'event-key-2'], 'signing-key': OLD },
      eventKey: EVENT_KEY,
      bearer: hashed(OLD),
    });
  });
  afterAll(async () => {
    for (const apps of started) await apps[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });

  async function open(apps: AppSpec, keys: Record<string, string>): Promise<{ apps: SdkApps; stage: Stage }> {
    const env = { INNGEST_DEV: '0', INNGEST_BASE_URL: server.url, INNGEST_EVENT_KEY: EVENT_KEY, ...keys };
    const process = await SdkApps.start([apps], env);
    started.push(process);
    return { apps: process, stage: new Stage(apps.variant, server.api, process.log, apps.id) };
  }

  it.each(['v4', 'v3'] as const)('works with an app of %s that has them', async (variant) => {
    const { apps, stage } = await open(spec(variant), { INNGEST_SIGNING_KEY: OLD });
    expect(await apps.sync(variant)).toMatchObject({ modified: true });
    const story = await stage.play('steps.run');
    expect(story.run).toMatchObject({ status: 'Completed', output: { sum: 42 } });
    expect((await story.calls()).every(({ signed }) => signed)).toBe(true);
    expect((await stage.play('steps.send')).run.status).toBe('Completed');
    expect((await stage.play('parallel.many', { n: 5 })).run.status).toBe('Completed');
    const large = await stage.play('limits.large-state', { parts: 3, bytes: 2 * 1024 * 1024 });
    expect(large.run.status).toBe('Completed');
    expect((await large.calls()).some(({ useApi }) => useApi)).toBe(true);
    const text = await stage.play('steps.none', { ключ: '☃ \u2028', n: [1.0, 1e21, -0, 0.1 + 0.2] });
    expect(text.run.status).toBe('Completed');
  });

  it('takes events with one of its keys only', async () => {
    const event = { name: 'x' };
    for (const eventKey of [EVENT_KEY, 'event-key-2']) {
      const reply = await new Api(server.url, { eventKey }).send(event);
      expect([reply.status, reply.headers.get('x-inngest-server-kind')]).toEqual([200, 'cloud']);
    }
    for (const eventKey of ['wrong', 'NO_EVENT_KEY_SET', 'event-key-12', OLD]) {
      expect(await new Api(server.url, { eventKey }).send(event)).toMatchObject({
        status: 401,
        body: { status: 401, error: 'Event key not found', ids: [] },
      });
    }
  });

  it('is asked with its signing key only', async () => {
    const plain = OLD.replace('signkey-prod-', '');
    for (const bearer of [OLD, plain, hashed(OLD), hashed(OLD).replace('signkey-prod-', '')]) {
      expect((await new Api(server.url, { bearer }).request('GET', '/v1/events')).status).toBe(200);
    }
    const paths = [
      '/v1/events',
      '/v1/runs',
      '/v1/runs/01ARZ3NDEKTSV4RRFFQ69G5FAV',
      '/v0/runs/01ARZ3NDEKTSV4RRFFQ69G5FAV/actions',
    ];
    for (const bearer of [undefined, '', 'undefined', NEW, hashed(NEW), hashed(OLD).slice(0, -1), EVENT_KEY]) {
      const api = new Api(server.url, bearer === undefined ? {} : { bearer });
      for (const path of paths)
        expect(await api.request('GET', path)).toMatchObject({ status: 401, body: { error: 'Authentication failed' } });
      for (const path of [
        '/fn/register',
        '/v1/signals',
        '/v1/checkpoint/01ARZ3NDEKTSV4RRFFQ69G5FAV/async',
        '/invoke/x',
      ]) {
        expect([path, bearer, (await api.request('POST', path, {})).status]).toEqual([path, bearer, 401]);
      }
      expect((await api.request('DELETE', '/v1/runs/01ARZ3NDEKTSV4RRFFQ69G5FAV')).status).toBe(401);
    }
    expect((await new Api(server.url).request('GET', '/health')).status).toBe(200);
  });

  it('says what kind of server it is', async () => {
    await using app = await RawApp.start(server.api);
    expect((await app.register(app.payload(), { 'x-inngest-expected-server-kind': 'dev' })).body.error).toBe(
      'Expected server kind dev, got cloud',
    );
    expect((await app.register(app.payload(), { 'x-inngest-expected-server-kind': 'cloud' })).status).toBe(200);
  });

  it('signs what it sends, over the bytes that it sends', async () => {
    await using app = await RawApp.start(server.api);
    await app.add('f', () => done(1));
    const { calls, run } = await app.play('f', { ü: '☃', a: 1.5 });
    expect(run.status).toBe('Completed');
    const signature = String(calls[0]?.headers['x-inngest-signature']);
    const t = Number(/t=(\d+)/.exec(signature)?.[1]);
    expect(signature).toBe(sign(calls[0]?.text ?? '', OLD, t * 1_000));
    expect(Math.abs(Date.now() / 1_000 - t)).toBeLessThan(120);
  });

  it('believes an answer that is signed only if it is signed rightly', async () => {
    await using app = await RawApp.start(server.api);
    const answer = (key: string, at?: number) => {
      const body = JSON.stringify({ ok: true });
      return { status: 200, body, headers: { 'x-inngest-signature': sign(body, key, at) } };
    };
    await app.add('right', () => answer(OLD));
    expect((await app.play('right')).run).toMatchObject({ status: 'Completed', output: { ok: true } });
    await app.add('wrong', { retries: 1, answers: () => answer(NEW) });
    const wrong = await app.play('wrong');
    expect(wrong.run).toMatchObject({ status: 'Failed', output: { error: { name: 'signature_invalid' } } });
    expect(wrong.calls).toHaveLength(2);
    await app.add('old', { retries: 0, answers: () => answer(OLD, Date.now() - 3_600_000) });
    expect((await app.play('old')).run).toMatchObject({
      status: 'Failed',
      output: { error: { name: 'signature_invalid' } },
    });
    // Go and Kotlin sign no answers.
    await app.add('unsigned', () => ops({ id: 'a'.repeat(40), op: 'RunComplete', data: 'unsigned' }));
    expect((await app.play('unsigned')).run).toMatchObject({ status: 'Completed', output: 'unsigned' });
  });

  it('is refused by an app that has another key, and says so', async () => {
    const { apps } = await open(spec('v4', 'stranger'), { INNGEST_SIGNING_KEY: NEW });
    const response = await fetch(apps.serveUrl('stranger'), { method: 'PUT' });
    expect(response.status).not.toBe(200);
    expect(
      (
        await new Api(server.url, { bearer: hashed(OLD) }).request<{ functions: { slug: string }[] }>('GET', '/dev')
      ).body.functions.some(({ slug }) => slug.startsWith('stranger')),
    ).toBe(false);
  });

  it('changes its key while apps still have the old one, or both', async () => {
    const both = await open(spec('v4', 'both'), { INNGEST_SIGNING_KEY: NEW, INNGEST_SIGNING_KEY_FALLBACK: OLD });
    // The server knows the old key only: the app falls back.
    expect(await both.apps.sync('both')).toMatchObject({ modified: true });
    expect((await both.stage.play('steps.run')).run).toMatchObject({ status: 'Completed', output: { sum: 42 } });
    // The server knows both, and signs with the new one; asks the app itself, which answers with what it has.
    await server.stop();
    await server.start({ 'signing-key': NEW, 'signing-key-fallback': OLD, 'sdk-url': both.apps.serveUrl('both') });
    expect((await both.stage.play('steps.run')).run).toMatchObject({ status: 'Completed', output: { sum: 42 } });
    await both.apps.log.wait({ kind: 'asked', method: 'PUT', syncKind: 'in_band' });
    for (const bearer of [hashed(OLD), hashed(NEW)]) {
      expect((await new Api(server.url, { bearer }).request('GET', '/v1/runs')).status).toBe(200);
    }
  });

  it('asks an app for what it has, in band', async () => {
    const { apps, stage } = await open(spec('v3', 'in-band'), { INNGEST_SIGNING_KEY: NEW });
    await server.stop();
    await server.start({ 'signing-key': NEW, 'signing-key-fallback': OLD, 'sdk-url': apps.serveUrl('in-band') });
    await apps.log.wait({ kind: 'asked', method: 'PUT', syncKind: 'in_band' });
    await until(
      async () =>
        (await server.api.request<{ handlers: { name: string }[] }>('GET', '/dev')).body.handlers.some(
          ({ name }) => name === 'in-band',
        )
          ? true
          : undefined,
      { what: 'the app to be synced' },
    );
    expect(await apps.log.seen({ kind: 'sent', path: '/fn/register' })).toEqual([]);
    expect((await stage.play('steps.run')).run).toMatchObject({ status: 'Completed', output: { sum: 42 } });
  });
});

describe('a server that should have keys', () => {
  it('does not start without them', async () => {
    await expect(Server.start({ mode: 'start' })).rejects.toThrow(/--event-key.*is missing|--signing-key.*is missing/s);
  });
});
