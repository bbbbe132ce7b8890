import type { Clock } from '#ports/clock.port.js';
import type { Logger } from '#ports/logger.port.js';
import type { Lease, WorkQueue } from '#ports/work-queue.port.js';

/** Extends the leases of what is under way, well before they end. */
export class LeaseKeeper {
  private readonly held = new Map<string, Lease>();
  private alarm: (() => void) | undefined;

  constructor(
    private readonly queue: WorkQueue,
    private readonly clock: Clock,
    private readonly logger: Logger,
  ) {}

  hold(lease: Lease): void {
    this.held.set(lease.token, lease);
    this.arm(lease.until);
  }

  /** @returns the lease as it stands after its extensions */
  drop(lease: Lease): Lease {
    const held = this.held.get(lease.token) ?? lease;
    this.held.delete(lease.token);
    return held;
  }

  close(): void {
    this.alarm?.();
    this.alarm = undefined;
  }

  private arm(until: number): void {
    if (this.alarm || this.held.size === 0) return;
    const now = this.clock.now();
    this.alarm = this.clock.at(now + Math.max(1, (until - now) / 3), () => void this.extend());
  }

  private async extend(): Promise<void> {
    this.alarm = undefined;
    let until = Number.POSITIVE_INFINITY;
    for (const lease of [...this.held.values()]) {
      try {
        const longer = await this.queue.extend(lease);
        if (this.held.has(lease.token)) this.held.set(lease.token, longer);
        until = Math.min(until, longer.until);
      } catch (error) {
        this.held.delete(lease.token);
        this.logger.warn(aboutItem(lease, error), 'lease lost while its call goes on');
      }
    }
    this.arm(until);
  }
}

/** For the log. */
export function aboutItem({ item: { id, runId, functionId } }: Lease, error: unknown): object {
  return { err: error, runId, functionId, item: id };
}
