import { once } from 'node:events';
import { connect } from 'node:net';
import { expect, it } from 'vitest';
import { FrontDoor } from './front-door.js';

const url = (door: FrontDoor) => `http://127.0.0.1:${door.port}/`;

it('lets who comes early wait, and answers them first', async () => {
  const door = await FrontDoor.open('127.0.0.1', 0);
  const came = once(door.server, 'request');
  const early = fetch(url(door), { method: 'POST', body: 'hello' });
  await came;
  const bodies: string[] = [];
  door.answerWith((request, response) => {
    request.on('data', (chunk: Buffer) => bodies.push(chunk.toString()));
    request.on('end', () => response.end('welcome'));
  });
  expect(await (await early).text()).toBe('welcome');
  expect(await (await fetch(url(door))).text()).toBe('welcome');
  expect(bodies).toEqual(['hello']);
  await door.close();
});

it('says at once that its port is taken', async () => {
  const door = await FrontDoor.open('127.0.0.1', 0);
  await expect(FrontDoor.open('127.0.0.1', door.port)).rejects.toMatchObject({ code: 'EADDRINUSE' });
  await door.close();
});

it('closes when those inside have their answers, and lets nobody in meanwhile', async () => {
  const door = await FrontDoor.open('127.0.0.1', 0);
  const inside = Promise.withResolvers<() => void>();
  door.answerWith((_request, response) => inside.resolve(() => response.setHeader('connection', 'close').end('bye')));
  const visit = fetch(url(door));
  const answer = await inside.promise;
  const { port } = door;
  const closed = door.close();
  expect(door.close()).toBe(closed);
  const [error] = (await once(connect(port, '127.0.0.1'), 'error')) as [NodeJS.ErrnoException];
  expect(error.code).toBe('ECONNREFUSED');
  answer();
  expect(await (await visit).text()).toBe('bye');
  await closed;
});

it('leaves nobody waiting who will never be answered', async () => {
  const door = await FrontDoor.open('127.0.0.1', 0);
  const came = once(door.server, 'request');
  const early = fetch(url(door));
  await came;
  await Promise.all([door.close(), expect(early).rejects.toThrow()]);
});

it('waits for those inside no longer than it is told to', async () => {
  const door = await FrontDoor.open('127.0.0.1', 0);
  const inside = Promise.withResolvers<void>();
  door.answerWith(() => inside.resolve());
  const visit = fetch(url(door));
  await inside.promise;
  await Promise.all([door.close(10), expect(visit).rejects.toThrow()]);
});
