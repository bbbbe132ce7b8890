import { throttleKey, type FlowKey, type FunctionLimits, type Wait } from '#core/flow/flow.js';
import type { QueueCounts, RunSlot, WorkItem } from '#core/flow/flow.work.js';
import type { EpochMs } from '#core/words.js';

/** An item as the reference keeps it. */
export interface Kept {
  readonly item: WorkItem;
  readonly order: number;
  readonly fn: string;
  /** Names of its line, and of what counts it. */
  readonly line: string;
  readonly steps: readonly string[];
  readonly run: string | undefined;
  readonly throttle: string | undefined;
  /** Since when it is out, or out again; it may still fall due. */
  outAt: EpochMs;
  lease?: {
    readonly token: string | undefined;
    until: EpochMs;
    /** It stands in for the slot of its run. */
    slot: boolean;
    withdrawn: boolean;
  };
}

/**
 * The rules of the queue once more, as plainly as they can be said: lists, and questions answered by looking at all of them. It does not
 * choose, it says what may be chosen.
 */
export class FlowReference {
  now: EpochMs = 0;
  kept: Kept[] = [];
  slots: RunSlot[] = [];
  readonly limits = new Map<string, FunctionLimits>();
  /** Starts that throttles let through. */
  readonly starts: { readonly key: string; readonly at: EpochMs }[] = [];
  /** By throttle, when the next start would be due if they came evenly: from the starts, and from what was told. */
  readonly tats = new Map<string, number>();
  private order = 0;

  enqueue(items: readonly WorkItem[], leaseMs: number): void {
    for (const item of items) {
      const out = this.kept.find((kept) => kept.item.id === item.id);
      if (out?.lease) out.lease.withdrawn = false;
      if (out) continue;
      const kept: Kept = { item, order: this.order++, fn: item.functionId, ...namesOf(item), outAt: this.now };
      if (item.underWay) this.hold(kept, undefined, leaseMs);
      this.kept.push(kept);
    }
  }

  withdraw(id: string): void {
    const kept = this.kept.find(({ item }) => item.id === id);
    if (kept?.lease) kept.lease.withdrawn = true;
    else this.kept = this.kept.filter((other) => other !== kept);
  }

  /** It was handed out. */
  take(kept: Kept, token: string, leaseMs: number): void {
    const rate = this.limitsOf(kept).throttle;
    if (kept.throttle !== undefined && rate && this.isStart(kept)) {
      this.starts.push({ key: kept.throttle, at: this.now });
      this.tats.set(kept.throttle, this.tatAfter(kept.throttle, rate));
    }
    this.hold(kept, token, leaseMs);
  }

  extend(token: string, leaseMs: number): void {
    const lease = this.holder(token)?.lease;
    if (lease) lease.until = this.now + leaseMs;
  }

  complete(token: string): void {
    const holder = this.holder(token);
    this.kept = this.kept.filter((kept) => kept !== holder);
  }

  occupy(slot: RunSlot): void {
    if (this.holdsSlot(slot.runId)) return;
    this.slots.push(slot);
    this.standInNoMore(slot.runId);
  }

  vacate(runId: string): void {
    this.slots = this.slots.filter((slot) => slot.runId !== runId);
    this.standInNoMore(runId);
  }

  tell(key: string, tat: number): void {
    this.tats.set(key, Math.max(this.tats.get(key) ?? tat, tat));
  }

  turn(ms: number): void {
    this.now += ms;
    for (const kept of this.kept) {
      if (!kept.lease || kept.lease.until > this.now) continue;
      kept.outAt = kept.lease.until;
      if (kept.lease.withdrawn) this.kept = this.kept.filter((other) => other !== kept);
      delete kept.lease;
    }
  }

  /** Whoever held the queue is gone: what is owed is put out again, in the order in which it was. */
  crash(leaseMs: number): readonly WorkItem[] {
    const owed = this.kept.filter(({ lease }) => !lease?.withdrawn);
    const items = owed.map(({ item: { underWay: _, ...item }, lease }) => (lease ? { ...item, underWay: true } : item));
    this.kept = [];
    this.enqueue(items, leaseMs);
    return items;
  }

  holder(token: string): Kept | undefined {
    return this.kept.find(({ lease }) => lease?.token === token);
  }

  isReady({ item, lease }: Kept): boolean {
    return !lease && item.dueAt <= this.now;
  }

  /** Whether it is the first request of its run. */
  isStart({ item }: Kept): boolean {
    return item.starts === true && !this.holdsSlot(item.runId);
  }

  /** All that may be handed out now. */
  may(): Kept[] {
    return this.kept.filter((kept) => this.isReady(kept) && this.stop(kept).cause === 'turn');
  }

  /** What an item that is due waits for. */
  wait(kept: Kept): Wait {
    const before = this.kept.filter(
      (other) => other.line === kept.line && this.isReady(other) && isBefore(other, kept),
    );
    return { ...this.stop(kept), place: before.length + 1 };
  }

  counts(functionId: string): QueueCounts {
    const counts = { running: 0, ready: 0, later: 0 };
    for (const kept of this.kept) {
      if (kept.fn === functionId) counts[kept.lease ? 'running' : this.isReady(kept) ? 'ready' : 'later']++;
    }
    return counts;
  }

