import type { AggregateStore } from '#ports/aggregate-store.port.js';
import type { AppTransport } from '#ports/app-transport.port.js';
import type { Clock } from '#ports/clock.port.js';
import type { ControlPlane } from '#ports/control-plane.port.js';
import type { EventLog } from '#ports/event-log.port.js';
import type { History } from '#ports/history.port.js';
import type { Ids } from '#ports/ids.port.js';
import type { Logger } from '#ports/logger.port.js';
import type { Ownership } from '#ports/ownership.port.js';
import type { PauseIndex } from '#ports/pause-index.port.js';
import type { PlatformJobs } from '#ports/platform-jobs.port.js';
import type { RunViews } from '#ports/run-views.port.js';
import type { Tracing } from '#ports/tracing.port.js';
import type { SeenEvents } from '#ports/seen-events.port.js';
import type { Wire } from '#ports/wire.port.js';
import type { WorkQueue } from '#ports/work-queue.port.js';
import type { LogCatalog } from './log-catalog.js';
import type { LogLetterbox } from './log-letterbox.js';
import type { ProcessMetrics } from './metrics.js';

/** Everything that rooms ask for, on the engines that were chosen. */
export interface Ports {
  readonly clock: Clock;
  readonly ids: Ids;
  readonly logger: Logger;
  readonly metrics: ProcessMetrics;
  readonly tracing: Tracing;
  readonly log: EventLog;
  /** Who serves which partitions, of those that do the same: each has a name of its own. */
  readonly ownership: (of: 'runner' | 'projector') => Ownership;
  /** Background jobs: of which one process of all does each, or each process its own. Whoever has them closes them. */
  readonly jobs: (among: 'all' | 'own') => Promise<PlatformJobs>;
  readonly aggregates: AggregateStore;
  readonly seen: SeenEvents;
  readonly queue: WorkQueue;
  readonly pauses: PauseIndex;
  /** Where others look at runs; absent: nobody outside this process does. */
  readonly views: RunViews | undefined;
  /** To other processes; absent: there are none. */
  readonly wire: Wire | undefined;
  readonly letterbox: LogLetterbox;
  readonly controlPlane: ControlPlane;
  readonly history: History;
  readonly transport: AppTransport;
  readonly catalog: LogCatalog;
  /** Others use the same state and queue, and all of it may be lost while the process runs. */
  readonly stateIsShared: boolean;
  /** Others may write to History, or take away what it holds, while the process runs. */
  readonly historyIsShared: boolean;
  /** Whether old records are for us to trim; a broker does so by itself. */
  readonly trims: boolean;
  /** Empties the shared state, for runners to make it anew; absent: there is none. @returns how many keys went */
  readonly wipeState: (() => Promise<number>) | undefined;
  /** Closes all, what depends on others first. */
  close(): Promise<void>;
}
