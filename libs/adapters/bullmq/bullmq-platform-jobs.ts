import { type Job, type JobsOptions, Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { Fault } from '#core/faults.js';
import type { Clock } from '#ports/clock.port.js';
import type { Logger } from '#ports/logger.port.js';
import {
  JOB_ATTEMPTS,
  JOB_BACKOFF_MS,
  type JobHandler,
  type JobPayload,
  PlatformJobs,
} from '#ports/platform-jobs.port.js';

export interface BullmqOptions {
  /** `redis://` or `rediss://`, with user, password and database. Redis 6.2 or newer, which evicts nothing. */
  readonly url: string;
  /** Stands before every key: several installations may share a server. */
  readonly prefix: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Whoever has been silent for so long over a job has crashed, and another takes it, ms. Default 15 s. */
  readonly silenceMs?: number;
  /** Default `JOB_BACKOFF_MS`. */
  readonly backoffMs?: number;
}

const ANSWER_MS_MAX = 5_000;
const RECONNECT_MS_MAX = 2_000;
/** How long a close waits for Redis to hear of it. */
const CLOSE_MS_MAX = 2_000;
/** A job that brings its process down each time is let go after so many. */
const CRASHES_MAX = 10;
/** Failed jobs that are kept to be looked at. */
const FAILED_KEPT = 100;
/** At least so often it is made sure that what is scheduled still is: Redis may lose it. */
const CHECK_MS = 30_000;

/** The platform's jobs in Redis, shared by all processes that handle them. A queue for each name: a process takes only what it handles. */
export class BullmqPlatformJobs extends PlatformJobs {
  /** For what somebody waits for: refused at once while there is no connection. */
  private readonly asking: Redis;
  /** For workers, which wait for their connection. */
  private readonly working: Redis;
  private readonly queues = new Map<string, Queue>();
  private readonly workers = new Map<string, Worker>();
  private readonly checks = new Map<string, () => void>();
  private readonly underWay = new Set<Promise<void>>();
  private connecting: Promise<void> | undefined;
  private away = false;
  private closed = false;

  constructor(private readonly options: BullmqOptions) {
    super();
    const { url } = options;
    // After a close, what waits for a connection is let go with the next try.
    const retryStrategy = (times: number) => (this.closed ? null : Math.min(RECONNECT_MS_MAX, 20 * times));
    this.asking = new Redis(url, {
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      commandTimeout: ANSWER_MS_MAX,
      retryStrategy,
    });
    this.working = new Redis(url, { maxRetriesPerRequest: null, retryStrategy });
    for (const client of [this.asking, this.working]) {
      client.on('error', (error) => this.lost(error));
      client.on('ready', () => (this.away = false));
    }
  }

  override handle(name: string, handler: JobHandler): void {
    if (this.workers.has(name)) throw new TypeError(`jobs named ${name} have a handler already`);
    const { logger, silenceMs = 15_000 } = this.options;
    const worker = new Worker<JobPayload>(name, (job) => this.work(job, handler), {
      connection: this.working,
      prefix: this.prefix,
      lockDuration: silenceMs,
      stalledInterval: silenceMs,
      maxStalledCount: CRASHES_MAX,
      skipVersionCheck: true,
    });
    worker.on('failed', (job, error) => {
      const attempt = job?.attemptsMade ?? 0;
      const isLast = !job || attempt >= JOB_ATTEMPTS;
      const data = { err: error, job: name, id: job?.id, attempt };
      if (isLast) logger.error(data, 'a job failed for good');
      else logger.warn(data, 'a job failed; trying again');
    });
    worker.on('stalled', (id) => logger.warn({ job: name, id }, 'a job is taken over from a process that is gone'));
    worker.on('error', (error) => this.lost(error));
    this.workers.set(name, worker);
  }

  override async schedule(name: string, everyMs: number): Promise<void> {
    await this.asked(() => this.upsert(name, everyMs));
    this.checks.get(name)?.();
    this.checkLater(name, everyMs);
  }

  override async run(name: string, payload: JobPayload): Promise<void> {
    await this.asked(async () => void (await this.queue(name).add(name, payload, this.jobOptions())));
  }

  override async close(): Promise<void> {
    this.closed = true;
    for (const forget of this.checks.values()) forget();
    // A worker that has no connection would wait for the end of one that is being made, which never comes.
    const isAway = this.working.status !== 'ready';
    if (isAway) await Promise.allSettled(this.underWay);
    const closed = Promise.all([
      ...[...this.workers.values()].map((worker) => worker.close(isAway)),
      ...[...this.queues.values()].map((queue) => queue.close()),
    ]);
    // Nor does it hear anything of a Redis that hangs, or goes at this moment. What is under way is waited for all the same.
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const patience = Promise.allSettled(this.underWay).then(() => setTimeout(resolve, CLOSE_MS_MAX));
    await Promise.race([closed, late]);
    clearTimeout(await patience);
    this.disconnect();
  }

  /** One that is about to connect ends by itself. */
  private disconnect(): void {
    for (const client of [this.asking, this.working]) if (client.status !== 'reconnecting') client.disconnect();
  }

  private async work(job: Job<JobPayload>, handler: JobHandler): Promise<void> {
    const work = handler(job.repeatJobKey === undefined ? job.data : null);
    this.underWay.add(work);
    try {
      await work;
    } finally {
      this.underWay.delete(work);
    }
  }

  private async upsert(name: string, everyMs: number): Promise<void> {
    const template = { name, data: null, opts: this.jobOptions() };
    await this.queue(name).upsertJobScheduler(name, { every: everyMs }, template);
  }

  private checkLater(name: string, everyMs: number): void {
    const { clock } = this.options;
    const forget = clock.at(clock.now() + Math.min(everyMs, CHECK_MS), () => {
      void this.check(name, everyMs).finally(() => {
        if (!this.closed && this.checks.get(name) === forget) this.checkLater(name, everyMs);
      });
    });
    this.checks.set(name, forget);
  }

  private async check(name: string, everyMs: number): Promise<void> {
    try {
      const scheduled = await this.queue(name).getJobScheduler(name);
      if (scheduled || this.closed) return;
      this.options.logger.warn({ job: name }, 'a job was not on schedule any more; it is again');
      await this.upsert(name, everyMs);
    } catch (error) {
      this.lost(error);
    }
  }

  private async asked(call: () => Promise<void>): Promise<void> {
    const message = 'The background jobs are closed.';
    if (this.closed) throw new Fault('state_unavailable', {}, { message });
    try {
      if (this.asking.status !== 'ready') await this.connected();
      await call();
    } catch (error) {
      if (error instanceof Fault) throw error;
      throw new Fault('state_unavailable', {}, { cause: error });
    }
  }

  /** A connection that is being made is waited for a little. */
  private connected(): Promise<void> {
    this.connecting ??= this.connection().finally(() => (this.connecting = undefined));
    return this.connecting;
  }

  private async connection(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const late = setTimeout(() => reject(new Error('no connection to Redis')), ANSWER_MS_MAX / 2);
    this.asking.once('ready', resolve);
    try {
      await promise;
    } finally {
      clearTimeout(late);
      this.asking.off('ready', resolve);
    }
  }

  private queue(name: string): Queue {
    const known = this.queues.get(name);
    if (known) return known;
    const queue = new Queue(name, {
      connection: this.asking,
      prefix: this.prefix,
      skipVersionCheck: true,
      skipWaitingForReady: true,
    });
    // Told with the call that fails.
    queue.on('error', () => undefined);
    this.queues.set(name, queue);
    return queue;
  }

  private jobOptions(): JobsOptions {
    const { backoffMs = JOB_BACKOFF_MS } = this.options;
    return {
      attempts: JOB_ATTEMPTS,
      backoff: { type: 'exponential', delay: backoffMs },
      removeOnComplete: true,
      removeOnFail: { count: FAILED_KEPT },
    };
  }

  /** All keys of an installation's jobs are in one slot of a cluster. */
  private get prefix(): string {
    return `{${this.options.prefix}jobs}`;
  }

  /** Once, until there is a connection again: it is tried without end. */
  private lost(error: unknown): void {
    if (this.away || this.closed) return;
    this.away = true;
    this.options.logger.warn({ err: error }, 'Redis is away; background jobs wait for it');
  }
}
