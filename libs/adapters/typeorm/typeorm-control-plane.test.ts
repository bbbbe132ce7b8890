import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { DatabaseSync } from 'node:sqlite';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DEFAULT_ENV } from '#core/words.js';
import { aSync, controlPlaneContract, peek } from '#testkit/contracts/control-plane.contract.js';
import { ManualClock } from '#testkit/manual-clock.js';
import { SeededIds } from '#testkit/seeded-ids.js';
import { openControlPlane } from './typeorm-control-plane.js';

const parts = () => ({ clock: new ManualClock(), ids: new SeededIds() });

controlPlaneContract('TypeORM on SQLite in memory', () => {
  const { clock, ids } = parts();
  const plane = openControlPlane({ path: ':memory:', clock, ids });
  return Promise.resolve({ plane, pass: (ms) => clock.turn(ms), dispose: () => plane.close() });
});

controlPlaneContract(
  'TypeORM on a SQLite file',
  async () => {
    const dir = await mkdtemp(join(tmpdir(), 'millrace-control-'));
    const { clock, ids } = parts();
    const options = { path: join(dir, 'control.db'), clock, ids };
    let plane = openControlPlane(options);
    return {
      plane,
      reopen: async () => {
        await plane.close();
        plane = openControlPlane(options);
        return plane;
      },
      pass: (ms) => clock.turn(ms),
      dispose: async () => {
        await plane.close();
        await rm(dir, { recursive: true, force: true });
      },
    };
  },
  10,
);

describe('the file', () => {
  let dir: string;
  let path: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'millrace-control-'));
    path = join(dir, 'control.db');
  });
  afterEach(() => rm(dir, { recursive: true }));

  it('that is none of ours is refused, and tried again with the next call', async () => {
    await writeFile(
      path,
      'no database at all, but quite long enough to have a header of one hundred bytes or more, as one would have',
    );
    const plane = openControlPlane({ path, ...parts() });
    await expect(plane.apps(DEFAULT_ENV)).rejects.toMatchObject({ code: 'control_plane_unavailable' });

    await rm(path);
    expect(await plane.apps(DEFAULT_ENV)).toEqual([]);
    await plane.close();
  });

  it('tells what is in the outbox at once, also before it is open', async () => {
    const first = openControlPlane({ path, ...parts() });
    expect(await peek(first, 10)).toEqual([]);
    expect(existsSync(path)).toBe(false);
    await first.sync(aSync());
    await first.close();

    const second = openControlPlane({ path, ...parts() });
    expect(await second.relay(10, () => Promise.resolve())).toBe(3);
    await second.close();

    const third = openControlPlane({ path, ...parts() });
    expect(await peek(third, 10)).toEqual([]);
    await third.close();
    await expect(peek(third, 10)).rejects.toMatchObject({ code: 'control_plane_unavailable' });
  });

  it('of a newer version is refused', async () => {
    const plane = openControlPlane({ path, ...parts() });
    await plane.sync(aSync());
    await plane.close();
    const db = new DatabaseSync(path);
    db.exec(`INSERT INTO migrations (timestamp, name) VALUES (9999999999999, 'FromTheFuture9999999999999')`);
    db.close();

    const older = openControlPlane({ path, ...parts() });
    await expect(older.apps(DEFAULT_ENV)).rejects.toMatchObject({ code: 'data_dir_newer' });
    await older.close();
  });

  it('of the first version is brought up to now, with all that is in it', async () => {
    const { DataSource } = await import('typeorm');
    const { MIGRATIONS } = await import('./control-plane.migrations.js');
    const { CounterEntitySchema } = await import('./control-plane.entities.js');
    const { NodeSqliteDatabase } = await import('./node-sqlite.driver.js');
    const source = new DataSource({
      type: 'better-sqlite3',
      driver: NodeSqliteDatabase,
      database: path,
      entities: [CounterEntitySchema],
      migrations: MIGRATIONS.slice(0, 1),
      migrationsTableName: 'migrations',
    });
    await source.initialize();
    await source.runMigrations({ transaction: 'all' });
    const config = JSON.stringify({ slug: 'shop-mail', name: 'Mail', triggers: [], cancelOn: [], timeouts: {} });
    await source.query(
      `INSERT INTO apps VALUES ('a', '${DEFAULT_ENV}', 'shop', 'u', 'SERVE', '', '', NULL, 'c', 1, NULL, NULL, NULL)`,
    );
    await source.query(`INSERT INTO functions VALUES ('f', '${DEFAULT_ENV}', 'a', 'shop-mail', 3, '${config}', NULL)`);
    await source.query(`INSERT INTO functions VALUES ('g', '${DEFAULT_ENV}', 'a', 'shop-old', 2, '${config}', 7)`);
    await source.query(`UPDATE counters SET value = 12`);
    await source.destroy();

    const plane = openControlPlane({ path, ...parts() });
    const [mail, old] = await plane.functions(DEFAULT_ENV, { archived: true });
    expect(mail).toMatchObject({ id: 'f', appName: 'shop', version: 3, config: JSON.parse(config) as object });
    expect(old).toMatchObject({ id: 'g', archivedAt: 7 });
    expect(mail?.paused).toBeUndefined();
    const paused = await plane.pauseFunction(DEFAULT_ENV, 'f', 'cancel');
    expect(await plane.functions(DEFAULT_ENV)).toEqual([paused]);
    expect((await peek(plane, 10)).map(({ id, key }) => ({ id, key }))).toEqual([{ id: 13, key: 'f' }]);
    await plane.close();
  });

  it('is not touched before the first call, and no more after a close', async () => {
    const plane = openControlPlane({ path: join(dir, 'later', 'control.db'), ...parts() });
    await plane.close();
    await expect(plane.apps(DEFAULT_ENV)).rejects.toMatchObject({ code: 'control_plane_unavailable' });
    expect(existsSync(join(dir, 'later'))).toBe(false);
  });

  it('holds a schema that TypeORM finds as its entities say', async () => {
    const { DataSource } = await import('typeorm');
    const { ENTITIES } = await import('./control-plane.entities.js');
    const { NodeSqliteDatabase } = await import('./node-sqlite.driver.js');
    const plane = openControlPlane({ path, ...parts() });
    await plane.sync(aSync());
    await plane.close();

    const source = new DataSource({
      type: 'better-sqlite3',
      driver: NodeSqliteDatabase,
      database: path,
      entities: ENTITIES,
    });
    await source.initialize();
    const { upQueries } = await source.driver.createSchemaBuilder().log();
    await source.destroy();
    expect(upQueries.map(({ query }) => query)).toEqual([]);
  });
});
