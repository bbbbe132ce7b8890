import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Logger } from '#ports/logger.port.js';
import { JOB_ATTEMPTS, type JobPayload, type PlatformJobs } from '#ports/platform-jobs.port.js';

export interface PlatformJobsUnderTest {
  readonly jobs: PlatformJobs;
  /** One more process that shares the jobs; the caller closes it. Absent where there is only one. */
  another?(): PlatformJobs;
  now(): number;
  /** Lets some of its time go by. */
  pass(): Promise<void>;
  /** An interval for schedules of which many go by in a test, ms. */
  readonly everyMs: number;
  dispose(): Promise<void>;
}

/** Remembers what it was told. */
export class HeardLogger implements Logger {
  readonly warned: object[] = [];
  readonly failed: object[] = [];
  debug = (): void => {};
  info = (): void => {};
  warn = (data: object): void => void this.warned.push(data);
  error = (data: object): void => void this.failed.push(data);
}

/** The promises of the PlatformJobs port. */
export function platformJobsContract(name: string, open: (logger: Logger) => Promise<PlatformJobsUnderTest>): void {
  describe(`PlatformJobs: ${name}`, () => {
    let opened: PlatformJobsUnderTest;
    let jobs: PlatformJobs;
    let logger: HeardLogger;
    beforeEach(async () => {
      logger = new HeardLogger();
      opened = await open(logger);
      jobs = opened.jobs;
    });
    afterEach(() => opened.dispose());

    const until = async (holds: () => boolean): Promise<void> => {
      while (!holds()) await opened.pass();
    };

    it('does a job once, with what it was given', async () => {
      const done: JobPayload[] = [];
      jobs.handle('export', (payload) => Promise.resolve(void done.push(payload)));
      const payload = { text: `it's "é" 😀 \0`, list: [1, null, true], deep: { n: 1.5 } };
      await jobs.run('export', payload);
      await jobs.run('export', 'the last');
      await until(() => done.length === 2);
      expect(done).toEqual([payload, 'the last']);
      expect(logger.warned).toEqual([]);
    });

    it('keeps a job until there is somebody to do it, and names apart', async () => {
      const done: string[] = [];
      await jobs.run('alert', 1);
      await jobs.run('export', 2);
      jobs.handle('export', () => Promise.resolve(void done.push('export')));
      await until(() => done.length === 1);
      jobs.handle('alert', () => Promise.resolve(void done.push('alert')));
      await until(() => done.length === 2);
      expect(done).toEqual(['export', 'alert']);
      expect(() => jobs.handle('alert', () => Promise.resolve())).toThrow(TypeError);
    });

    it('does one job of a name at a time', async () => {
      let [under, most, done] = [0, 0, 0];
      jobs.handle('export', async () => {
        most = Math.max(most, ++under);
        await new Promise((resolve) => setImmediate(resolve));
        under--;
        done++;
      });
      await Promise.all(Array.from({ length: 10 }, (_, n) => jobs.run('export', n)));
      await until(() => done === 10);
      expect(most).toBe(1);
    });

    it('tries again what failed, slower and slower, and says so', async () => {
      const triedAt: number[] = [];
      jobs.handle('export', () => {
        triedAt.push(opened.now());
        return triedAt.length < 4 ? Promise.reject(new Error('not yet')) : Promise.resolve();
      });
      await jobs.run('export', null);
      await until(() => triedAt.length === 4);
      const pauses = triedAt.slice(1).map((at, i) => at - triedAt[i]!);
      expect(pauses[1]! + pauses[2]!).toBeGreaterThan(pauses[0]!);
      expect(pauses[2]).toBeGreaterThan(pauses[0]!);
      expect(logger.warned).toMatchObject([1, 2, 3].map((attempt) => ({ job: 'export', attempt })));
      expect(logger.failed).toEqual([]);
    });

    it('gives up what fails for good, and goes on with the others meanwhile', async () => {
      const tried: JobPayload[] = [];
      jobs.handle('export', (payload) => {
        tried.push(payload);
        return payload === 'bad' ? Promise.reject(new Error('never')) : Promise.resolve();
      });
      await jobs.run('export', 'bad');
      await jobs.run('export', 'good');
      await until(() => logger.failed.length > 0);
      expect(tried.slice(0, 2)).toEqual(['bad', 'good']);
      expect(tried.filter((payload) => payload === 'bad').length).toBe(JOB_ATTEMPTS);
      expect(logger.failed).toMatchObject([{ job: 'export', attempt: JOB_ATTEMPTS }]);
      await jobs.run('export', 'another');
      await until(() => tried.includes('another'));
    });

    it('does what is scheduled at once and then once per interval, however often it is scheduled', async () => {
      const doneAt: number[] = [];
      const done: JobPayload[] = [];
      const { everyMs } = opened;
      const processes = [jobs, ...(opened.another ? [opened.another(), opened.another()] : [])];
      for (const each of processes) {
        each.handle('retention', (payload) => {
          doneAt.push(opened.now());
          return Promise.resolve(void done.push(payload));
        });
        await each.schedule('retention', everyMs);
        await each.schedule('retention', everyMs);
      }
      const startedAt = opened.now();
      await until(() => doneAt.length >= 6);
      // The first within the first interval, and one for each after that: one more may be due at its very end.
      expect(opened.now() - startedAt).toBeGreaterThan(3.5 * everyMs);
      expect(done.every((payload) => payload === null)).toBe(true);
      for (const each of processes.slice(1)) await each.close();
    });

    it('does not pile up what takes longer than its interval', async () => {
      const { promise: held, resolve: release } = Promise.withResolvers<void>();
      let done = 0;
      jobs.handle('retention', async () => {
        await held;
        done++;
      });
      const { everyMs } = opened;
      await jobs.schedule('retention', everyMs);
      const startedAt = opened.now();
      await until(() => opened.now() - startedAt > 6 * everyMs);
      release();
      await until(() => done >= 1);
      const releasedAt = opened.now();
      await until(() => opened.now() - releasedAt > everyMs / 4);
      expect(done).toBeLessThanOrEqual(3);
    });

    it('goes on with its schedule after a run that failed', async () => {
      let runs = 0;
      jobs.handle('retention', () => (runs++ === 0 ? Promise.reject(new Error('once')) : Promise.resolve()));
      await jobs.schedule('retention', opened.everyMs);
      await until(() => runs > 3);
      expect(logger.warned.length).toBe(1);
    });

    it('waits for what is under way when it is closed, and does no more', async () => {
      const { promise: held, resolve: release } = Promise.withResolvers<void>();
      const begun: JobPayload[] = [];
      let ended = 0;
      jobs.handle('export', async (payload) => {
        begun.push(payload);
        await held;
        ended++;
      });
      await jobs.run('export', 1);
      await jobs.run('export', 2);
      await until(() => begun.length === 1);
      const closed = jobs.close();
      release();
      await closed;
      expect([begun, ended]).toEqual([[1], 1]);
      await expect(jobs.run('export', 3)).rejects.toMatchObject({ code: 'state_unavailable' });
      await expect(jobs.schedule('export', 1_000)).rejects.toMatchObject({ code: 'state_unavailable' });
    });

    it('shares jobs out among all who do them, each once', async (context) => {
      if (!opened.another) return context.skip('is of one process by design');
      const done: JobPayload[] = [];
      const by = new Set<number>();
      const others = [opened.another(), opened.another()];
      for (const [i, each] of [jobs, ...others].entries()) {
        each.handle('export', async (payload) => {
          by.add(i);
          await new Promise((resolve) => setImmediate(resolve));
          done.push(payload);
        });
      }
      const all = Array.from({ length: 60 }, (_, n) => n);
      await Promise.all(all.map((n) => jobs.run('export', n)));
      await until(() => done.length >= 60);
      expect([...done].sort((a, b) => Number(a) - Number(b))).toEqual(all);
      expect(by.size).toBeGreaterThan(1);
      for (const other of others) await other.close();
    });
  });
}
