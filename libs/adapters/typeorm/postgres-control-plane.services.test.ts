import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { chown, copyFile, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DEFAULT_ENV } from '#core/words.js';
import type { ConfigChange, ControlPlane } from '#ports/control-plane.port.js';
import { aSync, controlPlaneContract, peek } from '#testkit/contracts/control-plane.contract.js';
import { ManualClock } from '#testkit/manual-clock.js';
import { SeededIds } from '#testkit/seeded-ids.js';
import { PostgresServer } from '#testkit/services/postgres.service.js';
import { services } from '#testkit/services/services.js';
import { openControlPlane } from './typeorm-control-plane.js';

const UNAVAILABLE = { code: 'control_plane_unavailable' };

async function query<T>(url: string, sql: string): Promise<T[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows as T[];
  } finally {
    await client.end();
  }
}

/** A database of its own on a server. */
async function aDatabase(server = services().postgresUrl): Promise<{ url: string; drop: () => Promise<void> }> {
  const name = `control_${randomUUID().replaceAll('-', '')}`;
  await query(server, `CREATE DATABASE ${name}`);
  const url = new URL(server);
  url.pathname = name;
  return { url: url.href, drop: async () => void (await query(server, `DROP DATABASE ${name} WITH (FORCE)`)) };
}

controlPlaneContract(
  'TypeORM on Postgres',
  async () => {
    const { url, drop } = await aDatabase();
    const options = { url, clock: new ManualClock(), ids: new SeededIds() };
    let plane = openControlPlane(options);
    return {
      plane,
      reopen: async () => {
        await plane.close();
        plane = openControlPlane(options);
        return plane;
      },
      another: () => Promise.resolve(openControlPlane(options)),
      pass: (ms) => options.clock.turn(ms),
      dispose: async () => {
        await plane.close();
        await drop();
      },
    };
  },
  10,
);

