import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { EpochMs } from '#core/words.js';
import type { PlacedRecord, Topic } from '#ports/event-log.port.js';
import { LOG_SCHEMA, STRETCH, TOPIC_TABLES, type TopicTable } from './log.schema.js';
import { bytesOf, decode, type EncodedRecord, type StoredRow } from './record.codec.js';
import { type Kind, RecordKinds } from './record.kinds.js';
import { messageOf, openSqliteFile, transaction } from './sqlite-file.js';

/** A stored record that could not be decoded. */
export interface UnreadableRecord {
  readonly topic: Topic;
  readonly offset: number;
  readonly key: string;
  readonly kind: Kind | undefined;
  readonly at: EpochMs;
  readonly bytes: Uint8Array;
  readonly reason: string;
}

export interface Page {
  readonly records: readonly PlacedRecord[];
  readonly unreadable: readonly UnreadableRecord[];
  /** Where the next page begins: at `end` when this was the last. */
  readonly next: number;
}

/** A page ends early when its bodies are larger than this together; it is read in slices of so many records. */
const PAGE_BYTES_MAX = 4 * 1024 * 1024;
const PAGE_SLICE = 32;
/** Of the database. */
const PAGE_BYTES = 4_096;
/** Records that one transaction of `trim` deletes. */
const TRIM_SLICE = 2_000;

/** One topic's table, and what it must know to append. */
class TopicFile {
  readonly insert: StatementSync;
  readonly select: StatementSync;
  readonly forgetOlder: StatementSync | undefined;
  /** The offset of the next record. */
  next: number;
  /** The latest time of the stretch that is being filled. */
  latest: number;

  constructor(
    private readonly db: DatabaseSync,
    readonly name: Topic,
    readonly spec: TopicTable,
  ) {
    const { id, table, compacted } = spec;
    this.insert = db.prepare(`INSERT INTO ${table} (offset, kind, at, key, body, trace) VALUES (?, ?, ?, ?, ?, ?)`);
    this.select = db.prepare(
      `SELECT offset, kind, at, key, body, trace FROM ${table} WHERE offset >= ? AND offset < ? ORDER BY offset LIMIT ?`,
      { returnArrays: true },
    );
    this.forgetOlder = compacted ? db.prepare(`DELETE FROM ${table} WHERE key = ? AND offset < ?`) : undefined;
    const kept = number(db, `SELECT max(offset) + 1 AS n FROM ${table}`) ?? 0;
    this.next = Math.max(kept, number(db, `SELECT next AS n FROM ends WHERE topic = ${id}`) ?? 0);
    const from = Math.max(0, this.next - 1 - ((this.next - 1) % STRETCH));
    this.latest = number(db, `SELECT max(at) AS n FROM ${table} WHERE offset >= ${from}`) ?? Number.MIN_SAFE_INTEGER;
  }

  bytes(offset: number): Uint8Array {
    const row = this.db
      .prepare(`SELECT CAST(body AS BLOB) AS bytes FROM ${this.spec.table} WHERE offset = ?`)
      .get(offset);
    return row?.['bytes'] instanceof Uint8Array ? row['bytes'] : new Uint8Array();
  }
}

/** The file of a local log: what is on it, without a word about when it is durable. Every method is one or more whole transactions. */
export class LogFile {
  private readonly topics: ReadonlyMap<string, TopicFile>;
  private readonly kinds: RecordKinds;
  private readonly addStretch: StatementSync;
  /** Records of compacted topics of the last write, by topic and key: what stands before them can go once they are durable. */
  private superseding = new Map<TopicFile, Map<string, number>>();

  private constructor(readonly db: DatabaseSync) {
    this.topics = new Map(
      Object.entries(TOPIC_TABLES).map(([name, spec]) => [name, new TopicFile(db, name as Topic, spec)]),
    );
    this.kinds = new RecordKinds(db);
    this.addStretch = db.prepare('INSERT OR REPLACE INTO times (topic, stretch, latest) VALUES (?, ?, ?)');
  }

  /** @throws data_dir_newer, data_dir_unusable */
  static open(path: string, bytesMax = Infinity): LogFile {
    const db = openSqliteFile(path, LOG_SCHEMA);
    if (bytesMax !== Infinity) db.exec(`PRAGMA max_page_count = ${Math.floor(bytesMax / PAGE_BYTES)}`);
    return new LogFile(db);
  }

  close(): void {
    this.db.close();
  }

  /** The offset that the next record of a topic gets. */
  next(topic: Topic): number {
    return this.topic(topic).next;
  }

  /**
   * Writes records as one transaction. The caller has made durable what it wrote before.
   * @returns their offsets
   * @throws Error of SQLite; nothing is written then
   */
  write(entries: readonly EncodedRecord[]): readonly number[] {
    const before = [...this.topics.values()].map((topic) => ({ topic, next: topic.next, latest: topic.latest }));
    try {
      const offsets = transaction(this.db, () => {
        this.compact();
        return entries.map((entry) => this.insert(entry));
      });
      this.kinds.keep();
      this.superseding = this.supersedingOf(entries, offsets);
      return offsets;
    } catch (error) {
      for (const { topic, next, latest } of before) Object.assign(topic, { next, latest });
      this.kinds.forget();
      throw error;
    }
  }

