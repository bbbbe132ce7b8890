import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Checkpointer } from './checkpointer.js';
import { openSqliteFile } from './sqlite-file.js';
import { WalKeeper } from './wal.keeper.js';

const FRAMES_MAX = 160;

describe('the keeper of a write-ahead log', () => {
  let dir = '';
  let db: DatabaseSync;
  let keeper: WalKeeper;
  let checkpointer: Checkpointer;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'millrace-wal-'));
    const path = join(dir, 'x.db');
    db = openSqliteFile(path, { applicationId: 1, migrations: ['CREATE TABLE t (x)'], cacheKiB: 1_000 });
    checkpointer = new Checkpointer();
    keeper = new WalKeeper(db, path, checkpointer, { checkpointFrames: FRAMES_MAX });
  });
  afterEach(async () => {
    vi.restoreAllMocks();
    await keeper.close();
    await checkpointer.close();
    db.close();
    rmSync(dir, { recursive: true });
  });

  const frames = (): number => Number(db.prepare('PRAGMA wal_checkpoint(NOOP)').get()?.['log']);
  /** A commit of at least a frame, as the owner of the file makes it. */
  const commit = async (): Promise<void> => {
    await keeper.held;
    db.exec('INSERT INTO t VALUES (zeroblob(3000))');
    keeper.committed();
  };

  it('lets the log begin anew, though commits come during a pass, by holding the next', async () => {
    const real = checkpointer.run.bind(checkpointer);
    const runs: boolean[] = [];
    vi.spyOn(checkpointer, 'run').mockImplementation(async (path) => {
      runs.push(keeper.held !== undefined);
      const answer = await real(path);
      if (runs.length === 1) await commit();
      return answer;
    });
    while (runs.length === 0) await commit();
    await vi.waitFor(() => expect(runs).toEqual([false, true]));
    await commit();
    expect(frames()).toBeLessThan(10);
  });

  it('tells once of a disk that refuses, keeps trying, and recovers', async () => {
    const warn = vi.spyOn(process, 'emitWarning').mockReturnValue(undefined);
    const run = vi.spyOn(checkpointer, 'run').mockRejectedValue(new Error('disk is full'));
    const settled = async (calls: number) => {
      while (run.mock.calls.length < calls) await commit();
      await new Promise((resolve) => setImmediate(resolve));
    };
    await settled(1);
    const first = frames();
    await settled(2);
    expect(frames() - first).toBeLessThan(FRAMES_MAX / 4);
    keeper.failed();
    keeper.failed();
    await settled(3);
    expect(run).toHaveBeenCalledTimes(3);
    expect(warn.mock.calls.map(([warning]) => (warning as Error).message)).toEqual([
      `${join(dir, 'x.db')} could not be checkpointed: disk is full`,
    ]);

    run.mockRestore();
    keeper.failed();
    await vi.waitFor(async () => {
      await commit();
      expect(frames()).toBeLessThan(10);
    });
  });
});
