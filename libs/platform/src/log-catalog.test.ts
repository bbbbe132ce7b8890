import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openDataDir, type DataDir } from '#adapters/local-log/data-dir.js';
import { LocalEventLog } from '#adapters/local-log/local-event-log.js';
import type { AppVersion } from '#core/function/function.config.js';
import { DEFAULT_ENV } from '#core/words.js';
import { ManualClock, settle } from '#testkit/manual-clock.js';
import { LogCatalog } from './log-catalog.js';

const clock = new ManualClock();

describe('the catalog of a log', () => {
  let path: string;
  let dir: DataDir;
  let log: LocalEventLog;
  beforeEach(() => {
    path = mkdtempSync(join(tmpdir(), 'catalog-'));
    dir = openDataDir(path, { create: true });
    log = LocalEventLog.open(dir, { clock });
  });
  afterEach(async () => {
    await log.close();
    await dir.close();
    rmSync(path, { recursive: true, force: true });
  });

  const sync = (id: string) => {
    const app: AppVersion = {
      id,
      env: DEFAULT_ENV,
      name: id,
      url: 'http://app',
      method: 'SERVE',
      sdk: 'js:v4',
      framework: 'none',
      checksum: '',
      syncedAt: 1,
    };
    const record = {
      topic: 'config',
      key: `app:${id}`,
      type: 'App',
      schema: 1,
      env: DEFAULT_ENV,
      at: 1,
      body: app,
    } as const;
    return log.append([record]);
  };

  it('has caught up also where the last record comes while it looks whether there is one', async () => {
    await sync('a');
    const read = log.read.bind(log);
    // Answers late: what is subscribed to has long been handed over by then.
    log.read = async (...asked) => {
      const page = await read(...asked);
      await settle();
      await settle();
      return page;
    };
    const catalog = new LogCatalog(log);
    await catalog.open();
    expect(catalog.app('a')?.name).toBe('a');
    await catalog.close();
  });

  it('comes to a revision that others know, and does not wait for one that nobody has', async () => {
    const catalog = new LogCatalog(log);
    await catalog.open();
    await sync('a');
    await catalog.reached(1);
    expect(catalog.app('a')?.name).toBe('a');
    await catalog.reached(7);
    await catalog.close();
  });

  it('waits for what stood on the log when it was asked', async () => {
    const catalog = new LogCatalog(log);
    await catalog.open();
    await sync('a');
    await sync('b');
    await catalog.caughtUp();
    expect(catalog.apps(DEFAULT_ENV).map(({ name }) => name)).toEqual(['a', 'b']);
    await catalog.close();
  });
});
