import { createServer as createHttpServer, type ServerResponse } from 'node:http';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { describe, expect, inject, it } from 'vitest';
import { Api } from '../harness/api.client.js';
import { done, ops, RawApp } from '../harness/raw-app.js';
import { SdkApps } from '../harness/sdk-app.process.js';
import { Server } from '../harness/server.process.js';
import { Stage } from '../harness/stage.js';
import { until } from '../harness/until.js';
import { stageOf, VARIANTS } from './world.js';

const api = new Api(inject('world').serverUrl);

interface DevInfo {
  readonly handlers: readonly {
    readonly name: string;
    readonly url: string;
    readonly sdk: string;
    readonly error: { code: string; message: string } | string | null;
  }[];
  readonly functions: readonly {
    readonly id: string;
    readonly slug: string;
    readonly fv: number;
    readonly triggers: readonly unknown[];
  }[];
}
const devInfo = async (of: Api = api) => (await of.request<DevInfo>('GET', '/dev')).body;
const functionOf = async (slug: string, of: Api = api) => (await devInfo(of)).functions.find((fn) => fn.slug === slug);

describe('an app that registers', () => {
  it('is told whether anything changed, and keeps its ids', async () => {
    await using app = await RawApp.start(api);
    await app.add('f', () => done(1));
    const again = await app.register(app.payload());
    expect(again).toMatchObject({
      status: 200,
      body: { ok: true, modified: false, sync_id: expect.any(String) as string, app_id: expect.any(String) as string },
    });
    const id = await functionOf(`${app.id}-f`);
    await app.add('f', { retries: 3, answers: () => done(2) });
    const changed = await functionOf(`${app.id}-f`);
    expect(changed?.id).toBe(id?.id);
    expect(changed?.fv).toBe((id?.fv ?? 0) + 1);
    expect((await app.play('f')).run).toMatchObject({
      status: 'Completed',
      output: 2,
      function_version: changed?.fv,
      function_id: id?.id,
    });
  });

  it('takes functions away that it does not name any more, and brings them back', async () => {
    await using app = await RawApp.start(api);
    await app.add('stays', () => done('stayed'));
    await app.add('goes', () => done('went'));
    const before = await functionOf(`${app.id}-goes`);
    const payload = app.payload() as { functions: { id: string }[] };
    expect(
      (await app.register({ ...payload, functions: payload.functions.filter(({ id }) => !id.endsWith('goes')) })).body,
    ).toMatchObject({ modified: true });
    const eventId = await api.emit(app.event('goes'));
    await app.play('stays');
    expect(await api.runsOf(eventId)).toEqual([]);
    expect(await functionOf(`${app.id}-goes`)).toBeUndefined();
    await app.register(payload);
    expect((await app.play('goes')).run).toMatchObject({ output: 'went', function_id: before?.id });
    expect((await app.register({ ...payload, functions: [] })).status).toBe(200);
    const none = await api.emit(app.event('stays'));
    await stageOf('v4').play('steps.none');
    expect(await api.runsOf(none)).toEqual([]);
  });

  it('moves to another URL, and its runs with it', async () => {
    await using old = await RawApp.start(api);
    const nap = {
      id: 'a'.repeat(40),
      op: 'WaitForEvent',
      name: old.event('go'),
      displayName: 'nap',
      opts: { timeout: '1h' },
    };
    await old.add('f', ({ body }) => (Object.keys(body.steps).length === 0 ? ops(nap) : done('old')));
    const runId = await old.begin('f');
    await api.waiting(runId, 'nap');
    await using next = await RawApp.start(api);
    await next.add('f', () => done('new'));
    const payload = JSON.parse(JSON.stringify(next.payload()).replaceAll(next.id, old.id)) as object;
    expect((await next.register(payload)).status).toBe(200);
    await old.stop();
    await api.emit(old.event('go'));
    expect(await api.ended(runId)).toMatchObject({ status: 'Completed', output: 'new' });
    expect(next.calls[0]?.body.ctx.run_id).toBe(runId);
  });

  it.each([
    ['no name', { appName: '' }, 'App ID required'],
    ['no name at all', { appName: undefined }, 'App ID required'],
    ['a URL that is none', { url: 'nowhere' }, 'url'],
    ['functions that are no list', { functions: 7 }, 'functions'],
  ])('is refused with %s', async (_, change, says) => {
    await using app = await RawApp.start(api);
    const { status, body } = await app.register({ ...app.payload(), ...change });
    expect(status).toBe(400);
    expect(body).toMatchObject({
      status: 400,
      data: null,
      error: expect.stringContaining(says) as string,
      code: expect.any(String) as string,
    });
  });

  it.each(['', 'null', '[]', '7', '"x"', '{', `{"functions":${'['.repeat(100_000)}`])(
    'is refused with the body %.20s',
    async (body) => {
      expect((await api.request('POST', '/fn/register', body)).status).toBe(400);
    },
  );

  it('is refused when it expects another kind of server', async () => {
    await using app = await RawApp.start(api);
    const { status, body } = await app.register(app.payload(), { 'x-inngest-expected-server-kind': 'cloud' });
    expect(status).toBe(400);
    expect(body.error).toBe('Expected server kind cloud, got dev');
    expect((await app.register(app.payload(), { 'x-inngest-expected-server-kind': 'dev' })).status).toBe(200);
  });

  it.each(['js:v3.22.0', 'js:v3.40.1', 'js:v3.53.1'])('is refused with the SDK %s', async (sdk) => {
    await using app = await RawApp.start(api);
    expect(await app.register({ ...app.payload(), sdk })).toMatchObject({
      status: 400,
      body: { code: 'sdk_version_denied' },
    });
  });

  it.each(['js:v3.21.9', 'js:v3.53.2', 'js:v4.0.0', 'py:v0.5.18', 'go:v0.16.0', 'inngest-kt:0.2.2', undefined])(
    'is taken with the SDK %s',
    async (sdk) => {
      await using app = await RawApp.start(api);
      expect((await app.register({ ...app.payload(), sdk })).status).toBe(200);
    },
  );
});

