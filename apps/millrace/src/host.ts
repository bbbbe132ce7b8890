import { setTimeout as pause } from 'node:timers/promises';
import { ServerInfo } from '#apps/api/src/server-info.js';
import { AppSync, type SyncListener } from '#apps/api/src/sync/app-sync.js';
import { AppWatch } from '#apps/api/src/sync/app-watch.js';
import { ConfigRelay } from '#apps/api/src/sync/config-relay.js';
import { Ingest } from '#apps/event-api/src/ingest.js';
import { AppCaller } from '#apps/executor/src/app-caller.js';
import { Executor } from '#apps/executor/src/executor.js';
import { GatewayCaller } from '#apps/executor/src/gateway-caller.js';
import { RequestVault } from '#apps/executor/src/request-vault.js';
import { Projector } from '#apps/projector/src/projector.js';
import { Runner } from '#apps/runner/src/runner.js';
import type { PlacedTransition } from '#core/run/run.transitions.js';
import { DEFAULT_ENV } from '#core/words.js';
import { openEmbeddedPorts, type Ports } from '#platform/embedded-ports.js';
import type { ServerSettings } from '#platform/settings.js';
import { SystemClock } from '#platform/system-clock.js';
import { SystemIds } from '#platform/system-ids.js';
import { Access } from '#ports/access.port.js';
import { Catalog } from '#ports/catalog.port.js';
import { Clock } from '#ports/clock.port.js';
import { ControlPlane } from '#ports/control-plane.port.js';
import { HistoryGate } from '#ports/history-gate.port.js';
import { History } from '#ports/history.port.js';
import { Ids } from '#ports/ids.port.js';
import { Letterbox } from '#ports/letterbox.port.js';
import type { Logger } from '#ports/logger.port.js';
import { RunStates } from '#ports/run-states.port.js';
import { WorkQueue } from '#ports/work-queue.port.js';
import { readSync } from '#protocol/sync.read.js';
import { FrontDoor } from './front-door.js';
import { Maintenance } from './maintenance.js';
import { version } from './version.js';

/** What the host tells while it runs: the terminal prints it. */
export interface ServerHooks extends SyncListener {
  transition(placed: PlacedTransition): void;
}

export interface RunningServer {
  readonly url: string;
  readonly port: number;
  /** Takes no more work, waits for the calls under way for as long as `drainMs`, writes the last checkpoint. */
  close(drainMs?: number): Promise<void>;
}

export interface ServerParts {
  readonly logger: Logger;
  readonly hooks?: ServerHooks;
  /** The machine's, unless a test turns it by hand. */
  readonly clock?: Clock;
  readonly ids?: Ids;
}

const SILENT: ServerHooks = { synced: () => undefined, syncFailed: () => undefined, transition: () => undefined };
const DRAIN_MS = 10_000;
/** Nest is half of what a server loads, and nothing else goes on meanwhile: calls that are due get their connections first. */
const HEAD_START_MS = 100;
/** Request bodies of the largest size that are held at one time. */
const HELD_BODIES = 4;

/** Everything in one process: takes its port, recovers, makes the calls that are due, then answers. */
export async function startServer(settings: ServerSettings, parts: ServerParts): Promise<RunningServer> {
  const { logger, hooks = SILENT, clock = new SystemClock(), ids = new SystemIds() } = parts;
  const { dataDir, allowPrivateUrls, history: keepHistory, leaseMs } = settings;
  const ports = await openEmbeddedPorts({ dataDir, clock, ids, logger, allowPrivateUrls, keepHistory, leaseMs });
  const closers: ((drainMs: number) => Promise<void>)[] = [() => ports.close()];
  const close = async (drainMs = DRAIN_MS) => {
    for (const next of closers.splice(0).reverse()) await next(drainMs);
  };
  try {
    return await open(settings, ports, hooks, closers, close);
  } catch (error) {
    await close(0);
    throw error;
  }
}

