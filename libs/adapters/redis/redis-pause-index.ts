import { createHash, randomUUID } from 'node:crypto';
import { setTimeout as rest } from 'node:timers/promises';
import { offered, type Demand } from '#core/expression/expression.bind.js';
import { compile, MATCH_ROOTS } from '#core/expression/expression.compile.js';
import { evaluateBoolean } from '#core/expression/expression.evaluate.js';
import { Fault } from '#core/faults.js';
import { planPause, type Arrived } from '#core/match/pause.plan.js';
import { PauseIndex, type Candidate, type Pause } from '#ports/pause-index.port.js';
import { isOpenTo, ParsedOnce, Triggers } from '#ports/pauses.js';
import { ADD, CLEAR, INTACT, MATCH, REMOVE, RESTORED, SIZE, SWEEP } from './pause.scripts.js';
import type { RedisConnection } from './redis-connection.js';
import type { RedisScript, ScriptArgument, ScriptReply } from './redis.script.js';

/** Of one event name so many fields are told apart; pauses that demand something of yet another are candidates of every such event. */
const PATHS_MAX = 32;
/** What one script takes in or gives out: what a server does in a few milliseconds. */
const PAUSES_AT_ONCE = 200;
const CANDIDATES_AT_ONCE = 100;
const IDS_AT_ONCE = 200;
const CHARS_AT_ONCE = 1_048_576;
const SHELVES_AT_ONCE = 500;
/** Event names whose fields are remembered. */
const SHELVES_KNOWN_MAX = 10_000;
/** A longer value is told by its digest. */
const VALUE_CHARS_MAX = 64;

export interface RedisPauseIndexOptions {
  /** How long a match waits for what is not restored before it is refused, ms. */
  readonly patienceMs?: number;
  /** How long it waits until it asks again, ms. */
  readonly askAgainMs?: number;
}

/**
 * Pauses in Redis, in one hash tag. All that is written belongs to an era, which ends with the server's life, with everything that is lost at
 * once, and with `clear`: a new one begins empty, and nothing is matched in it until every partition has been restored.
 */
export class RedisPauseIndex extends PauseIndex {
  private readonly base: string;
  private readonly patienceMs: number;
  private readonly askAgainMs: number;
  /** By shelf the fields that its pauses demand something of, as far as they were told lately. */
  private readonly known = new Map<string, string>();
  /** By partition the era in which its restoring began. */
  private readonly began = new Map<number, string>();

  /** @param partitions how many there are. The connection stays open. */
  constructor(
    private readonly connection: RedisConnection,
    private readonly partitions: number,
    { patienceMs = 5_000, askAgainMs = 50 }: RedisPauseIndexOptions = {},
  ) {
    super();
    this.base = `{${connection.prefix}queue}pauses:`;
    this.patienceMs = patienceMs;
    this.askAgainMs = askAgainMs;
  }

  override async add(pauses: readonly Pause[]): Promise<void> {
    const triggers = new Triggers();
    const entries = pauses.map((pause) => entryOf(pause, triggers));
    for (const page of pagesOf(entries)) await this.ask(ADD, [PATHS_MAX, ...page.flat()]);
  }

  override async remove(ids: readonly string[]): Promise<void> {
    for (let i = 0; i < ids.length; i += IDS_AT_ONCE) await this.ask(REMOVE, ids.slice(i, i + IDS_AT_ONCE));
  }

  override async match(candidates: readonly Candidate[]): Promise<readonly (readonly Pause[])[]> {
    const resolved: (readonly Pause[])[] = [];
    for (let i = 0; i < candidates.length; i += CANDIDATES_AT_ONCE) {
      resolved.push(...(await this.matchSome(candidates.slice(i, i + CANDIDATES_AT_ONCE))));
    }
    return resolved;
  }

  override async size(): Promise<number> {
    return Number(await this.ask(SIZE, []));
  }

  override async intact(partition: number): Promise<boolean> {
    const [era, restored] = (await this.ask(INTACT, [partition])) as readonly ScriptReply[];
    if (restored === 1) this.began.delete(partition);
    // What was added in an earlier era is not in this one: who has begun in that one has to begin again, however often it asks.
    else if (!this.began.has(partition)) this.began.set(partition, String(era));
    return restored === 1;
  }

  override async restored(partition: number): Promise<void> {
    const began = this.began.get(partition) ?? '';
    const isTaken = (await this.ask(RESTORED, [partition, began])) === 1;
    this.began.delete(partition);
    if (!isTaken) throw new Fault('state_lost', { partition });
    while ((await SWEEP.run(this.connection, () => ({ keys: [this.base], args: [SHELVES_AT_ONCE] }))) === 1);
  }

  override async clear(): Promise<void> {
    await this.ask(CLEAR, []);
  }

  /** Candidates of one script, which answers in pages where a great many pauses stand for them. */
  private async matchSome(candidates: readonly Candidate[]): Promise<readonly (readonly Pause[])[]> {
    const patientUntil = performance.now() + this.patienceMs;
    const arrived = candidates.map((candidate) => new Arrival(candidate));
    for (;;) {
      const shelves = [...new Set(arrived.map(({ shelf }) => shelf))];
      const told = shelves.flatMap((shelf) => [shelf, this.known.get(shelf) ?? '']);
      const asks = arrived.flatMap((one) => asksOf(one, shelves.indexOf(one.shelf), this.known.get(one.shelf) ?? ''));
      const what = await this.gather(shelves, told, asks);
      if (what === 'found') return arrived.map(({ resolved }) => resolved);
      if (what === 'wait') {
        if (performance.now() >= patientUntil) {
          throw new Fault('state_unavailable', { reason: 'not all pauses have been put in again' });
        }
        await rest(this.askAgainMs);
      }
      for (const one of arrived) one.resolved.length = 0;
    }
  }

