import { Fault } from '#core/faults.js';
import type { Clock } from '#ports/clock.port.js';
import type { Logger } from '#ports/logger.port.js';
import type { Lease, WorkQueue } from '#ports/work-queue.port.js';

/** The shortest time between two tries. */
const AGAIN_MS = 50;

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
    this.alarm = this.clock.at(now + Math.max(AGAIN_MS, (until - now) / 3), () => void this.extend());
  }

  /** All at once: one after the other, the last of many would come too late where each answer takes its time. */
  private async extend(): Promise<void> {
    this.alarm = undefined;
    const untils = await Promise.all([...this.held.values()].map((lease) => this.extendOne(lease)));
    this.arm(Math.min(...untils));
  }

  /** @returns until when it is held now; no bound where it is not */
  private async extendOne(lease: Lease): Promise<number> {
    try {
      const longer = await this.queue.extend(lease);
      if (this.held.has(lease.token)) this.held.set(lease.token, longer);
      return longer.until;
    } catch (error) {
      // A queue that cannot be reached may be there again before it is over.
      const isLost = error instanceof Fault && error.code === 'lease_lost';
      if (!isLost && this.clock.now() < lease.until) return lease.until;
      this.held.delete(lease.token);
      this.logger.warn(aboutItem(lease, error), 'lease lost while its call goes on');
      return Number.POSITIVE_INFINITY;
    }
  }
}

/** For the log. */
export function aboutItem({ item: { id, runId, functionId } }: Lease, error: unknown): object {
  return { err: error, runId, functionId, item: id };
}