  limitsOf({ fn }: Kept): FunctionLimits {
    return this.limits.get(fn) ?? { concurrency: 1_000, declared: false };
  }

  /** Where a throttle stands after one more start. */
  tatAfter(key: string, { limit, periodMs }: Throttle): number {
    return Math.max(this.tats.get(key) ?? this.now, this.now) + periodMs / limit;
  }

  /**
   * Where the numbers never change, the starts alone say when the next may come: from any of them on, `limit + burst`, and one more for
   * each interval.
   */
  opensByStarts(key: string, { limit, periodMs, burst }: Throttle): number {
    const past = this.starts.filter((start) => start.key === key);
    const opens = past.map(({ at }, n) => at + (past.length - n + 1 - (limit + burst)) * (periodMs / limit));
    return Math.ceil(Math.max(Number.NEGATIVE_INFINITY, ...opens) - 1e-6);
  }

  private stop(kept: Kept): DistributedOmit<Wait, 'place'> {
    const { item } = kept;
    const limits = this.limitsOf(kept);
    if (limits.paused) return { cause: 'paused' };
    const own = this.leased((other) => other.fn === kept.fn);
    if (own.length >= limits.concurrency) {
      return { cause: 'concurrency', scope: 'fn', key: '', ...held(limits.concurrency, own) };
    }
    for (const [n, key] of (item.flow?.step ?? []).entries()) {
      const users = this.leased(({ steps }) => steps.includes(kept.steps[n] ?? ''));
      const number = stepNumber(limits, key);
      if (users.length >= number) return { cause: 'concurrency', ...named(key), ...held(number, users) };
    }
    const { run, throttle } = this.isStart(kept) ? (item.flow ?? {}) : {};
    if (run && limits.run) {
      const users = [
        ...this.leased((other) => other.lease?.slot === true && other.run === kept.run),
        ...this.slots.filter((slot) => runBucket(slot, slot.key) === kept.run).map(({ runId }) => runId),
      ];
      const number = limits.run.expression === run.expression ? limits.run.limit : run.limit;
      if (users.length >= number) return { cause: 'run_concurrency', ...named(run), ...held(number, users) };
    }
    if (throttle && limits.throttle) {
      const { limit, periodMs, burst } = limits.throttle;
      const tat = this.tats.get(kept.throttle ?? '') ?? Number.NEGATIVE_INFINITY;
      const until = Math.ceil(tat - (limit + burst - 1) * (periodMs / limit) - 1e-6);
      const { value: key, ...rest } = throttle;
      if (until > this.now) return { cause: 'throttle', ...rest, key, limit, periodMs, burst, until };
    }
    return { cause: 'turn' };
  }

  /** Runs of what is under way. */
  private leased(counts: (kept: Kept) => boolean): string[] {
    return this.kept.filter((kept) => kept.lease && counts(kept)).map(({ item }) => item.runId);
  }

  private hold(kept: Kept, token: string | undefined, leaseMs: number): void {
    const slot = kept.run !== undefined && this.isStart(kept);
    kept.lease = { token, until: this.now + leaseMs, slot, withdrawn: false };
  }

  private holdsSlot(runId: string): boolean {
    return this.slots.some((slot) => slot.runId === runId);
  }

  private standInNoMore(runId: string): void {
    for (const { item, lease } of this.kept) if (lease && item.runId === runId) lease.slot = false;
  }
}

type Throttle = NonNullable<FunctionLimits['throttle']>;
type DistributedOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

export function isBefore(a: Kept, b: Kept): boolean {
  return a.item.rank < b.item.rank || (a.item.rank === b.item.rank && a.order < b.order);
}

function namesOf(item: WorkItem): Pick<Kept, 'line' | 'steps' | 'run' | 'throttle'> {
  const { step = [], run, throttle } = item.flow ?? {};
  const owner = { fn: item.functionId, env: item.env, account: '' };
  const steps = step.map(({ scope, expression, value }) => JSON.stringify([scope, owner[scope], expression, value]));
  const names = {
    steps,
    run: run && runBucket(item, run),
    throttle: throttle && throttleKey(item.env, item.functionId, throttle),
  };
  return { line: JSON.stringify([item.functionId, names]), ...names };
}

function runBucket({ functionId }: Pick<WorkItem, 'functionId'>, { expression, value }: FlowKey): string {
  return JSON.stringify([functionId, expression, value]);
}

/** Each declared number for the same scope and expression; of two the smaller. */
function stepNumber({ step }: FunctionLimits, key: FlowKey): number {
  if (!step) return Number.POSITIVE_INFINITY;
  const same = step.filter(({ scope, expression }) => scope === key.scope && expression === key.expression);
  return same.length > 0 ? Math.min(...same.map(({ limit }) => limit)) : key.limit;
}

function named({ scope, expression, value }: FlowKey) {
  return { scope, ...(expression === undefined ? {} : { expression }), key: value };
}

function held(limit: number, users: readonly string[]) {
  return { limit, inUse: users.length, holders: [...new Set(users)].sort().slice(0, 10) };
}
