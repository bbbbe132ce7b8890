import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterEach, describe, expect, it } from 'vitest';
import type { JobPayload, PlatformJobs } from '#ports/platform-jobs.port.js';
import { SystemClock } from '#platform/system-clock.js';
import { HeardLogger, platformJobsContract } from '#testkit/contracts/platform-jobs.contract.js';
import { RedisServer } from '#testkit/services/redis.service.js';
import { services } from '#testkit/services/services.js';
import { startSource } from '#testkit/source-process.js';
import { BullmqPlatformJobs, type BullmqOptions } from './bullmq-platform-jobs.js';

const clock = new SystemClock();
const SILENCE_MS = 1_000;

platformJobsContract('BullMQ', (logger) => {
  const options = { url: services().redisUrl, prefix: `${randomUUID()}:`, clock, logger, backoffMs: 500 };
  const jobs = new BullmqPlatformJobs(options);
  return Promise.resolve({
    jobs,
    another: () => new BullmqPlatformJobs(options),
    now: () => Date.now(),
    pass: () => pause(5),
    everyMs: 200,
    dispose: () => jobs.close(),
  });
});

const PATIENCE = { timeout: 30_000 };

describe('jobs in Redis', () => {
  const opened: PlatformJobs[] = [];
  const open = (url: string, over: Partial<BullmqOptions> = {}): PlatformJobs => {
    const options = { url, prefix: 'millrace:', clock, logger: new HeardLogger(), silenceMs: SILENCE_MS, ...over };
    const jobs = new BullmqPlatformJobs(options);
    opened.push(jobs);
    return jobs;
  };
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((jobs) => jobs.close()));
  });

  it('are taken up by another process when the one that had them is killed', async () => {
    const prefix = `${randomUUID()}:`;
    const url = services().redisUrl;
    const { child, line, gone } = startSource(new URL('./worker.child.ts', import.meta.url), [
      url,
      prefix,
      String(SILENCE_MS),
    ]);
    const jobs = open(url, { prefix });
    await jobs.run('export', 'dangerous');
    expect(await line()).toBe('"dangerous"');
    child.kill('SIGKILL');
    await gone;

    const done: JobPayload[] = [];
    jobs.handle('export', (payload) => Promise.resolve(void done.push(payload)));
    await expect.poll(() => done, PATIENCE).toEqual(['dangerous']);
  });

  it('stay with who is busy over one for long', async () => {
    const prefix = `${randomUUID()}:`;
    const [one, two] = [open(services().redisUrl, { prefix }), open(services().redisUrl, { prefix })];
    let begun = 0;
    for (const each of [one, two]) {
      each.handle('export', async () => {
        begun++;
        await pause(4 * SILENCE_MS);
      });
    }
    await one.run('export', null);
    await expect.poll(() => begun, PATIENCE).toBe(1);
    await pause(3 * SILENCE_MS);
    expect(begun).toBe(1);
  });

  it('are refused while Redis is away, and done when it is back', async () => {
    await using server = await RedisServer.launch({ appendOnly: true });
    const logger = new HeardLogger();
    const jobs = open(server.url, { logger });
    const done: JobPayload[] = [];
    jobs.handle('export', (payload) => Promise.resolve(void done.push(payload)));
    await jobs.run('export', 1);
    await expect.poll(() => done, PATIENCE).toEqual([1]);
    await server.kill();
    await expect(jobs.run('export', 2)).rejects.toMatchObject({ code: 'state_unavailable' });
    await expect(jobs.schedule('export', 1_000)).rejects.toMatchObject({ code: 'state_unavailable' });

    await server.start();
    await expect
      .poll(
        () =>
          jobs.run('export', 3).then(
            () => true,
            () => false,
          ),
        PATIENCE,
      )
      .toBe(true);
    await expect.poll(() => done, PATIENCE).toContain(3);
    expect(logger.warned.length).toBeLessThan(5);
  });

  it('are on schedule again when Redis has lost everything', async () => {
    await using server = await RedisServer.launch();
    const jobs = open(server.url);
    let runs = 0;
    jobs.handle('retention', () => Promise.resolve(void runs++));
    await jobs.schedule('retention', 300);
    await expect.poll(() => runs, PATIENCE).toBeGreaterThan(1);

    const admin = new Redis(server.url);
    await admin.flushall();
    admin.disconnect();
    const flushed = runs;
    await expect.poll(() => runs, PATIENCE).toBeGreaterThan(flushed + 2);

    await server.kill();
    await server.start();
    const restarted = runs;
    await expect.poll(() => runs, PATIENCE).toBeGreaterThan(restarted + 2);
  });

  it.each(['kill', 'suspend'] as const)('do not keep a close waiting when Redis is away: %s', async (how) => {
    await using server = await RedisServer.launch();
    const jobs = open(server.url);
    const { promise: held, resolve: release } = Promise.withResolvers<void>();
    const steps: string[] = [];
    jobs.handle('export', async () => {
      steps.push('begun');
      await held;
      steps.push('done');
    });
    jobs.handle('alert', () => Promise.resolve());
    await jobs.schedule('alert', 1_000);
    await jobs.run('export', null);
    await expect.poll(() => steps, PATIENCE).toEqual(['begun']);
    await server[how]();
    opened.pop();
    const closed = jobs.close();
    setImmediate(release);
    await closed;
    expect(steps).toEqual(['begun', 'done']);
  });
});
