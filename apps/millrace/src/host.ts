import { setTimeout as pause } from 'node:timers/promises';
import { ServerInfo } from '#apps/api/src/server-info.js';
import { AppSync, type SyncListener } from '#apps/api/src/sync/app-sync.js';
import { AppWatch } from '#apps/api/src/sync/app-watch.js';
import { ConfigRelay } from '#apps/api/src/sync/config-relay.js';
import { Ingest } from '#apps/event-api/src/ingest.js';
import { AppCaller } from '#apps/executor/src/app-caller.js';
import { CallWatch } from '#apps/executor/src/call.watch.js';
import { Executor } from '#apps/executor/src/executor.js';
import { GatewayCaller } from '#apps/executor/src/gateway-caller.js';
import { RequestVault } from '#apps/executor/src/request-vault.js';
import { Projector } from '#apps/projector/src/projector.js';
import { RemoteGate } from '#apps/projector/src/remote-gate.js';
import { Runner } from '#apps/runner/src/runner.js';
import type { PlacedTransition } from '#core/run/run.transitions.js';
import { DEFAULT_ENV } from '#core/words.js';
import { ProcessMetrics } from '#platform/metrics.js';
import { openPorts } from '#platform/open-ports.js';
import type { Ports } from '#platform/ports.js';
import type { ServerSettings } from '#platform/settings.js';
import { ROLES, type Role } from '#platform/settings.rows.js';
import { SharedRunStates } from '#platform/shared-run-states.js';
import { SystemClock } from '#platform/system-clock.js';
import { SystemIds } from '#platform/system-ids.js';
import { Access } from '#ports/access.port.js';
import { Catalog } from '#ports/catalog.port.js';
import { Clock } from '#ports/clock.port.js';
import { ControlPlane } from '#ports/control-plane.port.js';
import { HistoryGate } from '#ports/history-gate.port.js';
import type { EventLog } from '#ports/event-log.port.js';
import { History } from '#ports/history.port.js';
import { Ids } from '#ports/ids.port.js';
import { Letterbox } from '#ports/letterbox.port.js';
import type { Logger } from '#ports/logger.port.js';
import { RunStates } from '#ports/run-states.port.js';
import { WorkQueue } from '#ports/work-queue.port.js';
import { readSync } from '#protocol/sync.read.js';
import { FrontDoor } from './front-door.js';
import { answerWhileStarting } from './health.answers.js';
import { Maintenance } from './maintenance.js';
import { Readiness } from './readiness.js';
import { version } from './version.js';
import { watchOver } from './watch.js';

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
/** So often a projector that has nothing to do looks whether what it has handed over is still there. */
const HISTORY_CHECK_MS = 5_000;
/** Request bodies of the largest size that are held at one time. */
const HELD_BODIES = 4;

/** What runs in a process, in the order in which it was opened. */
class Running {
  private readonly closers: ((drainMs: number) => Promise<void> | void)[] = [];

  add<T>(part: T, close: (part: T, drainMs: number) => Promise<void> | void): T {
    this.closers.push((drainMs) => close(part, drainMs));
    return part;
  }

  async close(drainMs: number): Promise<void> {
    for (const next of this.closers.splice(0).reverse()) await next(drainMs);
  }
}

/** The roles of this process, all of them unless it was told otherwise: takes its port, recovers, makes the calls that are due, then answers. */
export async function startServer(settings: ServerSettings, parts: ServerParts): Promise<RunningServer> {
  const { logger, hooks = SILENT, clock = new SystemClock(), ids = new SystemIds() } = parts;
  const running = new Running();
  try {
    const ports = running.add(await openPorts(settings, { clock, ids, logger }), (it) => it.close());
    return await open(settings, ports, hooks, running);
  } catch (error) {
    await running.close(0);
    throw error;
  }
}

