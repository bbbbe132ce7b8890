import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { Env } from '#core/words.js';

/** What a record has in common with many others, stored once. */
export interface Kind {
  readonly type: string;
  readonly schema: number;
  readonly env: Env;
}

/** The kinds of a log file: number by kind and kind by number. */
export class RecordKinds {
  private readonly byId = new Map<number, Kind>();
  private readonly ids = new Map<string, number>();
  private readonly insert: StatementSync;
  /** Added by the transaction that is open. */
  private fresh: { readonly id: number; readonly name: string }[] = [];
  private last = 0;

  constructor(db: DatabaseSync) {
    this.insert = db.prepare('INSERT INTO kinds (id, type, schema, env) VALUES (?, ?, ?, ?)');
    for (const row of db.prepare('SELECT id, type, schema, env FROM kinds').iterate()) {
      const kind = { type: String(row['type']), schema: Number(row['schema']), env: String(row['env']) };
      this.add(Number(row['id']), kind, nameOf(kind));
    }
  }

  kind(id: number): Kind | undefined {
    return this.byId.get(id);
  }

  /** The number of a kind; within a transaction, which is closed by `keep` or `forget`. */
  id(kind: Kind): number {
    const name = nameOf(kind);
    const known = this.ids.get(name);
    if (known !== undefined) return known;
    const id = this.last + 1;
    this.insert.run(id, kind.type, kind.schema, kind.env);
    this.add(id, { type: kind.type, schema: kind.schema, env: kind.env }, name);
    this.fresh.push({ id, name });
    return id;
  }

  keep(): void {
    if (this.fresh.length > 0) this.fresh = [];
  }

  /** Numbers of a transaction that was rolled back are free again; gaps do no harm. */
  forget(): void {
    for (const { id, name } of this.fresh) {
      this.byId.delete(id);
      this.ids.delete(name);
    }
    this.fresh = [];
  }

  private add(id: number, kind: Kind, name: string): void {
    this.byId.set(id, kind);
    this.ids.set(name, id);
    this.last = Math.max(this.last, id);
  }
}

function nameOf(kind: Kind): string {
  return `${kind.type}\n${kind.schema}\n${kind.env}`;
}
