import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Module } from '@nestjs/common';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openDataDir, type DataDir } from '#adapters/local-log/data-dir.js';
import { LocalEventLog } from '#adapters/local-log/local-event-log.js';
import { openControlPlane } from '#adapters/typeorm/typeorm-control-plane.js';
import { FrontDoor } from '#apps/millrace/src/front-door.js';
import { HttpServer } from '#apps/millrace/src/http-server.js';
import { DEFAULT_ENV } from '#core/words.js';
import { LogCatalog } from '#platform/log-catalog.js';
import { Access } from '#ports/access.port.js';
import { Catalog } from '#ports/catalog.port.js';
import { Clock } from '#ports/clock.port.js';
import { ControlPlane } from '#ports/control-plane.port.js';
import type { EventLog } from '#ports/event-log.port.js';
import { WorkQueue } from '#ports/work-queue.port.js';
import { aSync } from '#testkit/contracts/control-plane.contract.js';
import { ManualClock } from '#testkit/manual-clock.js';
import { SeededIds } from '#testkit/seeded-ids.js';
import { ConfigRelay } from '../sync/config-relay.js';
import { FunctionsController } from './functions.controller.js';

const SIGNING_KEY = 'signkey-test-12345678abcdef00112233445566778899aabbccddeeff001122334455667788';
const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

@Module({ controllers: [FunctionsController] })
class Door {}

let path: string;
let dir: DataDir;
let log: EventLog;
let catalog: LogCatalog;
let plane: ControlPlane;
let relay: ConfigRelay;
let door: FrontDoor;
let server: HttpServer;
let access: { kind: 'dev' | 'cloud'; eventKeys: string[]; signingKeys: string[]; env: string };
let asked: unknown[];

beforeEach(async () => {
  path = mkdtempSync(join(tmpdir(), 'millrace-functions-'));
  const clock = new ManualClock();
  dir = openDataDir(path, { create: true });
  log = LocalEventLog.open(dir, { clock });
  catalog = new LogCatalog(log);
  await catalog.open();
  plane = openControlPlane({ path: ':memory:', clock, ids: new SeededIds() });
  relay = new ConfigRelay(plane, log, catalog, clock);
  access = { kind: 'dev', eventKeys: [], signingKeys: [], env: DEFAULT_ENV };
  asked = [];
  const backlog = (...what: unknown[]) => {
    asked.push(what);
    return Promise.resolve({ running: 1, ready: 0, later: 0, lineCount: 0, lines: [] });
  };
  door = await FrontDoor.open('127.0.0.1', 0);
  server = await HttpServer.open({
    door,
    kind: 'dev',
    logger: silent,
    modules: [Door],
    providers: [
      { provide: Access, useValue: access },
      { provide: Catalog, useValue: catalog },
      { provide: Clock, useValue: clock },
      { provide: ConfigRelay, useValue: relay },
      { provide: ControlPlane, useValue: plane },
      { provide: WorkQueue, useValue: { backlog } },
    ],
  });
  await plane.sync(aSync());
  await relay.flush();
});
afterEach(async () => {
  await server.close();
  await plane.close();
  await catalog.close();
  await log.close();
  await dir.close();
  rmSync(path, { recursive: true });
});

async function ask(
  method: string,
  at: string,
  body?: string,
): Promise<{ status: number; data: unknown; error: unknown }> {
  const reply = await fetch(`http://127.0.0.1:${door.port}/v1/functions${at}`, {
    method,
    ...(body === undefined ? {} : { body }),
  });
  const { data, error } = (await reply.json()) as { data: unknown; error?: unknown };
  return { status: reply.status, data, error };
}

describe('functions', () => {
  it('are listed by app and slug, and found by slug and id', async () => {
    const [one] = aSync().functions;
    await plane.sync(aSync({ appName: 'mail', functions: [{ ...one!, slug: 'z' }] }));
    await relay.flush();
    const { status, data } = await ask('GET', '');
    expect(status).toBe(200);
    expect(data).toMatchObject([
      { slug: 'z', app_name: 'mail' },
      { slug: 'shop-charge', app_name: 'shop', version: 1, paused: null },
      { slug: 'shop-mail' },
    ]);
    const [, charge] = data as { id: string }[];
    expect(await ask('GET', '/shop-charge')).toMatchObject({ status: 200, data: charge });
    expect(await ask('GET', `/${charge!.id}`)).toMatchObject({ status: 200, data: charge });
  });

  it('have slugs of any letters', async () => {
    const [one] = aSync().functions;
    const slug = 'a/b %2F?ü';
    await plane.sync(aSync({ appName: 'odd', functions: [{ ...one!, slug }] }));
    await relay.flush();
    const at = `/${encodeURIComponent(slug)}`;
    expect(await ask('GET', at)).toMatchObject({ status: 200, data: { slug } });
    expect(await ask('POST', `${at}/pause`)).toMatchObject({ status: 200, data: { slug } });
    expect(await ask('GET', '/%E0%A4%A')).toMatchObject({ status: 400 });
  });

  it.each([
    ['GET', '/nobody'],
    ['GET', '/nobody/queue'],
    ['POST', '/nobody/pause'],
    ['POST', '/nobody/resume'],
  ])('%s %s: there is none', async (method, at) =>
    expect(await ask(method, at)).toEqual({ status: 404, data: null, error: 'Function not found' }),
  );

  it('ask for a key where there are keys', async () => {
    Object.assign(access, { kind: 'cloud', signingKeys: [SIGNING_KEY] });
    for (const [method, at] of [
      ['GET', ''],
      ['POST', '/shop-charge/pause'],
    ] as const)
      expect(await ask(method, at)).toMatchObject({ status: 401 });
    expect(catalog.resolve(DEFAULT_ENV, 'shop-charge')?.paused).toBeUndefined();
  });

  it('tell of their queue, of as many lines as were asked for', async () => {
    const id = catalog.resolve(DEFAULT_ENV, 'shop-charge')?.id;
    expect(await ask('GET', '/shop-charge/queue')).toMatchObject({ status: 200, data: { running: 1, lines: [] } });
    expect(await ask('GET', '/shop-charge/queue?limit=3')).toMatchObject({ status: 200 });
    expect(asked).toEqual([
      [id, 20],
      [id, 3],
    ]);
    expect(await ask('GET', '/shop-charge/queue?limit=0')).toMatchObject({ status: 400 });
  });
});

describe('pausing a function', () => {
  it('is in force when it is answered, and again when it is resumed', async () => {
    for (const [body, running] of [
      [undefined, 'hold'],
      ['', 'hold'],
      ['{}', 'hold'],
      ['{"running":"cancel"}', 'cancel'],
    ] as const) {
      const { status, data } = await ask('POST', '/shop-charge/pause', body);
      expect({ status, data }).toMatchObject({
        status: 200,
        data: { slug: 'shop-charge', paused: { at: expect.any(String) as string, running } },
      });
      expect(catalog.resolve(DEFAULT_ENV, 'shop-charge')?.paused?.running).toBe(running);
    }
    expect(await ask('POST', '/shop-charge/resume')).toMatchObject({ status: 200, data: { paused: null } });
    expect(catalog.resolve(DEFAULT_ENV, 'shop-charge')?.paused).toBeUndefined();
  });

  it.each(['{"running":"stop"}', '[]', 'null', '{'])('refuses %s', async (body) => {
    expect(await ask('POST', '/shop-charge/pause', body)).toMatchObject({
      status: 400,
      error: expect.any(String) as string,
    });
    expect(catalog.resolve(DEFAULT_ENV, 'shop-charge')?.paused).toBeUndefined();
  });
});
