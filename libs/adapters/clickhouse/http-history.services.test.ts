import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { DEFAULT_ENV, type Position } from '#core/words.js';
import { NO_ROWS, type EventRow, type History, type HistoryBatch, type RunRow } from '#ports/history.port.js';
import { historyContract } from '#testkit/contracts/history.contract.js';
import { ClickHouseServer } from '#testkit/services/clickhouse.service.js';
import { openClickHouseHistory } from './http-history.js';
import { HttpTransport } from './http-transport.js';

const UNAVAILABLE = { code: 'history_unavailable' };
const AT = Date.UTC(2026, 0, 1);
const idOf = (n: number): string => `01KE${String(n).padStart(22, '0')}`;

let shared: ClickHouseServer;
beforeAll(async () => {
  shared = await ClickHouseServer.launch();
});
afterAll(() => shared[Symbol.asyncDispose]());

/** A database that is not there yet. */
function aDatabase(server = shared.url): string {
  return `${server}/history_${randomUUID().replaceAll('-', '')}`;
}

historyContract(
  'ClickHouse over HTTP',
  () => {
    const url = aDatabase();
    let history = openClickHouseHistory({ url });
    return Promise.resolve({
      history,
      reopen: async () => {
        await history.close();
        history = openClickHouseHistory({ url });
        return history;
      },
      dispose: () => history.close(),
    });
  },
  10,
);

const anEvent = (n: number, chars = 20): EventRow => ({
  internalId: idOf(n),
  env: DEFAULT_ENV,
  id: `user-${n}`,
  name: 'shop/order.placed',
  ts: AT,
  receivedAt: AT,
  source: 'api',
  payload: `"${'x'.repeat(chars)}"`,
  position: { partition: n % 4, offset: n },
});

const aRun = (n: number): RunRow => ({
  runId: idOf(n),
  env: DEFAULT_ENV,
  functionId: 'f',
  functionSlug: 'shop-charge',
  functionVersion: 1,
  appId: 'a',
  appName: 'shop',
  status: 'Running',
  eventName: 'shop/order.placed',
  eventIds: [idOf(n)],
  cron: '',
  batchId: '',
  queuedAt: AT,
  startAt: AT,
  startedAt: AT,
  endedAt: null,
  output: null,
  skipReason: '',
  skippedFor: '',
  version: n,
});

const rows = (count: number, chars?: number): HistoryBatch => ({
  ...NO_ROWS,
  events: Array.from({ length: count }, (_, n) => anEvent(n, chars)),
  runs: Array.from({ length: count }, (_, n) => aRun(n)),
});
const at = (partition: number, offset: number): Position => ({ partition, offset });
const idsOf = async (history: History): Promise<string[]> =>
  (await history.events(DEFAULT_ENV, { limit: 100_000 })).map(({ internalId }) => internalId);
const newestFirst = (count: number): string[] => Array.from({ length: count }, (_, n) => idOf(count - 1 - n));

