import type { FunctionLimits } from '#core/flow/flow.js';
import { FlowModel } from '#core/flow/flow.model.js';
import type { Backlog, Lease, QueueCounts, QueuedItem, RunSlot, WorkItem } from '#core/flow/flow.work.js';
import { Fault } from '#core/faults.js';
import type { Clock } from '#ports/clock.port.js';
import type { Ids } from '#ports/ids.port.js';
import { WorkQueue, type QueueChange, type ThrottleState } from '#ports/work-queue.port.js';

/** The queue of one process: the model of `core/flow`, those who wait for an item, and an alarm for when time alone lets one go. */
export class MemoryWorkQueue extends WorkQueue {
  private model = new FlowModel();
  /** The longest waiting first. */
  private readonly claimers = new Set<(lease: Lease) => void>();
  private readonly revisions = new Map<string, number>();
  private alarm: { readonly at: number; readonly cancel: () => void } | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly ids: Ids,
    private readonly leaseMs = 30_000,
  ) {
    super();
  }

  override enqueue(items: readonly WorkItem[]): Promise<void> {
    this.model.enqueue(items, this.clock.now(), this.leaseMs);
    return this.serve();
  }

  override withdraw(ids: readonly string[]): Promise<void> {
    this.model.withdraw(ids);
    return this.serve();
  }

  override claim(signal: AbortSignal): Promise<Lease | undefined> {
    if (signal.aborted) return Promise.resolve(undefined);
    const lease = this.next();
    if (lease) return Promise.resolve(lease);
    return new Promise((resolve) => {
      const give = (given: Lease) => {
        signal.removeEventListener('abort', stop);
        resolve(given);
      };
      const stop = () => {
        this.claimers.delete(give);
        resolve(undefined);
      };
      this.claimers.add(give);
      signal.addEventListener('abort', stop, { once: true });
      this.arm();
    });
  }

  override extend(lease: Lease): Promise<Lease> {
    const until = this.model.extend(lease.token, this.clock.now(), this.leaseMs);
    if (until === undefined) return Promise.reject(new Fault('lease_lost', { item: lease.item.id }));
    return Promise.resolve({ ...lease, until });
  }

  override complete(lease: Lease): Promise<void> {
    this.model.complete(lease.token, this.clock.now());
    return this.serve();
  }

  override limits(functionId: string, limits: FunctionLimits | undefined, revision = 0): Promise<void> {
    if (revision < (this.revisions.get(functionId) ?? 0)) return Promise.resolve();
    this.revisions.set(functionId, revision);
    this.model.limits(functionId, limits, this.clock.now());
    return this.serve();
  }

  override occupy(slots: readonly RunSlot[]): Promise<void> {
    this.model.occupy(slots);
    return this.serve();
  }

  override vacate(runIds: readonly string[]): Promise<void> {
    this.model.vacate(runIds);
    return this.serve();
  }

  override throttled(states: readonly ThrottleState[]): Promise<void> {
    this.model.throttled(states);
    return this.serve();
  }

  /** It ends with the process that holds it, so whoever settles has put out everything before. */
  override settle({ withdraw, vacate, occupy, throttled, enqueue }: QueueChange): Promise<void> {
    this.model.withdraw(withdraw);
    this.model.vacate(vacate);
    this.model.occupy(occupy);
    this.model.throttled(throttled);
    this.model.enqueue(enqueue, this.clock.now(), this.leaseMs);
    return this.serve();
  }

  override reflects(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  override restore(_partition: number, part: QueueChange): Promise<void> {
    return this.settle(part);
  }

  override restored(): Promise<void> {
    return Promise.resolve();
  }

  override clear(): Promise<void> {
    this.model = new FlowModel();
    this.revisions.clear();
    return Promise.resolve();
  }

  override counts(functionId?: string): Promise<QueueCounts> {
    this.model.advance(this.clock.now());
    return Promise.resolve(this.model.counts(functionId));
  }

  override ofRun(runId: string): Promise<readonly QueuedItem[]> {
    return Promise.resolve(this.model.ofRun(runId, this.clock.now()));
  }

  override backlog(functionId: string, linesMax: number): Promise<Backlog> {
    return Promise.resolve(this.model.backlog(functionId, linesMax, this.clock.now()));
  }

  /** Gives those who wait what may go. To be called after whatever may let something go. */
  private serve(): Promise<void> {
    for (const give of this.claimers) {
      const lease = this.next();
      if (!lease) break;
      this.claimers.delete(give);
      give(lease);
    }
    this.arm();
    return Promise.resolve();
  }

  private next(): Lease | undefined {
    const now = this.clock.now();
    return this.model.advance(now) ? this.model.claim(now, this.ids.ulid(), this.leaseMs) : undefined;
  }

  /** Nobody needs to be woken where nobody waits. An alarm that has become too early is left: it sets the next. */
  private arm(): void {
    const at = this.model.nextAt();
    if (this.claimers.size === 0 || at === undefined || (this.alarm && this.alarm.at <= at)) return;
    this.alarm?.cancel();
    const wake = () => {
      this.alarm = undefined;
      void this.serve();
    };
    this.alarm = { at, cancel: this.clock.at(at, wake) };
  }
}
