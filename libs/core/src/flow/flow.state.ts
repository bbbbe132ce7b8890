import type { EpochMs } from '../words.js';
import type { FlowKey, FunctionLimits, RunFlow, Waited } from './flow.js';
import { Heap, type Slotted } from '../heap.js';
import { DEFAULT_LIMITS } from './flow.numbers.js';
import type { WorkItem } from './flow.work.js';

/**
 * What the queue knows. Everything is kept where it will be looked for, so that no operation has to search:
 *
 *     turns     functions that may go ─ able: groups that may go ─ lanes that may go ─ entries
 *     buckets   bucket ─ waiting ─ groups before it
 *     openings  throttle ─ lanes before it
 *     agenda    functions ─ later: entries not due yet · leases: entries under way
 *
 * A line is the items of one function with the same keys. Those of them that must pass the same buckets with the same numbers are a lane: a
 * line has one for first requests and one for all others. The lanes of a function behind the same buckets are a group, which waits as one.
 *
 * Always true between two operations:
 *  - An entry is in one heap: `later` or `leases` of its function, or `entries` of its lane.
 *  - A group with lanes is either in `able` of its function or waits before one of its buckets; a lane with entries is either in its group
 *    or waits before its throttle. Which of both says what was seen when it last came up: a bucket may have filled or freed since.
 *  - A function is in `turns` exactly if it has able groups, is not paused, and its own bucket has room.
 *  - Where groups wait and there is room for them, one of them is their scout: it was let out and will come up. Once it has found another
 *    way blocked, has become empty, or would come up after one that waits, the next is let out. So no room is forgotten, and a slot wakes
 *    one, not all. The same for lanes before a throttle; there, whoever stands in a group that waits itself is no scout.
 *  - A turn is given anew at each hand-out and is then the highest; whoever waits keeps his. So between two hand-outs of one line each other
 *    line that could go comes up.
 *
 * What it costs: O(log n), and one step more for each group that is found blocked when it comes up. It is let out again only when room is
 * found for it. Where two keys of many values each are exhausted together, a slot may so cost as many steps as it has groups.
 */
export class FlowState {
  readonly entries = new Map<string, Entry>();
  /** One of the entries of each run. */
  readonly byRun = new Map<string, Entry>();
  readonly byToken = new Map<string, Entry>();
  readonly fns = new Map<string, Fn>();
  readonly buckets = new Map<string, Bucket>();
  readonly throttles = new Map<string, Throttle>();
  /** Where runs hold their slots. */
  readonly slots = new Map<string, Bucket>();

  readonly turns = new Heap<Fn>((a, b) => a.turn < b.turn);
  readonly openings = new Heap<Throttle>((a, b) => a.at < b.at || (a.at === b.at && a.key < b.key));
  readonly agenda = new Heap<Agenda>((a, b) => a.at < b.at || (a.at === b.at && a.fn.id < b.fn.id));

  order = 0;
  turn = 0;
  /** Counts what happens, where time is too coarse. */
  tick = 0;
}

/** An item, from when it is put out until it is complete or withdrawn. */
export class Entry implements Slotted {
  slot = -1;
  /** Its line, once it is due. */
  line: Line | undefined = undefined;
  /** Set while it waits in its line. */
  lane: Lane | undefined = undefined;
  /** Set while it is under way. */
  hold: Hold | undefined = undefined;
  /** Since when it is out and due, and the tick of that. */
  since: EpochMs = 0;
  tick = 0;
  /** Others of its run. */
  next: Entry | undefined = undefined;
  previous: Entry | undefined = undefined;

  constructor(
    readonly item: WorkItem,
    readonly fn: Fn,
    /** Arrival. */
    readonly order: number,
  ) {}
}

/** Being under way, and where that counts. */
export interface Hold {
  /** Undefined: whoever had it is lost. */
  readonly token: string | undefined;
  until: EpochMs;
  readonly buckets: readonly Bucket[];
  /** Where it stands in for its run, until that is known to hold a slot. */
  runBucket: Bucket | undefined;
  /** No longer owed: it does not come back. */
  withdrawn: boolean;
}

export class Line {
  turn = 0;
  lanes: Lane[] = [];
  ready = 0;
  running = 0;

  constructor(
    readonly fn: Fn,
    readonly name: string,
    readonly flow: RunFlow | undefined,
  ) {}
}

export class Lane implements Slotted {
  slot = -1;
  /** That of its line when it took its place. */
  turn = 0;
  readonly entries = new Heap<Entry>(entryBefore);
  /** It stands before its throttle, not in its group. */
  waits = false;
  stop: Stop | undefined = undefined;

  constructor(
    readonly line: Line,
    readonly group: Group,
    /** Of first requests, where their runs have such a key. */
    readonly throttle: Throttle | undefined,
  ) {}
}

