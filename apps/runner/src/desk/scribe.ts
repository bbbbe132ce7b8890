import { Fault } from '#core/faults.js';
import type { Clock } from '#ports/clock.port.js';
import type { EventLog, LogRecord } from '#ports/event-log.port.js';
import type { Logger } from '#ports/logger.port.js';

/** What a decision leaves on the log: what follows from it, and what tells of it. */
export interface Written {
  /** Commands, events, dead letters: they must be there before anything says that the command has been decided. */
  readonly followUps: readonly LogRecord[];
  readonly transitions: readonly LogRecord[];
}

interface Page {
  readonly followUps: LogRecord[];
  readonly transitions: LogRecord[];
  readonly done: PromiseWithResolvers<void>;
}

const AGAIN_MS = 50;
const AGAIN_MS_MAX = 5_000;

/**
 * Brings what a desk has decided to the log, in order: one append at a time, and what is decided meanwhile goes with the next. While the log
 * cannot be written it tries again, for as long as it takes.
 */
export class Scribe {
  private waiting: Page | undefined;
  private writing: Page | undefined;
  private stopping = false;
  /** Something was given up: nothing that comes behind it is written. */
  private failed: Error | undefined;

  /** @param gaveUp called where records cannot be written however often it is tried */
  constructor(
    private readonly partition: number,
    private readonly log: EventLog,
    private readonly clock: Clock,
    private readonly logger: Logger,
    private readonly gaveUp: () => void,
  ) {}

  /** Records that are not known to be durable. */
  get behind(): number {
    return size(this.waiting) + size(this.writing);
  }

  put({ followUps, transitions }: Written): void {
    if (this.failed !== undefined || followUps.length + transitions.length === 0) return;
    this.waiting ??= newPage();
    this.waiting.followUps.push(...followUps);
    this.waiting.transitions.push(...transitions);
    if (!this.writing) void this.write();
  }

  /** Resolves when all that has been put is durable; rejects when it is given up (see `stop`), or cannot be written at all. */
  async settled(): Promise<void> {
    if (this.failed !== undefined) throw this.failed;
    await (this.waiting ?? this.writing)?.done.promise;
  }

  /** What cannot be written at once from now on is given up: whoever comes next decides it again. */
  stop(): void {
    this.stopping = true;
  }

  private async write(): Promise<void> {
    for (let page = this.next(); page; page = this.next()) {
      try {
        await this.append(page);
        page.done.resolve();
      } catch (error) {
        this.failed = error instanceof Error ? error : new Error(String(error));
        page.done.reject(error);
        this.waiting?.done.reject(error);
        this.waiting = undefined;
        this.logger.error({ err: error, partition: this.partition }, 'what was decided could not be written');
        if (!this.stopping) this.gaveUp();
      }
    }
  }

  private next(): Page | undefined {
    this.writing = this.waiting;
    this.waiting = undefined;
    return this.writing;
  }

  private async append({ followUps, transitions }: Page): Promise<void> {
    for (let tries = 0; ; tries++) {
      try {
        await this.log.append(followUps, transitions);
        return;
      } catch (error) {
        if (!(error instanceof Fault) || error.code !== 'log_unavailable' || this.stopping) throw error;
        const records = followUps.length + transitions.length;
        const about = { err: error, partition: this.partition, records };
        if (tries === 0) this.logger.error(about, 'the log cannot be written; waiting');
        await new Promise<void>((resolve) =>
          this.clock.at(this.clock.now() + Math.min(AGAIN_MS_MAX, AGAIN_MS * 2 ** tries), resolve),
        );
      }
    }
  }
}

function newPage(): Page {
  const done = Promise.withResolvers<void>();
  done.promise.catch(() => undefined); // Told to whoever asks whether it is settled.
  return { followUps: [], transitions: [], done };
}

function size(page: Page | undefined): number {
  return page ? page.followUps.length + page.transitions.length : 0;
}
