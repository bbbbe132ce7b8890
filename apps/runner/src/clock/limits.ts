import type { FunctionLimits } from '#core/flow/flow.js';
import { limitsOf } from '#core/flow/flow.of-function.js';
import type { FunctionVersion } from '#core/function/function.config.js';
import type { RunCommand } from '#core/run/run.commands.js';
import type { Run } from '#core/run/run.state.js';
import type { EpochMs } from '#core/words.js';
import type { AggregateStore } from '#ports/aggregate-store.port.js';
import type { Catalog } from '#ports/catalog.port.js';
import type { Clock } from '#ports/clock.port.js';
import type { Addressed, Letterbox } from '#ports/letterbox.port.js';
import type { Logger } from '#ports/logger.port.js';
import type { WorkQueue } from '#ports/work-queue.port.js';

const PAGE = 500;

export interface LimitsOptions {
  readonly partition: number;
  /** Whether it is this partition that keeps the queue's numbers of the function: each has one that does. */
  readonly keeps: (functionId: string) => boolean;
  /** Brings the stored runs up to now. */
  readonly save: () => Promise<void>;
}

/** Carries changed numbers of a function to what is under way: limits to the queue, timeouts and the word to stop to its runs. Contract 29, 9. */
export class Limits {
  private stop: (() => void) | undefined;

  constructor(
    private readonly letterbox: Letterbox,
    private readonly catalog: Catalog,
    private readonly runs: AggregateStore,
    private readonly queue: WorkQueue,
    private readonly clock: Clock,
    private readonly logger: Logger,
    private readonly options: LimitsOptions,
  ) {}

  async open(): Promise<void> {
    const revision = this.catalog.revision();
    for (const fn of this.catalog.allFunctions()) await this.number(fn, revision);
    this.stop = this.catalog.onChange((now, before) => {
      this.follow(now, before).catch((error: unknown) =>
        this.logger.error({ err: error, functionId: now.id }, 'changed limits did not reach the runs under way'),
      );
    });
  }

  close(): void {
    this.stop?.();
  }

  /** Whoever was to be cancelled by a pause, and was not before the process ended. Its runs have been restored by now. */
  async resume(): Promise<void> {
    for (const fn of this.catalog.allFunctions()) if (fn.paused?.running === 'cancel') await this.cancelRuns(fn);
  }

  private async follow(now: FunctionVersion, before: FunctionVersion | undefined): Promise<void> {
    await this.number(now, this.catalog.revision());
    if (now.paused?.running === 'cancel' && before?.paused?.at !== now.paused.at) await this.cancelRuns(now);
    const { startMs, finishMs } = now.config.timeouts;
    if (!before || (before.config.timeouts.startMs === startMs && before.config.timeouts.finishMs === finishMs)) return;
    const timeouts = {
      ...(startMs === undefined ? {} : { startTimeoutMs: startMs }),
      ...(finishMs === undefined ? {} : { finishTimeoutMs: finishMs }),
    };
    await this.toRuns(now, (run, at) => ({ type: 'ReviewTimeouts', runId: run.id, env: run.env, at, ...timeouts }));
  }

  private async number(fn: FunctionVersion, revision: number): Promise<void> {
    if (this.options.keeps(fn.id)) await this.queue.limits(fn.id, numbersOf(fn), revision);
  }

  /** Those that were there when it was paused. */
  private async cancelRuns(fn: FunctionVersion): Promise<void> {
    const pausedAt = fn.paused?.at ?? 0;
    await this.toRuns(fn, (run, at) => {
      if (run.createdAt > pausedAt) return undefined;
      return { type: 'CancelRun', runId: run.id, env: run.env, at, by: 'function_paused' };
    });
  }

  private async toRuns(
    fn: FunctionVersion,
    commandFor: (run: Run, at: EpochMs) => RunCommand | undefined,
  ): Promise<void> {
    await this.options.save();
    const at = this.clock.now();
    let commands: Addressed[] = [];
    for await (const { id, state } of this.runs.active({ space: 'run', partition: this.options.partition })) {
      if (state === null || !state.includes(fn.id)) continue;
      const run = JSON.parse(state) as Run;
      const command = run.functionId === fn.id ? commandFor(run, at) : undefined;
      if (!command) continue;
      commands.push({ key: id, command });
      if (commands.length === PAGE) {
        await this.letterbox.post(commands);
        commands = [];
      }
    }
    await this.letterbox.post(commands);
  }
}

function numbersOf(fn: FunctionVersion): FunctionLimits {
  return { ...limitsOf(fn), ...(fn.paused === undefined ? {} : { paused: true }) };
}
