import type { Origins } from '#core/origin.js';
import type { Position } from '#core/words.js';
import type { EventLog } from '#ports/event-log.port.js';
import type { Aggregate } from '../desk/room.js';
import { isOver, ORIGINS, roomOf, rule } from '../desk/rules.js';
import { readSnapshots } from '../recovery/snapshots.js';

const PAGE = 1_000;

/** An aggregate by its space and id. */
export interface Folded {
  readonly space: string;
  readonly id: string;
  readonly state: Aggregate;
}

/** What the log alone says of a partition: from its newest snapshots on, folded as a desk does, without any effect. */
export class PartitionFold {
  private readonly states = new Map<string, Folded>();
  private origins: Origins = {};

  private constructor(
    private readonly log: EventLog,
    /** The first command that has not been folded. */
    public next: Position,
  ) {}

  static async open(log: EventLog, partition: number): Promise<PartitionFold> {
    const { mark, bodies, from } = await readSnapshots(log, partition);
    const fold = new PartitionFold(log, from ?? { partition, offset: 0 });
    if (!mark) return fold;
    for (const { space, id, state } of bodies) {
      if (space === ORIGINS) fold.origins = JSON.parse(state) as Origins;
      else fold.states.set(`${space}/${id}`, { space, id, state: JSON.parse(state) as Aggregate });
    }
    return fold;
  }

  /** @param changed called for each aggregate that changes; undefined: it is over */
  async to(
    offset: number,
    changed: (key: string, state: Aggregate | undefined) => void = () => undefined,
  ): Promise<void> {
    while (this.next.offset < offset) {
      const page = await this.log.read('commands', this.next, PAGE);
      const last = page.at(-1);
      if (!last) return;
      for (const record of page) {
        if (record.position.offset >= offset) break;
        const room = roomOf(record.type);
        const key = `${room?.space}/${record.key}`;
        try {
          const { decision, origins } = rule(room, this.states.get(key)?.state, this.origins, record);
          this.origins = origins;
          if (!room || decision.transitions.length === 0) continue;
          const { next } = decision;
          if (next === undefined || isOver(room, next)) this.states.delete(key);
          else this.states.set(key, { space: room.space, id: record.key, state: next });
          changed(key, this.states.get(key)?.state);
        } catch {
          continue; // A desk sets it aside, and nothing comes of it.
        }
      }
      this.next = { ...last.position, offset: Math.min(offset, last.position.offset + 1) };
    }
  }

  /** Those that have not ended, by space and id. */
  get active(): ReadonlyMap<string, Folded> {
    return this.states;
  }
}