async function open(
  settings: ServerSettings,
  ports: Ports,
  hooks: ServerHooks,
  running: Running,
): Promise<RunningServer> {
  const { clock, logger, log, catalog, controlPlane, transport, queue } = ports;
  const has = (...roles: readonly Role[]) => roles.some((role) => settings.roles.includes(role));
  const access: Access = {
    kind: settings.mode === 'dev' ? 'dev' : 'cloud',
    eventKeys: settings.eventKeys,
    signingKeys: settings.mode === 'dev' ? [] : settings.signingKeys,
    env: DEFAULT_ENV,
  };

  const door = running.add(
    await FrontDoor.open(settings.host, settings.port, answerWhileStarting),
    async (it) => void (await it.close()),
  );

  // A group of owners does without a member that is not heard of for long, as while it loads what answers at its door.
  const doormen = settings.services.kafka ? await loadDoormen() : undefined;

  const relay = new ConfigRelay(controlPlane, log, catalog, clock);
  await catalog.open();
  if (has('api')) await relay.flush();

  const runner = has('runner') ? await openRunner(settings, ports, running) : undefined;
  const projector = has('projector') && settings.history ? await openProjector(ports, running) : undefined;

  // A process that does everything shows what happens; of a cluster History does.
  if (settings.roles.length === ROLES.length) await follow(log, hooks, running);

  const readiness = watchOver(settings, ports, runner, projector);
  const states = statesOf(ports, runner);
  if (has('executor')) openExecutor(settings, ports, states, access, running);
  if (runner) await openMaintenance(settings, ports, runner, projector, running);

  const sync = new AppSync(controlPlane, relay, transport, access, clock, readSync, hooks);
  if (has('executor')) {
    const { running: underWay, ready } = await queue.counts();
    if (underWay + ready > 0) await pause(HEAD_START_MS);
  }
  const [{ HttpServer }, { EventApiModule }, { ApiModule }, { HealthModule }] = doormen ?? (await loadDoormen());
  const server = await HttpServer.open({
    door,
    kind: access.kind,
    logger,
    modules: [HealthModule, ...(has('event-api') ? [EventApiModule] : []), ...(has('api') ? [ApiModule] : [])],
    providers: providersOf({ settings, ports, access, states, projector, relay, sync, readiness }),
  });
  running.add(server, (it, drainMs) => it.close(drainMs));

  if (has('api')) {
    const { appUrls, discovery, poll, pollIntervalMs: intervalMs, discoveryPorts: extraPorts } = settings;
    const watch = new AppWatch(sync, catalog, transport, access, await ports.jobs('all'), clock, logger, {
      urls: appUrls,
      discovery: discovery && settings.mode === 'dev',
      poll,
      intervalMs,
      extraPorts,
      ownPort: door.port,
    });
    watch.open();
    running.add(watch, (it) => it.close());
  }

  const host = settings.host.includes(':') ? `[${settings.host}]` : settings.host;
  const close = (drainMs = DRAIN_MS) => {
    readiness.drain();
    return running.close(drainMs);
  };
  return { url: `http://${host}:${door.port}`, port: door.port, close };
}

/** What answers over HTTP, loaded late: Nest is half of what a server loads. */
function loadDoormen() {
  return Promise.all([
    import('./http-server.js'),
    import('#apps/event-api/src/event-api.module.js'),
    import('#apps/api/src/api.module.js'),
    import('./health.module.js'),
  ]);
}

async function follow(log: EventLog, hooks: ServerHooks, running: Running): Promise<void> {
  const followed = await log.subscribe('transitions', await log.ends('transitions'), (batch) => {
    for (const record of batch) if (record.body !== undefined) hooks.transition(record.body as PlacedTransition);
  });
  running.add(followed, (it) => it.close());
}

async function openRunner(settings: ServerSettings, ports: Ports, running: Running): Promise<Runner> {
  const runner = new Runner(ports, ports.ownership('runner'), {
    checkpointMs: settings.checkpointMs,
    // Where old commands go by themselves, nobody is asked before.
    snapshotMs: ports.stateIsShared || !ports.trims ? settings.snapshotMs : undefined,
    looksAfterStores: ports.stateIsShared,
  });
  running.add(runner, (it) => it.close());
  await runner.open();
  return runner;
}

