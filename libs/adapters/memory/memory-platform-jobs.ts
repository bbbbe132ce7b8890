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

interface Job {
  readonly payload: JobPayload;
  /** How often it has failed. */
  readonly failures: number;
}

/** The jobs of one name. */
interface Kind {
  handler: JobHandler | undefined;
  waiting: Job[];
  working: Promise<void> | undefined;
  /** Takes the next run of its schedule back. */
  unschedule: (() => void) | undefined;
}

/** The platform's jobs where one process does all of them. They go with it: what has to outlast it is scheduled again when it starts. */
export class MemoryPlatformJobs extends PlatformJobs {
  private readonly kinds = new Map<string, Kind>();
  private readonly retries = new Set<() => void>();
  private closed = false;

  constructor(
    private readonly clock: Clock,
    private readonly logger: Logger,
  ) {
    super();
  }

  override handle(name: string, handler: JobHandler): void {
    const kind = this.kind(name);
    if (kind.handler) throw new TypeError(`jobs named ${name} have a handler already`);
    kind.handler = handler;
    this.work(name, kind);
  }

  override schedule(name: string, everyMs: number): Promise<void> {
    if (this.closed) return Promise.reject(closedFault());
    const kind = this.kind(name);
    const isNew = kind.unschedule === undefined;
    kind.unschedule?.();
    const due = (): void => {
      kind.unschedule = this.clock.at(this.clock.now() + everyMs, () => {
        // Counted from when it is due, not from when it is done; but a run that is not done yet stands for the next one, too.
        if (kind.waiting.length === 0 && !kind.working) this.add(name, { payload: null, failures: 0 });
        due();
      });
    };
    due();
    if (isNew) this.add(name, { payload: null, failures: 0 });
    return Promise.resolve();
  }

  override run(name: string, payload: JobPayload): Promise<void> {
    if (this.closed) return Promise.reject(closedFault());
    // A copy, as whoever does it elsewhere would get.
    this.add(name, { payload: structuredClone(payload), failures: 0 });
    return Promise.resolve();
  }

  override async close(): Promise<void> {
    this.closed = true;
    for (const forget of this.retries) forget();
    for (const { unschedule } of this.kinds.values()) unschedule?.();
    for (const { working } of this.kinds.values()) await working;
  }

  private add(name: string, job: Job): void {
    const kind = this.kind(name);
    kind.waiting.push(job);
    this.work(name, kind);
  }

  private work(name: string, kind: Kind): void {
    const { handler } = kind;
    if (!handler || kind.working || this.closed || kind.waiting.length === 0) return;
    kind.working = this.workOff(name, kind, handler).finally(() => {
      kind.working = undefined;
      this.work(name, kind);
    });
  }

  private async workOff(name: string, kind: Kind, handler: JobHandler): Promise<void> {
    for (let job = kind.waiting.shift(); job && !this.closed; job = kind.waiting.shift()) {
      try {
        await handler(job.payload);
      } catch (error) {
        this.failed(name, { ...job, failures: job.failures + 1 }, error);
      }
    }
  }

  private failed(name: string, job: Job, error: unknown): void {
    const attempt = job.failures;
    if (attempt >= JOB_ATTEMPTS) {
      this.logger.error({ err: error, job: name, attempt }, 'a job failed for good');
      return;
    }
    this.logger.warn({ err: error, job: name, attempt }, 'a job failed; trying again');
    const forget = this.clock.at(this.clock.now() + JOB_BACKOFF_MS * 2 ** (attempt - 1), () => {
      this.retries.delete(forget);
      this.add(name, job);
    });
    this.retries.add(forget);
  }

  private kind(name: string): Kind {
    const known = this.kinds.get(name);
    if (known) return known;
    const kind: Kind = { handler: undefined, waiting: [], working: undefined, unschedule: undefined };
    this.kinds.set(name, kind);
    return kind;
  }
}

function closedFault(): Fault {
  return new Fault('state_unavailable', {}, { message: 'The background jobs are closed.' });
}