  private insert({ record, body }: EncodedRecord): number {
    const topic = this.topic(record.topic);
    const offset = topic.next++;
    if (offset % STRETCH === 0) {
      if (offset > 0) this.addStretch.run(topic.spec.id, offset / STRETCH - 1, topic.latest);
      topic.latest = record.at;
    } else if (record.at > topic.latest) topic.latest = record.at;
    topic.insert.run(offset, this.kinds.id(record), record.at, record.key, body, record.trace ?? null);
    return offset;
  }

  /** Deletes what the last write made obsolete: not with that write itself, for until it is durable the older record is the newest. */
  private compact(): void {
    for (const [topic, keys] of this.superseding) {
      for (const [key, offset] of keys) topic.forgetOlder?.run(key, offset);
    }
  }

  private supersedingOf(
    entries: readonly EncodedRecord[],
    offsets: readonly number[],
  ): Map<TopicFile, Map<string, number>> {
    const superseding = new Map<TopicFile, Map<string, number>>();
    for (const [index, { record }] of entries.entries()) {
      const topic = this.topic(record.topic);
      if (!topic.forgetOlder) continue;
      const keys = superseding.get(topic) ?? new Map<string, number>();
      superseding.set(topic, keys.set(record.key, offsets[index] ?? 0));
    }
    return superseding;
  }

  /** The records [from, end) of a topic, `limit` at most. */
  page(topic: Topic, from: number, end: number, limit: number): Page {
    const file = this.topic(topic);
    const records: PlacedRecord[] = [];
    const unreadable: UnreadableRecord[] = [];
    let next = from;
    let count = 0;
    for (let bytes = 0; count < limit && bytes < PAGE_BYTES_MAX;) {
      const asked = Math.min(PAGE_SLICE, limit - count);
      const rows = file.select.all(next, end, asked) as unknown as readonly StoredRow[];
      for (const row of rows) {
        bytes += bytesOf(row);
        const kind = this.kinds.kind(row[1]);
        try {
          records.push(decode(topic, row, kind));
        } catch (error) {
          const [offset, , at, key] = row;
          unreadable.push({ topic, offset, key, kind, at, bytes: file.bytes(offset), reason: messageOf(error) });
        }
      }
      count += rows.length;
      const last = rows.at(-1);
      if (!last || rows.length < asked) return { records, unreadable, next: end };
      next = last[0] + 1;
    }
    return { records, unreadable, next };
  }

  /** The first offset in [0, end) whose record is of `at` or later; `end` where there is none. */
  offsetAt(topic: Topic, at: EpochMs, end: number): number {
    const { spec } = this.topic(topic);
    const first = this.db.prepare(
      `SELECT offset AS n FROM ${spec.table} WHERE offset >= ? AND offset < ? AND at >= ? ORDER BY offset LIMIT 1`,
    );
    const found = (from: number, to: number) => first.get(from, to, at)?.['n'] as number | undefined;
    const stretches = this.db
      .prepare('SELECT stretch FROM times WHERE topic = ? AND latest >= ? ORDER BY stretch')
      .iterate(spec.id, at);
    for (const row of stretches) {
      const from = Number(row['stretch']) * STRETCH;
      const offset = found(from, Math.min(from + STRETCH, end)); // None where it was trimmed.
      if (offset !== undefined) return offset;
    }
    return found(Math.max(0, end - STRETCH), end) ?? end; // The stretch that is being filled has no row yet.
  }

  /**
   * Deletes some of the records before `before`, oldest first; of a compacted topic those that are not the newest of their key before
   * `end`, and tombstones.
   * @returns whether there may be more
   */
  trimSome(topic: Topic, before: number, end: number): boolean {
    const file = this.topic(topic);
    const { id, table, compacted } = file.spec;
    const obsolete = compacted
      ? ` AND (body IS NULL OR EXISTS (SELECT 1 FROM ${table} AS newer WHERE newer.key = ${table}.key AND newer.offset > ${table}.offset AND newer.offset < ${end}))`
      : '';
    const slice = `SELECT offset FROM ${table} WHERE offset < ?${obsolete} ORDER BY offset LIMIT ${TRIM_SLICE}`;
    return transaction(this.db, () => {
      const { changes } = this.db.prepare(`DELETE FROM ${table} WHERE offset IN (${slice})`).run(before);
      if (changes === 0) return false;
      this.db.prepare('INSERT OR REPLACE INTO ends (topic, next) VALUES (?, ?)').run(id, file.next);
      if (!compacted) {
        this.db.prepare('DELETE FROM times WHERE topic = ? AND stretch < ?').run(id, Math.floor(before / STRETCH));
      }
      return Number(changes) === TRIM_SLICE;
    });
  }

  private topic(name: Topic): TopicFile {
    const topic = this.topics.get(name);
    if (!topic) throw new TypeError(`there is no topic ${String(name)}`);
    return topic;
  }
}

function number(db: DatabaseSync, sql: string): number | undefined {
  const value = db.prepare(sql).get()?.['n'];
  return typeof value === 'number' ? value : undefined;
}
