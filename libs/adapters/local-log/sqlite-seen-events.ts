import type { StatementSync } from 'node:sqlite';
import type { Env, EpochMs, Position } from '#core/words.js';
import { type SeenEvent, SeenEvents } from '#ports/seen-events.port.js';
import { ReaderPositions, type StateFile } from './state.file.js';

const READER = 'seen';

/** Seen event ids in SQLite. */
export class SqliteSeenEvents extends SeenEvents {
  private readonly positions: ReaderPositions;
  private readonly find: StatementSync;
  private readonly insert: StatementSync;
  private readonly addScope: StatementSync;
  /** Environment and function, by number. */
  private readonly scopes = new Map<string, number>();
  private readonly leave: () => Promise<void>;

  constructor(private readonly file: StateFile) {
    super();
    const { db } = file;
    this.positions = new ReaderPositions(db, 'seen');
    this.find = db.prepare('SELECT internal_id, partition, offset, at FROM seen WHERE scope = ? AND event_id = ?');
    this.insert = db.prepare(
      'INSERT OR IGNORE INTO seen (scope, event_id, internal_id, partition, offset, at) VALUES (?, ?, ?, ?, ?, ?)',
    );
    this.addScope = db.prepare('INSERT INTO scopes (env, function_id) VALUES (?, ?) RETURNING id');
    for (const row of db.prepare('SELECT id, env, function_id FROM scopes').iterate()) {
      this.scopes.set(scopeOf(String(row['env']), String(row['function_id'])), Number(row['id']));
    }
    this.leave = file.join();
  }

  override first(
    _partition: number,
    env: Env,
    functionId: string,
    eventId: string,
  ): Promise<(SeenEvent & { at: EpochMs }) | undefined> {
    return this.file.read(() => {
      const scope = this.scopes.get(scopeOf(env, functionId));
      const row = scope === undefined ? undefined : this.find.get(scope, keyOf(eventId));
      if (!row) return undefined;
      const position = { partition: Number(row['partition']), offset: Number(row['offset']) };
      const internalId = row['internal_id'] === null ? eventId : String(row['internal_id']);
      return { env, functionId, eventId, internalId, position, at: Number(row['at']) };
    });
  }

  override async commit(entries: readonly SeenEvent[], next: Position, at: EpochMs): Promise<void> {
    const fresh = new Map<string, number>();
    await this.file.write(
      () => {
        this.positions.advance(READER, next);
        for (const { env, functionId, eventId, internalId, position } of entries) {
          const name = scopeOf(env, functionId);
          const scope = this.scopes.get(name) ?? fresh.get(name) ?? Number(this.addScope.get(env, functionId)?.['id']);
          if (!this.scopes.has(name)) fresh.set(name, scope);
          const internal = internalId === eventId ? null : internalId;
          this.insert.run(scope, keyOf(eventId), internal, position.partition, position.offset, at);
        }
      },
      () => {
        for (const [name, id] of fresh) this.scopes.set(name, id);
      },
    );
  }

  override position(partition: number): Promise<Position | undefined> {
    return this.file.read(() => this.positions.get(READER, partition));
  }

  override prune(_partition: number, before: EpochMs): Promise<number> {
    return this.file.prune('seen', 'scope, event_id', before);
  }

  override close(): Promise<void> {
    return this.leave();
  }
}

function scopeOf(env: Env, functionId: string): string {
  return `${env}\n${functionId}`;
}

/** UTF-8 has no form for a lone surrogate: two ids that differ in one must not become the same. */
function keyOf(eventId: string): string {
  return eventId.isWellFormed() && !eventId.startsWith('\0') ? eventId : `\0${JSON.stringify(eventId)}`;
}
