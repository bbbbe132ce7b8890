// An endpoint that speaks the wire form and answers at once, without an SDK: what is measured against it is the server's own.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { KEYED_MS, RAW_STEPS } from './load.shapes.ts';
import { Recorder } from './recorder.ts';

interface Data {
  readonly n: number;
  readonly key?: string;
  /** An ISO date. */
  readonly until?: string;
}

interface Call {
  readonly ctx: { readonly stack: { readonly stack: readonly string[] } };
  readonly event: { readonly data: Data };
}

interface Answer {
  readonly status: number;
  readonly body: string;
}

const SDK = 'inngest-js:v4.24.0';
const HEADERS = {
  'content-type': 'application/json',
  'x-inngest-sdk': SDK,
  'x-inngest-req-version': '2',
  'x-inngest-no-retry': 'false',
};

const recorder = new Recorder();
const serverUrl = process.env['INNGEST_DEV'] ?? '';

const DONE: Answer = { status: 200, body: 'null' };

type Fn = (n: number, done: readonly string[], data: Data) => Answer | Promise<Answer>;

/** Of the sync payload, over what all have. */
const configs: Readonly<Record<string, object>> = {
  'raw-keyed': { concurrency: [{ limit: 1, key: 'event.data.key' }] },
};

const functions: Readonly<Record<string, Fn>> = {
  'raw-noop': (n) => {
    recorder.mark('raw-noop', n, 'finished');
    return DONE;
  },
  'raw-steps': (n, done) => {
    const i = done.length;
    if (i === RAW_STEPS) {
      recorder.mark('raw-steps', n, 'finished');
      return DONE;
    }
    recorder.mark('raw-steps', n, `step-${i}`);
    const step = { id: stepId(i), op: 'StepRun', name: `step-${i}`, displayName: `step-${i}`, data: i };
    return { status: 206, body: JSON.stringify([step]) };
  },
  'raw-keyed': async (n, _done, { key }) => {
    recorder.mark('raw-keyed', n, 'entered');
    await sleep(KEYED_MS);
    recorder.mark('raw-keyed', n, key === 'hot' ? 'hot finished' : 'cold finished');
    return DONE;
  },
  'raw-sleep': (n, done, { until }) => {
    if (done.length > 0) {
      recorder.mark('raw-sleep', n, 'finished');
      return DONE;
    }
    recorder.mark('raw-sleep', n, 'entered');
    return { status: 206, body: JSON.stringify([{ id: stepId(0), op: 'Sleep', name: until, displayName: 'sleep' }]) };
  },
  'raw-wait': (n, done) => {
    if (done.length > 0) {
      recorder.mark('raw-wait', n, 'finished');
      return DONE;
    }
    recorder.mark('raw-wait', n, 'entered');
    const opts = { event: 'raw/match', timeout: '1h', if: 'event.data.n == async.data.n' };
    return { status: 206, body: JSON.stringify([{ id: stepId(0), op: 'WaitForEvent', name: 'raw/match', opts }]) };
  },
};

function stepId(i: number): string {
  return i.toString(16).padStart(40, 'a');
}

const server = createServer((request, response) => {
  void answer(request, response).catch((error: unknown) => {
    response.writeHead(500, HEADERS).end(JSON.stringify({ name: 'Error', message: String(error) }));
  });
});

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.method === 'PUT') await register();
  if (request.method !== 'POST') return void response.writeHead(200, HEADERS).end('{"ok":true,"modified":true}');
  const id = /[?&]fnId=raw-([\w-]+)/.exec(request.url ?? '')?.[1] ?? '';
  const { ctx, event } = JSON.parse(await bodyOf(request)) as Call;
  const { status, body } = (await functions[id]?.(event.data.n, ctx.stack.stack, event.data)) ?? {
    status: 500,
    body: '{}',
  };
  response.writeHead(status, HEADERS).end(body);
}

function bodyOf(request: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => resolve(Buffer.concat(chunks).toString('utf8')));
    request.on('error', reject);
  });
}

async function register(): Promise<void> {
  const url = `http://localhost:${(server.address() as AddressInfo).port}/api/inngest`;
  const payload = {
    url,
    deployType: 'ping',
    framework: 'none',
    appName: 'raw',
    sdk: 'js:v4.24.0',
    v: '0.1',
    capabilities: { trust_probe: 'v1', connect: 'v1' },
    functions: Object.keys(functions).map((id) => ({
      id: `raw-${id}`,
      name: id,
      triggers: [{ event: id.replace('-', '/') }],
      ...configs[id],
      steps: {
        step: {
          id: 'step',
          name: 'step',
          runtime: { type: 'http', url: `${url}?fnId=raw-${id}&stepId=step` },
          retries: { attempts: 3 },
        },
      },
    })),
  };
  const reply = await fetch(`${serverUrl}/fn/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-inngest-sdk': SDK },
    body: JSON.stringify(payload),
  });
  if (!reply.ok) throw new Error(`the server did not register the endpoint: ${reply.status} ${await reply.text()}`);
}

server.listen(Number(process.env['PORT'] ?? 0), () => recorder.ready((server.address() as AddressInfo).port));
