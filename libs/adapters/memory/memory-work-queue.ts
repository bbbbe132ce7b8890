import { Fault } from '#core/faults.js';
import { Heap } from '#core/heap.js';
import { LIMITS } from '#core/limits.js';
import type { Clock } from '#ports/clock.port.js';
import type { Ids } from '#ports/ids.port.js';
import { WorkQueue, type Lease, type QueueCounts, type WorkItem } from '#ports/work-queue.port.js';

interface Entry {
  readonly item: WorkItem;
  readonly order: number;
  state: 'later' | 'ready' | 'leased' | 'gone';
}

interface Line {
  readonly functionId: string;
  readonly ready: Heap<Entry>;
  readyCount: number;
  running: number;
  limit: number;
  /** Stands in the ring of functions that may be served. */
  inRing: boolean;
}

interface Held {
  readonly entry: Entry;
  readonly lease: Lease;
}

/** The queue of one process. Functions are served in turn; within a function the lowest rank goes first. */
export class MemoryWorkQueue extends WorkQueue {
  private readonly entries = new Map<string, Entry>();
  private readonly byRun = new Map<string, Set<Entry>>();
  private readonly lines = new Map<string, Line>();
  private readonly later = new Heap<Entry>(
    (a, b) => a.item.dueAt < b.item.dueAt || (a.item.dueAt === b.item.dueAt && a.order < b.order),
  );
  /** In the order in which the leases end: all last equally long. */
  private readonly held = new Map<string, Held>();
  private readonly waiters = new Set<(lease: Lease) => void>();
  private ring: Line[] = [];
  private order = 0;
  private alarm: { readonly at: number; readonly cancel: () => void } | undefined;
  private sweep: { readonly at: number; readonly cancel: () => void } | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly ids: Ids,
    private readonly leaseMs = 30_000,
  ) {
    super();
  }

  override enqueue(items: readonly WorkItem[]): Promise<void> {
    const now = this.clock.now();
    for (const item of items) {
      if (this.entries.has(item.id)) continue;
      const entry: Entry = { item, order: this.order++, state: 'later' };
      this.entries.set(item.id, entry);
      let ofRun = this.byRun.get(item.runId);
      if (!ofRun) this.byRun.set(item.runId, (ofRun = new Set()));
      ofRun.add(entry);
      if (item.dueAt > now) this.later.push(entry);
      else this.ready(entry);
    }
    this.arm();
    this.serve();
    return Promise.resolve();
  }

  override withdraw(ids: readonly string[]): Promise<void> {
    for (const id of ids) {
      const entry = this.entries.get(id);
      if (!entry || entry.state === 'leased') continue;
      if (entry.state === 'ready') this.lineOf(entry.item.functionId).readyCount--;
      this.forget(entry);
    }
    return Promise.resolve();
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
        this.waiters.delete(give);
        resolve(undefined);
      };
      this.waiters.add(give);
      signal.addEventListener('abort', stop, { once: true });
    });
  }

  override extend(lease: Lease): Promise<Lease> {
    const held = this.held.get(lease.token);
    if (!held) return Promise.reject(new Fault('lease_lost', { item: lease.item.id }));
    this.held.delete(lease.token);
    const longer = { ...lease, until: this.clock.now() + this.leaseMs };
    this.held.set(lease.token, { entry: held.entry, lease: longer });
    return Promise.resolve(longer);
  }

  override complete(lease: Lease): Promise<void> {
    const held = this.held.get(lease.token);
    if (!held) return Promise.resolve();
    this.held.delete(lease.token);
    this.forget(held.entry);
    this.freeSlot(held.entry.item.functionId);
    this.serve();
    return Promise.resolve();
  }

  override limit(functionId: string, concurrency: number | undefined): Promise<void> {
    const line = this.lineOf(functionId);
    line.limit = concurrency ?? LIMITS.concurrencyDefault;
    this.enter(line);
    this.serve();
    return Promise.resolve();
  }

  override counts(functionId?: string): Promise<QueueCounts> {
    let [running, ready, later] = [0, 0, 0];
    for (const entry of this.entries.values()) {
      if (functionId !== undefined && entry.item.functionId !== functionId) continue;
      if (entry.state === 'leased') running++;
      else if (entry.state === 'ready') ready++;
      else later++;
    }
    return Promise.resolve({ running, ready, later });
  }

  override ofRun(runId: string): Promise<readonly (WorkItem & { readonly leased: boolean })[]> {
    return Promise.resolve(
      [...(this.byRun.get(runId) ?? [])].map(({ item, state }) => ({ ...item, leased: state === 'leased' })),
    );
  }

  private lineOf(functionId: string): Line {
    let line = this.lines.get(functionId);
    if (!line) {
      const ready = new Heap<Entry>(
        (a, b) => a.item.rank < b.item.rank || (a.item.rank === b.item.rank && a.order < b.order),
      );
      line = { functionId, ready, readyCount: 0, running: 0, limit: LIMITS.concurrencyDefault, inRing: false };
      this.lines.set(functionId, line);
    }
    return line;
  }

  private ready(entry: Entry): void {
    const line = this.lineOf(entry.item.functionId);
    entry.state = 'ready';
    line.ready.push(entry);
    line.readyCount++;
    this.enter(line);
  }

  private enter(line: Line): void {
    if (line.inRing || line.readyCount === 0 || line.running >= line.limit) return;
    line.inRing = true;
    this.ring.push(line);
  }

  private freeSlot(functionId: string): void {
    const line = this.lineOf(functionId);
    line.running--;
    this.enter(line);
  }

  private forget(entry: Entry): void {
    entry.state = 'gone';
    this.entries.delete(entry.item.id);
    const ofRun = this.byRun.get(entry.item.runId);
    ofRun?.delete(entry);
    if (ofRun?.size === 0) this.byRun.delete(entry.item.runId);
  }

  private serve(): void {
    for (const give of this.waiters) {
      const lease = this.next();
      if (!lease) return;
      this.waiters.delete(give);
      give(lease);
    }
  }

  private next(): Lease | undefined {
    for (let line = this.ring.shift(); line; line = this.ring.shift()) {
      line.inRing = false;
      if (line.running >= line.limit) continue;
      const entry = this.take(line);
      if (!entry) continue;
      line.running++;
      entry.state = 'leased';
      this.enter(line);
      const lease: Lease = { item: entry.item, token: this.ids.ulid(), until: this.clock.now() + this.leaseMs };
      this.held.set(lease.token, { entry, lease });
      this.armSweep();
      return lease;
    }
    return undefined;
  }

  /** Withdrawn entries stay in the heap until they come up. */
  private take(line: Line): Entry | undefined {
    for (let entry = line.ready.pop(); entry; entry = line.ready.pop()) {
      if (entry.state !== 'ready') continue;
      line.readyCount--;
      return entry;
    }
    return undefined;
  }

  private arm(): void {
    let first = this.later.peek();
    while (first?.state === 'gone') {
      this.later.pop();
      first = this.later.peek();
    }
    if (!first || (this.alarm && this.alarm.at <= first.item.dueAt)) return;
    this.alarm?.cancel();
    const at = first.item.dueAt;
    this.alarm = { at, cancel: this.clock.at(at, () => this.wake()) };
  }

  private wake(): void {
    this.alarm = undefined;
    const now = this.clock.now();
    for (let first = this.later.peek(); first && first.item.dueAt <= now; first = this.later.peek()) {
      this.later.pop();
      if (first.state === 'later') this.ready(first);
    }
    this.arm();
    this.serve();
  }

  private armSweep(): void {
    if (this.sweep) return;
    const first = this.held.values().next();
    if (first.done) return;
    const at = first.value.lease.until;
    this.sweep = { at, cancel: this.clock.at(at, () => this.expire()) };
  }

  /** A lease that nobody extended: the slot comes back and the item goes out again. */
  private expire(): void {
    this.sweep = undefined;
    const now = this.clock.now();
    for (const [token, { entry, lease }] of this.held) {
      if (lease.until > now) break;
      this.held.delete(token);
      this.freeSlot(entry.item.functionId);
      this.ready(entry);
    }
    this.armSweep();
    this.serve();
  }
}
