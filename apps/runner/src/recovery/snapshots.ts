import { DEFAULT_ENV, type EpochMs, type Position } from '#core/words.js';
import type { AggregateStore, AggregateWrite } from '#ports/aggregate-store.port.js';
import type { EventLog, LogRecord } from '#ports/event-log.port.js';
import type { Changed } from './changes.js';

/** Where a rebuild starts when the stores are gone and old commands are, too. */
export interface SnapshotMark {
  /** The first command that the snapshots may not reflect. */
  readonly commands: Position;
  /** The first event that intake had not taken. */
  readonly events: Position | undefined;
}

/** What a record of `snapshots` says of an aggregate. */
export interface SnapshotBody {
  readonly space: string;
  readonly id: string;
  readonly state: string;
  /** It reflects all commands before this offset. Records from before it was noted have none. */
  readonly next?: number;
}

const MARK = 'mark';
const PAGE = 500;

/** Folded state of what is still active, on the log: what commands that are trimmed away, or would take long to fold, had made of it. */
export class Snapshots {
  constructor(
    private readonly partition: number,
    private readonly log: EventLog,
    private readonly store: AggregateStore,
    private readonly spaces: readonly string[],
  ) {}

  /** Whether there are commands appended before `before`: they are about to be trimmed. */
  async due(before: EpochMs): Promise<boolean> {
    const [oldest] = await this.log.read('commands', { partition: this.partition, offset: 0 }, 1);
    return oldest !== undefined && oldest.at < before;
  }

  /** Writes all active aggregates, then the mark that makes them count. The store must not move meanwhile. */
  async write(mark: SnapshotMark, at: EpochMs): Promise<void> {
    const page = this.page(mark, at);
    const stale = new Set((await readSnapshots(this.log, this.partition)).keys);
    for (const space of this.spaces) {
      for await (const { id, state } of this.store.active({ space, partition: this.partition })) {
        if (state === null) continue;
        stale.delete(`${space}/${id}`);
        await page.put(space, id, state);
      }
    }
    for (const key of stale) await page.bury(key);
    await page.end();
  }

  /**
   * Writes those that have changed as the store has them, then the mark. What has ended leaves a tombstone, where a snapshot may hold it. The
   * store must not move meanwhile.
   */
  async writeChanged(
    changed: readonly Pick<Changed, 'space' | 'id' | 'isNew'>[],
    mark: SnapshotMark,
    at: EpochMs,
  ): Promise<void> {
    const page = this.page(mark, at);
    for (let from = 0; from < changed.length; from += PAGE) {
      const some = changed.slice(from, from + PAGE);
      const stored = await Promise.all(
        some.map(({ space, id }) => this.store.load({ space, partition: this.partition }, id)),
      );
      for (const [index, { space, id, isNew }] of some.entries()) {
        const state = stored[index]?.state ?? null;
        if (state !== null) await page.put(space, id, state);
        else if (!isNew) await page.bury(`${space}/${id}`);
      }
    }
    await page.end();
  }

  /** The offset that the next record gets. */
  async end(): Promise<number> {
    return (await this.log.ends('snapshots'))[this.partition]?.offset ?? 0;
  }

  /**
   * Aggregates that others have written: who does not know yet that the partition is not his any more, or a snapshot that failed. What the
   * owner takes for new may be among them, so they are written again, or get a tombstone.
   * @param own of the owner's last snapshot, the first command that it does not reflect
   */
  async strange(since: number, own: number): Promise<readonly Pick<Changed, 'space' | 'id' | 'isNew'>[]> {
    const found: { space: string; id: string; isNew: false }[] = [];
    for (let from: Position = { partition: this.partition, offset: since }; ;) {
      const page = await this.log.read('snapshots', from, PAGE);
      const last = page.at(-1);
      if (!last) return found;
      for (const { key, body } of page) {
        if (key === MARK || body === undefined) continue;
        const { space, id, next } = body as SnapshotBody;
        if (next !== own) found.push({ space, id, isNew: false });
      }
      from = { ...last.position, offset: last.position.offset + 1 };
    }
  }

  /** Fills an empty store. @returns the mark; undefined where there are no snapshots, and the commands are all there */
  async restore(reader: string, at: EpochMs): Promise<SnapshotMark | undefined> {
    const { mark, bodies, from } = await readSnapshots(this.log, this.partition);
    if (!mark || !from) return undefined;
    const writes: Record<string, AggregateWrite[]> = {};
    for (const { space, id, state } of bodies) (writes[space] ??= []).push({ id, state });
    await this.store.commit(reader, from, writes, at);
    return { ...mark, commands: from };
  }

  private page(mark: SnapshotMark, at: EpochMs) {
    const { partition, log } = this;
    const next = mark.commands.offset;
    let records: LogRecord[] = [];
    const record = (key: string, type: string, body: SnapshotBody | SnapshotMark | undefined): LogRecord => {
      return { topic: 'snapshots', key, type, schema: 1, env: DEFAULT_ENV, at, body, partition };
    };
    const add = async (one: LogRecord) => {
      records.push(one);
      if (records.length < PAGE) return;
      await log.append(records);
      records = [];
    };
    return {
      put: (space: string, id: string, state: string) =>
        add(record(`${space}/${id}`, 'Snapshot', { space, id, state, next })),
      bury: (key: string) => add(record(key, 'Snapshot', undefined)),
      end: () => log.append(records, [record(MARK, 'SnapshotMark', mark)]),
    };
  }
}

/** What the snapshots of a partition say. */
export interface ReadSnapshots {
  readonly mark: SnapshotMark | undefined;
  /** The newest of each aggregate. */
  readonly bodies: readonly SnapshotBody[];
  readonly keys: readonly string[];
  /** The command to fold on from; undefined without a mark. */
  readonly from: Position | undefined;
}

export async function readSnapshots(log: EventLog, partition: number): Promise<ReadSnapshots> {
  const latest = new Map<string, { readonly body: SnapshotBody; readonly isBehind: boolean }>();
  let mark: SnapshotMark | undefined;
  for (let from: Position = { partition, offset: 0 }; ;) {
    const page = await log.read('snapshots', from, PAGE);
    const last = page.at(-1);
    if (!last) break;
    for (const { key, body } of page) {
      if (key === MARK) mark = body as SnapshotMark;
      else if (body === undefined) latest.delete(key);
      else {
        const snapshot = body as SnapshotBody;
        const isBehind = mark !== undefined && (snapshot.next ?? Infinity) < mark.commands.offset;
        latest.set(key, { body: snapshot, isBehind });
      }
    }
    from = { ...last.position, offset: last.position.offset + 1 };
  }
  const all = [...latest.values()];
  // Whoever does not know that the partition is another's by now may write what is older than the mark: it is brought up to now.
  const behind = all.flatMap(({ body, isBehind }) => (isBehind && body.next !== undefined ? [body.next] : []));
  const offset = mark && behind.reduce((least, next) => Math.min(least, next), mark.commands.offset);
  return {
    mark,
    bodies: all.map(({ body }) => body),
    keys: [...latest.keys()],
    from: offset === undefined ? undefined : { partition, offset },
  };
}
