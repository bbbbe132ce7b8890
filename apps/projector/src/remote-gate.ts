import { Fault } from '#core/faults.js';
import type { Position } from '#core/words.js';
import type { Clock } from '#ports/clock.port.js';
import type { EventLog } from '#ports/event-log.port.js';
import { HISTORY_WANTED, HistoryGate } from '#ports/history-gate.port.js';
import type { History } from '#ports/history.port.js';
import type { Wire } from '#ports/wire.port.js';
import { PROJECTED, type ProjectedTopic } from './gathered.js';
import { Reached } from './reached.js';

export interface RemoteGateOptions {
  /** Who has waited so long is told that History is not available, ms. */
  readonly waitMsMax: number;
}

const DEFAULTS: RemoteGateOptions = { waitMsMax: 5_000 };
const PAUSE_MS = 10;
const PAUSE_MS_MAX = 100;
/** Every so many looks it is made sure that there is something to wait for. */
const LOOKS = 4;

interface Waiting {
  /** Where the log ended when it was asked. */
  readonly ends: readonly (readonly [ProjectedTopic, Position])[];
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/**
 * The gate where the projectors are other processes: looks how far History is until it has what was asked for, and says on the wire that
 * somebody waits. All who wait share the looks.
 */
export class RemoteGate extends HistoryGate {
  private readonly options: RemoteGateOptions;
  private readonly waiting = new Set<Waiting>();
  private looking: Promise<void> | undefined;
  private looks = 0;

  constructor(
    private readonly log: EventLog,
    private readonly history: History,
    /** Absent: projectors come to it by themselves. */
    private readonly wire: Wire | undefined,
    private readonly clock: Clock,
    options: Partial<RemoteGateOptions> = {},
  ) {
    super();
    this.options = { ...DEFAULTS, ...options };
  }

  override async caughtUp(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    let forgetDeadline = (): void => undefined;
    try {
      const waiting: Waiting = { ends: await this.ends(), resolve, reject };
      this.waiting.add(waiting);
      const { waitMsMax } = this.options;
      forgetDeadline = this.clock.at(this.clock.now() + waitMsMax, () => {
        this.waiting.delete(waiting);
        const message = 'History has not caught up with the log yet; try again.';
        reject(new Fault('history_unavailable', { waitMsMax }, { message }));
      });
      this.looks = 0; // Soon again, for this one.
      this.looking ??= this.look().finally(() => (this.looking = undefined));
      await promise;
    } catch (error) {
      throw unavailable(error);
    } finally {
      forgetDeadline();
    }
  }

  private async look(): Promise<void> {
    const reached = new Reached();
    const held = new Reached();
    while (this.waiting.size > 0) {
      try {
        await this.lookOnce(reached, held);
      } catch (error) {
        for (const { reject } of this.waiting) reject(unavailable(error));
        this.waiting.clear();
      }
      if (this.waiting.size === 0) return;
      await this.wire?.say(HISTORY_WANTED, '');
      await this.pause(Math.min(PAUSE_MS_MAX, PAUSE_MS * 2 ** Math.min(this.looks, 10)));
      this.looks++;
    }
  }

  private async lookOnce(reached: Reached, held: Reached): Promise<void> {
    // Those who come meanwhile asked for more than what is read now may have.
    const asked = [...this.waiting];
    const reads = PROJECTED.map(async (topic) => [topic, await this.history.positions(topic)] as const);
    for (const [topic, positions] of await Promise.all(reads)) {
      // It has been emptied, or is an older copy: what was passed may be missing as well.
      if (held.lostBy(topic, positions)) for (const known of [held, reached]) known.clear();
      for (const at of positions) {
        held.set(topic, at);
        if (at.offset > reached.from(topic, at.partition).offset) reached.set(topic, at);
      }
    }
    if (this.looks % LOOKS === LOOKS - 1) await this.passWhereNothingIs(asked, reached);
    for (const one of asked) {
      if (!one.ends.every(([topic, end]) => end.offset <= reached.from(topic, end.partition).offset)) continue;
      this.waiting.delete(one);
      one.resolve();
    }
  }

  /** The log may end in records that nobody can read, or that were let go: no position of History ever comes behind those. */
  private async passWhereNothingIs(asked: readonly Waiting[], reached: Reached): Promise<void> {
    const furthest = { events: new Map<number, Position>(), transitions: new Map<number, Position>() };
    for (const [topic, end] of asked.flatMap(({ ends }) => ends)) {
      const known = furthest[topic].get(end.partition) ?? reached.from(topic, end.partition);
      if (end.offset > known.offset) furthest[topic].set(end.partition, end);
    }
    const look = async (topic: ProjectedTopic, end: Position): Promise<void> => {
      const [next] = await this.log.read(topic, reached.from(topic, end.partition), 1);
      if (!next || next.position.offset >= end.offset) reached.set(topic, end);
    };
    await Promise.all(PROJECTED.flatMap((topic) => [...furthest[topic].values()].map((end) => look(topic, end))));
  }

  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.clock.at(this.clock.now() + ms, resolve));
  }

  private async ends(): Promise<Waiting['ends']> {
    const all = await Promise.all(PROJECTED.map(async (topic) => [topic, await this.log.ends(topic)] as const));
    return all.flatMap(([topic, ends]) => ends.map((end) => [topic, end] as const));
  }
}

function unavailable(error: unknown): Fault {
  if (error instanceof Fault && error.code === 'history_unavailable') return error;
  return new Fault('history_unavailable', {}, { cause: error });
}
