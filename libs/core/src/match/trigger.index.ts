import { compile, EVENT_ROOTS, type Compiled } from '../expression/expression.compile.js';
import { evaluateBoolean } from '../expression/expression.evaluate.js';
import type { FunctionVersion, Trigger } from '../function/function.config.js';
import type { Env, EpochMs } from '../words.js';
import { prefixesOf, prefixOf } from './trigger.name.js';

export type EventTrigger = Extract<Trigger, { readonly event: string }>;

export interface ArrivedEvent {
  readonly env: Env;
  readonly name: string;
  /** The event as functions see it, parsed. Read only where an `if` needs it, and once: it may be a getter that parses. */
  readonly value: unknown;
  /** What `now()` says: when the event was received. */
  readonly at: EpochMs;
}

export interface TriggerMatch {
  readonly fn: FunctionVersion;
  readonly trigger: EventTrigger;
}

/** A trigger whose name matched and whose `if` did not hold. */
export interface TriggerMiss extends TriggerMatch {
  readonly reason: string;
}

export interface Matched {
  /** A function starts at most one run per event: by the first of its triggers that holds. In the order of the functions given. */
  readonly matches: readonly TriggerMatch[];
  /** What was tried in vain, also for functions that match by a later trigger. */
  readonly misses: readonly TriggerMiss[];
}

/** Which functions an event triggers: section 5.1. Built of the functions as they are; a change is a new index. */
export class TriggerIndex {
  private readonly byName = new Map<string, Entry[]>();
  private readonly byPrefix = new Map<string, Entry[]>();
  private readonly prefixCharsMax: number;

  /** Archived functions start no runs: they are left out. */
  constructor(functions: Iterable<FunctionVersion>) {
    let prefixCharsMax = 0;
    let order = 0;
    for (const fn of functions) {
      if (fn.archivedAt !== undefined) continue;
      for (const trigger of fn.config.triggers) {
        if (!('event' in trigger)) continue;
        const entry = new Entry(fn, trigger, order++);
        const prefix = prefixOf(trigger.event);
        if (prefix === undefined) put(this.byName, keyOf(fn.env, trigger.event), entry);
        else put(this.byPrefix, keyOf(fn.env, prefix), entry);
        prefixCharsMax = Math.max(prefixCharsMax, prefix?.length ?? 0);
      }
    }
    this.prefixCharsMax = prefixCharsMax;
  }

  match(event: ArrivedEvent): Matched {
    const matches: TriggerMatch[] = [];
    const misses: TriggerMiss[] = [];
    const vars = new ParsedOnce(event);
    let done: FunctionVersion | undefined;
    for (const entry of this.named(event)) {
      if (entry.fn === done) continue;
      const { fn, trigger } = entry;
      const reason = entry.whyNot(vars, event.at);
      if (reason === undefined) matches.push({ fn: (done = fn), trigger });
      else misses.push({ fn, trigger, reason });
    }
    return { matches, misses };
  }

  /** Triggers by function, and as the function declares them. */
  private named({ env, name }: ArrivedEvent): readonly Entry[] {
    const exact = this.byName.get(keyOf(env, name)) ?? [];
    const wild = prefixesOf(name, this.prefixCharsMax).flatMap((prefix) => this.byPrefix.get(keyOf(env, prefix)) ?? []);
    return wild.length === 0 ? exact : [...exact, ...wild].sort((a, b) => a.order - b.order);
  }
}

class Entry {
  private compiled: Compiled | undefined;

  constructor(
    readonly fn: FunctionVersion,
    readonly trigger: EventTrigger,
    /** Place among all triggers of all functions. */
    readonly order: number,
  ) {}

  /** @returns undefined when the `if` holds, or there is none */
  whyNot(vars: ParsedOnce, at: EpochMs): string | undefined {
    if (this.trigger.expression === undefined) return undefined;
    this.compiled ??= compile(this.trigger.expression, { roots: EVENT_ROOTS, policy: 'any' });
    if (this.compiled.flaw) return this.compiled.flaw.text;
    const { value, error } = evaluateBoolean(this.compiled.expression, vars.get(), at);
    return value ? undefined : (error ?? 'the expression is false');
  }
}

class ParsedOnce {
  private vars: { readonly event: unknown } | undefined;

  constructor(private readonly arrived: ArrivedEvent) {}

  get(): { readonly event: unknown } {
    return (this.vars ??= { event: this.arrived.value });
  }
}

function keyOf(env: Env, name: string): string {
  return `${env}\n${name}`;
}

function put(index: Map<string, Entry[]>, key: string, entry: Entry): void {
  const entries = index.get(key);
  if (entries) entries.push(entry);
  else index.set(key, [entry]);
}
