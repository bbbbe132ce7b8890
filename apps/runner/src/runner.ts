import type { Run } from '#core/run/run.state.js';
import type { Owner, Ownership } from '#ports/ownership.port.js';
import { RunStates } from '#ports/run-states.port.js';
import { PartitionRunner, type RunnerOptions, type RunnerPorts } from './partition-runner.js';

const LOOK_MS = 1_000;

/** Serves the partitions that this process owns, each for itself. */
export class Runner extends RunStates implements Owner {
  private readonly partitions = new Map<number, PartitionRunner>();
  /** One thing at a time with each partition. */
  private readonly owned = new Set<number>();
  private readonly turns = new Map<number, Promise<void>>();
  private cancelLook: (() => void) | undefined;
  private closing = false;

  constructor(
    private readonly ports: RunnerPorts,
    private readonly ownership: Ownership,
    private readonly options: RunnerOptions,
  ) {
    super();
  }

  /** Resolves once this process stands among those that share the partitions out; where it owns all, once all are served. */
  async open(): Promise<void> {
    await this.ownership.open(this);
    this.look();
  }

  /** Gives what it owns in order, so that another goes on from there. */
  async close(): Promise<void> {
    this.closing = true;
    this.cancelLook?.();
    await this.ownership.close();
  }

  take(partition: number): Promise<void> {
    this.owned.add(partition);
    return this.inTurn(partition, async () => {
      if (this.owned.has(partition) && !this.partitions.has(partition)) await this.start(partition);
    });
  }

  give(partition: number): Promise<void> {
    this.owned.delete(partition);
    return this.inTurn(partition, () => this.stop(partition, 'saved'));
  }

  /** A run of a partition that is served here. */
  override async get(runId: string): Promise<Run | undefined> {
    const partition = this.ports.log.partitionOf('commands', runId);
    return this.partitions.get(partition)?.run(runId);
  }

  /** Partitions that are this process's, and not served yet: they are being recovered, or made again. */
  get missing(): readonly number[] {
    return [...this.owned].filter((partition) => !this.partitions.has(partition));
  }

  /** Those that are served here now. */
  get served(): readonly PartitionRunner[] {
    return [...this.partitions.values()];
  }

  private async start(partition: number): Promise<void> {
    const runner = new PartitionRunner(partition, this.ports, this.options, () => void this.reopen(runner));
    try {
      await runner.open();
    } catch (error) {
      await runner.close('left').catch(() => undefined);
      throw error;
    }
    this.partitions.set(partition, runner);
    this.ports.logger.info({ partition }, 'partition served');
  }

  private async stop(partition: number, how: 'saved' | 'left'): Promise<void> {
    const runner = this.partitions.get(partition);
    this.partitions.delete(partition);
    if (!runner) return;
    try {
      await runner.close(how);
    } catch (error) {
      // What was not saved is folded again by whoever comes next.
      this.ports.logger.warn({ err: error, partition }, 'partition left without a last checkpoint');
    }
    this.ports.logger.info({ partition }, 'partition left');
  }

  /** The stores are not what it has built on: it is opened anew. */
  private async reopen(runner: PartitionRunner): Promise<void> {
    const { logger, clock } = this.ports;
    const { partition } = runner;
    await this.inTurn(partition, async () => {
      if (this.closing || this.partitions.get(partition) !== runner) return;
      logger.warn({ partition }, 'the stores have lost the partition, or another has served it; it is opened anew');
      await this.stop(partition, 'left');
      await this.start(partition);
    }).catch((error: unknown) => {
      logger.error({ err: error, partition }, 'the partition cannot be made again; trying again');
      clock.at(clock.now() + LOOK_MS, () => void this.resume(partition));
    });
  }

  private async resume(partition: number): Promise<void> {
    if (this.closing || !this.owned.has(partition)) return;
    await this.take(partition).catch((error: unknown) => {
      const { clock, logger } = this.ports;
      logger.warn({ err: error, partition }, 'the partition cannot be made again; trying again');
      clock.at(clock.now() + LOOK_MS, () => void this.resume(partition));
    });
  }

  private inTurn(partition: number, does: () => Promise<void>): Promise<void> {
    const before = this.turns.get(partition) ?? Promise.resolve();
    const turn = before.then(does, does);
    this.turns.set(
      partition,
      turn.catch(() => undefined),
    );
    return turn;
  }

  /** Stores are lost without a word, also where nothing happens: so each partition is looked after. */
  private look(): void {
    const { clock, logger } = this.ports;
    if (!this.options.looksAfterStores || this.closing) return;
    this.cancelLook = clock.at(clock.now() + LOOK_MS, () => {
      const looks = this.served.map(async (runner) => {
        if (!(await runner.isIntact())) await this.reopen(runner);
      });
      void Promise.all(looks)
        .catch((error: unknown) => logger.debug({ err: error }, 'the stores cannot be reached'))
        .then(() => this.look());
    });
  }
}