  /** Asks page by page. @returns what kept it from an answer, or `found` */
  private async gather(
    shelves: readonly string[],
    told: readonly string[],
    asks: readonly Ask[],
  ): Promise<'found' | 'wait' | 'again'> {
    let [begin, from, after] = ['', 0, ''];
    for (;;) {
      const wanted = asks.slice(from).flatMap((ask, i) => [ask.shelf, ask.beginning, i === 0 ? after : '']);
      const limits = [PAUSES_AT_ONCE, CHARS_AT_ONCE];
      const args = [this.partitions, begin, ...limits, shelves.length, ...told, ...wanted];
      const [what, ...reply] = (await this.ask(MATCH, args)) as readonly ScriptReply[];
      if (what === 'paths') {
        for (let i = 0; i < reply.length; i += 2) this.learn(shelves[Number(reply[i])] ?? '', String(reply[i + 1]));
      }
      if (what !== 'found') return what === 'wait' ? 'wait' : 'again';
      const [era, goOn, last, ...entries] = reply;
      for (let i = 0; i < entries.length; i += 2) asks[from + Number(entries[i])]?.consider(String(entries[i + 1]));
      if (Number(goOn) < 0) return 'found';
      [begin, from, after] = [String(era), from + Number(goOn), String(last)];
    }
  }

  private learn(shelf: string, paths: string): void {
    this.known.delete(shelf);
    this.known.set(shelf, paths);
    if (this.known.size <= SHELVES_KNOWN_MAX) return;
    for (const oldest of this.known.keys()) {
      this.known.delete(oldest);
      return;
    }
  }

  private ask(script: RedisScript, args: readonly ScriptArgument[]): Promise<ScriptReply> {
    const era = randomUUID();
    return script.run(this.connection, ({ instance }) => ({ keys: [this.base], args: [instance, era, ...args] }));
  }
}

/** A candidate and what it is found to resolve. */
class Arrival {
  readonly shelf: string;
  readonly parsed: Arrived;
  readonly resolved: Pause[] = [];

  constructor(readonly candidate: Candidate) {
    this.shelf = shelfOf(candidate.env, candidate.name);
    this.parsed = new ParsedOnce(candidate);
  }
}

/** The pauses of one place: those that demand one value of one field, or those that demand none. */
interface Ask {
  readonly shelf: number;
  readonly beginning: string;
  readonly consider: (body: string) => void;
}

function asksOf(arrival: Arrival, shelf: number, paths: string): readonly Ask[] {
  const { candidate, parsed, resolved } = arrival;
  const consider = (body: string, demandIsMet: boolean): void => {
    const pause = JSON.parse(body.slice(1)) as Pause;
    if (!isOpenTo(pause, candidate)) return;
    if ((demandIsMet && body.startsWith(WHOLE)) || holdsFor(pause, parsed)) resolved.push(pause);
  };
  const asks: Ask[] = [{ shelf, beginning: '\n\n', consider: (body) => consider(body, false) }];
  for (const path of paths === '' ? [] : paths.split('\n')) {
    const value = offered(parsed.value, JSON.parse(path) as string[]);
    if (value === undefined) continue;
    asks.push({ shelf, beginning: `${path}\n${valueText(value)}\n`, consider: (body) => consider(body, true) });
  }
  return asks;
}

const WHOLE = '!';

/** The whole expression, for a pause is hardly ever looked at twice: to bind its trigger first would cost more. */
function holdsFor(pause: Pause, arrived: Arrived): boolean {
  if (pause.expression === undefined) return true;
  const { expression } = compile(pause.expression, { roots: MATCH_ROOTS, policy: 'any' });
  if (!expression) return false;
  const event = new Triggers().of(pause);
  return evaluateBoolean(expression, { event, async: arrived.value }, arrived.at).value === true;
}

/** A pause as `ADD` takes it. */
type Entry = readonly ScriptArgument[];

function entryOf(pause: Pause, triggers: Triggers): Entry {
  const plan = planPause(pause.expression, () => triggers.of(pause));
  if (!plan) return [pause.id, '', '', 0];
  const { demands } = plan;
  const body = `${demands.some(({ whole }) => whole) ? WHOLE : '?'}${JSON.stringify(pause)}`;
  const places = demands.flatMap(({ path, value }) => [JSON.stringify(path), valueText(value)]);
  return [pause.id, shelfOf(pause.env, pause.event), body, demands.length, ...places];
}

function pagesOf(entries: readonly Entry[]): readonly (readonly Entry[])[] {
  const pages: Entry[][] = [];
  let chars = Infinity;
  for (const entry of entries) {
    const page = pages.at(-1);
    const size = String(entry[2]).length;
    if (page && page.length < PAUSES_AT_ONCE && chars + size <= CHARS_AT_ONCE) {
      page.push(entry);
      chars += size;
    } else {
      pages.push([entry]);
      chars = size;
    }
  }
  return pages;
}

function shelfOf(env: string, event: string): string {
  return JSON.stringify([env, event]);
}

/** Numbers that are equal have one text: there is one kind of number in JSON, and no text for -0 but 0. */
function valueText(value: Demand['value']): string {
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value);
  return text.length <= VALUE_CHARS_MAX ? text : createHash('sha256').update(text).digest('base64');
}
