import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Fault } from '#core/faults.js';
import { type SourceProcess, startSource } from '#testkit/source-process.js';
import { openDataDir } from './data-dir.js';

const HOLDER = new URL('./holder.child.ts', import.meta.url);

function faultOf(work: () => unknown): Fault {
  try {
    work();
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
  throw new Error('no fault');
}

describe('a data folder', () => {
  let path = '';
  const started: SourceProcess[] = [];
  const start = (...args: string[]): SourceProcess => {
    const one = startSource(HOLDER, args);
    started.push(one);
    return one;
  };
  beforeEach(() => {
    path = mkdtempSync(join(tmpdir(), 'millrace-dir-'));
  });
  afterEach(async () => {
    for (const { child, gone } of started.splice(0)) {
      child.kill('SIGKILL');
      await gone;
    }
    rmSync(path, { recursive: true, force: true });
  });

  it('is for one process at a time, and says for which', async () => {
    const dir = openDataDir(path);
    expect(await start(path).line()).toBe(
      `data_dir_in_use Another Millrace process (pid ${process.pid}) uses the data folder ${path}.`,
    );
    await dir.close();
    expect(await start(path).line()).toBe('open');
  });

  it('is free again as soon as its process is killed', async () => {
    const holder = start(path);
    expect(await holder.line()).toBe('open');
    const fault = faultOf(() => openDataDir(path));
    expect(fault.code).toBe('data_dir_in_use');
    expect(fault.data).toEqual({ path, pid: holder.child.pid });

    holder.child.kill('SIGKILL');
    expect(await holder.gone).toBe('SIGKILL');
    const dir = openDataDir(path);
    // The dead one's number is not told for the living one's.
    expect(faultOf(() => openDataDir(path)).data).toEqual({ path, pid: process.pid });
    await dir.close();
  });

  it('is not opened twice by one process, and a refusal does not loosen the lock', async () => {
    const dir = openDataDir(path);
    expect(faultOf(() => openDataDir(path)).code).toBe('data_dir_in_use');
    expect(faultOf(() => openDataDir(join(path, '.'))).code).toBe('data_dir_in_use');
    expect(await start(path).line()).toMatch(/^data_dir_in_use /);
    await dir.close();
    await dir.close();
    await openDataDir(path).close();
  });

  it('stays locked when nobody holds on to what it was opened as', async () => {
    openDataDir(path);
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    for (let i = 0; i < 5; i++) {
      await new Promise((resolve) => setImmediate(resolve));
      collect();
    }
    expect(await start(path).line()).toMatch(/^data_dir_in_use /);
  });

  it('is made, with those above it, where that is asked for', async () => {
    const deep = join(path, 'a', 'b');
    const missing = faultOf(() => openDataDir(deep));
    expect([missing.code, missing.message]).toEqual([
      'data_dir_unusable',
      `The data folder ${deep} cannot be used: it does not exist.`,
    ]);
    const dir = openDataDir(deep, { create: true });
    expect(dir.file('x.db')).toBe(join(deep, 'x.db'));
    await dir.close();
    expect(readdirSync(deep)).toEqual(['lock.db']);
  });

  it('is no file', () => {
    const file = join(path, 'file');
    writeFileSync(file, '');
    for (const create of [true, false]) {
      expect(faultOf(() => openDataDir(file, { create })).message).toBe(
        `The data folder ${file} cannot be used: it is not a folder.`,
      );
    }
  });

  it('says so when it is not writable', async () => {
    const readOnly = join(path, 'read-only');
    mkdirSync(readOnly);
    chmodSync(readOnly, 0o555);
    chmodSync(path, 0o755);
    const message = `data_dir_unusable The data folder ${readOnly} cannot be used: it is not writable.`;
    expect(await start(readOnly, 'nobody').line()).toBe(message);
    chmodSync(readOnly, 0o755);
  });
});