describe('the database', () => {
  let url: string;
  let drop: () => Promise<void>;
  let opened: ControlPlane[];
  beforeEach(async () => {
    ({ url, drop } = await aDatabase());
    opened = [];
  });
  afterEach(async () => {
    await Promise.all(opened.map((plane) => plane.close()));
    await drop();
  });

  const open = (at = url): ControlPlane => {
    const plane = openControlPlane({ url: at, clock: new ManualClock(), ids: new SeededIds() });
    opened.push(plane);
    return plane;
  };

  it('is made ready once, by whoever of those that start at once is first', async () => {
    const planes = Array.from({ length: 5 }, () => open());
    expect(await Promise.all(planes.map((plane) => plane.apps(DEFAULT_ENV)))).toEqual([[], [], [], [], []]);

    const done = await query<{ name: string }>(url, 'SELECT name FROM migrations ORDER BY id');
    expect(new Set(done.map(({ name }) => name)).size).toBe(done.length);
    expect(await query(url, 'SELECT name, value FROM counters')).toEqual([{ name: 'outbox', value: 0 }]);
  });

  it('holds a schema that TypeORM finds as its entities say', async () => {
    const { DataSource } = await import('typeorm');
    const { ENTITIES } = await import('./control-plane.entities.js');
    await open().sync(aSync());

    const source = new DataSource({ type: 'postgres', url, entities: ENTITIES });
    await source.initialize();
    const { upQueries } = await source.driver.createSchemaBuilder().log();
    await source.destroy();
    expect(upQueries.map(({ query: sql }) => sql)).toEqual([]);
  });

  it('of a newer version is refused', async () => {
    await open().sync(aSync());
    await query(url, `INSERT INTO migrations (timestamp, name) VALUES (9999999999999, 'FromTheFuture9999999999999')`);
    await expect(open().apps(DEFAULT_ENV)).rejects.toMatchObject({
      code: 'data_dir_newer',
      message: expect.stringContaining('DATABASE_URL') as string,
    });
  });

  it('delivers also a change whose transaction committed after one of a higher number', async () => {
    const plane = open();
    await plane.apps(DEFAULT_ENV);
    await query(url, 'UPDATE counters SET value = 100');
    const late = new Client({ connectionString: url });
    await late.connect();
    await late.query('BEGIN');
    await late.query(
      `INSERT INTO outbox (id, kind, key, env, body) VALUES (50, 'app', 'late', '${DEFAULT_ENV}', NULL)`,
    );
    await plane.sync(aSync());

    const delivered: ConfigChange[] = [];
    const deliver = async (changes: readonly ConfigChange[]): Promise<void> => {
      delivered.push(...changes);
      // It becomes visible before the others are forgotten.
      if (changes.some(({ id }) => id > 100)) await late.query('COMMIT');
    };
    while ((await plane.relay(10, deliver)) > 0);
    await late.end();
    expect(delivered.map(({ id }) => id)).toEqual([101, 102, 103, 50]);
  });

  it('delivers again what was not forgotten because a relay lost its connection, the newest last', async () => {
    const [one, two] = [open(), open()];
    const { app, functions } = await one.sync(aSync());
    const delivered: ConfigChange[] = [];
    const take = (changes: readonly ConfigChange[]): Promise<void> => Promise.resolve(void delivered.push(...changes));
    await expect(
      one.relay(10, async (changes) => {
        // Its connection goes while it delivers; another relay takes over, and delivers newer changes first.
        await query(url, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction'`);
        await two.pauseFunction(DEFAULT_ENV, functions[0]!.id, 'hold');
        await two.removeApp(DEFAULT_ENV, app.id);
        await two.relay(100, take);
        delivered.push(...changes);
      }),
    ).rejects.toMatchObject(UNAVAILABLE);

    while ((await one.relay(10, take)) > 0);
    const last = new Map(delivered.map(({ key, body }) => [key, body]));
    expect([...last.values()].filter((body) => body !== undefined && body.archivedAt === undefined)).toEqual([]);
    expect(last.get(functions[0]!.id)).toMatchObject({ paused: { running: 'hold' } });
    expect(await peek(two, 10)).toEqual([]);
  });

  it('lets nobody wait for a relay that hangs for ever', async () => {
    const [one, two] = [open(), open()];
    await one.sync(aSync());
    const { promise: hung, resolve: goOn } = Promise.withResolvers<void>();
    const hanging = one.relay(10, () => hung);
    await expect
      .poll(() => query(url, `SELECT 1 FROM pg_stat_activity WHERE state = 'idle in transaction'`))
      .not.toEqual([]);

    await two.sync(aSync({ appName: 'mail' }));
    await expect(two.relay(10, () => Promise.resolve())).rejects.toMatchObject(UNAVAILABLE);
    goOn();
    expect(await hanging).toBe(3);
    expect(await two.relay(10, () => Promise.resolve())).toBe(3);
  });
});

describe('a Postgres server', () => {
  const open = (url: string): ControlPlane => openControlPlane({ url, clock: new ManualClock(), ids: new SeededIds() });

  it('that is away is an error of each call; it is back when it is back, with all that was acknowledged', async () => {
    await using server = await PostgresServer.launch();
    const [plane, other] = [open(server.url), open(server.url)];
    const { app } = await plane.sync(aSync());
    await server.kill();

    await expect(plane.sync(aSync({ functions: [] }))).rejects.toMatchObject(UNAVAILABLE);
    await expect(plane.apps(DEFAULT_ENV)).rejects.toMatchObject(UNAVAILABLE);
    await expect(other.apps(DEFAULT_ENV)).rejects.toMatchObject(UNAVAILABLE);
    const nothing = (): Promise<void> => Promise.reject(new Error('there is nothing to deliver'));
    await expect(plane.relay(10, nothing)).rejects.toMatchObject(UNAVAILABLE);

    await server.start();
    expect(await plane.apps(DEFAULT_ENV)).toEqual([app]);
    expect(await other.apps(DEFAULT_ENV)).toEqual([app]);
    expect(await plane.relay(10, () => Promise.resolve())).toBe(3);
    await plane.close();
    await other.close();
  });

  it('that goes in the middle of syncs and deliveries takes none of them half', async () => {
    await using server = await PostgresServer.launch();
    const plane = open(server.url);
    await plane.sync(aSync());
    let goes = true;
    const syncs = (async () => {
      for (let n = 0; goes; n++) {
        const functions = aSync().functions.map((fn) => ({ ...fn, retries: n % 2 }));
        await plane.sync(aSync({ functions })).catch((error: unknown) => expect(error).toMatchObject(UNAVAILABLE));
      }
    })();
    const delivered: ConfigChange[] = [];
    const deliver = (changes: readonly ConfigChange[]): Promise<void> =>
      Promise.resolve(void delivered.push(...changes));
    const relays = (async () => {
      while (goes) await plane.relay(2, deliver).catch((error: unknown) => expect(error).toMatchObject(UNAVAILABLE));
    })();
    for (let times = 0; times < 2; times++) {
      const seen = delivered.length;
      await expect.poll(() => delivered.length, { timeout: 60_000 }).toBeGreaterThan(seen + 10);
      await server.kill();
      await server.start();
    }
    goes = false;
    await Promise.all([syncs, relays]);

    while ((await plane.relay(10, deliver)) > 0);
    const last = new Map(delivered.map(({ key, body }) => [key, body]));
    const functions = await plane.functions(DEFAULT_ENV);
    expect(new Set(functions.map(({ version }) => version)).size).toBe(1);
    expect(functions.map(({ id }) => last.get(id))).toEqual(functions);
    await plane.close();
  });

  it('is spoken to over TLS where its URL says so, and not when it is another', async () => {
    await using server = await PostgresServer.launch();
    const folder = await mkdtemp(join(tmpdir(), 'millrace-tls-'));
    const [cert, key] = [join(folder, 'server.crt'), join(folder, 'server.key')];
    const subject = ['-subj', '/CN=postgres', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '2'];
    await promisify(execFile)('openssl', [
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-keyout',
      key,
      '-out',
      cert,
      ...subject,
    ]);
    const [{ data }] = (await query<{ data: string }>(
      server.url,
      `SELECT current_setting('data_directory') AS data`,
    )) as [{ data: string }];
    const { uid, gid } = await stat(data);
    for (const file of [cert, key]) {
      const placed = join(data, file === cert ? 'server.crt' : 'server.key');
      await copyFile(file, placed);
      await chown(placed, uid, gid);
    }
    await query(server.url, 'ALTER SYSTEM SET ssl = on');
    await query(server.url, 'SELECT pg_reload_conf()');
    await expect.poll(() => query(server.url, 'SHOW ssl')).toEqual([{ ssl: 'on' }]);

    const plane = open(`${server.url}?sslmode=verify-full&sslrootcert=${cert}`);
    await plane.sync(aSync());
    const connections = `SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'millrace'`;
    const used = await query<{ ssl: boolean }>(server.url, connections);
    expect(used.length).toBeGreaterThan(0);
    expect(used.every(({ ssl }) => ssl)).toBe(true);
    await plane.close();

    const other = join(folder, 'other.crt');
    await promisify(execFile)('openssl', [
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-keyout',
      join(folder, 'other.key'),
      '-out',
      other,
      ...subject,
    ]);
    const deceived = open(`${server.url}?sslmode=verify-full&sslrootcert=${other}`);
    await expect(deceived.apps(DEFAULT_ENV)).rejects.toMatchObject(UNAVAILABLE);
    await deceived.close();
    await writeFile(key, '');
    await rm(folder, { recursive: true });
  });
});