async function openProjector(ports: Ports, running: Running): Promise<Projector> {
  const { log, history, clock, logger, wire } = ports;
  const checkMs = ports.historyIsShared ? HISTORY_CHECK_MS : undefined;
  const projector = new Projector(log, history, clock, logger, { checkMs }, wire);
  await projector.open(ports.stateIsShared ? ports.ownership('projector') : undefined);
  return running.add(projector, (it) => it.close());
}

function statesOf({ views, aggregates, log }: Ports, runner: Runner | undefined): RunStates {
  if (views) return new SharedRunStates(views, aggregates, log);
  if (!runner) throw new Error('runs of other processes are seen through Redis');
  return runner;
}

async function openMaintenance(
  settings: ServerSettings,
  ports: Ports,
  runner: Runner,
  projector: Projector | undefined,
  running: Running,
): Promise<void> {
  const retention = {
    eventsMs: settings.eventRetentionMs,
    commandsMs: settings.commandRetentionMs,
    transitionsMs: settings.transitionRetentionMs,
  };
  const maintenance = new Maintenance(ports, runner, projector, retention, await ports.jobs('own'));
  running.add(maintenance, (it) => it.close());
  await maintenance.open();
}

function openExecutor(
  settings: ServerSettings,
  ports: Ports,
  states: RunStates,
  access: Access,
  running: Running,
): void {
  const { queue, letterbox, catalog, transport, clock, ids, logger } = ports;
  const { queueWorkers: workers, retryIntervalMs, callTimeoutMs } = settings;
  const app = new AppCaller(transport, catalog, access, clock, ids, callTimeoutMs);
  const vault = new RequestVault();
  const gateway = new GatewayCaller(transport, app, vault, clock, callTimeoutMs);
  const watch = new CallWatch(ports, clock);
  const executor = new Executor(queue, states, app, gateway, vault, letterbox, catalog, clock, ids, logger, watch, {
    workers,
    ...(retryIntervalMs === undefined ? {} : { retryIntervalMs }),
  });
  executor.open();
  running.add(executor, (it, drainMs) => it.close(drainMs));
}

interface Provided {
  readonly settings: ServerSettings;
  readonly ports: Ports;
  readonly access: Access;
  readonly states: RunStates;
  readonly projector: Projector | undefined;
  readonly relay: ConfigRelay;
  readonly sync: AppSync;
  readonly readiness: Readiness;
}

/** Where several processes bring History on, none of them knows of all partitions. */
function gateOf({ log, history, wire, clock }: Ports, projector: Projector | undefined): HistoryGate {
  if (wire) return new RemoteGate(log, history, wire, clock);
  return projector ?? { caughtUp: async () => void (await history.positions('events')) };
}

/** What the rooms that answer over HTTP ask for. */
function providersOf({ settings, ports, access, states, projector, relay, sync, readiness }: Provided) {
  const { catalog, clock, controlPlane, history, ids, letterbox, log, queue } = ports;
  const { discovery, poll, appUrls, eventBodyBytesMax: bodyBytesMax } = settings;
  const ingestOptions = { bodyBytesMax, heldBytesMax: HELD_BODIES * bodyBytesMax };
  const provided: readonly [abstract new (...args: never[]) => unknown, unknown][] = [
    [Access, access],
    [AppSync, sync],
    [Catalog, catalog],
    [Clock, clock],
    [ConfigRelay, relay],
    [ControlPlane, controlPlane],
    [History, history],
    [HistoryGate, gateOf(ports, projector)],
    [Ids, ids],
    [Ingest, new Ingest(log, catalog, ids, clock, access, ingestOptions, ports)],
    [Letterbox, letterbox],
    [ProcessMetrics, ports.metrics],
    [Readiness, readiness],
    [RunStates, states],
    [ServerInfo, { version, discovery, poll, appUrls }],
    [WorkQueue, queue],
  ];
  return provided.map(([provide, useValue]) => ({ provide, useValue }));
}