export class Group implements Slotted {
  slot = -1;
  /** The lowest of its lanes when it took its place. */
  turn = 0;
  /** Those that do not stand before a throttle. */
  readonly lanes = new Heap(laneBefore);
  /** Of all its lanes. */
  laneCount = 0;
  waiting: Waiting | undefined = undefined;
  scoutOf: Waiting | undefined = undefined;
  /** Those of its lanes that are scouts of their throttles. */
  scouts: Set<Lane> | undefined = undefined;
  stop: Stop | undefined = undefined;

  constructor(
    readonly fn: Fn,
    readonly name: string,
    readonly gates: readonly Gate[],
  ) {}
}

/** A bucket, with the key by which a function finds its number for it. */
export interface Gate {
  readonly kind: 'step' | 'run';
  readonly key: FlowKey;
  readonly bucket: Bucket;
}

/** Counts requests in progress, or whole runs. Functions may share it, each with a number of its own. There may be as many as items. */
export class Bucket {
  /** By function and the number that the key carries. */
  waiting: Map<string, Waiting> | undefined = undefined;
  /** How many groups and functions refer to it. */
  users = 0;
  /** Items under way, with their runs. */
  private items: Map<string, string> | undefined = undefined;
  /** Runs that hold a slot. */
  private runs: Set<string> | undefined = undefined;

  constructor(readonly key: string) {}

  get inUse(): number {
    return (this.items?.size ?? 0) + (this.runs?.size ?? 0);
  }

  take({ id, runId }: WorkItem): void {
    (this.items ??= new Map()).set(id, runId);
  }

  giveBack({ id }: WorkItem): void {
    this.items?.delete(id);
  }

  occupy(runId: string): void {
    (this.runs ??= new Set()).add(runId);
  }

  vacate(runId: string): void {
    this.runs?.delete(runId);
  }

  /** Runs that are counted, each once. */
  holders(max: number): string[] {
    const holders = new Set<string>();
    for (const runs of [this.items?.values() ?? [], this.runs ?? []]) {
      for (const runId of runs) {
        if (holders.size === max) break;
        holders.add(runId);
      }
    }
    return [...holders];
  }
}

/** The groups of one function, with one number, that wait before a bucket. */
export class Waiting {
  readonly groups = new Heap<Group>(groupBefore);
  scout: Group | undefined = undefined;

  constructor(
    readonly fn: Fn,
    readonly name: string,
    readonly gate: Gate,
  ) {}
}

export class Throttle implements Slotted {
  slot = -1;
  /** Undefined: whatever came through is long ago. */
  tat: number | undefined = undefined;
  /** Those that wait before it. */
  readonly lanes = new Heap(laneBefore);
  scout: Lane | undefined = undefined;
  /** How many lanes refer to it, and of which function: once it has had one. */
  users = 0;
  fn: Fn | undefined = undefined;
  /** When it opens for who waits, or can be forgotten. */
  at = 0;

  constructor(readonly key: string) {}
}

export class Fn implements Slotted {
  slot = -1;
  turn = 0;
  limits: FunctionLimits = DEFAULT_LIMITS;
  readonly lines = new Map<string, Line>();
  readonly groups = new Map<string, Group>();
  readonly able = new Heap<Group>(groupBefore);
  readonly later = new Heap<Entry>(dueBefore);
  readonly leases = new Heap<Entry>(endsBefore);
  readonly agenda: Agenda = { slot: -1, at: 0, fn: this };
  /** Before what its groups and lanes wait: asked again when its numbers change. */
  readonly waiting = new Set<Waiting>();
  readonly throttles = new Set<Throttle>();
  /** What holds all of it, or held it last. */
  stop: Stop | undefined = undefined;
  ready = 0;

  constructor(
    readonly id: string,
    /** Counts all of its requests in progress. */
    readonly own: Bucket,
  ) {}
}

/** A function with the time at which something happens to it next. */
interface Agenda extends Slotted {
  readonly fn: Fn;
  at: EpochMs;
}

/** What held someone: with the numbers of when it began, and the tick at which it was over. */
export interface Stop {
  readonly by: Omit<Waited, 'ms'>;
  readonly ended?: number;
}

/** The lowest rank first, then arrival. */
export function entryBefore(a: Entry, b: Entry): boolean {
  return a.item.rank < b.item.rank || (a.item.rank === b.item.rank && a.order < b.order);
}

/** Two lanes of one line have the same turn. */
function laneBefore(a: Lane, b: Lane): boolean {
  return a.turn < b.turn || (a.turn === b.turn && a.group.name < b.group.name);
}

/** Two groups may have lanes of one line. */
function groupBefore(a: Group, b: Group): boolean {
  return a.turn < b.turn || (a.turn === b.turn && a.name < b.name);
}

function dueBefore(a: Entry, b: Entry): boolean {
  return a.item.dueAt < b.item.dueAt || (a.item.dueAt === b.item.dueAt && a.order < b.order);
}

function endsBefore(a: Entry, b: Entry): boolean {
  const [one, other] = [a.hold?.until ?? 0, b.hold?.until ?? 0];
  return one < other || (one === other && a.order < b.order);
}
