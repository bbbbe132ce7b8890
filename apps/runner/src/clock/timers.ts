import { Heap, type Slotted } from '#core/heap.js';
import type { EpochMs } from '#core/words.js';
import type { Clock } from '#ports/clock.port.js';

interface Entry<T> extends Slotted {
  readonly id: string;
  readonly at: EpochMs;
  readonly timer: T;
}

/** Timers that are owed, the earliest first; rings once for each, never early. Rebuilt from aggregates at start. */
export class Timers<T> {
  private heap = byTime<T>();
  private readonly live = new Map<string, Entry<T>>();
  private alarm: { readonly at: EpochMs; readonly cancel: () => void } | undefined;

  /** @param ring is handed all that are due at one moment */
  constructor(
    private readonly clock: Clock,
    private readonly ring: (due: readonly T[]) => void,
  ) {}

  get size(): number {
    return this.live.size;
  }

  /** Sets a timer; one of the same id is replaced. */
  set(id: string, at: EpochMs, timer: T): void {
    this.clear(id);
    const entry = { id, at, timer, slot: -1 };
    this.live.set(id, entry);
    this.heap.put(entry);
    this.arm();
  }

  /** Takes a timer back. */
  clear(id: string): void {
    const entry = this.live.get(id);
    if (!entry) return;
    this.live.delete(id);
    this.heap.remove(entry);
  }

  close(): void {
    this.alarm?.cancel();
    this.alarm = undefined;
    this.live.clear();
    this.heap = byTime();
  }

  private arm(): void {
    const first = this.heap.peek();
    if (!first || (this.alarm && this.alarm.at <= first.at)) return;
    this.alarm?.cancel();
    this.alarm = { at: first.at, cancel: this.clock.at(first.at, () => this.wake()) };
  }

  private wake(): void {
    this.alarm = undefined;
    const now = this.clock.now();
    const due: T[] = [];
    for (let first = this.heap.peek(); first && first.at <= now; first = this.heap.peek()) {
      this.heap.pop();
      this.live.delete(first.id);
      due.push(first.timer);
    }
    if (due.length > 0) this.ring(due);
    this.arm();
  }
}

function byTime<T>(): Heap<Entry<T>> {
  return new Heap((a, b) => a.at < b.at);
}
