import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Fault } from '#core/faults.js';
import { ManualClock } from '#testkit/manual-clock.js';
import { ChdbTransport } from './chdb-transport.js';
import type { ChdbOptions } from './chdb-transport.js';

const HOUR = 3_600_000;

let path: string;
let clock: ManualClock;
let opened: ChdbTransport[];

const open = (options: Partial<ChdbOptions> = {}): ChdbTransport => {
  const transport = new ChdbTransport({ path, clock, ...options });
  opened.push(transport);
  return transport;
};

beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), 'millrace-chdb-'));
  clock = new ManualClock();
  opened = [];
});

afterEach(async () => {
  await Promise.all(opened.map((transport) => transport.close()));
  await rm(path, { recursive: true });
});

const table = 'CREATE TABLE IF NOT EXISTS t (n UInt32, text String) ENGINE = ReplacingMergeTree ORDER BY n';
const numbers = async (transport: ChdbTransport): Promise<number[]> =>
  (await transport.run('SELECT n FROM t FINAL ORDER BY n')).map((row) => Number(row.n));

/** The engine that is up, once it is another than `not`. */
async function pidOf(transport: ChdbTransport, not?: number): Promise<number> {
  for (;;) {
    const pid = await transport.pid().catch(() => undefined);
    if (pid !== undefined && pid !== not) return pid;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

describe('the engine process', () => {
  it('is not there before the first call', async () => {
    const transport = open();
    expect(await transport.pid()).toBeUndefined();
    expect(await readdir(path)).toEqual([]);

    expect(await transport.run('SELECT 1 AS n')).toEqual([{ n: 1 }]);
    expect(await transport.pid()).not.toBe(process.pid);
  });

  it('makes no table where the disk has no room for it, until it has', async () => {
    const full = open({ roomBytesMin: Number.MAX_SAFE_INTEGER });
    await expect(full.run(table)).rejects.toMatchObject({
      code: 'history_unavailable',
      message: `History is not available: the disk of ${path} is full.`,
    });
    expect(await full.run('SELECT 1 AS n')).toEqual([{ n: 1 }]);
    await expect(full.run('SELECT n FROM t')).rejects.toMatchObject({ data: { clickhouseCode: 60 } });
    await full.close();

    const transport = open();
    await transport.run(table);
    expect(await numbers(transport)).toEqual([]);
  });

  it('is let go when it has nothing to do, and comes back when it has', async () => {
    const transport = open({ idleMs: HOUR });
    await transport.run(table);
    await transport.insert('t', [{ n: 1, text: 'a' }]);
    const first = await pidOf(transport);

    await clock.turn(HOUR - 1);
    expect(await transport.pid()).toBe(first);
    await clock.turn(1);
    expect(await transport.pid()).toBeUndefined();

    expect(await numbers(transport)).toEqual([1]);
    expect(isAlive(first)).toBe(false);
    expect(await pidOf(transport)).not.toBe(first);
  });

  it('is started again when it was killed, and keeps every row that was acknowledged', async () => {
    const transport = open();
    await transport.run(table);
    for (let n = 0; n < 5; n++) {
      await transport.insert('t', [{ n, text: 'x'.repeat(n) }]);
      process.kill(await pidOf(transport), 'SIGKILL');
    }
    expect(await numbers(transport)).toEqual([0, 1, 2, 3, 4]);
  });

  it('that dies under calls costs none of them', async () => {
    const transport = open();
    await transport.run(table);
    const pid = await pidOf(transport);

    const calls = Array.from({ length: 20 }, (_, n) => transport.insert('t', [{ n, text: '' }]));
    process.kill(pid, 'SIGKILL');
    await Promise.all(calls);

    expect(await numbers(transport)).toEqual(Array.from({ length: 20 }, (_, n) => n));
    expect(await pidOf(transport)).not.toBe(pid);
  });

  it('that never answers is ended, and so is the one that is asked next', async () => {
    const transport = open({ idleMs: 100 * HOUR });
    await transport.run('SELECT 1');
    const first = await pidOf(transport);

    const endless =
      'SELECT sleepEachRow(1) FROM numbers(50) SETTINGS max_block_size = 1, function_sleep_max_microseconds_per_block = 0';
    const failed = expect(transport.run(endless)).rejects.toMatchObject({ code: 'history_unavailable' });
    await clock.turn(HOUR);
    await pidOf(transport, first);
    await clock.turn(HOUR);

    await failed;
    expect(await transport.run('SELECT 1 AS n')).toEqual([{ n: 1 }]);
  });

  it('leaves the end to its server when a signal reaches the whole group', async () => {
    const transport = open();
    await transport.run('SELECT 1');
    const pid = await pidOf(transport);

    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.kill(pid, signal);

    expect(await transport.run('SELECT 2 AS n')).toEqual([{ n: 2 }]);
    expect(await transport.pid()).toBe(pid);
  });

  it('ends with a close, which waits for the calls that are under way', async () => {
    const transport = open();
    await transport.run(table);
    const pid = await pidOf(transport);

    const insert = transport.insert('t', [{ n: 1, text: '' }]);
    await transport.close();

    await insert;
    expect(isAlive(pid)).toBe(false);
    await expect(transport.run('SELECT 1')).rejects.toMatchObject({ code: 'history_unavailable' });
  });
});

describe('the folder', () => {
  it('survives the kill of a server: its engine goes with it and what it acknowledged is there', async () => {
    const program = fileURLToPath(new URL('./engine.main.ts', import.meta.url));
    const server = spawn(process.execPath, ['--input-type=module', '-e', SERVER, program, path], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(server.stdout, 'data'); // it says so when three inserts were acknowledged, and goes on inserting
    server.kill('SIGKILL');
    await once(server, 'exit');

    const read = await numbers(open());
    expect(read.slice(0, 3)).toEqual([0, 1, 2]);
    expect(read).toEqual(read.map((_, n) => n));
  });

  it('is one server at a time', async () => {
    const first = open();
    await first.run(table);
    const second = open({ lockWaitMs: 0 });

    const error = await second.run('SELECT 1').catch((caught: unknown) => caught as Fault);
    expect(error).toMatchObject({
      code: 'history_unavailable',
      message: expect.stringContaining('another process may be using it') as string,
    });

    await first.close();
    expect(await second.run('SELECT 1 AS n')).toEqual([{ n: 1 }]);
  });
});

describe('without the package', () => {
  it('every call says what to install and what is off', async () => {
    const transport = open({ module: 'chdb-which-nobody-installed' });
    for (let attempt = 0; attempt < 2; attempt++) {
      const error = await transport.run('SELECT 1').catch((caught: unknown) => caught as Fault);
      expect(error).toBeInstanceOf(Fault);
      expect(error).toMatchObject({
        code: 'history_unavailable',
        message: expect.stringContaining('npm install chdb') as string,
      });
    }
    await expect(transport.insert('t', [{ n: 1 }])).rejects.toMatchObject({ code: 'history_unavailable' });
    expect(await transport.pid()).toBeUndefined();
  });
});

describe('statements', () => {
  it('carry many rows, in more than one piece', async () => {
    const transport = open();
    await transport.run(table);
    const rows = Array.from({ length: 3_000 }, (_, n) => ({ n, text: `${n}${'😀'.repeat(3_000)}` }));
    await transport.insert('t', rows);

    expect(await transport.run('SELECT count() AS rows, sum(length(text)) AS bytes FROM t')).toEqual([
      { rows: rows.length, bytes: rows.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0) },
    ]);
    expect(await transport.run('SELECT text FROM t WHERE n = {n:UInt32}', { n: 2_999 })).toEqual([
      { text: rows.at(-1)!.text },
    ]);
  });

  it('that are wrong are our fault, and so are rows that do not fit; neither is tried again', async () => {
    const transport = open();
    await transport.run(table);
    const pid = await pidOf(transport);

    await expect(transport.run('SELECT nothing FROM nowhere')).rejects.toMatchObject({ code: 'internal' });
    await expect(transport.insert('t', [{ n: -1, text: '' }])).rejects.toMatchObject({ code: 'record_unreadable' });
    await expect(transport.run('SELECT sleep(3) SETTINGS max_execution_time = 1')).rejects.toMatchObject({
      code: 'history_unavailable',
    });
    expect(await transport.pid()).toBe(pid);
  });
});

/** A server in a few lines: starts the engine, inserts rows one by one, tells when three are in, never stops. */
const SERVER = `
import { fork } from 'node:child_process';
const [program, path] = process.argv.slice(1);
const engine = fork(program, [], { serialization: 'advanced', execArgv: [] });
const calls = [{ kind: 'run', sql: ${JSON.stringify(table)}, params: {} }];
for (let n = 0; n < 10_000; n++) calls.push({ kind: 'insert', table: 't', rows: Buffer.from(JSON.stringify({ n, text: '' })) });
let next = 0;
engine.on('message', (reply) => {
  if (reply.kind === 'failed' || reply.kind === 'refused') throw new Error(reply.message);
  if (next === 4) console.log('three are in');
  engine.send({ ...calls[next], id: ++next });
});
engine.send({ kind: 'open', settings: { path, module: 'chdb', args: [], lockWaitMs: 0 } });
`;