describe('a server', () => {
  const opened: History[] = [];
  const open = (url: string, requestMsMax = 60_000): History => {
    const history = openClickHouseHistory({ url, requestMsMax });
    opened.push(history);
    return history;
  };
  afterEach(() => Promise.all(opened.splice(0).map((history) => history.close())));

  it('that is killed in the middle of an append has every row once when it is made again', async () => {
    await using server = await ClickHouseServer.launch();
    const history = open(aDatabase(server.url));
    await history.append(rows(10), { events: [at(0, 10)] });
    const all = rows(20_000, 200);
    let cuts = 0;
    for (let tries = 0; tries < 4; tries++) {
      const appended = history.append(all, { events: [at(0, 20_000), at(3, 7)] }).then(
        () => true,
        (error: unknown) => {
          expect(error).toMatchObject(UNAVAILABLE);
          return false;
        },
      );
      await new Promise((resolve) => setTimeout(resolve, tries * 150));
      await server.kill();
      if (!(await appended)) cuts++;
      await expect(history.events(DEFAULT_ENV, { limit: 1 })).rejects.toMatchObject(UNAVAILABLE);
      await server.start();
      const [position] = await history.positions('events');
      if (position?.offset === 20_000) expect(await idsOf(history)).toEqual(newestFirst(20_000));
    }
    expect(cuts).toBeGreaterThan(0);
    await history.append(all, { events: [at(0, 20_000), at(3, 7)] });

    expect(await idsOf(history)).toEqual(newestFirst(20_000));
    expect((await history.runs(DEFAULT_ENV, { limit: 100_000 })).length).toBe(20_000);
    expect(await history.positions('events')).toEqual([at(0, 20_000), at(3, 7)]);
  });

  it('may be used by several who come at once, and bring the same', async () => {
    const url = aDatabase();
    const writers = [open(url), open(url), open(url)];
    const all = rows(300);
    const half: HistoryBatch = { ...all, events: all.events.slice(0, 150), runs: all.runs.slice(100) };
    await Promise.all([
      writers[0]!.append(all, { events: [at(0, 300), at(1, 300)] }),
      writers[1]!.append(half, { events: [at(1, 150)], transitions: [at(1, 2)] }),
      writers[2]!.append(all, { events: [at(2, 300)] }),
    ]);

    for (const each of writers) {
      expect(await idsOf(each)).toEqual(newestFirst(300));
      expect((await each.runs(DEFAULT_ENV, { limit: 1_000 })).length).toBe(300);
      expect(await each.positions('events')).toEqual([at(0, 300), at(1, 300), at(2, 300)]);
    }
  });

  it.each(['DROP DATABASE', 'DROP TABLE', 'TRUNCATE TABLE'])(
    'that lost everything (%s) tells so whoever goes on',
    async (how) => {
      const url = aDatabase();
      const [one, other] = [open(url), open(url)];
      const held = { events: [at(0, 300)] };
      await one.append(rows(300), held);
      expect(await other.positions('events')).toEqual(held.events);
      const database = new URL(url).pathname.slice(1);
      const remover = new HttpTransport({ url });
      const named = await remover.run('SELECT name FROM system.tables WHERE database = currentDatabase()');
      const tables = named.map(({ name }) => `${database}.${String(name)}`);
      for (const what of how === 'DROP DATABASE' ? [database] : tables) await remover.run(`${how} ${what}`);
      await remover.close();

      expect(await idsOf(other)).toEqual([]);
      await expect(one.append(rows(3), { events: [at(0, 303)] }, held)).rejects.toMatchObject({ code: 'state_lost' });
      for (const each of [one, other]) expect(await each.positions('events')).toEqual([]);
      await one.append(rows(2), { events: [at(0, 2)] });
      expect(await other.positions('events')).toEqual([at(0, 2)]);
    },
  );

  it('is asked for many runs at once', async () => {
    const history = open(aDatabase());
    await history.append(rows(6_000), {});
    const found = await history.runsById(
      DEFAULT_ENV,
      Array.from({ length: 6_000 }, (_, n) => idOf(n)),
    );
    expect(found.length).toBe(6_000);
  });

  it('that is away is history_unavailable, and serves when it is back', async () => {
    await using server = await ClickHouseServer.launch();
    await server.kill();
    const history = open(aDatabase(server.url));
    await expect(history.events(DEFAULT_ENV, { limit: 1 })).rejects.toMatchObject(UNAVAILABLE);
    await expect(history.append(rows(1), {})).rejects.toMatchObject(UNAVAILABLE);
    await server.start();
    await history.append(rows(1), {});
    expect(await idsOf(history)).toEqual([idOf(0)]);
    await server.stop();
    await server.start();
    expect(await idsOf(history)).toEqual([idOf(0)]);
  });

  it('that hangs is given up', async () => {
    await using server = await ClickHouseServer.launch();
    const history = open(aDatabase(server.url), 1_000);
    await history.append(rows(1), {});
    server.suspend();
    await expect(history.events(DEFAULT_ENV, { limit: 1 })).rejects.toMatchObject(UNAVAILABLE);
    await expect(history.append(rows(1), {})).rejects.toMatchObject(UNAVAILABLE);
    server.resume();
    await expect.poll(() => idsOf(history)).toEqual([idOf(0)]);
  });

  it('says no to statements that are wrong, and to rows that do not fit, which is our fault', async () => {
    const transport = new HttpTransport({ url: aDatabase() });
    await expect(transport.run('SELEC 1')).rejects.toMatchObject({ code: 'internal', data: { clickhouseCode: 62 } });
    await expect(transport.run('SELECT * FROM nowhere')).rejects.toMatchObject({ code: 'internal' });
    await transport.run('CREATE TABLE t (n UInt8, at DateTime) ENGINE = MergeTree ORDER BY n');
    const refused = { code: 'record_unreadable' };
    await expect(transport.insert('t', [{ n: 'many', at: 0 }])).rejects.toMatchObject(refused);
    await expect(
      transport.insert('t', [
        { n: 1, at: 0 },
        { n: 1, at: 'never' },
      ]),
    ).rejects.toMatchObject(refused);
    expect(await transport.run('SELECT count() AS count FROM t')).toEqual([{ count: 0 }]);
    await transport.close();
    await expect(transport.run('SELECT 1')).rejects.toMatchObject(UNAVAILABLE);
  });
});

describe('the address', () => {
  let server: Server | undefined;
  afterEach(() => void server?.close());

  it('gives the user, the password and the database of every request', async () => {
    const asked: IncomingMessage[] = [];
    server = createServer((request, response) => {
      asked.push(request);
      request.resume().on('end', () => response.end());
    });
    await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const transport = new HttpTransport({ url: `http://mill%40race:s%3Acret@127.0.0.1:${port}/my%20history` });
    await transport.run('SELECT 1');
    await transport.insert('t', [{ a: 1 }]);
    await transport.close();

    expect(asked.length).toBe(2);
    for (const { url, headers } of asked) {
      expect(new URL(url!, 'http://localhost').searchParams.get('database')).toBe('my history');
      expect(headers.authorization).toBe(`Basic ${Buffer.from('mill@race:s:cret').toString('base64')}`);
    }
  });
});
