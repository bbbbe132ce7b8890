import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { aggregateStoreContract } from '#testkit/contracts/aggregate-store.contract.js';
import { seenEventsContract } from '#testkit/contracts/seen-events.contract.js';
import { type DataDir, openDataDir } from './data-dir.js';
import { SqliteAggregateStore } from './sqlite-aggregate-store.js';
import { SqliteSeenEvents } from './sqlite-seen-events.js';
import { StateFile } from './state.file.js';

const temporary = (): string => mkdtempSync(join(tmpdir(), 'millrace-state-'));

function underTest<S extends { close(): Promise<void> }>(make: (file: StateFile) => S) {
  return () => {
    const path = temporary();
    const dir = openDataDir(path);
    let store = make(StateFile.open(dir));
    return Promise.resolve({
      store,
      reopen: async () => {
        await store.close();
        return (store = make(StateFile.open(dir)));
      },
      dispose: async () => {
        await store.close();
        await dir.close();
        rmSync(path, { recursive: true });
      },
    });
  };
}

aggregateStoreContract(
  'SqliteAggregateStore',
  underTest((file) => new SqliteAggregateStore(file)),
);
seenEventsContract(
  'SqliteSeenEvents',
  underTest((file) => new SqliteSeenEvents(file)),
);

describe('the state file', () => {
  let path = '';
  let dir: DataDir;
  beforeEach(() => {
    path = temporary();
    dir = openDataDir(path);
  });
  afterEach(async () => {
    await dir.close();
    rmSync(path, { recursive: true });
  });
  const at = (offset: number) => ({ partition: 0, offset });

  it('is shared by both stores and closed with the last', async () => {
    const file = StateFile.open(dir);
    const aggregates = new SqliteAggregateStore(file);
    const seen = new SqliteSeenEvents(file);
    await aggregates.commit('seen', at(7), {}, 1);
    expect(await seen.position(0)).toBeUndefined();
    await seen.commit([], at(3), 1);
    await aggregates.close();
    await aggregates.close();
    expect(await seen.position(0)).toEqual(at(3));
    await seen.close();
    expect(file.db.isOpen).toBe(false);
    await expect(seen.position(0)).rejects.toMatchObject({ code: 'state_unavailable' });
  });

  it('may be deleted: nothing is known then, and no position', async () => {
    const first = new SqliteAggregateStore(StateFile.open(dir));
    await first.commit('desk', at(7), { run: [{ id: 'a', state: 'x' }] }, 1);
    await first.close();
    rmSync(dir.file('state.db'));
    const second = new SqliteAggregateStore(StateFile.open(dir));
    expect(await second.position('desk', 0)).toBeUndefined();
    expect(await second.load({ space: 'run', partition: 0 }, 'a')).toBeUndefined();
    await second.close();
  });

  it('forgets more than fits one transaction', async () => {
    const file = StateFile.open(dir);
    const store = new SqliteAggregateStore(file);
    const writes = Array.from({ length: 12_000 }, (_, n) => ({ id: `run ${n}`, state: null }));
    await store.commit('desk', at(1), { run: writes }, 1);
    expect(await store.prune(0, 2)).toBe(12_000);
    await store.close();
  });

  it('writes nothing and says so where the disk is full', async () => {
    const file = StateFile.open(dir);
    const store = new SqliteAggregateStore(file);
    await store.commit('desk', at(1), { run: [{ id: 'a', state: 'x' }] }, 1);
    const pages = Number(file.db.prepare('PRAGMA page_count').get()?.['page_count']);
    file.db.exec(`PRAGMA max_page_count = ${pages}`);
    const large = store.commit(
      'desk',
      at(2),
      { run: [{ id: 'a', state: 'y' }], late: [{ id: 'b', state: 'z'.repeat(100_000) }] },
      2,
    );
    await expect(large).rejects.toMatchObject({ code: 'state_unavailable' });
    expect(await store.position('desk', 0)).toEqual(at(1));
    expect(await store.load({ space: 'run', partition: 0 }, 'a')).toEqual({ id: 'a', state: 'x' });
    file.db.exec('PRAGMA max_page_count = 1000000');
    await store.commit('desk', at(2), { late: [{ id: 'b', state: 'z' }] }, 2);
    expect(await store.load({ space: 'late', partition: 0 }, 'b')).toEqual({ id: 'b', state: 'z' });
    await store.close();
  });

  it('is refused when a newer version wrote it', async () => {
    await new SqliteAggregateStore(StateFile.open(dir)).close();
    const db = new DatabaseSync(dir.file('state.db'));
    db.exec('PRAGMA user_version = 99');
    db.close();
    expect(() => StateFile.open(dir)).toThrow(/state\.db is of version 99; this Millrace reads up to version 1/);
  });
});
