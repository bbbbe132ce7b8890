import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { DEFAULT_ENV, type Position } from '#core/words.js';
import type { DeadLetter, LogRecord, PlacedRecord, Topic } from '#ports/event-log.port.js';
import { eventLogContract } from '#testkit/contracts/event-log.contract.js';
import { ManualClock, settle } from '#testkit/manual-clock.js';
import { startSource } from '#testkit/source-process.js';
import { type DataDir, openDataDir } from './data-dir.js';
import { LocalEventLog, type LocalEventLogOptions } from './local-event-log.js';

const temporary = (): string => mkdtempSync(join(tmpdir(), 'millrace-log-'));
const clock = new ManualClock();
const at = (offset: number): Position => ({ partition: 0, offset });

function record(key: string, body: unknown, more: Partial<LogRecord> = {}): LogRecord {
  return { topic: 'commands', key, type: 'Thing', schema: 1, env: DEFAULT_ENV, at: 0, body, ...more };
}

/** The sync of a disk that is done when it is told to be. */
function slowDisk() {
  const waiting: ((error: Error | null) => void)[] = [];
  let wake: (() => void) | undefined;
  return {
    sync: (_fd: number, done: (error: Error | null) => void): void => {
      waiting.push(done);
      wake?.();
    },
    /** Resolves when a sync is waited for. */
    busy: async (): Promise<void> => {
      while (waiting.length === 0) await new Promise<void>((resolve) => (wake = resolve));
    },
    finish: (error: Error | null = null): void => waiting.shift()?.(error),
  };
}

eventLogContract('LocalEventLog', () => {
  const path = temporary();
  const dir = openDataDir(path);
  let log = LocalEventLog.open(dir, { clock });
  return Promise.resolve({
    log,
    reopen: async () => {
      await log.close();
      return (log = LocalEventLog.open(dir, { clock }));
    },
    dispose: async () => {
      await log.close();
      await dir.close();
      rmSync(path, { recursive: true });
    },
  });
});

