import type { Logger } from '#ports/logger.port.js';
import type { Owner } from '#ports/ownership.port.js';
import { backoffMs, pause, reasonOf } from './kafka-cluster.js';

/** A partition, and what its owner has been told. */
interface Held {
  wanted: boolean;
  taken: boolean;
  /** Ends a wait before the next try. */
  changed: AbortController;
  telling: Promise<void> | undefined;
}

const RETRY_MS_MAX = 5_000;

/** Tells an owner which partitions are his: of each in turn that it is his, and that it is not, never both at once. */
export class OwnedPartitions {
  private readonly held = new Map<number, Held>();

  constructor(
    private readonly owner: Owner,
    private readonly logger: Logger,
  ) {}

  /** Those that are his now, told or about to be. */
  get wanted(): readonly number[] {
    return [...this.held].filter(([, { wanted }]) => wanted).map(([partition]) => partition);
  }

  /** From now on these are his, and no others. */
  assign(partitions: Iterable<number>): void {
    const his = new Set(partitions);
    for (const partition of new Set([...this.held.keys(), ...his])) {
      const held = this.held.get(partition) ?? {
        wanted: false,
        taken: false,
        changed: new AbortController(),
        telling: undefined,
      };
      this.held.set(partition, held);
      if (held.wanted === his.has(partition)) continue;
      held.wanted = !held.wanted;
      held.changed.abort();
      held.telling ??= this.tell(partition, held).finally(() => (held.telling = undefined));
    }
  }

  /** Resolves when he has been told of all. */
  async settled(): Promise<void> {
    for (;;) {
      const telling = [...this.held.values()].flatMap((held) => held.telling ?? []);
      if (telling.length === 0) return;
      await Promise.all(telling);
    }
  }

  private async tell(partition: number, held: Held): Promise<void> {
    for (let failures = 0; held.wanted !== held.taken;) {
      held.changed = new AbortController();
      try {
        if (held.wanted) {
          await this.owner.take(partition);
          held.taken = true;
        } else {
          held.taken = false;
          await this.owner.give(partition);
        }
        failures = 0;
      } catch (error) {
        const what = held.taken || held.wanted ? 'taken' : 'given';
        this.logger.error({ partition, reason: reasonOf(error) }, `A partition could not be ${what}.`);
        if (held.wanted) await pause(backoffMs(++failures, RETRY_MS_MAX), held.changed.signal);
      }
    }
  }
}