async function open(
  settings: ServerSettings,
  ports: Ports,
  hooks: ServerHooks,
  closers: ((drainMs: number) => Promise<void>)[],
  close: (drainMs?: number) => Promise<void>,
): Promise<RunningServer> {
  const { clock, ids, logger, log, catalog, controlPlane, history, transport, queue } = ports;
  const access: Access = {
    kind: settings.mode === 'dev' ? 'dev' : 'cloud',
    eventKeys: settings.eventKeys,
    signingKeys: settings.mode === 'dev' ? [] : settings.signingKeys,
    env: DEFAULT_ENV,
  };

  const door = await FrontDoor.open(settings.host, settings.port);
  closers.push(async () => void (await door.close()));

  const relay = new ConfigRelay(controlPlane, log, catalog, clock);
  await catalog.open();
  await relay.flush();

  const runner = new Runner(ports, { checkpointMs: settings.checkpointMs });
  await runner.open();
  closers.push(() => runner.close());

  const projector = settings.history ? new Projector(log, history, clock, logger) : undefined;
  await projector?.open();
  closers.push(async () => projector?.close());

  const followed = await log.subscribe('transitions', (await log.ends('transitions'))[0], (batch) => {
    for (const record of batch) if (record.body !== undefined) hooks.transition(record.body as PlacedTransition);
  });
  closers.push(() => followed.close());

  const app = new AppCaller(transport, catalog, access, clock, ids, settings.callTimeoutMs);
  const vault = new RequestVault();
  const gateway = new GatewayCaller(transport, app, vault, clock, settings.callTimeoutMs);
  const { queueWorkers: workers, retryIntervalMs } = settings;
  const executor = new Executor(queue, runner, app, gateway, vault, runner.letterbox, catalog, clock, ids, logger, {
    workers,
    ...(retryIntervalMs === undefined ? {} : { retryIntervalMs }),
  });
  executor.open();
  closers.push((drainMs) => executor.close(drainMs));

  const maintenance = new Maintenance(ports, runner, projector, {
    eventsMs: settings.eventRetentionMs,
    commandsMs: settings.commandRetentionMs,
    transitionsMs: settings.transitionRetentionMs,
  });
  maintenance.open();
  closers.push(() => maintenance.close());

  const { eventBodyBytesMax: bodyBytesMax } = settings;
  const ingestOptions = { bodyBytesMax, heldBytesMax: HELD_BODIES * bodyBytesMax };
  const sync = new AppSync(controlPlane, relay, transport, access, clock, readSync, hooks);
  const { discovery, poll, appUrls } = settings;
  const { running, ready } = await queue.counts();
  if (running + ready > 0) await pause(HEAD_START_MS);
  const [{ HttpServer }, { EventApiModule }, { ApiModule }] = await Promise.all([
    import('./http-server.js'),
    import('#apps/event-api/src/event-api.module.js'),
    import('#apps/api/src/api.module.js'),
  ]);
  const server = await HttpServer.open({
    door,
    kind: access.kind,
    logger,
    modules: [EventApiModule, ApiModule],
    providers: [
      { provide: Access, useValue: access },
      { provide: AppSync, useValue: sync },
      { provide: Catalog, useValue: catalog },
      { provide: Clock, useValue: clock },
      { provide: ConfigRelay, useValue: relay },
      { provide: ControlPlane, useValue: controlPlane },
      { provide: History, useValue: history },
      { provide: HistoryGate, useValue: projector ?? { caughtUp: () => history.position('events') } },
      { provide: Ids, useValue: ids },
      { provide: Ingest, useValue: new Ingest(log, ids, clock, access, ingestOptions) },
      { provide: Letterbox, useValue: runner.letterbox },
      { provide: RunStates, useValue: runner },
      { provide: ServerInfo, useValue: { version, discovery, poll, appUrls } },
      { provide: WorkQueue, useValue: queue },
    ],
  });
  closers.push(() => server.close());

  const watch = new AppWatch(sync, catalog, transport, access, clock, logger, {
    urls: appUrls,
    discovery: discovery && settings.mode === 'dev',
    poll,
    intervalMs: settings.pollIntervalMs,
    extraPorts: settings.discoveryPorts,
    ownPort: door.port,
  });
  watch.open();
  closers.push(() => watch.close());

  const host = settings.host.includes(':') ? `[${settings.host}]` : settings.host;
  return { url: `http://${host}:${door.port}`, port: door.port, close };
}
