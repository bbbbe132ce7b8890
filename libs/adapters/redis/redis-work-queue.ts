import type { Redis } from 'ioredis';
import { Fault } from '#core/faults.js';
import type { FunctionLimits } from '#core/flow/flow.js';
import type { Backlog, Lease, QueueCounts, QueuedItem, RunSlot, WorkItem } from '#core/flow/flow.work.js';
import { LIMITS } from '#core/limits.js';
import type { Clock } from '#ports/clock.port.js';
import type { Ids } from '#ports/ids.port.js';
import { WorkQueue, type QueueChange, type Stretch, type ThrottleState } from '#ports/work-queue.port.js';
import { changeArguments, ownBucket, partsOf } from './queue/queue.arguments.js';
import { QueueClaimers } from './queue/queue.claimers.js';
import { callQueue } from './queue/queue.library.js';
import type { RedisConnection } from './redis-connection.js';

export interface RedisWorkQueueOptions {
  /** How long what is handed out is left with who has it, ms. */
  readonly leaseMs?: number;
  /** How many partitions must be there before anything is handed out; 0: none. The same for all who share the queue. */
  readonly partitions?: number;
}

/**
 * The queue of many processes. All its rules are in the script, the twin of the model of `core/flow`, and every call is one run of it: what
 * processes do at the same time happens one after the other. What Redis held before it started anew does not count: nothing of it is handed
 * out, and whoever settles is told that it is lost.
 */
export class RedisWorkQueue extends WorkQueue {
  private readonly key: string;
  private readonly leaseMs: number;
  private readonly partitions: number;
  private readonly claimers: QueueClaimers;
  private readonly subscriber: Redis;
  /** By partition that is being restored, the name of what its first part was put into. */
  private readonly restoring = new Map<number, string>();

  /** The connection stays the caller's; a second one, on which the queue hears that something may go, is made of it. */
  constructor(
    private readonly connection: RedisConnection,
    private readonly clock: Clock,
    ids: Ids,
    { leaseMs = 30_000, partitions = 0 }: RedisWorkQueueOptions = {},
  ) {
    super();
    // One hash tag: all that the script touches lies in one slot of a cluster.
    this.key = `{${connection.prefix}queue}`;
    this.leaseMs = leaseMs;
    this.partitions = partitions;
    this.subscriber = connection.duplicate();
    this.claimers = new QueueClaimers(connection, this.subscriber, this.key, clock, ids, (...args) =>
      this.run(...args),
    );
  }

  override async enqueue(items: readonly WorkItem[]): Promise<void> {
    for (const part of partsOf({ enqueue: items })) await this.run('enqueue', ...changeArguments(part));
  }

  override async withdraw(ids: readonly string[]): Promise<void> {
    await this.change({ withdraw: ids });
  }

  override claim(signal: AbortSignal): Promise<Lease | undefined> {
    return this.claimers.claim(signal);
  }

  override async extend(lease: Lease): Promise<Lease> {
    const until = await this.run('extend', lease.token);
    if (until === undefined) throw new Fault('lease_lost', { item: lease.item.id });
    return { ...lease, until: until as number };
  }

  override async complete(lease: Lease): Promise<void> {
    await this.run('complete', lease.token);
  }

  override async limits(functionId: string, limits: FunctionLimits | undefined, revision = 0): Promise<void> {
    await this.run('limits', functionId, ownBucket(functionId), limits ? JSON.stringify(limits) : '', String(revision));
  }

  override async occupy(slots: readonly RunSlot[]): Promise<void> {
    await this.change({ occupy: slots });
  }

  override async vacate(runIds: readonly string[]): Promise<void> {
    await this.change({ vacate: runIds });
  }

  override async throttled(states: readonly ThrottleState[]): Promise<void> {
    await this.change({ throttled: states });
  }

  override async settle(change: QueueChange, { partition, from, next }: Stretch): Promise<void> {
    await this.run('settle', String(partition), String(from), String(next), ...changeArguments(change));
  }

  override async reflects(partition: number): Promise<number | undefined> {
    this.restoring.delete(partition);
    return (await this.run('reflects', String(partition))) as number | undefined;
  }

  /** In several calls: until it is restored, nothing of it counts. */
  override async restore(partition: number, part: QueueChange): Promise<void> {
    for (const some of partsOf(part)) {
      const generation = await this.runOf(partition, 'restore', ...changeArguments(some));
      this.restoring.set(partition, generation as string);
    }
  }

  override async restored(partition: number, next: number): Promise<void> {
    await this.runOf(partition, 'restored', String(partition), String(next));
    this.restoring.delete(partition);
  }

  override async clear(): Promise<void> {
    this.restoring.clear();
    await this.run('clear');
  }

  override async counts(functionId?: string): Promise<QueueCounts> {
    return (await this.run('counts', ...(functionId === undefined ? [] : [functionId]))) as QueueCounts;
  }

  override async ofRun(runId: string): Promise<readonly QueuedItem[]> {
    const found = (await this.run('ofRun', runId)) as readonly (Omit<QueuedItem, keyof WorkItem> & {
      item: WorkItem;
    })[];
    return found.map(({ item, ...rest }) => ({ ...item, ...rest }));
  }

  override async backlog(functionId: string, linesMax: number): Promise<Backlog> {
    return (await this.run('backlog', functionId, String(linesMax))) as Backlog;
  }

  /** Resolves once it listens for what others tell, and nothing is being asked for those who wait here. */
  rest(): Promise<void> {
    return this.claimers.rest();
  }

  /** Who waits for an item is left waiting until his signal ends that, and gets none; what was on its way to him goes to others. */
  async close(): Promise<void> {
    await this.claimers.close();
    this.subscriber.disconnect();
  }

  private async change(change: Partial<QueueChange>): Promise<void> {
    for (const part of partsOf(change)) await this.run('change', ...changeArguments(part));
  }

  /** What is restored in parts must all be there in the end: not so when the queue has lost something meanwhile. */
  private async runOf(partition: number, operation: string, ...args: readonly string[]): Promise<unknown> {
    try {
      return await this.run(operation, this.restoring.get(partition) ?? '', ...args);
    } catch (error) {
      if (error instanceof Fault && error.code === 'state_lost') this.restoring.delete(partition);
      throw error;
    }
  }

  /** Runs the script, again as long as it says that there is more to do before its answer. */
  private async run(operation: string, ...args: readonly string[]): Promise<unknown> {
    for (;;) {
      const [status, answer] = await this.connection.use(({ client, instance }) => {
        const common = [
          operation,
          instance,
          this.clock.now(),
          this.leaseMs,
          this.partitions,
          LIMITS.concurrencyDefault,
        ];
        return callQueue(client, this.key, [...common.map(String), ...args]);
      });
      if (status === 'lost') throw new Fault('state_lost', { operation });
      if (status === 'done') return answer === undefined ? undefined : JSON.parse(answer);
    }
  }
}
