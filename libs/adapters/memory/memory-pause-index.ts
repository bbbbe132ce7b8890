import { offered, type Demand } from '#core/expression/expression.bind.js';
import { planPause, type Arrived, type PausePlan } from '#core/match/pause.plan.js';
import type { Env } from '#core/words.js';
import { PauseIndex, type Candidate, type Pause } from '#ports/pause-index.port.js';
import { isOpenTo, ParsedOnce, Triggers } from '#ports/pauses.js';

/**
 * Pauses of one process, by environment and event name, then by a value that the expression demands of a field. They are lost with the process
 * alone, which puts them in again before it matches: a match waits for nothing.
 */
export class MemoryPauseIndex extends PauseIndex {
  private readonly entries = new Map<string, Entry>();
  private readonly shelves = new Map<string, Shelf>();
  private readonly whole = new Set<number>();

  /** @throws record_unreadable when a trigger is no JSON; then nothing has been put in */
  override async add(pauses: readonly Pause[]): Promise<void> {
    const triggers = new Triggers();
    const planned = pauses.map((pause) => ({ pause, plan: planPause(pause.expression, () => triggers.of(pause)) }));
    for (const { pause, plan } of planned) {
      this.take(pause.id);
      this.entries.set(pause.id, plan ? this.shelf(pause).put(pause, plan) : { pause });
    }
    return Promise.resolve();
  }

  override remove(ids: readonly string[]): Promise<void> {
    for (const id of ids) this.take(id);
    return Promise.resolve();
  }

  /** @throws record_unreadable when a payload is asked for and is no JSON */
  override match(candidates: readonly Candidate[]): Promise<readonly (readonly Pause[])[]> {
    return new Promise((resolve) => resolve(candidates.map((candidate) => this.resolved(candidate))));
  }

  override size(): Promise<number> {
    return Promise.resolve(this.entries.size);
  }

  override intact(partition: number): Promise<boolean> {
    return Promise.resolve(this.whole.has(partition));
  }

  override restored(partition: number): Promise<void> {
    this.whole.add(partition);
    return Promise.resolve();
  }

  override clear(): Promise<void> {
    this.entries.clear();
    this.shelves.clear();
    this.whole.clear();
    return Promise.resolve();
  }

  private resolved(candidate: Candidate): readonly Pause[] {
    const shelf = this.shelves.get(shelfKey(candidate.env, candidate.name));
    if (!shelf) return [];
    const arrived = new ParsedOnce(candidate);
    const found: Pause[] = [];
    for (const { pause, holds } of shelf.candidates(arrived)) {
      if (isOpenTo(pause, candidate) && holds(arrived)) found.push(pause);
    }
    return found;
  }

  private shelf({ env, event }: Pause): Shelf {
    const key = shelfKey(env, event);
    let shelf = this.shelves.get(key);
    if (!shelf) this.shelves.set(key, (shelf = new Shelf()));
    return shelf;
  }

  private take(id: string): void {
    const entry = this.entries.get(id);
    if (!entry) return;
    this.entries.delete(id);
    if (!('bin' in entry)) return;
    const shelf = this.shelf(entry.pause);
    shelf.take(entry);
    if (shelf.isEmpty()) this.shelves.delete(shelfKey(entry.pause.env, entry.pause.event));
  }
}

/** A pause that no event resolves stands in no bin: it only counts. */
type Entry = { readonly pause: Pause } | Shelved;

interface Shelved {
  readonly pause: Pause;
  readonly holds: PausePlan['holds'];
  readonly bin: Bin;
}

/** The pauses that demand the same value of the same field; or, without a field, those that demand none. */
interface Bin {
  readonly field?: Field;
  readonly value: string;
  readonly pauses: Set<Shelved>;
}

interface Field {
  readonly path: readonly string[];
  readonly bins: Map<string, Bin>;
}

/** The pauses of one event name. */
class Shelf {
  private readonly fields = new Map<string, Field>();
  private readonly rest: Bin = { value: '', pauses: new Set() };

  put(pause: Pause, { demands, holds }: PausePlan): Shelved {
    const bin = this.binFor(demands);
    const shelved = { pause, holds, bin };
    bin.pauses.add(shelved);
    return shelved;
  }

  take(shelved: Shelved): void {
    const { field, value, pauses } = shelved.bin;
    pauses.delete(shelved);
    if (!field || pauses.size > 0) return;
    field.bins.delete(value);
    if (field.bins.size === 0) this.fields.delete(fieldKey(field.path));
  }

  isEmpty(): boolean {
    return this.fields.size === 0 && this.rest.pauses.size === 0;
  }

  /** Those whose demanded value the event has, and those that demand none. */
  *candidates(arrived: Arrived): Iterable<Shelved> {
    for (const { path, bins } of this.fields.values()) {
      const value = offered(arrived.value, path);
      if (value !== undefined) yield* bins.get(valueKey(value))?.pauses ?? [];
    }
    yield* this.rest.pauses;
  }

  /** Of several demands the one that the fewest share: of `kind == "paid" && id == "x"` that is the id, from the second on. */
  private binFor(demands: readonly Demand[]): Bin {
    const [first, ...others] = demands;
    if (!first) return this.rest;
    const rarest = others.reduce((best, demand) => (this.sharing(demand) < this.sharing(best) ? demand : best), first);
    const field = this.field(rarest.path);
    const value = valueKey(rarest.value);
    let bin = field.bins.get(value);
    if (!bin) field.bins.set(value, (bin = { field, value, pauses: new Set() }));
    return bin;
  }

  private sharing({ path, value }: Demand): number {
    return this.fields.get(fieldKey(path))?.bins.get(valueKey(value))?.pauses.size ?? 0;
  }

  private field(path: readonly string[]): Field {
    const key = fieldKey(path);
    let field = this.fields.get(key);
    if (!field) this.fields.set(key, (field = { path, bins: new Map() }));
    return field;
  }
}

function shelfKey(env: Env, event: string): string {
  return `${env}\n${event}`;
}

function fieldKey(path: readonly string[]): string {
  return JSON.stringify(path);
}

/** Numbers that are equal have one text: there is one kind of number in JSON, and no text for -0 but 0. */
function valueKey(value: Demand['value']): string {
  return `${typeof value} ${String(value)}`;
}
