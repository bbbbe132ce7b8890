import { DEFAULT_ENV, type EpochMs, type Position } from '#core/words.js';
import type { AggregateStore, AggregateWrite } from '#ports/aggregate-store.port.js';
import type { EventLog, LogRecord } from '#ports/event-log.port.js';

/** Where a rebuild starts when the stores are gone and old commands are, too. */
export interface SnapshotMark {
  /** The first command that the snapshots may not reflect. */
  readonly commands: Position;
  /** The first event that intake had not taken. */
  readonly events: Position | undefined;
}

const MARK = 'mark';
const PAGE = 500;

/** Folded state of what is still active, on the log: what commands that are trimmed away had made of it. */
export class Snapshots {
  constructor(
    private readonly log: EventLog,
    private readonly store: AggregateStore,
    private readonly spaces: readonly string[],
  ) {}

  /** Whether there are commands appended before `before`: they are about to be trimmed. */
  async due(before: EpochMs): Promise<boolean> {
    const [oldest] = await this.log.read('commands', undefined, 1);
    return oldest !== undefined && oldest.at < before;
  }

  /**
   * Writes all active aggregates, then the mark that makes them count. States may be newer than the mark: deciding a command twice
   * changes nothing.
   */
  async write(mark: SnapshotMark, at: EpochMs): Promise<void> {
    const stale = await this.keys();
    const page: LogRecord[] = [];
    const put = async (record: LogRecord | undefined) => {
      if (record) page.push(record);
      if (page.length >= PAGE || !record) await this.log.append(page.splice(0));
    };
    for (const space of this.spaces) {
      for await (const { id, state } of this.store.active(space)) {
        if (state === null) continue;
        stale.delete(`${space}/${id}`);
        await put(record(`${space}/${id}`, 'Snapshot', at, { space, id, state }));
      }
    }
    for (const key of stale) await put(record(key, 'Snapshot', at, undefined));
    await put(record(MARK, 'SnapshotMark', at, mark));
    await put(undefined);
  }

  /** Fills an empty store. @returns the mark; undefined where there are no snapshots, and the commands are all there */
  async restore(reader: string, at: EpochMs): Promise<SnapshotMark | undefined> {
    let mark: SnapshotMark | undefined;
    const writes: Record<string, AggregateWrite[]> = {};
    for await (const { key, body } of this.all()) {
      if (key === MARK) mark = body as SnapshotMark;
      else if (body !== undefined) {
        const { space, id, state } = body as { space: string; id: string; state: string };
        (writes[space] ??= []).push({ id, state });
      }
    }
    if (mark) await this.store.commit(reader, mark.commands, writes, at);
    return mark;
  }

  private async keys(): Promise<Set<string>> {
    const keys = new Set<string>();
    for await (const { key, body } of this.all()) if (key !== MARK && body !== undefined) keys.add(key);
    return keys;
  }

  private async *all(): AsyncIterable<{ readonly key: string; readonly body: unknown }> {
    const latest = new Map<string, unknown>();
    let from: Position | undefined;
    for (;;) {
      const page = await this.log.read('snapshots', from, PAGE);
      const last = page.at(-1);
      if (!last) break;
      for (const { key, body } of page) latest.set(key, body);
      from = { ...last.position, offset: last.position.offset + 1 };
    }
    for (const [key, body] of latest) yield { key, body };
  }
}

function record(key: string, type: string, at: EpochMs, body: unknown): LogRecord {
  return { topic: 'snapshots', key, type, schema: 1, env: DEFAULT_ENV, at, body };
}
