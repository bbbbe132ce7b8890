import { Inngest as InngestV4 } from 'inngest';
import { serve as serveV4 } from 'inngest/edge';
import { Inngest as InngestV3 } from 'inngest-v3';
import { serve as serveV3 } from 'inngest-v3/edge';
import { describe, expect, it } from 'vitest';
import { Fault } from '#core/faults.js';
import { sign } from './signing.js';
import { readSync } from './sync.read.js';

const url = 'http://localhost:9002/api/inngest';
const fn = {
  id: 'app4-f',
  name: 'F',
  triggers: [{ event: 'a/b' }],
  steps: { step: { id: 'step', name: 'step', runtime: { type: 'http', url: `${url}?fnId=app4-f&stepId=step` } } },
};
const payload = {
  url,
  deployType: 'ping',
  framework: 'nodejs',
  appName: 'app4',
  functions: [fn],
  sdk: 'js:v4.24.0',
  v: '0.1',
};

function faultOf(body: unknown, method: 'SERVE' | 'CONNECT' = 'SERVE'): Fault {
  try {
    readSync(body, method);
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
  throw new Error('no fault');
}

describe('a registration', () => {
  it('tells an app and its functions', () =>
    expect(readSync({ ...payload, appVersion: '1.2.3', capabilities: { trust_probe: 'v1' } }, 'SERVE')).toEqual({
      appName: 'app4',
      url,
      method: 'SERVE',
      sdk: 'js:v4.24.0',
      framework: 'nodejs',
      appVersion: '1.2.3',
      checksum: expect.stringMatching(/^[0-9a-f]{64}$/) as unknown,
      functions: [
        {
          slug: 'app4-f',
          name: 'F',
          triggers: [{ event: 'a/b' }],
          url: `${url}?fnId=app4-f&stepId=step`,
          retries: 4,
          cancelOn: [],
          timeouts: {},
        },
      ],
    }));

  it('may be of Python, Go or Kotlin', () => {
    const { appName, ...rest } = payload;
    expect(readSync({ ...rest, appname: appName, deploy_type: 'ping', sdk: 'py:v0.5.18' }, 'SERVE').appName).toBe(
      'app4',
    );
    const go = {
      ...payload,
      framework: '',
      v: '1',
      sdk: 'go:v0.16.0',
      headers: { env: '', platform: '' },
      idempotencyKey: 'k',
    };
    expect(readSync(go, 'SERVE')).toMatchObject({ sdk: 'go:v0.16.0', framework: '' });
    expect(readSync({ ...payload, framework: null, sdk: 'inngest-kt:0.2.2' }, 'SERVE').sdk).toBe('inngest-kt:0.2.2');
  });

  it('may have no functions, as Go writes that too', () => {
    expect(readSync({ ...payload, functions: [] }, 'SERVE').functions).toEqual([]);
    expect(readSync({ ...payload, functions: null }, 'SERVE').functions).toEqual([]);
  });

  it('is for one URL, less what a deploy adds', () => {
    expect(readSync({ ...payload, url: 'http://127.0.0.1:9002/api/inngest?a=1&deployId=d' }, 'SERVE').url).toBe(
      'http://localhost:9002/api/inngest?a=1',
    );
    expect(readSync({ ...payload, url: null }, 'SERVE', url).url).toBe(url);
  });

  it('of a worker needs no URL', () => {
    expect(readSync({ ...payload, url: undefined }, 'CONNECT').url).toBe('');
    expect(readSync({ ...payload, url: 'wss://connect' }, 'CONNECT').url).toBe('wss://connect/');
  });

  it('has another checksum when it says something else, and only then', () => {
    const of = (changes: object) => readSync({ ...payload, ...changes }, 'SERVE').checksum;
    const other = { ...fn, id: 'app4-g' };
    const same = [
      {},
      { deployId: 'd' },
      { capabilities: {} },
      { appVersion: null },
      { url: `${url}?deployId=d` },
      { extra: 1 },
    ];
    expect(new Set(same.map(of)).size).toBe(1);
    expect(of({ functions: [fn, other] })).toBe(of({ functions: [other, { ...fn, hash: '' }] }));
    const changed = [
      {},
      { appName: 'b' },
      { url: `${url}2` },
      { sdk: 'js:v4.24.1' },
      { framework: 'x' },
      { appVersion: '2' },
    ];
    const functions = [
      [],
      [other],
      [fn, other],
      [{ ...fn, name: 'G' }],
      [{ ...fn, concurrency: 1 }],
      [{ ...fn, triggers: [] }],
    ];
    expect(new Set([...changed, ...functions.map((list) => ({ functions: list }))].map(of)).size).toBe(12);
    expect(readSync(payload, 'CONNECT').checksum).not.toBe(of({}));
  });
});

describe('a registration is refused', () => {
  it.each([
    [undefined, 'Invalid request: the body must be an object'],
    [[], 'Invalid request: the body must be an object'],
    ['x', 'Invalid request: the body must be an object'],
    [{ ...payload, appName: 5 }, 'Invalid request: appName: must be a text'],
    [{ ...payload, url: '/api/inngest' }, 'Invalid request: url: must be an absolute URL of http or https'],
    [{ ...payload, url: 'ws://x/y' }, 'Invalid request: url: must be an absolute URL of http or https'],
    [
      { ...payload, url: undefined, sdk: 1 },
      'Invalid request: sdk: must be a text; url: must be an absolute URL of http or https',
    ],
  ])('when it cannot be read: %j', (body, message) =>
    expect(faultOf(body)).toMatchObject({ code: 'request_invalid', status: 400, message }),
  );

  it.each([undefined, null, '', '  '])('when the app is called %j', (appName) =>
    expect(faultOf({ ...payload, appName })).toMatchObject({
      code: 'app_id_missing',
      status: 400,
      message: 'App ID required',
    }),
  );

  it.each(['js:v3.22.0', 'js:v3.22.5', 'js:v3.30.0', 'js:v3.53.0', 'js:v3.53.1', 'js:3.40.1'])(
    'when its SDK is %s',
    (sdk) => expect(faultOf({ ...payload, sdk })).toMatchObject({ code: 'sdk_version_denied', status: 400 }),
  );

  it.each(['js:v3.21.9', 'js:v3.53.2', 'js:v3.54.2', 'js:v4.0.0', 'js:v2.99.0', 'go:v3.30.0', 'py:v3.30.0', 'js:next'])(
    'but not when it is %s',
    (sdk) => expect(readSync({ ...payload, sdk }, 'SERVE').sdk).toBe(sdk),
  );

  it('when a function is wrong, with all that is', () => {
    const functions = [
      fn,
      { ...fn, id: 'b', triggers: [{ cron: '0 0 * * 7' }] },
      { ...fn, id: 'c', priority: { run: 'foo' } },
    ];
    const fault = faultOf({ ...payload, functions });
    expect(fault).toMatchObject({ code: 'app_invalid', status: 400 });
    expect(fault.data.errors).toHaveLength(2);
    expect(fault.message).toMatch(
      /^At least one function is invalid: functions\[1\]\.triggers\[0\]\.cron: .*; functions\[2\]\.priority\.run: /,
    );
  });

  it('with so many mistakes in its message as one can read', () => {
    const fault = faultOf({ ...payload, functions: Array(30).fill(5) });
    expect(fault.data.errors).toHaveLength(30);
    expect(fault.message).toMatch(/functions\[19\]: must be an object; and 10 more$/);
  });
});

/** Functions that use all there is. */
function declare(client: InngestV4): ReturnType<InngestV4['createFunction']>[] {
  return [
    client.createFunction(
      {
        id: 'full',
        name: 'Full',
        triggers: [{ event: 'shop/order', if: 'event.data.total > 100' }, { cron: 'TZ=Europe/Paris 0 5 * * MON-FRI' }],
        retries: 2,
        concurrency: [{ limit: 5 }, { limit: 1, key: 'event.data.user', scope: 'account' }],
        throttle: { limit: 3, period: '6s', burst: 2, key: 'event.data.user' },
        debounce: { period: '5s', key: 'event.data.user', timeout: '1m' },
        priority: { run: 'event.data.vip ? 120 : 0' },
        idempotency: 'event.data.order',
        timeouts: { start: '10s', finish: '2m' },
        cancelOn: [
          { event: 'shop/gone', match: 'data.order', timeout: '3d' },
          { event: 'shop/off', timeout: new Date('2027-01-01') },
        ],
        onFailure: () => undefined,
      },
      () => undefined,
    ),
    client.createFunction(
      {
        id: 'batch',
        triggers: [{ event: 'shop/*' }],
        batchEvents: { maxSize: 10, timeout: '5s', key: 'event.data.user' },
      },
      () => undefined,
    ),
    client.createFunction(
      { id: 'one', triggers: [{ event: 'shop/one' }], singleton: { mode: 'cancel' } },
      () => undefined,
    ),
    client.createFunction({ id: 'called', triggers: [] }, () => undefined),
  ];
}

/** A request as a web server hands it to the SDK, which wants to see the host. */
function put(init: { readonly body?: string; readonly headers?: Record<string, string> } = {}): Request {
  return new Request(url, { ...init, method: 'PUT', headers: { host: 'localhost:9002', ...init.headers } });
}

describe('the TypeScript SDKs', () => {
  const functions = [
    {
      slug: 'shop-full',
      name: 'Full',
      triggers: [
        { event: 'shop/order', expression: 'event.data.total > 100' },
        { cron: 'TZ=Europe/Paris 0 5 * * MON-FRI' },
      ],
      url: `${url}?fnId=shop-full&stepId=step`,
      retries: 2,
      concurrency: {
        step: [
          { limit: 5, scope: 'fn' },
          { limit: 1, key: 'event.data.user', scope: 'account' },
        ],
        fn: [],
      },
      throttle: { limit: 3, periodMs: 6_000, burst: 2, key: 'event.data.user' },
      debounce: { periodMs: 5_000, key: 'event.data.user', timeoutMs: 60_000 },
      priority: 'event.data.vip ? 120 : 0',
      idempotency: 'event.data.order',
      timeouts: { startMs: 10_000, finishMs: 120_000 },
      cancelOn: [
        { event: 'shop/gone', if: 'event.data.order == async.data.order', timeout: '3d' },
        { event: 'shop/off', timeout: '2027-01-01T00:00:00.000Z' },
      ],
    },
    {
      slug: 'shop-full-failure',
      name: 'Full (failure)',
      triggers: [{ event: 'inngest/function.failed', expression: "event.data.function_id == 'shop-full'" }],
      url: `${url}?fnId=shop-full-failure&stepId=step`,
      retries: 1,
      cancelOn: [],
      timeouts: {},
    },
    {
      slug: 'shop-batch',
      name: 'batch',
      triggers: [{ event: 'shop/*' }],
      url: `${url}?fnId=shop-batch&stepId=step`,
      retries: 4,
      batch: { maxSize: 10, timeoutMs: 5_000, key: 'event.data.user' },
      cancelOn: [],
      timeouts: {},
    },
    {
      slug: 'shop-one',
      name: 'one',
      triggers: [{ event: 'shop/one' }],
      url: `${url}?fnId=shop-one&stepId=step`,
      retries: 4,
      singleton: { mode: 'cancel' },
      cancelOn: [],
      timeouts: {},
    },
    {
      slug: 'shop-called',
      name: 'called',
      triggers: [],
      url: `${url}?fnId=shop-called&stepId=step`,
      retries: 4,
      cancelOn: [],
      timeouts: {},
    },
  ];

  /** Takes the place of the server, and keeps what it is sent. */
  function server(): { readonly bodies: unknown[]; readonly fetch: typeof fetch } {
    const bodies: unknown[] = [];
    const answer = async (input: string | URL | Request, init?: RequestInit) => {
      const request = new Request(input, init);
      if (request.url.endsWith('/fn/register')) bodies.push(await request.json());
      return Response.json({ ok: true, modified: true });
    };
    return { bodies, fetch: answer };
  }

  it('register version 4 in full', async () => {
    const { bodies, fetch } = server();
    const client = new InngestV4({ id: 'shop', isDev: true, baseUrl: 'http://localhost:8288', appVersion: '7', fetch });
    const reply = await serveV4({ client, functions: declare(client) })(put());
    expect(reply.status).toBe(200);
    expect(readSync(bodies[0], 'SERVE')).toMatchObject({
      appName: 'shop',
      url,
      appVersion: '7',
      framework: 'edge',
      functions,
    });
  });

  it('register version 3 in full', async () => {
    const { bodies, fetch } = server();
    const client = new InngestV3({ id: 'shop', isDev: true, baseUrl: 'http://localhost:8288', fetch });
    const one = client.createFunction(
      { id: 'one', singleton: { mode: 'cancel' } },
      { event: 'shop/one' },
      () => undefined,
    );
    const reply = await serveV3({ client, functions: [one], fetch })(put());
    expect(reply.status).toBe(200);
    expect(readSync(bodies[0], 'SERVE')).toMatchObject({ appName: 'shop', url, functions: [functions[3]] });
  });

  it('say the same in-band, with the same checksum', async () => {
    const { bodies, fetch } = server();
    const key = 'signkey-test-12345678abcdef00112233445566778899aabbccddeeff001122334455667788';
    const common = { id: 'shop', appVersion: '7', baseUrl: 'http://localhost:8288', signingKey: key, fetch };
    const body = JSON.stringify({ url });
    const client = new InngestV4({ ...common, isDev: false });
    const reply = await serveV4({ client, functions: declare(client) })(
      put({
        body,
        headers: { 'x-inngest-sync-kind': 'in_band', 'x-inngest-signature': sign(body, key, Date.now()) },
      }),
    );
    expect(reply.headers.get('x-inngest-sync-kind')).toBe('in_band');
    const inBand = readSync(await reply.json(), 'SERVE');
    expect(inBand).toMatchObject({ appName: 'shop', url, appVersion: '7', framework: 'edge', functions });
    await serveV4({ client, functions: declare(client) })(put());
    expect(readSync(bodies[0], 'SERVE').checksum).toBe(inBand.checksum);
  });

  it('are named in-band also where they do not say `sdk`, as Go does not', () => {
    const go = {
      app_id: 'goapp',
      framework: '',
      functions: [],
      sdk_author: 'inngest',
      sdk_language: 'go',
      sdk_version: '0.16.0',
      url,
    };
    expect(readSync(go, 'SERVE')).toMatchObject({ appName: 'goapp', sdk: 'go:v0.16.0' });
    expect(readSync({ ...go, sdk_version: 'v0.16.0' }, 'SERVE').sdk).toBe('go:v0.16.0');
    expect(readSync({ ...go, sdk_version: null }, 'SERVE').sdk).toBe('go');
  });
});
