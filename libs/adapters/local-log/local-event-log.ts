import { closeSync, fdatasync, fdatasyncSync, fstatSync, openSync, writeSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { Fault } from '#core/faults.js';
import { DEFAULT_ENV, type EpochMs, type Position } from '#core/words.js';
import type { Clock } from '#ports/clock.port.js';
import {
  type DeadLetter,
  EventLog,
  type LogRecord,
  type PlacedRecord,
  type SubscribeOptions,
  type Subscription,
  type Topic,
} from '#ports/event-log.port.js';
import { recordOfDeadLetter } from '#ports/records.js';
import type { DataDir } from './data-dir.js';
import { LogFile, type UnreadableRecord } from './log.file.js';
import { TOPIC_TABLES } from './log.schema.js';
import { LogSubscriber, type RecordBatch, type RecordHandler } from './log.subscriber.js';
import { encode, type EncodedRecord } from './record.codec.js';
import { messageOf } from './sqlite-file.js';
import { TopicTail } from './topic.tail.js';
import { CHECKPOINT_FRAMES, WalKeeper } from './wal.keeper.js';

const FILE = 'log.db';
/** A transaction takes the appends that wait until it has this much; an append that is larger goes alone. */
const GROUP_RECORDS_MAX = 2_000;
const GROUP_BYTES_MAX = 4 * 1024 * 1024;
/** Header and frames of a write-ahead log that is due to be copied. */
const WAL_BYTES = (CHECKPOINT_FRAMES + CHECKPOINT_FRAMES / 10) * (4_096 + 24);

export interface LocalEventLogOptions {
  /** Dates the dead letters. */
  readonly clock: Clock;
  /** Makes durable what was written to a file; default fdatasync (F_FULLFSYNC on macOS), on a thread of the pool. */
  readonly sync?: (fd: number, done: (error: Error | null) => void) => void;
  /** Frames of the write-ahead log that are let gather before they are copied into the database. */
  readonly checkpointFrames?: number;
  /** How large the file may grow; an append that does not fit is refused as where the disk is full. Default: no bound. */
  readonly fileBytesMax?: number;
}

interface PendingAppend {
  readonly entries: readonly EncodedRecord[];
  readonly bytes: number;
  resolve(positions: readonly Position[]): void;
  reject(error: Error): void;
}

interface LocalTopic {
  readonly name: Topic;
  readonly tail: TopicTail;
  readonly subscribers: Set<LogSubscriber>;
}

/**
 * The log in one SQLite file; one partition a topic.
 *
 * Appends of one turn of the event loop, and those that come while the disk is busy, share a transaction. The transaction runs on the
 * main thread and leaves its frames with the file system; what waits for the disk is one fdatasync of the write-ahead log on a thread
 * of the pool, which is what `synchronous = FULL` would do inside the commit. Until it is back, nobody sees the records.
 *
 * A transaction that fails (a full disk, an I/O error) leaves nothing behind, and the next append is tried as if nothing had been.
 * A failed fdatasync is another matter: the system may have dropped the pages, and a later one that succeeds says nothing about them.
 * So the log takes no append after it; what is on the disk is found out by opening it again.
 */
export class LocalEventLog extends EventLog {
  private readonly topics = new Map<string, LocalTopic>();
  private readonly keeper: WalKeeper;
  private readonly sync: NonNullable<LocalEventLogOptions['sync']>;
  private readonly filed = new Set<string>();
  private queue: PendingAppend[] = [];
  private flushing: 'scheduled' | 'syncing' | undefined;
  private idle: { readonly promise: Promise<void>; resolve(): void } | undefined;
  private broken: unknown;
  private closed = false;
  private closing: Promise<void> | undefined;

  private constructor(
    private readonly file: LogFile,
    private readonly wal: number,
    path: string,
    dir: DataDir,
    private readonly options: LocalEventLogOptions,
  ) {
    super();
    this.sync = options.sync ?? fdatasync;
    this.keeper = new WalKeeper(file.db, path, dir.checkpointer, {
      released: () => this.schedule(),
      ...(options.checkpointFrames === undefined ? {} : { checkpointFrames: options.checkpointFrames }),
    });
    for (const name of Object.keys(TOPIC_TABLES) as Topic[]) {
      this.topics.set(name, { name, tail: new TopicTail(file.next(name)), subscribers: new Set() });
    }
  }

  /** @throws data_dir_newer, data_dir_unusable */
  static open(dir: DataDir, options: LocalEventLogOptions): LocalEventLog {
    const path = dir.file(FILE);
    const file = LogFile.open(path, options.fileBytesMax);
    try {
      return new LocalEventLog(file, openWal(`${path}-wal`), path, dir, options);
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /** All records of a call are in or none are. */
  override append(records: readonly LogRecord[], then: readonly LogRecord[] = []): Promise<readonly Position[]> {
    return new Promise((resolve, reject) => {
      const entries = [...records, ...then].map((record) => {
        this.topic(record.topic);
        if ((record.partition ?? 0) !== 0) throw new TypeError(`there is no partition ${String(record.partition)}`);
        return encode(record);
      });
      if (this.closed || this.broken !== undefined) throw this.unavailable(this.broken);
      if (entries.length === 0) return resolve([]);
      const bytes = entries.reduce((sum, entry) => sum + entry.bytes, 0);
      this.queue.push({ entries, bytes, resolve, reject });
      this.schedule();
    });
  }

  override subscribe(
    topic: Topic,
    from: readonly Position[] | undefined,
    handler: RecordHandler,
    options: SubscribeOptions = {},
  ): Promise<Subscription> {
    return new Promise((resolve) => {
      const local = this.topic(topic);
      const end = local.tail.end;
      if (from?.some(({ partition, offset }) => partition !== 0 || offset > end)) {
        throw new Fault('position_unknown', { topic, from, end: { partition: 0, offset: end } });
      }
      if (this.closed) throw this.unavailable(undefined);
      const source = {
        read: (next: number, limit: number) => this.next(local, next, limit),
        advanced: () => dropTaken(local),
        ended: (subscriber: LogSubscriber) => {
          local.subscribers.delete(subscriber);
          dropTaken(local);
        },
      };
      // Of no partition there is nothing to come.
      const first = from === undefined ? 0 : (from[0]?.offset ?? Infinity);
      const subscriber = new LogSubscriber(source, first, handler, options);
      local.subscribers.add(subscriber);
      resolve(subscriber);
    });
  }

  override async read(topic: Topic, from: Position, limit: number): Promise<readonly PlacedRecord[]> {
    const { tail } = this.topic(topic);
    if (limit < 1 || from.partition !== 0) return [];
    for (let next = from.offset; next < tail.end;) {
      const page = await this.page(topic, next, tail.end, limit);
      if (page.records.length > 0) return page.records;
      next = page.next;
    }
    return [];
  }

  override ends(topic: Topic): Promise<readonly Position[]> {
    return new Promise((resolve) => resolve([{ partition: 0, offset: this.topic(topic).tail.end }]));
  }

  override partitionOf(): number {
    return 0;
  }

  override async positionAt(topic: Topic, at: EpochMs): Promise<readonly Position[]> {
    const end = this.topic(topic).tail.end;
    const offset = await this.reading(() => this.file.offsetAt(topic, at, end));
    return [{ partition: 0, offset }];
  }

  override async trim(topic: Topic, before: Position): Promise<void> {
    const { tail } = this.topic(topic);
    if (before.partition !== 0) return;
    // In slices, so that a long one stops nobody; killed half way, it has trimmed half.
    for (let more = true; more; await turn()) {
      await this.keeper.held;
      if (this.closed) throw this.unavailable(undefined);
      more = await this.reading(() => this.file.trimSome(topic, Math.min(before.offset, tail.end), tail.end));
      this.keeper.committed();
    }
  }

  override close(): Promise<void> {
    this.closing ??= this.shut();
    return this.closing;
  }

  /** Handlers come to rest first, and may append until then. @throws what a handler threw that no `onError` took */
  private async shut(): Promise<void> {
    const subscribers = [...this.topics.values()].flatMap((topic) => [...topic.subscribers]);
    const rests = await Promise.allSettled(subscribers.map((subscriber) => subscriber.close()));
    this.closed = true;
    await this.rest();
    await this.keeper.close();
    closeSync(this.wal);
    this.file.close();
    const failed = rests.find((rest) => rest.status === 'rejected');
    if (failed) throw failed.reason;
  }

  /** Resolves when no append is under way. */
  private async rest(): Promise<void> {
    while (this.queue.length > 0 || this.flushing) {
      let resolve = (): void => undefined;
      const promise = new Promise<void>((done) => (resolve = done));
      this.idle ??= { promise, resolve };
      await this.idle.promise;
    }
  }

  private schedule(): void {
    if (this.flushing || this.queue.length === 0 || this.keeper.held) return;
    this.flushing = 'scheduled';
    setImmediate(() => this.flush());
  }

  private flush(): void {
    if (this.keeper.held) return this.done();
    const group = this.takeGroup();
    const entries = group.length === 1 ? (group[0]?.entries ?? []) : group.flatMap((append) => append.entries);
    let offsets: readonly number[];
    try {
      offsets = this.file.write(entries);
    } catch (cause) {
      const fault = this.unavailable(cause);
      for (const append of group) append.reject(fault);
      this.keeper.failed();
      return this.done();
    }
    this.flushing = 'syncing';
    this.sync(this.wal, (error) => {
      if (error) this.breakDown(error, group);
      else this.settle(group, entries, offsets);
      this.done();
    });
  }

  private takeGroup(): readonly PendingAppend[] {
    let records = 0;
    let bytes = 0;
    let count = 0;
    for (const append of this.queue) {
      records += append.entries.length;
      bytes += append.bytes;
      if (count > 0 && (records > GROUP_RECORDS_MAX || bytes > GROUP_BYTES_MAX)) break;
      count++;
    }
    return this.queue.splice(0, count);
  }

  /** The group is durable: those who appended it are told, then those who wait for it get it. */
  private settle(group: readonly PendingAppend[], entries: readonly EncodedRecord[], offsets: readonly number[]): void {
    const positions = offsets.map((offset): Position => ({ partition: 0, offset }));
    let first = 0;
    for (const append of group) {
      append.resolve(group.length === 1 ? positions : positions.slice(first, first + append.entries.length));
      first += append.entries.length;
    }
    const touched = new Set<LocalTopic>();
    for (const [index, { record, bytes }] of entries.entries()) {
      const topic = this.topic(record.topic);
      const position = positions[index];
      if (!position) throw new Error('a record was written without an offset');
      if (topic.subscribers.size > 0) topic.tail.push({ ...record, position }, bytes);
      else topic.tail.end = position.offset + 1;
      touched.add(topic);
    }
    for (const topic of touched) {
      dropTaken(topic);
      for (const subscriber of topic.subscribers) subscriber.wake();
    }
  }

  private breakDown(cause: Error, group: readonly PendingAppend[]): void {
    this.broken = cause;
    const fault = this.unavailable(cause);
    for (const append of [...group, ...this.queue]) append.reject(fault);
    this.queue = [];
  }

  private done(): void {
    this.flushing = undefined;
    if (this.broken === undefined) this.keeper.committed();
    this.schedule();
    if (this.queue.length === 0 && !this.flushing) {
      this.idle?.resolve();
      this.idle = undefined;
    }
  }

  /** What a subscriber gets next: from memory where it is nearly there, from the file where it lags. */
  private next(topic: LocalTopic, from: number, limit: number): RecordBatch | Promise<RecordBatch> {
    const records = topic.tail.take(from, limit);
    if (records) return { records, next: from + records.length };
    // A page is a good deal of work: others have their turn before it. Not after it, or a busy tail would be gone once more.
    return turn().then(() => this.page(topic.name, from, Math.max(from, topic.tail.start), limit));
  }

  /** A page of the file; what is unreadable in it has been filed. */
  private async page(topic: Topic, from: number, end: number, limit: number): Promise<RecordBatch> {
    const page = await this.reading(() => this.file.page(topic, from, end, limit));
    for (const record of page.unreadable) await this.fileUnreadable(record);
    return page;
  }

  private async fileUnreadable(record: UnreadableRecord): Promise<void> {
    const key = `${record.topic}/0/${record.offset}`;
    if (this.filed.has(key)) return;
    const { topic, offset, kind, at, reason } = record;
    const fault = new Fault('record_unreadable', { topic, partition: 0, offset, reason });
    const body: DeadLetter = {
      origin: { topic, partition: 0, offset },
      key: record.key,
      type: kind?.type ?? '',
      schema: kind?.schema ?? 0,
      at,
      bytes: Buffer.from(record.bytes).toString('base64'),
      reason,
    };
    await this.append([recordOfDeadLetter(body, kind?.env ?? DEFAULT_ENV, this.options.clock.now())]);
    this.filed.add(key);
    process.emitWarning(`${fault.message} ${JSON.stringify(fault.data)}`, { code: fault.code });
  }

  /** @throws log_unavailable where the file cannot be read or written */
  private reading<T>(work: () => T): Promise<T> {
    return new Promise((resolve) => {
      try {
        resolve(work());
      } catch (cause) {
        throw this.unavailable(cause);
      }
    });
  }

  private unavailable(cause: unknown): Fault {
    if (this.broken !== undefined) {
      const message = 'The log could not be made durable and takes nothing more until it is opened again.';
      return new Fault('log_unavailable', { reason: messageOf(this.broken) }, { cause: this.broken, message });
    }
    if (cause === undefined)
      return new Fault('log_unavailable', { reason: 'closed' }, { message: 'The log is closed.' });
    return new Fault('log_unavailable', { reason: messageOf(cause) }, { cause });
  }

  private topic(name: Topic): LocalTopic {
    const topic = this.topics.get(name);
    if (!topic) throw new TypeError(`there is no topic ${String(name)}`);
    return topic;
  }
}

/** Lets the tail go of what no subscriber that is nearly there has still to take. */
function dropTaken({ tail, subscribers }: LocalTopic): void {
  let first = tail.end;
  for (const { next } of subscribers) {
    if (next >= tail.start && next < first) first = next;
  }
  tail.drop(first);
}

/**
 * A descriptor of the write-ahead log to sync it by. The file is filled up with zeros, which no reader takes for frames: a sync that has
 * not to move the file's end as well takes half of the time.
 */
function openWal(path: string): number {
  const fd = openSync(path, 'r+');
  try {
    const size = fstatSync(fd).size;
    if (size < WAL_BYTES) {
      writeSync(fd, Buffer.alloc(WAL_BYTES - size), 0, WAL_BYTES - size, size);
      fdatasyncSync(fd);
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error; // It is only faster with it.
  }
  return fd;
}
