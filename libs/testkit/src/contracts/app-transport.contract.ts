import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import { createServer as createSocketServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { AppUnreachable, type AppErrorCode, type AppRequest, type AppTransport } from '#ports/app-transport.port.js';

const MB = 1024 * 1024;

export interface AppTransportSetup {
  /** What the transport may call. Link-local addresses are always refused. */
  readonly allowPrivate: boolean;
}

/** The promises of AppTransport, kept against real servers that behave, and others. */
export function appTransportContract(name: string, open: (setup: AppTransportSetup) => AppTransport): void {
  describe(name, () => {
    let transport: AppTransport;
    const servers: { close(): void }[] = [];

    beforeAll(() => {
      transport = open({ allowPrivate: true });
    });
    afterAll(() => transport.close());
    afterEach(() => {
      for (const server of servers.splice(0)) server.close();
    });

    /** An app that answers like this. @returns its URL */
    async function app(
      listener: (got: IncomingMessage, answer: ServerResponse) => void | Promise<void>,
    ): Promise<string> {
      const server = createServer((got, answer) => void listener(got, answer));
      servers.push({
        close: () => {
          server.closeAllConnections();
          server.close();
        },
      });
      return listen(server);
    }

    /** A program that does this with each connection. */
    async function program(onSocket: (socket: Socket) => void): Promise<string> {
      const sockets = new Set<Socket>();
      const server = createSocketServer((socket) => {
        sockets.add(socket);
        socket.on('error', () => sockets.delete(socket));
        onSocket(socket);
      });
      servers.push({
        close: () => {
          for (const socket of sockets) socket.destroy();
          server.close();
        },
      });
      return listen(server);
    }

    const request = (url: string, changed: Partial<AppRequest> = {}): AppRequest => ({
      method: 'POST',
      url: `${url}/api?fnId=f&secret=hush`,
      headers: { 'content-type': 'application/json', 'x-run-id': 'R1' },
      body: '{"é":1}',
      timeoutMs: 60_000,
      bodyBytesMax: 8 * MB,
      ...changed,
    });

    /** What a call fails with. No error text tells the parameters of the URL: they may be keys. */
    async function failure(sent: Promise<unknown>): Promise<AppUnreachable> {
      const error: unknown = await sent.then(
        () => new Error('it was answered'),
        (thrown: unknown) => thrown,
      );
      if (!(error instanceof AppUnreachable)) throw error;
      expect(error.message).not.toContain('hush');
      return error;
    }

    const fails = (code: AppErrorCode) => ({ code }) as Partial<AppUnreachable>;

    describe('a call', () => {
      it('carries method, headers and body, and brings the answer back', async () => {
        const url = await app(async (got, answer) => {
          answer.writeHead(206, { 'X-Inngest-Sdk': 'js', 'Set-Cookie': ['a', 'b'] });
          answer.end(
            JSON.stringify({
              method: got.method,
              url: got.url,
              run: got.headers['x-run-id'],
              host: got.headers.host,
              body: await bodyOf(got),
            }),
          );
        });
        const reply = await transport.send(request(url));
        expect(reply).toMatchObject({
          status: 206,
          url: `${url}/api?fnId=f&secret=hush`,
          headers: { 'x-inngest-sdk': 'js', 'set-cookie': 'a, b' },
        });
        expect(JSON.parse(reply.body)).toEqual({
          method: 'POST',
          url: '/api?fnId=f&secret=hush',
          run: 'R1',
          host: url.slice('http://'.length),
          body: '{"é":1}',
        });
      });

      it('may go without a body, and be answered without one', async () => {
        const url = await app(async (got, answer) => {
          answer.writeHead(204, { 'x-length': (await bodyOf(got)).length }).end();
        });
        const { body: _, ...bare } = request(url, { method: 'GET' });
        expect(await transport.send(bare)).toMatchObject({ status: 204, body: '', headers: { 'x-length': '0' } });
      });

      it('is any answer, errors too', async () => {
        const url = await app((_, answer) => void answer.writeHead(500).end('no'));
        expect(await transport.send(request(url))).toMatchObject({ status: 500, body: 'no' });
      });

      it('goes beside as many others as there are', async () => {
        const waiting: ServerResponse[] = [];
        const url = await app((_, answer) => {
          waiting.push(answer);
          if (waiting.length === 60) for (const each of waiting) each.end('all');
        });
        const replies = await Promise.all(Array.from({ length: 60 }, () => transport.send(request(url))));
        expect(replies.every(({ body }) => body === 'all')).toBe(true);
      });

      it('finds an app on either address of localhost', async () => {
        const url = await app((_, answer) => void answer.end('here'));
        expect((await transport.send(request(url.replace('127.0.0.1', 'localhost')))).body).toBe('here');
      });

      it('survives any cut of its bytes', async () => {
        const text = 'aé€😀'.repeat(200);
        const url = await app((_, answer) => void drip(answer, Buffer.from(text)));
        expect((await transport.send(request(url))).body).toBe(text);
      });

      it('waits out the filler of a stream', async () => {
        const url = await app((_, answer) => {
          answer.writeHead(201, { 'x-inngest-sdk': 'js' });
          void drip(answer, Buffer.from(' '.repeat(20) + '{"status":200,"body":"1"}'));
        });
        expect((await transport.send(request(url))).body.trim()).toBe('{"status":200,"body":"1"}');
      });

      it('takes its credentials out of the URL', async () => {
        const url = await app((got, answer) => void answer.end(got.headers.authorization));
        const reply = await transport.send(request(url.replace('http://', 'http://me:p%C3%A9%25@')));
        expect(reply).toMatchObject({
          body: `Basic ${Buffer.from('me:pé%').toString('base64')}`,
          url: `${url}/api?fnId=f&secret=hush`,
        });
      });
    });

    describe('time', () => {
      const short = { timeoutMs: 150 };

      it('ends a call that is not answered', async () => {
        const url = await program(() => undefined);
        expect(await failure(transport.send(request(url, short)))).toMatchObject(fails('http_timeout'));
      });

      it('ends a call whose answer stops', async () => {
        const url = await app((_, answer) => void answer.writeHead(200).write('half'));
        expect(await failure(transport.send(request(url, short)))).toMatchObject(fails('http_timeout'));
      });

      it('ends a call whose answer drips and drips', async () => {
        const url = await app((_, answer) => {
          const timer = setInterval(() => answer.write(' '), 5);
          answer.on('close', () => clearInterval(timer));
        });
        expect(await failure(transport.send(request(url, short)))).toMatchObject(fails('http_timeout'));
      });

      it('counts for all redirects together', async () => {
        const url = await app((got, answer) => {
          setTimeout(() => answer.writeHead(307, { location: got.url ?? '' }).end(), 20);
        });
        expect(await failure(transport.send(request(url, short)))).toMatchObject(fails('http_timeout'));
      });

      it('lets go of the connection', async () => {
        const closed = Promise.withResolvers<void>();
        const url = await app((got) => void got.socket.on('close', () => closed.resolve()));
        await failure(transport.send(request(url, short)));
        await closed.promise;
      });

      it('is up when the caller says so', async () => {
        const calls = new AbortController();
        const why = new Error('the run was cancelled');
        const url = await app(() => calls.abort(why));
        await expect(transport.send(request(url, { signal: calls.signal }))).rejects.toBe(why);
        await expect(transport.send(request(url, { signal: calls.signal }))).rejects.toBe(why);
      });
    });

    describe('a server that breaks off', () => {
      const sentence = 'Your server reset the connection while we were reading the reply';
      const head = 'HTTP/1.1 200 OK\r\n';

      it.each<[string, (socket: Socket) => void]>([
        ['before it answers', (socket) => socket.destroy()],
        ['before it answers, with a reset', (socket) => socket.resetAndDestroy()],
        ['in the head', (socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-le')],
        ['in the body', (socket) => socket.end(`${head}content-length: 10\r\n\r\nhalf`)],
        [
          'in the body, with a reset',
          (socket) => socket.write(`${head}content-length: 10\r\n\r\nhalf`, () => socket.resetAndDestroy()),
        ],
        ['in a chunk', (socket) => socket.end(`${head}transfer-encoding: chunked\r\n\r\nA\r\nhalf`)],
        ['before the last chunk', (socket) => socket.end(`${head}transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n`)],
      ])('%s', async (_, breakOff) => {
        let requests = 0;
        const url = await program((socket) =>
          socket.once('data', () => {
            requests++;
            breakOff(socket);
          }),
        );
        const error = await failure(transport.send(request(url)));
        expect(error).toMatchObject(fails('http_reset'));
        expect(error.message).toContain(sentence);
        expect(requests).toBe(1);
      });

      it('is called again all the same', async () => {
        let calls = 0;
        const url = await app((got, answer) => {
          if (++calls === 1) got.socket.destroy();
          else answer.end('back');
        });
        expect(await failure(transport.send(request(url)))).toMatchObject(fails('http_reset'));
        expect(calls).toBe(1);
        expect((await transport.send(request(url))).body).toBe('back');
      });
    });

    describe('a connection that was kept', () => {
      const answer = (socket: Socket) => void socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
      const breakOff = (socket: Socket) => void socket.destroy();

      /**
       * Calls a server until a connection carries a second call.
       * @param second what it does with that one
       * @param later what it does with the calls on connections that are made afterwards
       * @returns what came of that call, and how many requests it was
       */
      async function reuse(
        second: (socket: Socket) => void,
        later = answer,
        changed: Partial<AppRequest> = {},
        way: 'send' | 'fetch' = 'send',
      ) {
        let requests = 0;
        let met = false;
        const url = await program((socket) => {
          let carried = 0;
          socket.on('data', (bytes) => {
            if (!bytes.toString().startsWith('POST ')) return;
            requests++;
            if (++carried === 1) return void (met ? later(socket) : answer(socket));
            met = true;
            second(socket);
          });
        });
        for (;;) {
          requests = 0;
          const [came] = await Promise.allSettled([transport[way](request(url, changed))]);
          if (met) return { came, requests };
        }
      }

      it.each<[string, (socket: Socket) => void]>([
        ['closed', breakOff],
        ['reset', (socket) => socket.resetAndDestroy()],
      ])('and is %s as a call comes: the call is made once more', async (_, second) => {
        expect(await reuse(second)).toMatchObject({ came: { value: { status: 200, body: 'ok' } }, requests: 2 });
      });

      it('is no reason to call a third time', async () => {
        expect(await reuse(breakOff, breakOff)).toMatchObject({
          came: { reason: fails('http_reset') },
          requests: 2,
        });
      });

      it('is no reason to send again what a function asked for: it may be a payment', async () => {
        expect(await reuse(breakOff, answer, {}, 'fetch')).toMatchObject({
          came: { reason: fails('http_reset') },
          requests: 1,
        });
      });

      it('gives a call no more time', async () => {
        const silent = () => undefined;
        expect(await reuse(breakOff, silent, { timeoutMs: 300 })).toMatchObject({
          came: { reason: fails('http_timeout') },
          requests: 2,
        });
      });

      it.each<[string, (socket: Socket) => void]>([
        ['in the head of a reply', (socket) => socket.end('HTTP/1.1 2')],
        ['in the body of a reply', (socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf')],
        ['when the app has had the call for long', (socket) => setTimeout(() => socket.destroy(), 1_500)],
      ])('and breaks off %s: the call is not made again', async (_, second) => {
        expect(await reuse(second)).toMatchObject({ came: { reason: fails('http_reset') }, requests: 1 });
      });
    });

    describe('a server that is not there', () => {
      it('does not listen', async () => {
        const server = createServer();
        const url = await listen(server);
        server.close();
        await once(server, 'close');
        const error = await failure(transport.send(request(url)));
        expect(error).toMatchObject({
          ...fails('http_unreachable'),
          message: 'Your server could not be reached: the connection was refused',
        });
        expect(await failure(transport.send(request(url.replace('127.0.0.1', 'localhost'))))).toMatchObject(
          fails('http_unreachable'),
        );
      });

      it('has a name that nobody knows', async () => {
        expect(await failure(transport.send(request('http://nowhere.invalid')))).toMatchObject(
          fails('http_unreachable'),
        );
      });

      it('does not speak TLS', async () => {
        const url = await app((_, answer) => void answer.end());
        expect(await failure(transport.send(request(url.replace('http', 'https'))))).toMatchObject(
          fails('http_unreachable'),
        );
      });
    });

    describe('a server that talks nonsense', () => {
      it.each([
        'SSH-2.0-OpenSSH_9.9\r\n',
        '\0\x01\x02\xff',
        'HTTP/1.1 999999 x\r\n\r\n',
        'HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n',
      ])('%j', async (text) => {
        const url = await program((socket) => socket.once('data', () => socket.end(text, 'latin1')));
        expect(await failure(transport.send(request(url)))).toMatchObject(fails('http_invalid'));
      });

      it('without an end to its headers', async () => {
        const url = await program((socket) => {
          socket.once('data', () => socket.write(`HTTP/1.1 200 OK\r\n${'x-a: '.padEnd(1000, 'x')}\r\n`.repeat(1000)));
        });
        expect(await failure(transport.send(request(url)))).toMatchObject(fails('http_invalid'));
      });
    });

    describe('the size of an answer', () => {
      const bound = { bodyBytesMax: 1000 };

      it('may be what was allowed', async () => {
        const url = await app((_, answer) => void answer.end('x'.repeat(1000)));
        expect((await transport.send(request(url, bound))).body).toHaveLength(1000);
      });

      it('is refused from what it announces', async () => {
        const url = await app((_, answer) => void answer.writeHead(200, { 'content-length': 1001 }).flushHeaders());
        expect(await failure(transport.send(request(url, bound)))).toMatchObject(fails('output_too_large'));
      });

      it('is refused while it comes, without an end', async () => {
        const closed = Promise.withResolvers<void>();
        const url = await app((_, answer) => {
          const more = () => void answer.write('x'.repeat(100_000), more);
          more();
          answer.on('close', () => closed.resolve());
        });
        expect(await failure(transport.send(request(url, bound)))).toMatchObject(fails('output_too_large'));
        await closed.promise;
      });

      it('counts as it unpacks', async () => {
        const bomb = gzipSync('x'.repeat(10 * MB));
        const url = await app((_, answer) => void answer.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb));
        expect(await failure(transport.send(request(url, { bodyBytesMax: MB })))).toMatchObject(
          fails('output_too_large'),
        );
      });
    });

    describe('a packed answer', () => {
      const text = JSON.stringify({ é: 'x'.repeat(100) });

      it.each<[string, (text: string) => Buffer]>([
        ['gzip', (plain) => gzipSync(plain)],
        ['br', (plain) => brotliCompressSync(plain)],
        ['deflate', (plain) => deflateSync(plain)],
        ['Deflate', (plain) => deflateRawSync(plain)],
        ['gzip, br', (plain) => brotliCompressSync(gzipSync(plain))],
        ['identity', (plain) => Buffer.from(plain)],
        ['of-our-own', (plain) => Buffer.from(plain)],
      ])('as %s is unpacked', async (encoding, pack) => {
        const url = await app(
          (_, answer) => void answer.writeHead(200, { 'content-encoding': encoding }).end(pack(text)),
        );
        expect((await transport.send(request(url))).body).toBe(text);
      });

      it('may be empty', async () => {
        const url = await app((_, answer) => void answer.writeHead(200, { 'content-encoding': 'gzip' }).end());
        expect((await transport.send(request(url))).body).toBe('');
      });

      it('that is broken is no answer', async () => {
        for (const bytes of [Buffer.from('plain'), gzipSync(text).subarray(0, 20)]) {
          const url = await app((_, answer) => void answer.writeHead(200, { 'content-encoding': 'gzip' }).end(bytes));
          expect(await failure(transport.send(request(url)))).toMatchObject(fails('http_invalid'));
        }
      });
    });

    describe('a redirect of an app', () => {
      it.each([301, 302, 303, 307, 308])('%i keeps the call as it is, parameters too', async (status) => {
        const url = await app(async (got, answer) => {
          if (got.url?.startsWith('/api?')) answer.writeHead(status, { location: '/moved/?fnId=own' }).end();
          else answer.end(`${got.method} ${got.url} ${got.headers['x-run-id'] as string} ${await bodyOf(got)}`);
        });
        expect(await transport.send(request(url))).toMatchObject({
          body: 'POST /moved/?fnId=own&secret=hush R1 {"é":1}',
          url: `${url}/moved/?fnId=own&secret=hush`,
        });
      });

      it('leads to no other server', async () => {
        const other = await app((_, answer) => void answer.end('mine now'));
        const url = await app((_, answer) => void answer.writeHead(307, { location: other }).end());
        const error = await failure(transport.send(request(url)));
        expect(error).toMatchObject(fails('redirect_refused'));
        expect(error.message).toContain(other);
        for (const location of ['ftp://127.0.0.1/', 'http://', 'javascript:1']) {
          const odd = await app((_, answer) => void answer.writeHead(307, { location }).end());
          expect(await failure(transport.send(request(odd)))).toMatchObject(fails('redirect_refused'));
        }
      });

      it('is followed 60 times, and no more', async () => {
        let left = 60;
        const url = await app(
          (_, answer) => void (left-- > 0 ? answer.writeHead(307, { location: '/' }).end() : answer.end('there')),
        );
        expect((await transport.send(request(url))).body).toBe('there');
        left = 61;
        expect(await failure(transport.send(request(url)))).toMatchObject(fails('redirect_refused'));
      });

      it('that names no place is an answer', async () => {
        const url = await app((_, answer) => void answer.writeHead(302).end('where?'));
        expect(await transport.send(request(url))).toMatchObject({ status: 302, body: 'where?' });
      });
    });

    describe('a request that a function asked for', () => {
      const fetch = (url: string, method = 'PATCH') => ({
        ...request(url),
        method,
        headers: { authorization: 'Bearer hush', 'x-own': '1', 'content-type': 'text/plain', accept: '*/*' },
      });
      const echo: RequestListener = (got, answer) =>
        void bodyOf(got).then((body) =>
          answer.end(JSON.stringify({ method: got.method, body, headers: Object.keys(got.headers).sort() })),
        );

      it('goes with any method, and gets any status', async () => {
        const url = await app((got, answer) => void answer.writeHead(404).end(got.method));
        for (const method of ['PATCH', 'DELETE', 'PUT', 'GET'])
          expect(await transport.fetch(fetch(url, method))).toMatchObject({ status: 404, body: method });
      });

      it('is followed to other servers, without what was meant for the first', async () => {
        const other = await app(echo);
        const url = await app((_, answer) => void answer.writeHead(307, { location: `${other}/there` }).end());
        const reply = await transport.fetch(fetch(url));
        expect(reply.url).toBe(`${other}/there`);
        expect(JSON.parse(reply.body)).toMatchObject({ method: 'PATCH', body: '{"é":1}' });
        const { headers } = JSON.parse(reply.body) as { headers: readonly string[] };
        expect(headers).toContain('content-type');
        expect(headers).not.toContain('authorization');
        expect(headers).not.toContain('x-own');
      });

      it('keeps its headers on the same server', async () => {
        const url = await app((got, answer) => {
          if (got.url === '/there') echo(got, answer);
          else answer.writeHead(308, { location: '/there' }).end();
        });
        const { headers } = JSON.parse((await transport.fetch(fetch(url))).body) as { headers: readonly string[] };
        expect(headers).toContain('authorization');
      });

      it.each([
        [303, 'PUT', 'GET'],
        [302, 'POST', 'GET'],
        [301, 'POST', 'GET'],
        [302, 'PUT', 'PUT'],
        [307, 'POST', 'POST'],
      ])('after %i a %s becomes a %s', async (status, method, becomes) => {
        const url = await app((got, answer) => {
          if (got.url === '/there') echo(got, answer);
          else answer.writeHead(status, { location: '/there' }).end();
        });
        const said = JSON.parse((await transport.fetch(fetch(url, method))).body) as { headers: readonly string[] };
        expect(said).toMatchObject({ method: becomes, body: becomes === 'GET' ? '' : '{"é":1}' });
        expect(said.headers.includes('content-type')).toBe(becomes !== 'GET');
      });

      it('turns in no circle', async () => {
        const url = await app((_, answer) => void answer.writeHead(302, { location: '/' }).end());
        expect(await failure(transport.fetch(fetch(url)))).toMatchObject(fails('redirect_refused'));
      });
    });

    describe('an address that is not to be called', () => {
      it.each([
        'http://169.254.169.254/latest/meta-data',
        'http://[fe80::1]/',
        'http://[::ffff:169.254.169.254]/',
        'http://[64:ff9b::169.254.169.254]/',
        'http://[fd00:ec2::254]/',
        'http://0xa9fea9fe/',
        'http://255.255.255.255/',
        'http://224.0.0.1/',
      ])('%s', async (url) => {
        const { url: _, ...rest } = request('');
        expect(await failure(transport.send({ ...rest, url }))).toMatchObject(fails('url_refused'));
        expect(await failure(transport.fetch({ ...rest, url }))).toMatchObject(fails('url_refused'));
      });

      it('is refused where a redirect leads to it', async () => {
        const url = await app((_, answer) => void answer.writeHead(302, { location: 'http://169.254.169.254/' }).end());
        expect(await failure(transport.fetch(request(url)))).toMatchObject(fails('url_refused'));
      });

      it('is this machine, where private ones are not allowed', async () => {
        const strict = open({ allowPrivate: false });
        let calls = 0;
        const url = await app((_, answer) => void answer.end(String(++calls)));
        const { port } = new URL(url);
        for (const host of [
          '127.0.0.1',
          'localhost',
          '[::1]',
          '0.0.0.0',
          '127.1',
          '10.0.0.1',
          '192.168.1.1',
          '[::ffff:7f00:1]',
          '[fd12::1]',
          '100.64.0.1',
        ]) {
          expect(await failure(strict.send(request(`http://${host}:${port}`)))).toMatchObject(fails('url_refused'));
          expect(await failure(strict.fetch(request(`http://${host}:${port}`)))).toMatchObject(fails('url_refused'));
        }
        expect(calls).toBe(0);
        await strict.close();
      });
    });

    it('takes no URL that is none', async () => {
      const { url: _, ...rest } = request('');
      for (const url of ['', 'nonsense', 'ftp://x.test/', 'file:///etc/passwd', '//x.test', 'http://']) {
        expect(await failure(transport.send({ ...rest, url }))).toMatchObject(fails('url_invalid'));
        expect(await failure(transport.fetch({ ...rest, url }))).toMatchObject(fails('url_invalid'));
      }
    });

    it('takes no header that is none', async () => {
      const url = await app((_, answer) => void answer.end());
      expect(await failure(transport.send(request(url, { headers: { 'x-a': 'b\r\nx-c: d' } })))).toMatchObject(
        fails('url_invalid'),
      );
      expect(await failure(transport.send(request(url, { headers: { 'x a': 'b' } })))).toMatchObject(
        fails('url_invalid'),
      );
    });

    it('ends what is under way when it is closed', async () => {
      const closing = open({ allowPrivate: true });
      const arrived = Promise.withResolvers<void>();
      const url = await app(() => arrived.resolve());
      const sent = failure(closing.send(request(url)));
      await arrived.promise;
      await closing.close();
      expect((await sent).code).toMatch(/^http_/);
    });
  });
}

async function listen(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function bodyOf(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

/** Sends bytes one at a time, each in a packet of its own where the machine lets it. */
async function drip(answer: ServerResponse, bytes: Buffer): Promise<void> {
  for (const byte of bytes) {
    answer.write(Buffer.of(byte));
    await new Promise((resolve) => setImmediate(resolve));
  }
  answer.end();
}
