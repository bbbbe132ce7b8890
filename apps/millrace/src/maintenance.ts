import type { Projector } from '#apps/projector/src/projector.js';
import type { Runner } from '#apps/runner/src/runner.js';
import type { Ports } from '#platform/embedded-ports.js';
import type { Topic } from '#ports/event-log.port.js';
import type { Position } from '#core/words.js';

/** How long the records of the topics with time retention are kept, ms. */
export interface Retention {
  readonly eventsMs: number;
  readonly commandsMs: number;
  readonly transitionsMs: number;
}

const EVERY_MS = 10 * 60 * 1_000;

/** Forgets what its time is over, and nothing that a reader has still to read. */
export class Maintenance {
  private cancel: (() => void) | undefined;
  private running: Promise<void> = Promise.resolve();

  constructor(
    private readonly ports: Ports,
    private readonly runner: Runner,
    /** Undefined where History is off: nothing waits for it then. */
    private readonly projector: Projector | undefined,
    private readonly retention: Retention,
  ) {}

  open(): void {
    const { clock, logger } = this.ports;
    this.cancel = clock.at(clock.now() + EVERY_MS, () => {
      this.running = this.sweep()
        .catch((error: unknown) => logger.error({ err: error }, 'retention failed; trying again'))
        .then(() => this.open());
    });
  }

  async close(): Promise<void> {
    this.cancel?.();
    await this.running;
    this.cancel?.();
  }

  async sweep(): Promise<void> {
    const { eventsMs, commandsMs, transitionsMs } = this.retention;
    await this.runner.prune();
    await this.runner.snapshot(this.ports.clock.now() - commandsMs);
    await this.trim('commands', commandsMs, [this.runner.desk.checkpoint]);
    await this.trim('events', eventsMs, [await this.runner.taken(), ...this.projected('events')]);
    await this.trim('transitions', transitionsMs, this.projected('transitions'));
  }

  private projected(topic: 'events' | 'transitions'): readonly (Position | undefined)[] {
    return this.projector ? [this.projector.position(topic)] : [];
  }

  private async trim(topic: Topic, keepMs: number, readers: readonly (Position | undefined)[]): Promise<void> {
    const { log, clock } = this.ports;
    const [old] = await log.positionAt(topic, clock.now() - keepMs);
    if (!old) return;
    const offset = readers.reduce((least, reader) => Math.min(least, reader?.offset ?? 0), old.offset);
    if (offset > 0) await log.trim(topic, { ...old, offset });
  }
}