describe('a function that is declared wrongly', () => {
  const event = (name: string) => ({ event: name });
  const cron = (text: string) => ({ triggers: [{ cron: text }] });
  const url = 'http://127.0.0.1:9/api/inngest';
  const stepOf = (runtime: unknown) => ({ step: { id: 'step', runtime } });

  it.each<[string, object, string]>([
    ['eleven triggers', { triggers: Array.from({ length: 11 }, (_, n) => event(`e${n}`)) }, 'triggers'],
    ['a trigger of both kinds', { triggers: [{ event: 'x', cron: '* * * * *' }] }, 'triggers[0]'],
    ['a trigger of no kind', { triggers: [{}] }, 'triggers[0]'],
    ['the same trigger twice', { triggers: [event('x'), event('x')] }, 'triggers[1]'],
    ['an event name of 256 letters', { triggers: [event('x'.repeat(256))] }, 'event'],
    [
      'a condition that cannot be compiled',
      { triggers: [{ event: 'x', expression: 'event.data.x ===' }] },
      'expression',
    ],
    ['a condition on what there is not', { triggers: [{ event: 'x', expression: 'foo == 1' }] }, 'expression'],
    ['a cron of six fields', cron('0 * * * * *'), 'cron'],
    ['a cron by name', cron('@hourly'), 'cron'],
    ['a cron on day seven', cron('0 0 * * 7'), 'cron'],
    ['a cron on the last day', cron('0 0 L * *'), 'cron'],
    ['a cron with a reversed range', cron('5-1 * * * *'), 'cron'],
    ['a cron in an unknown zone', cron('TZ=Mars/Olympus * * * * *'), 'cron'],
    ['a cron of 256 letters', cron(`${'1,'.repeat(124)}1 * * * *`), 'cron'],
    ['a jitter of ten minutes', { triggers: [{ cron: '* * * * *', jitter: '10m' }] }, 'jitter'],
    ['six cancellations', { cancel: Array.from({ length: 6 }, (_, n) => event(`c${n}`)) }, 'cancel'],
    ['a cancellation of no event', { cancel: [{ if: 'true' }] }, 'event'],
    ['a cancellation with a function in it', { cancel: [{ event: 'x', if: "async.data.x.startsWith('a')" }] }, 'if'],
    ['three concurrency limits', { concurrency: [{ limit: 1 }, { limit: 2 }, { limit: 3 }] }, 'concurrency'],
    ['a concurrency of all without a key', { concurrency: { limit: 1, scope: 'account' } }, 'key'],
    ['a concurrency of an unknown scope', { concurrency: { limit: 1, scope: 'galaxy' } }, 'scope'],
    ['a concurrency with a broken key', { concurrency: { limit: 1, key: '(' } }, 'key'],
    ['a rate of two days', { rateLimit: { limit: 1, period: '48h' } }, 'period'],
    ['a rate of nothing', { rateLimit: { limit: 0, period: '1h' } }, 'limit'],
    ['a debounce of half a second', { debounce: { period: '500ms' } }, 'period'],
    ['a debounce of eight days', { debounce: { period: '8d' } }, 'period'],
    ['a batch of one', { batchEvents: { maxSize: 1, timeout: '5s' } }, 'maxSize'],
    ['a batch of half a second', { batchEvents: { maxSize: 2, timeout: '500ms' } }, 'timeout'],
    ['a batch of a day', { batchEvents: { maxSize: 2, timeout: '1d' } }, 'timeout'],
    ['a batch that cancels', { batchEvents: { maxSize: 2, timeout: '5s' }, cancel: [event('x')] }, 'batchEvents'],
    [
      'a batch that is alone',
      { batchEvents: { maxSize: 2, timeout: '5s' }, singleton: { mode: 'skip' } },
      'batchEvents',
    ],
    ['a singleton of an unknown mode', { singleton: { mode: 'fight' } }, 'mode'],
    ['a priority that cannot be compiled', { priority: { run: 'event.data.' } }, 'priority'],
    ['no step', { steps: {} }, 'steps'],
    ['two steps', { steps: { ...stepOf({ url }), other: { runtime: { url } } } }, 'steps'],
    ['a step without an address', { steps: stepOf({}) }, 'url'],
    ['a step at an address that is none', { steps: stepOf({ url: 'ftp://x/y' }) }, 'url'],
    ['retries that are a text', { steps: { step: { runtime: { url }, retries: { attempts: 'many' } } } }, 'attempts'],
    ['triggers that are no list', { triggers: 'x' }, 'triggers'],
    ['a number for a name', { name: 7 }, 'name'],
  ])('with %s is named, and nothing of its app is taken', async (_, config, field) => {
    await using app = await RawApp.start(api);
    await app.add('right', () => done());
    const before = await functionOf(`${app.id}-right`);
    const payload = app.payload() as { functions: object[] };
    const [right] = payload.functions;
    const wrong = { ...right, id: `${app.id}-wrong`, ...config };
    const { status, body } = await app.register({ ...payload, functions: [{ ...right, name: 'renamed' }, wrong] });
    expect(status).toBe(400);
    expect(body.error).toMatch(/^At least one function is invalid: functions\[1\]/);
    expect(body.error).toContain(field);
    expect(await functionOf(`${app.id}-right`)).toEqual(before);
    expect(await functionOf(`${app.id}-wrong`)).toBeUndefined();
  });

  it('is named with every other one', async () => {
    await using app = await RawApp.start(api);
    await app.add('f', () => done());
    const payload = app.payload() as { functions: object[] };
    const [f] = payload.functions;
    const { body } = await app.register({
      ...payload,
      functions: [
        { ...f, ...cron('@daily') },
        { ...f, id: `${app.id}-g`, cancel: [{}], rateLimit: { limit: 1 } },
      ],
    });
    expect(body.error).toMatch(
      /functions\[0\]\.triggers\[0\]\.cron.*functions\[1\]\.rateLimit\.period.*functions\[1\]\.cancel\[0\]\.event/,
    );
  });

  it.each<[string, object]>([
    ['odd throttling', { throttle: { limit: 0, period: '1ms', burst: -3 } }],
    ['no concurrency', { concurrency: 0 }],
    ['negative concurrency', { concurrency: [{ limit: -1 }] }],
    ['time limits that are none', { timeouts: { start: 'soon', finish: '-1s' } }],
    ['a cancellation with a time that is none', { cancel: [{ event: 'x', timeout: 'later' }] }],
    ['fields from the future', { quantum: true, triggers: [{ event: 'x', entangled: 1 }] }],
    ['a cron that never comes', { triggers: [{ cron: '0 0 31 2 *' }] }],
    ['no trigger', { triggers: [] }],
    ['more retries than there can be', { steps: { step: { runtime: { url }, retries: { attempts: 1_000 } } } }],
    [
      'concurrency as Go writes it',
      { concurrency: { step: [{ limit: 2, scope: 'Fn', hash: '' }], fn: [{ limit: 1 }] } },
    ],
    ['nothing as Go writes it', { Singleton: null, cancel: null, throttle: null, concurrency: null }],
  ])('is taken all the same with %s', async (_, config) => {
    await using app = await RawApp.start(api);
    await app.add('f', { config: config as Record<string, unknown>, answers: () => done() });
  });
});