describe('the local log', () => {
  let path = '';
  let dir: DataDir;
  let log: LocalEventLog | undefined;
  const open = (options: Partial<LocalEventLogOptions> = {}): LocalEventLog =>
    (log = LocalEventLog.open(dir, { clock, ...options }));
  /** Does something to the file while the log is closed. */
  const edit = async (work: (db: DatabaseSync) => void): Promise<void> => {
    await log?.close();
    const db = new DatabaseSync(dir.file('log.db'));
    work(db);
    db.close();
  };
  beforeEach(() => {
    path = temporary();
    dir = openDataDir(path);
    log = undefined;
  });
  afterEach(async () => {
    vi.restoreAllMocks();
    await log?.close();
    await dir.close();
    rmSync(path, { recursive: true });
  });

  describe('durability', () => {
    it('makes the appends of a turn durable together, and those that come meanwhile', async () => {
      const disk = slowDisk();
      const log = open({ sync: disk.sync });
      const first = [log.append([record('a', 1)]), log.append([record('a', 2), record('a', 3)])];
      await disk.busy();
      const second = [log.append([record('a', 4)]), log.append([record('a', 5)])];
      disk.finish();
      expect(await Promise.all(first)).toEqual([[at(0)], [at(1), at(2)]]);
      await disk.busy();
      disk.finish();
      expect(await Promise.all(second)).toEqual([[at(3)], [at(4)]]);
    });

    it('shows nobody a record that is not durable yet', async () => {
      const disk = slowDisk();
      const log = open({ sync: disk.sync });
      const first = log.append([record('a', 1, { at: 1 })]);
      await disk.busy();
      disk.finish();
      await first;

      const inbox = () => {
        const bodies: unknown[] = [];
        const both = Promise.withResolvers<void>();
        const take = (batch: readonly PlacedRecord[]) => {
          bodies.push(...batch.map(({ body }) => body));
          if (bodies.length >= 2) both.resolve();
        };
        return { bodies, take, both: both.promise };
      };
      const [early, late] = [inbox(), inbox()];
      await log.subscribe('commands', undefined, early.take);
      let acknowledged = false;
      const second = log.append([record('a', 2, { at: 2 })]).then(() => (acknowledged = true));
      await disk.busy();
      await log.subscribe('commands', undefined, late.take);
      expect(await log.read('commands', at(0), 10)).toHaveLength(1);
      expect(await log.read('commands', at(1), 10)).toEqual([]);
      expect(await log.ends('commands')).toEqual([at(1)]);
      expect(await log.positionAt('commands', 2)).toEqual([at(1)]);
      await expect(log.subscribe('commands', [at(2)], () => undefined)).rejects.toMatchObject({
        code: 'position_unknown',
      });
      await settle();
      expect([acknowledged, early.bodies, late.bodies]).toEqual([false, [1], [1]]);

      disk.finish();
      await Promise.all([second, early.both, late.both]);
      expect(await log.read('commands', at(0), 10)).toHaveLength(2);
      expect([early.bodies, late.bodies]).toEqual([
        [1, 2],
        [1, 2],
      ]);
    });

    it('keeps the older record of a compacted key until the newer one is durable', async () => {
      const disk = slowDisk();
      const log = open({ sync: disk.sync });
      const bodies = async () => (await log.read('config', at(0), 10)).map(({ body }) => body);
      for (const n of [1, 2]) {
        const append = log.append([record('a', n, { topic: 'config' })]);
        await disk.busy();
        if (n === 2) {
          await log.trim('config', at(1));
          expect(await bodies()).toEqual([1]);
        }
        disk.finish();
        await append;
      }
      expect(await bodies()).toEqual([1, 2]);
      const other = log.append([record('b', 3, { topic: 'config' })]);
      await disk.busy();
      disk.finish();
      await other;
      expect(await bodies()).toEqual([2, 3]);
    });

    it('takes nothing more after a sync that failed', async () => {
      const disk = slowDisk();
      const log = open({ sync: disk.sync });
      const first = log.append([record('a', 1)]);
      await disk.busy();
      disk.finish();
      await first;
      const failing = log.append([record('a', 2)]);
      await disk.busy();
      const queued = log.append([record('a', 3)]);
      const cause = new Error('EIO');
      disk.finish(cause);
      for (const append of [failing, queued, log.append([record('a', 4)])]) {
        await expect(append).rejects.toMatchObject({ code: 'log_unavailable', cause });
      }
      expect((await log.read('commands', at(0), 10)).map(({ body }) => body)).toEqual([1]);
    });

    it('keeps every acknowledged record, in order and whole, wherever its process is killed', async () => {
      await dir.close();
      const acknowledged: { topic: string; offset: number; number: number }[] = [];
      let random = 20_260_101;
      for (let kill = 0; kill < 10; kill++) {
        const first = (kill + 1) * 1_000_000;
        const { child, line, gone } = startSource(new URL('./appender.child.ts', import.meta.url), [
          path,
          String(first),
        ]);
        random = (random * 1_103_515_245 + 12_345) % 2_147_483_648;
        const until = acknowledged.length + 1 + (random % 800);
        for (let killed = false; ;) {
          const text = await line();
          if (text === undefined) break;
          const [topic = '', offset, number] = text.split(' ');
          if (number !== undefined) acknowledged.push({ topic, offset: Number(offset), number: Number(number) });
          if (acknowledged.length >= until && !killed) killed = child.kill('SIGKILL');
        }
        expect(await gone).toBe('SIGKILL');
      }
      dir = openDataDir(path);
      const log = open();
      for (const topic of ['commands', 'transitions'] as const) {
        const records: PlacedRecord[] = [];
        const [end] = await log.ends(topic);
        const complete = Promise.withResolvers<void>();
        await log.subscribe(topic, undefined, (batch) => {
          records.push(...batch);
          if (records.length >= (end?.offset ?? 0)) complete.resolve();
        });
        await complete.promise;
        expect(records.map(({ position }) => position.offset)).toEqual(records.map((_, index) => index));
        for (const { topic: of, offset, number } of acknowledged.filter((one) => one.topic === topic)) {
          expect(records[offset]).toMatchObject({
            topic: of,
            at: number,
            type: `Type${number % 4}`,
            key: `key ${number % 5}`,
          });
        }
        for (const { at: number, body } of records) {
          expect(body).toEqual({ number, padding: 'x'.repeat((number * 37) % 3_000) });
        }
        // Within a life the appends stand in the order of their calls, also those that nobody was told of.
        const numbers = records.map(({ at: number }) => number);
        expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
      }
      expect(await log.read('dead-letters', at(0), 1)).toEqual([]);
    });
  });

  describe('a full disk', () => {
    it('refuses the whole of what is appended together, and goes on once there is room', async () => {
      const log = open({ fileBytesMax: 400_000 });
      const body = 'x'.repeat(20_000);
      const kept: Position[] = [];
      // Every round brings a kind of record that is new: that of the round that fails must not be taken for known later.
      const kind = () => ({ type: `Type${kept.length}` });
      let fault: unknown;
      while (!fault) {
        const appends = [
          log.append([record('a', body, kind())]),
          log.append([record('b', body, kind()), record('c', body, kind())]),
        ];
        const answers = await Promise.allSettled(appends);
        const positions = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []));
        kept.push(...positions);
        expect([0, 3]).toContain(positions.length);
        fault = answers.find((answer) => answer.status === 'rejected')?.reason;
      }
      expect(fault).toMatchObject({ code: 'log_unavailable', data: { reason: 'database or disk is full' } });
      expect(kept.length).toBeGreaterThan(3);
      expect(await log.ends('commands')).toEqual([at(kept.length)]);
      expect(await log.read('commands', at(0), 1_000)).toHaveLength(kept.length);

      await log.trim('commands', at(3));
      const late = [record('a', body, kind()), record('b', body, kind()), record('c', body, kind())];
      expect(await log.append(late)).toEqual([0, 1, 2].map((n) => at(kept.length + n)));
      await log.close();
      expect(await open().read('commands', at(kept.length), 10)).toEqual(
        late.map((one, n) => ({ ...one, position: at(kept.length + n) })),
      );
    });
  });

  describe('subscribers', () => {
    it('get the very record that was appended when they are caught up', async () => {
      const log = open();
      const given = Promise.withResolvers<readonly PlacedRecord[]>();
      await log.subscribe('commands', undefined, (batch) => given.resolve(batch));
      const body = { some: 'body' };
      await log.append([record('a', body)]);
      expect((await given.promise)[0]?.body).toBe(body);
    });

    it('read the file when they lag far, and miss nothing where they catch up', async () => {
      const log = open();
      const release = Promise.withResolvers<void>();
      const seen: number[] = [];
      const done = Promise.withResolvers<void>();
      await log.subscribe('commands', undefined, async (batch) => {
        await release.promise;
        seen.push(...batch.map(({ body }) => body as number));
        if (seen.length === 25_000) done.resolve();
      });
      const numbers = Array.from({ length: 25_000 }, (_, n) => n);
      for (let n = 0; n < 24_000; n += 1_000)
        await log.append(numbers.slice(n, n + 1_000).map((body) => record('a', body)));
      release.resolve();
      for (const body of numbers.slice(24_000)) await log.append([record('a', body)]);
      await done.promise;
      expect(seen).toEqual(numbers);
    });

    it('are told of a file that cannot be read, and try again', async () => {
      const log = open();
      await log.append([record('a', 1), record('a', 2)]);
      const db = new DatabaseSync(dir.file('log.db'));
      const seen: unknown[] = [];
      const errors: unknown[] = [];
      db.exec('ALTER TABLE commands RENAME TO away');
      const done = Promise.withResolvers<void>();
      await log.subscribe(
        'commands',
        undefined,
        (batch) => {
          seen.push(...batch.map(({ body }) => body));
          done.resolve();
        },
        {
          onError: (error, batch) => {
            errors.push(error);
            expect(batch).toEqual([]);
            db.exec('ALTER TABLE away RENAME TO commands');
            return Promise.resolve();
          },
        },
      );
      await done.promise;
      db.close();
      expect(seen).toEqual([1, 2]);
      expect(errors).toMatchObject([{ code: 'log_unavailable' }]);
    });
  });

  describe('a record that cannot be read', () => {
    it('is filed with its bytes and its reason, and the partition moves on', async () => {
      const warn = vi.spyOn(process, 'emitWarning').mockReturnValue(undefined);
      await open().append([1, 2, 3, 4].map((n) => record(`k${n}`, { n }, { at: n, type: `Type${n}` })));
      const torn = Buffer.from('{"n": 2, \xff', 'latin1');
      await edit((db) => {
        db.prepare('UPDATE commands SET body = CAST(? AS TEXT) WHERE offset = 1').run(torn);
        db.exec(`DELETE FROM kinds WHERE type = 'Type3'`);
      });
      const log = open();
      await clock.turnTo(clock.now() + 1_000);
      const seen: unknown[] = [];
      const done = Promise.withResolvers<void>();
      await log.subscribe('commands', undefined, (batch) => {
        seen.push(...batch.map(({ body }) => body));
        if (seen.length === 2) done.resolve();
      });
      await done.promise;
      expect(seen).toEqual([{ n: 1 }, { n: 4 }]);
      expect((await log.read('commands', at(1), 1)).map(({ body }) => body)).toEqual([{ n: 4 }]);

      const letters = (await log.read('dead-letters', at(0), 10)) as PlacedRecord<DeadLetter>[];
      expect(letters).toMatchObject([
        {
          key: 'commands/0/1',
          type: 'DeadLetter',
          env: DEFAULT_ENV,
          at: clock.now(),
          body: { origin: { topic: 'commands', partition: 0, offset: 1 }, key: 'k2', type: 'Type2', schema: 1, at: 2 },
        },
        { key: 'commands/0/2', body: { key: 'k3', type: '', schema: 0, at: 3, reason: 'there is no kind 3' } },
      ]);
      expect(Buffer.from(letters[0]?.body?.bytes ?? '', 'base64')).toEqual(torn);
      expect(letters[0]?.body?.reason).toMatch(/JSON/);
      expect(Buffer.from(letters[1]?.body?.bytes ?? '', 'base64').toString()).toBe('{"n":3}');
      expect(warn).toHaveBeenCalledTimes(2);
    });

    it('does not end a topic before its end', async () => {
      vi.spyOn(process, 'emitWarning').mockReturnValue(undefined);
      await open().append(Array.from({ length: 30 }, (_, n) => record('a', n)));
      await edit((db) => db.exec(`UPDATE commands SET body = 'x' WHERE offset BETWEEN 5 AND 25`));
      expect((await open().read('commands', at(5), 4)).map(({ body }) => body)).toEqual([26, 27, 28]);
    });
  });

  describe('the file', () => {
    it('finds the first record of a time, whatever the order of times and however often it is opened', async () => {
      const times: number[] = [];
      let trimmed = 0;
      let random = 7;
      const next = (bound: number) => (random = (random * 48_271) % 2_147_483_647) % bound;
      for (const length of [1_023, 1, 1, 1_023, 2_048, 500]) {
        const log = open();
        const added = Array.from({ length }, (_, n) => (times.length + n) * 10 + next(2_000));
        times.push(...added);
        await log.append(added.map((time, n) => record('a', n, { at: time })));
        const first = (time: number) => {
          const index = times.findIndex((one, offset) => offset >= trimmed && one >= time);
          return index < 0 ? times.length : index;
        };
        await fc.assert(
          fc.asyncProperty(fc.integer({ min: -1, max: times.length * 10 + 3_000 }), async (time) => {
            expect(await log.positionAt('commands', time)).toEqual([at(first(time))]);
          }),
          { numRuns: 60 },
        );
        trimmed = Math.floor(times.length / 3);
        await log.trim('commands', at(trimmed));
        expect(await log.positionAt('commands', 0)).toEqual([at(trimmed)]);
        await log.close();
      }
    });

    it('trims more than fits one transaction', async () => {
      const log = open();
      await log.append(Array.from({ length: 5_500 }, (_, n) => record('a', n)));
      await log.trim('commands', at(5_400));
      expect((await log.read('commands', at(0), 1))[0]?.position).toEqual(at(5_400));
      await log.trim('commands', at(100_000));
      expect(await log.read('commands', at(0), 1)).toEqual([]);
      expect(await log.ends('commands')).toEqual([at(5_500)]);
    });

    it('keeps one record of a compacted key, and after a trim none of a forgotten one', async () => {
      const log = open();
      for (let n = 0; n < 20; n++) {
        await log.append([record('a', n, { topic: 'snapshots' }), record(`once ${n}`, n, { topic: 'snapshots' })]);
      }
      await log.append([record('a', undefined, { topic: 'snapshots' })]);
      await log.append([record('b', 1, { topic: 'snapshots' })]);
      const keys = async () => (await log.read('snapshots', at(0), 100)).map(({ key }) => key);
      expect((await keys()).filter((key) => key === 'a')).toHaveLength(1);
      const [end] = await log.ends('snapshots');
      await log.trim('snapshots', end as Position);
      expect(await keys()).toEqual([...Array.from({ length: 20 }, (_, n) => `once ${n}`), 'b']);
    });

    it('keeps its write-ahead log small under a writer that never pauses', async () => {
      const log = open({ checkpointFrames: 50 });
      let written = 0;
      await Promise.all(
        Array.from({ length: 4 }, async () => {
          for (let n = 0; n < 400; n++) await log.append([record('a', 'x'.repeat(3_000), { at: written++ })]);
        }),
      );
      // 1,600 records take more than 1,600 frames: a log that was never begun anew would be larger than its first size.
      const size = statSync(dir.file('log.db-wal')).size;
      const frames = new DatabaseSync(dir.file('log.db'));
      const { log: left } = frames.prepare('PRAGMA wal_checkpoint(NOOP)').get() as { log: number };
      frames.close();
      expect(left).toBeLessThan(1_000);
      expect(size).toBeLessThan(12 * 1024 * 1024);
      await log.close();
      expect(await open().append([record('a', 'last')])).toEqual([at(1_600)]);
    });

    it.each([1])('of version %i is read as it was written, and made what a new file is', async (version) => {
      const golden = (suffix: string) =>
        readFileSync(new URL(`./golden/log.v${version}.${suffix}`, import.meta.url), 'utf8');
      const schemaOf = (path: string) => {
        const db = new DatabaseSync(path);
        const rows = db.prepare('SELECT name, sql FROM sqlite_schema ORDER BY name').all();
        const { user_version: version } = db.prepare('PRAGMA user_version').get() ?? {};
        db.close();
        return { rows, version };
      };
      await open().close();
      const fresh = schemaOf(dir.file('log.db'));
      rmSync(dir.file('log.db'));

      const db = new DatabaseSync(dir.file('log.db'));
      db.exec(golden('sql'));
      db.close();
      const log = open();
      const expected = JSON.parse(golden('json')) as Record<
        Topic,
        { next: number; records: Record<string, unknown>[] }
      >;
      for (const [topic, { next, records }] of Object.entries(expected) as [Topic, (typeof expected)[Topic]][]) {
        const wanted = records.map(({ tombstone, ...rest }) => ({
          topic,
          ...rest,
          ...(tombstone ? { body: undefined } : {}),
        }));
        expect(await log.read(topic, at(0), 100)).toEqual(wanted);
        expect(await log.ends(topic)).toEqual([at(next)]);
        expect(await log.append([record('a', 'one more', { topic })])).toEqual([at(next)]);
      }
      const start = Date.UTC(2026, 0, 1);
      expect(await log.positionAt('transitions', start + 100)).toEqual([at(1_023)]);
      expect(await log.positionAt('transitions', start + 101)).toEqual([at(1_024)]);
      await log.close();
      expect(schemaOf(dir.file('log.db'))).toEqual(fresh);
    });

    it('is refused, untouched, when a newer version wrote it', async () => {
      await open().append([record('a', 1)]);
      await edit((db) => db.exec('PRAGMA user_version = 2'));
      const before = readFileSync(dir.file('log.db'));
      expect(() => open()).toThrow(/log\.db is of version 2; this Millrace reads up to version 1/);
      expect(readFileSync(dir.file('log.db'))).toEqual(before);
      await edit((db) => db.exec('PRAGMA user_version = 1'));
      expect(await open().ends('commands')).toEqual([at(1)]);
    });

    it('is refused when it is something else', () => {
      const file = dir.file('log.db');
      writeFileSync(file, 'no database at all, but long enough to be looked at as one '.repeat(100));
      expect(() => open()).toThrow(/log\.db cannot be used: file is not a database/);
      rmSync(file);
      const db = new DatabaseSync(file);
      db.exec('CREATE TABLE theirs (x)');
      db.close();
      expect(() => open()).toThrow(/log\.db cannot be used: it is not a file of this kind/);
    });
  });
});
