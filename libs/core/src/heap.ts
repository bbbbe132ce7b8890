/** Where an item stands in its heap; -1: in none. An item is in one heap at most. */
export interface Slotted {
  slot: number;
}

const NONE: never[] = [];

/** A binary heap whose items know where they stand, so that any of them can be taken out or moved at the price of one that comes up. */
export class Heap<T extends Slotted> {
  private items: T[] = NONE;

  constructor(private readonly before: (a: T, b: T) => boolean) {}

  get size(): number {
    return this.items.length;
  }

  peek(): T | undefined {
    return this.items[0];
  }

  /** In no order. */
  all(): readonly T[] {
    return this.items;
  }

  has(item: T): boolean {
    return this.items[item.slot] === item;
  }

  /** Puts an item in, or to its new place if it is in already. */
  put(item: T): void {
    if (!this.has(item)) {
      item.slot = this.items.length;
      // Most heaps hold one item and never another: they get an array of that size.
      if (item.slot === 0) this.items = [item];
      else this.items.push(item);
    }
    this.rise(item);
    this.sink(item);
  }

  pop(): T | undefined {
    const first = this.items[0];
    if (first) this.remove(first);
    return first;
  }

  /** Harmless when the item is not in. */
  remove(item: T): void {
    if (!this.has(item)) return;
    const last = this.items.pop() as T;
    if (last !== item) {
      last.slot = item.slot;
      this.items[item.slot] = last;
      this.rise(last);
      this.sink(last);
    }
    item.slot = -1;
  }

  private rise(item: T): void {
    while (item.slot > 0) {
      const parent = this.items[(item.slot - 1) >> 1] as T;
      if (!this.before(item, parent)) return;
      this.swap(item, parent);
    }
  }

  private sink(item: T): void {
    for (;;) {
      const left = this.items[2 * item.slot + 1];
      if (!left) return;
      const right = this.items[2 * item.slot + 2];
      const child = right && this.before(right, left) ? right : left;
      if (!this.before(child, item)) return;
      this.swap(item, child);
    }
  }

  private swap(a: T, b: T): void {
    const { slot } = a;
    this.items[b.slot] = a;
    a.slot = b.slot;
    this.items[slot] = b;
    b.slot = slot;
  }
}
