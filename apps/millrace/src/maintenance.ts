import type { Projector } from '#apps/projector/src/projector.js';
import type { Runner } from '#apps/runner/src/runner.js';
import type { Position } from '#core/words.js';
import type { Ports } from '#platform/ports.js';
import type { Topic } from '#ports/event-log.port.js';
import type { PlatformJobs } from '#ports/platform-jobs.port.js';

/** How long the records of the topics with time retention are kept, ms. */
export interface Retention {
  readonly eventsMs: number;
  readonly commandsMs: number;
  readonly transitionsMs: number;
}

const JOB = 'retention';
const EVERY_MS = 10 * 60 * 1_000;

/** Forgets what its time is over, and nothing that a reader has still to read. */
export class Maintenance {
  constructor(
    private readonly ports: Ports,
    private readonly runner: Runner,
    /** Undefined where History is off: nothing waits for it then. */
    private readonly projector: Projector | undefined,
    private readonly retention: Retention,
    /** Of this process: others serve other partitions. */
    private readonly jobs: PlatformJobs,
  ) {}

  async open(): Promise<void> {
    this.jobs.handle(JOB, () => this.sweep());
    await this.jobs.schedule(JOB, EVERY_MS);
  }

  /** Closes the jobs as well. */
  async close(): Promise<void> {
    await this.jobs.close();
  }

  async sweep(): Promise<void> {
    for (const served of this.runner.served) {
      await served.prune();
      if (!this.ports.trims) continue;
      const { eventsMs, commandsMs, transitionsMs } = this.retention;
      const { partition, checkpoint } = served;
      await served.snapshot(this.ports.clock.now() - commandsMs);
      await this.trim('commands', partition, commandsMs, [checkpoint]);
      await this.trim('events', partition, eventsMs, [await served.taken(), ...this.projected('events', partition)]);
      await this.trim('transitions', partition, transitionsMs, this.projected('transitions', partition));
    }
  }

  private projected(topic: 'events' | 'transitions', partition: number): readonly (Position | undefined)[] {
    return this.projector ? [this.projector.position(topic, partition)] : [];
  }

  private async trim(
    topic: Topic,
    partition: number,
    keepMs: number,
    readers: readonly (Position | undefined)[],
  ): Promise<void> {
    const { log, clock } = this.ports;
    const old = (await log.positionAt(topic, clock.now() - keepMs))[partition];
    if (!old) return;
    const offset = readers.reduce((least, reader) => Math.min(least, reader?.offset ?? 0), old.offset);
    if (offset > 0) await log.trim(topic, { ...old, offset });
  }
}
