import type { Logger } from '#ports/logger.port.js';
import { openDataDir, type DataDir } from '#adapters/local-log/data-dir.js';
import { LocalEventLog } from '#adapters/local-log/local-event-log.js';
import { SqliteAggregateStore } from '#adapters/local-log/sqlite-aggregate-store.js';
import { SqliteSeenEvents } from '#adapters/local-log/sqlite-seen-events.js';
import { StateFile } from '#adapters/local-log/state.file.js';
import { openChdbHistory } from '#adapters/chdb/chdb-history.js';
import { UndiciTransport } from '#adapters/http/undici-transport.js';
import { HistoryOff } from '#adapters/memory/history-off.js';
import { MemoryPauseIndex } from '#adapters/memory/memory-pause-index.js';
import { MemoryWorkQueue } from '#adapters/memory/memory-work-queue.js';
import { openControlPlane } from '#adapters/typeorm/typeorm-control-plane.js';
import type { AggregateStore } from '#ports/aggregate-store.port.js';
import type { AppTransport } from '#ports/app-transport.port.js';
import type { Clock } from '#ports/clock.port.js';
import type { ControlPlane } from '#ports/control-plane.port.js';
import type { EventLog } from '#ports/event-log.port.js';
import type { History } from '#ports/history.port.js';
import type { Ids } from '#ports/ids.port.js';
import type { PauseIndex } from '#ports/pause-index.port.js';
import type { SeenEvents } from '#ports/seen-events.port.js';
import type { WorkQueue } from '#ports/work-queue.port.js';
import { LogCatalog } from './log-catalog.js';

export interface Ports {
  readonly clock: Clock;
  readonly ids: Ids;
  readonly logger: Logger;
  readonly log: EventLog;
  readonly aggregates: AggregateStore;
  readonly seen: SeenEvents;
  readonly queue: WorkQueue;
  readonly pauses: PauseIndex;
  readonly controlPlane: ControlPlane;
  readonly history: History;
  readonly transport: AppTransport;
  readonly catalog: LogCatalog;
  /** Closes all, what depends on others first. */
  close(): Promise<void>;
}

export interface EmbeddedOptions {
  readonly dataDir: string;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly logger: Logger;
  /** Functions may have requests sent to private addresses. Apps may be anywhere: only who holds a key names them. */
  readonly allowPrivateUrls: boolean;
  /** False: no History, and no engine for it. */
  readonly keepHistory: boolean;
  /** How long a lease of the queue lasts that nobody extends. */
  readonly leaseMs: number;
}

/** Every port on engines of this process, in one data folder. @throws data_dir_in_use, data_dir_unusable, data_dir_newer */
export async function openEmbeddedPorts({
  dataDir,
  clock,
  ids,
  logger,
  allowPrivateUrls,
  keepHistory,
  leaseMs,
}: EmbeddedOptions): Promise<Ports> {
  const closers: (() => Promise<void>)[] = [];
  const opened = <T>(port: T, close: (port: T) => Promise<void>): T => {
    closers.push(() => close(port));
    return port;
  };
  const close = async () => {
    for (const next of closers.reverse()) await next();
  };
  try {
    const dir: DataDir = opened(openDataDir(dataDir, { create: true }), (it) => it.close());
    const log = opened(LocalEventLog.open(dir, { clock }), (it) => it.close());
    const state = StateFile.open(dir);
    const aggregates = opened(new SqliteAggregateStore(state), (it) => it.close());
    const seen = opened(new SqliteSeenEvents(state), (it) => it.close());
    const history = opened(
      keepHistory ? openChdbHistory({ path: dir.file('history'), clock }) : new HistoryOff(),
      (it) => it.close(),
    );
    const controlPlane = opened(openControlPlane({ path: dir.file('control.db'), clock, ids }), (it) => it.close());
    const transport = opened(
      new UndiciTransport({ apps: { allowPrivate: true }, gateways: { allowPrivate: allowPrivateUrls } }),
      (it) => it.close(),
    );
    const catalog = opened(new LogCatalog(log), (it) => it.close());
    return {
      clock,
      ids,
      logger,
      log,
      aggregates,
      seen,
      queue: new MemoryWorkQueue(clock, ids, leaseMs),
      pauses: new MemoryPauseIndex(),
      controlPlane,
      history,
      transport,
      catalog,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
