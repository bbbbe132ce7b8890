import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Api } from '../harness/api.client.js';
import { SdkApps, type Variant } from '../harness/sdk-app.process.js';
import { Server } from '../harness/server.process.js';
import { Stage } from '../harness/stage.js';

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

type Say = (
  asked: Asked,
  nth: number,
) => { readonly status: number; readonly body: string; readonly headers?: Record<string, string> } | undefined;

/** Somebody out there: a web site, a provider of AI. Hangs up where it has nothing to say. */
class Provider {
  readonly asked: Asked[] = [];
  private readonly sayings = new Map<string, Say>();
  private readonly server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const path = request.url ?? '';
      const asked = {
        method: request.method ?? '',
        path,
        headers: request.headers,
        body: Buffer.concat(chunks).toString(),
      };
      this.asked.push(asked);
      const [, name = ''] = path.split('/');
      const answer = this.sayings.get(name)?.(asked, this.of(name).length);
      if (!answer) return void request.socket.destroy();
      response.writeHead(answer.status, { 'content-type': 'application/json', ...answer.headers }).end(answer.body);
    });
  });

  async open(): Promise<void> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  /** Where it says what a test wants. */
  at(name: string, say: Say): string {
    this.sayings.set(name, say);
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/${name}`;
  }

  of(name: string): readonly Asked[] {
    return this.asked.filter(({ path }) => path.startsWith(`/${name}`));
  }
}

const SECRET = 'sk-never-to-be-seen-3f9c2';

describe('what the server asks for functions', () => {
  const provider = new Provider();
  let server: Server;
  let api: Api;
  const stages = new Map<Variant, Stage>();
  const processes: SdkApps[] = [];

  beforeAll(async () => {
    await provider.open();
    server = await Server.start({ flags: { 'log-level': 'trace' } });
    api = server.api;
    for (const variants of [['v4', 'v4-plain'], ['v3']] as const) {
      const specs = variants.map((variant) => ({ id: variant, variant, functions: ['test/e2e/functions/steps.mjs'] }));
      const apps = await SdkApps.start(specs, { INNGEST_DEV: server.url });
      processes.push(apps);
      for (const variant of variants) {
        await apps.sync(variant);
        stages.set(variant, new Stage(variant, api, apps.log, variant));
      }
    }
  });
  afterAll(async () => {
    for (const apps of processes) await apps[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
    await provider.close();
  });

  describe.each(['v4', 'v4-plain', 'v3'] as const)('by %s', (variant) => {
    const stage = () => stages.get(variant) as Stage;
    const name = (what: string) => `${variant}-${what}`;

    it('is fetched, with its method, headers and body', async () => {
      const url = provider.at(name('fetch'), () => ({
        status: 200,
        body: '{"hello":"☃"}',
        headers: { 'x-more': '1' },
      }));
      const story = await stage().play('steps.fetch', {
        url: `${url}/a?x=1`,
        init: { method: 'PUT', headers: { 'x-a': 'b', authorization: `Bearer ${SECRET}` }, body: '{"k":"ü"}' },
      });
      expect(story.run).toMatchObject({ status: 'Completed', output: { status: 200, body: '{"hello":"☃"}' } });
      expect(provider.of(name('fetch'))).toMatchObject([
        {
          method: 'PUT',
          path: `/${name('fetch')}/a?x=1`,
          body: '{"k":"ü"}',
          headers: { 'x-a': 'b', authorization: `Bearer ${SECRET}` },
        },
      ]);
    });

    it.each([201, 404, 500])('is fetched, whatever its status (%i)', async (status) => {
      const url = provider.at(name(`status-${status}`), () => ({ status, body: 'said' }));
      expect((await stage().play('steps.fetch', { url })).run.output).toMatchObject({ status, body: 'said' });
      expect(provider.of(name(`status-${status}`))).toHaveLength(1);
    });

    it('is fetched again where nobody answers, and then an error', async () => {
      const url = provider.at(name('silent'), () => undefined);
      expect((await stage().play('steps.fetch', { url })).run.output).toMatchObject({
        caught: { message: expect.stringContaining('Error making gateway request') as string },
      });
      expect(provider.of(name('silent'))).toHaveLength(2);
      const shaky = provider.at(name('shaky'), (_asked, nth) => (nth === 1 ? undefined : { status: 200, body: 'now' }));
      expect((await stage().play('steps.fetch', { url: shaky })).run.output).toMatchObject({ body: 'now' });
    });

    it.each([
      [
        'openai',
        { messages: [{ role: 'user', content: 'hi' }] },
        (asked: Asked) => asked.headers.authorization,
        `Bearer ${SECRET}`,
      ],
      [
        'anthropic',
        { messages: [{ role: 'user', content: 'hi' }] },
        (asked: Asked) => asked.headers['x-api-key'],
        SECRET,
      ],
      [
        'gemini',
        { contents: [{ role: 'user', parts: [{ text: 'hi' }] }] },
        (asked: Asked) => new URL(asked.path, 'http://x').searchParams.get('key'),
        SECRET,
      ],
    ])('is inferred by %s, with its key in its place', async (kind, body, keyOf, key) => {
      const said = { choices: [{ message: { content: 'hello' } }], usage: { n: 1.5 } };
      const url = provider.at(name(kind), () => ({ status: 200, body: JSON.stringify(said) }));
      const story = await stage().play('steps.infer', { provider: kind, url: `${url}/`, apiKey: SECRET, body });
      expect(story.run).toMatchObject({ status: 'Completed', output: { said } });
      const [asked] = provider.of(name(kind)) as [Asked];
      expect(asked.method).toBe('POST');
      expect(keyOf(asked)).toBe(key);
      expect(JSON.parse(asked.body)).toMatchObject(body);
    });

    it('is inferred again when it goes wrong, and then an error', async () => {
      const body = { messages: [] };
      const shaky = provider.at(name('ai-shaky'), (_asked, nth) =>
        nth === 1 ? { status: 529, body: '{"error":"busy"}' } : { status: 200, body: '{"ok":true}' },
      );
      expect(
        (await stage().play('steps.infer', { provider: 'openai', url: `${shaky}/`, apiKey: SECRET, body })).run.output,
      ).toEqual({ said: { ok: true } });
      expect(provider.of(name('ai-shaky')).map(({ headers }) => headers.authorization)).toEqual([
        `Bearer ${SECRET}`,
        `Bearer ${SECRET}`,
      ]);
      const wrong = provider.at(name('ai-wrong'), () => ({ status: 401, body: '{"error":{"message":"bad key"}}' }));
      const story = await stage().play('steps.infer', { provider: 'openai', url: `${wrong}/`, apiKey: SECRET, body });
      expect(story.run.output).toMatchObject({
        caught: { message: expect.stringContaining('unsuccessful status code: 401') as string },
      });
      expect(provider.of(name('ai-wrong'))).toHaveLength(2);
    });
  });

  it('never shows a key: not in what it prints, answers or keeps', async () => {
    const hidden = 'sk-only-in-the-app-77aa1';
    const url = provider.at('secret', (_asked, nth) =>
      nth === 1 ? { status: 500, body: '{}' } : { status: 200, body: '{"fine":1}' },
    );
    const apps = await SdkApps.start([{ id: 'keeper', variant: 'v4', functions: ['test/e2e/functions/secrets.mjs'] }], {
      INNGEST_DEV: server.url,
      APP_SECRET: hidden,
    });
    processes.push(apps);
    await apps.sync('keeper');
    const keeper = new Stage('v4', api, apps.log, 'keeper');
    const story = await keeper.play('ask', { url });
    expect(story.run).toMatchObject({ status: 'Completed' });
    expect(provider.of('secret').length).toBeGreaterThanOrEqual(4);
    for (const asked of provider.of('secret'))
      expect(`${asked.path} ${JSON.stringify(asked.headers)}`).toContain(hidden);

    const shown = await Promise.all(
      [
        `/v1/runs/${story.runId}`,
        `/v1/runs/${story.runId}/transitions`,
        `/v1/runs/${story.runId}/jobs`,
        '/v1/events?internal=true&limit=100',
        '/v1/runs?limit=100',
        '/dev',
      ].map(async (path) => (await api.request('GET', path)).text),
    );
    expect(shown.every((text) => text.length > 10)).toBe(true);
    expect(shown.join('')).not.toContain(hidden);
    expect(server.output).not.toContain(hidden);
    await server.stop();
    const kept = await server.kept();
    expect(kept.some(({ bytes }) => bytes.includes(story.runId))).toBe(true);
    for (const { name, bytes } of kept) expect([name, bytes.includes(hidden)]).toEqual([name, false]);
    await server.start();
  });
});
