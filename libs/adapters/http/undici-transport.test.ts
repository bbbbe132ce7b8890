import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it } from 'vitest';
import { appTransportContract } from '#testkit/contracts/app-transport.contract.js';
import { UndiciTransport } from './undici-transport.js';

appTransportContract('UndiciTransport', ({ allowPrivate }) => new UndiciTransport({ apps: { allowPrivate } }));

it('keeps its connections, one call at a time on each', async () => {
  const sockets = new Set<unknown>();
  const server = createServer((got, answer) => {
    sockets.add(got.socket);
    answer.end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://localhost:${(server.address() as AddressInfo).port}/`;
  const transport = new UndiciTransport({ apps: { allowPrivate: true } });
  const call = () =>
    transport.send({ method: 'POST', url, headers: {}, body: '{}', timeoutMs: 60_000, bodyBytesMax: 1000 });

  for (let i = 0; i < 20; i++) await call();
  // A connection rests for a turn of the loop after an answer, so calls that follow at once take turns on two.
  expect(sockets.size).toBeLessThanOrEqual(2);
  await Promise.all(Array.from({ length: 5 }, call));
  expect(sockets.size).toBeLessThanOrEqual(6);

  await transport.close();
  server.close();
});

it('may keep functions from addresses where apps may be', async () => {
  const transport = new UndiciTransport({ apps: { allowPrivate: true }, gateways: { allowPrivate: false } });
  const request = {
    method: 'GET' as const,
    url: 'http://127.0.0.1:9/',
    headers: {},
    timeoutMs: 60_000,
    bodyBytesMax: 1000,
  };
  await expect(transport.send(request)).rejects.toMatchObject({ code: 'http_unreachable' });
  await expect(transport.fetch(request)).rejects.toMatchObject({ code: 'url_refused' });
  await transport.close();
});
