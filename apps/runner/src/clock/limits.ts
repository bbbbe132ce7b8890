import type { FunctionVersion } from '#core/function/function.config.js';
import type { Run } from '#core/run/run.state.js';
import type { AggregateStore } from '#ports/aggregate-store.port.js';
import type { Catalog } from '#ports/catalog.port.js';
import type { Clock } from '#ports/clock.port.js';
import type { Letterbox } from '#ports/letterbox.port.js';
import type { Logger } from '#ports/logger.port.js';
import type { WorkQueue } from '#ports/work-queue.port.js';

const PAGE = 500;

/** Carries changed numbers of a function to what is under way: concurrency to the queue, timeouts to its runs. Contract 29, 9. */
export class Limits {
  private stop: (() => void) | undefined;

  constructor(
    private readonly letterbox: Letterbox,
    private readonly catalog: Catalog,
    private readonly runs: AggregateStore,
    private readonly queue: WorkQueue,
    private readonly clock: Clock,
    private readonly logger: Logger,
    /** Brings the stored runs up to now. */
    private readonly save: () => Promise<void>,
  ) {}

  async open(): Promise<void> {
    for (const fn of this.catalog.allFunctions()) await this.queue.limit(fn.id, concurrencyOf(fn));
    this.stop = this.catalog.onChange((now, before) => {
      this.follow(now, before).catch((error: unknown) =>
        this.logger.error({ err: error, functionId: now.id }, 'changed limits did not reach the runs under way'),
      );
    });
  }

  close(): void {
    this.stop?.();
  }

  private async follow(now: FunctionVersion, before: FunctionVersion | undefined): Promise<void> {
    await this.queue.limit(now.id, concurrencyOf(now));
    const { startMs, finishMs } = now.config.timeouts;
    if (!before || (before.config.timeouts.startMs === startMs && before.config.timeouts.finishMs === finishMs)) return;
    await this.save();
    const at = this.clock.now();
    let commands = [];
    for await (const { id, state } of this.runs.active('run')) {
      if (state === null || !state.includes(now.id)) continue;
      const { env, functionId } = JSON.parse(state) as Run;
      if (functionId !== now.id) continue;
      const timeouts = {
        ...(startMs === undefined ? {} : { startTimeoutMs: startMs }),
        ...(finishMs === undefined ? {} : { finishTimeoutMs: finishMs }),
      };
      commands.push({ key: id, command: { type: 'ReviewTimeouts', runId: id, env, at, ...timeouts } as const });
      if (commands.length === PAGE) {
        await this.letterbox.post(commands);
        commands = [];
      }
    }
    await this.letterbox.post(commands);
  }
}

/** The keyless limit of the function; keys and scopes are flow control's. */
function concurrencyOf(fn: FunctionVersion): number | undefined {
  const plain = fn.config.concurrency?.step.find(({ key, scope }) => key === undefined && scope === 'fn');
  return plain && plain.limit > 0 ? plain.limit : undefined;
}