describe.each(VARIANTS)('an app of %s', (variant) => {
  it('registers when it is asked to, and hears whether anything changed', async () => {
    const stage = stageOf(variant);
    const { appsUrls } = inject('world');
    const response = await fetch(`${appsUrls[variant]}/${variant}/api/inngest`, { method: 'PUT' });
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ modified: false });
    const info = await devInfo();
    expect(info.handlers.find(({ name }) => name === stage.id)).toMatchObject({
      sdk: expect.stringMatching(variant === 'v3' ? /^js:v3\./ : /^js:v4\./) as string,
      error: null,
    });
    expect(await functionOf(`${stage.id}-guarded-failure`)).toMatchObject({
      triggers: [{ event: 'inngest/function.failed', expression: `event.data.function_id == '${stage.id}-guarded'` }],
    });
  });
});

describe('a server that looks for apps', () => {
  const functions = ['test/e2e/functions/steps.mjs'];
  const freePort = async () => {
    const probe = createServer();
    await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
    const { port } = probe.address() as AddressInfo;
    await new Promise((resolve) => probe.close(resolve));
    return port;
  };

  it('asks those that it was told of until they answer, and again whether they have changed', async () => {
    const port = await freePort();
    const url = `http://127.0.0.1:${port}/api/inngest`;
    await using server = await Server.start({ flags: { 'sdk-url': url, 'poll-interval': 0.2, 'no-poll': [] } });
    await until(
      async () => ((await devInfo(server.api)).handlers.some(({ error }) => error !== null) ? true : undefined),
      { what: 'the app to be shown as out of reach' },
    );
    await using apps = await SdkApps.start(
      [{ id: 'told', variant: 'v4', functions: [] }],
      { INNGEST_DEV: server.url },
      port,
    );
    await until(
      async () =>
        (await devInfo(server.api)).handlers.some(({ name, error }) => name === 'told' && error === null)
          ? true
          : undefined,
      { what: 'the app to be synced' },
    );
    expect((await devInfo(server.api)).functions).toEqual([]);
    await apps.stop();
    await using changed = await SdkApps.start(
      [{ id: 'told', variant: 'v4', functions }],
      { INNGEST_DEV: server.url },
      port,
    );
    await until(async () => functionOf('told-none', server.api), { what: 'the change to be seen' });
    const stage = new Stage('v4', server.api, changed.log, 'told');
    expect((await stage.play('steps.none')).run.status).toBe('Completed');
  });

  it('says of each app why it is not synced', async () => {
    const answers: Record<string, (response: ServerResponse) => void> = {
      '/nothing': (response) => response.writeHead(404).end('not here'),
      '/page': (response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<html>'),
      '/closed': (response) =>
        response.writeHead(401, { 'x-inngest-sdk-handled': 'true' }).end('{"message":"Unauthorized"}'),
      '/forbidden': (response) => response.writeHead(403, { 'x-inngest-sdk': 'inngest-py:v0.5.18' }).end('{}'),
      '/broken': (response) =>
        response.writeHead(500, { 'x-inngest-sdk': 'inngest-js:v4.24.0' }).end('{"message":"kaput"}'),
      '/reset': (response) => void response.destroy(),
    };
    const apps = createHttpServer((request, response) => answers[request.url ?? '']?.(response));
    await new Promise<void>((resolve) => apps.listen(0, '127.0.0.1', resolve));
    const at = (path: string) => `http://127.0.0.1:${(apps.address() as AddressInfo).port}${path}`;
    await using server = await Server.start({
      flags: { 'sdk-url': [...Object.keys(answers).map(at), `http://127.0.0.1:${await freePort()}/`] },
    });
    const handlers = await until(
      async () => {
        const all = (await devInfo(server.api)).handlers;
        return all.length === 7 ? all : undefined;
      },
      { what: 'every app to be asked' },
    );
    const codes = handlers.map(({ url, error }) => [new URL(url).pathname, (error as { code?: string } | null)?.code]);
    expect(Object.fromEntries(codes)).toEqual({
      '/nothing': 'url_not_found',
      '/page': 'unreachable',
      '/closed': 'unauthorized',
      '/forbidden': 'forbidden',
      '/broken': 'internal_server_error',
      '/reset': 'unreachable',
      '/': 'unreachable',
    });
    expect(JSON.stringify(handlers)).toContain('kaput');
    apps.closeAllConnections();
    apps.close();
  });

  it('finds one on the port that the environment names', async () => {
    const port = await freePort();
    const apps = await SdkApps.start(
      [{ id: 'found', variant: 'v4', functions }],
      { INNGEST_DEV: 'http://127.0.0.1:1' },
      port,
    );
    await using _ = apps;
    await using server = await Server.start({
      flags: { 'no-discovery': [], 'poll-interval': 0.5, 'no-poll': [] },
      env: { PORT: String(port) },
    });
    await apps.stop();
    await apps.start({ INNGEST_DEV: server.url });
    await until(async () => functionOf('found-none', server.api), { what: 'the app to be found' });
  });
});
