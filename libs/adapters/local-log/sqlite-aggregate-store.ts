import type { StatementSync } from 'node:sqlite';
import { setImmediate as turn } from 'node:timers/promises';
import type { EpochMs, Position } from '#core/words.js';
import { AggregateStore, type AggregateWrite, type Shelf, type StoredAggregate } from '#ports/aggregate-store.port.js';
import { ReaderPositions, type StateFile } from './state.file.js';

/** Aggregates that `active` takes from the file at once. */
const PAGE = 500;

interface ActiveRow {
  readonly id: string;
  readonly state: string;
}

/**
 * Folded state in SQLite. `active` is no snapshot: it gives every aggregate that is active from its beginning to its end, in the state
 * that it has when it is reached.
 */
export class SqliteAggregateStore extends AggregateStore {
  private readonly positions: ReaderPositions;
  private readonly findActive: StatementSync;
  private readonly findTombstone: StatementSync;
  private readonly page: StatementSync;
  private readonly countActive: StatementSync;
  private readonly update: StatementSync;
  private readonly insert: StatementSync;
  private readonly remove: StatementSync;
  private readonly bury: StatementSync;
  private readonly unbury: StatementSync;
  private readonly addSpace: StatementSync;
  private readonly spaces = new Map<string, number>();
  /** How many are active, by space, where it has been asked for. */
  private readonly counts = new Map<string, number>();
  private readonly leave: () => Promise<void>;

  constructor(private readonly file: StateFile) {
    super();
    const { db } = file;
    this.positions = new ReaderPositions(db, 'aggregates');
    this.findActive = db.prepare('SELECT state FROM aggregates WHERE space = ? AND id = ?');
    this.findTombstone = db.prepare('SELECT 1 FROM tombstones WHERE space = ? AND id = ?');
    this.page = db.prepare('SELECT id, state FROM aggregates WHERE space = ? AND id > ? ORDER BY id LIMIT ?');
    this.countActive = db.prepare('SELECT count(*) AS n FROM aggregates WHERE space = ?');
    this.update = db.prepare('UPDATE aggregates SET state = ? WHERE space = ? AND id = ?');
    this.insert = db.prepare('INSERT INTO aggregates (space, id, state) VALUES (?, ?, ?)');
    this.remove = db.prepare('DELETE FROM aggregates WHERE space = ? AND id = ?');
    this.bury = db.prepare('INSERT OR REPLACE INTO tombstones (space, id, at) VALUES (?, ?, ?)');
    this.unbury = db.prepare('DELETE FROM tombstones WHERE space = ? AND id = ?');
    this.addSpace = db.prepare('INSERT INTO spaces (name) VALUES (?) RETURNING id');
    for (const row of db.prepare('SELECT id, name FROM spaces').iterate()) {
      this.spaces.set(String(row['name']), Number(row['id']));
    }
    this.leave = file.join();
  }

  override load(shelf: Shelf, id: string): Promise<StoredAggregate | undefined> {
    return this.file.read(() => {
      const spaceId = this.spaces.get(nameOf(shelf));
      if (spaceId === undefined) return undefined;
      const row = this.findActive.get(spaceId, id);
      if (row) return { id, state: String(row['state']) };
      return this.findTombstone.get(spaceId, id) && { id, state: null };
    });
  }

  override async *active(shelf: Shelf): AsyncIterable<StoredAggregate> {
    const spaceId = this.spaces.get(nameOf(shelf));
    if (spaceId === undefined) return;
    for (let last = ''; ; await turn()) {
      const rows = await this.file.read(() => this.page.all(spaceId, last, PAGE) as unknown as readonly ActiveRow[]);
      for (const { id, state } of rows) yield { id, state };
      const end = rows.at(-1);
      if (!end || rows.length < PAGE) return;
      last = end.id;
    }
  }

  override count(shelf: Shelf): Promise<number> {
    return this.file.read(() => {
      const space = nameOf(shelf);
      const spaceId = this.spaces.get(space);
      if (spaceId === undefined) return 0;
      const count = this.counts.get(space) ?? Number(this.countActive.get(spaceId)?.['n']);
      this.counts.set(space, count);
      return count;
    });
  }

  override async commit(
    reader: string,
    next: Position,
    writes: Readonly<Record<string, readonly AggregateWrite[]>>,
    at: EpochMs,
  ): Promise<void> {
    const fresh = new Map<string, number>();
    const changes = new Map<string, number>();
    await this.file.write(
      () => {
        this.positions.advance(reader, next);
        for (const [kind, states] of Object.entries(writes)) {
          if (states.length === 0) continue;
          const space = nameOf({ space: kind, partition: next.partition });
          const spaceId = this.spaces.get(space) ?? this.makeSpace(space, fresh);
          let change = 0;
          for (const write of states) change += this.put(spaceId, write, at);
          changes.set(space, change);
        }
      },
      () => {
        for (const [space, id] of fresh) this.spaces.set(space, id);
        for (const [space, change] of changes) {
          const count = this.counts.get(space);
          if (count !== undefined) this.counts.set(space, count + change);
        }
      },
    );
  }

  /** @returns by how much the number of active ones changes */
  private put(space: number, { id, state }: AggregateWrite, at: EpochMs): number {
    if (state === null) {
      const { changes } = this.remove.run(space, id);
      this.bury.run(space, id, at);
      return -Number(changes);
    }
    if (this.update.run(state, space, id).changes > 0) return 0;
    this.insert.run(space, id, state);
    this.unbury.run(space, id);
    return 1;
  }

  private makeSpace(name: string, fresh: Map<string, number>): number {
    const id = Number(this.addSpace.get(name)?.['id']);
    fresh.set(name, id);
    return id;
  }

  override position(reader: string, partition: number): Promise<Position | undefined> {
    return this.file.read(() => this.positions.get(reader, partition));
  }

  /** Of all partitions: what is old is old in each. */
  override prune(_partition: number, before: EpochMs): Promise<number> {
    return this.file.prune('tombstones', 'space, id', before);
  }

  override close(): Promise<void> {
    return this.leave();
  }
}

/** Spaces of partitions are kept apart; those of the first have the plain name, which files of one partition have always had. */
function nameOf({ space, partition }: Shelf): string {
  return partition === 0 ? space : `${space}@${partition}`;
}
