import { readFileSync } from 'node:fs';
import { openDataDir, type DataDir } from '#adapters/local-log/data-dir.js';
import { LocalEventLog } from '#adapters/local-log/local-event-log.js';
import { SqliteAggregateStore } from '#adapters/local-log/sqlite-aggregate-store.js';
import { SqliteSeenEvents } from '#adapters/local-log/sqlite-seen-events.js';
import { StateFile } from '#adapters/local-log/state.file.js';
import type { RecordCodec } from '#adapters/kafka/record.codec.js';
import { openChdbHistory } from '#adapters/chdb/chdb-history.js';
import { UndiciTransport } from '#adapters/http/undici-transport.js';
import { HistoryOff } from '#adapters/memory/history-off.js';
import { MemoryPauseIndex } from '#adapters/memory/memory-pause-index.js';
import { MemoryPlatformJobs } from '#adapters/memory/memory-platform-jobs.js';
import { MemoryWorkQueue } from '#adapters/memory/memory-work-queue.js';
import { SoleOwnership } from '#adapters/memory/sole-ownership.js';
import { openControlPlane } from '#adapters/typeorm/typeorm-control-plane.js';
import { Fault } from '#core/faults.js';
import type { EventLog } from '#ports/event-log.port.js';
import type { Logger } from '#ports/logger.port.js';
import type { History } from '#ports/history.port.js';
import { LogCatalog } from './log-catalog.js';
import { LogLetterbox } from './log-letterbox.js';
import { metered } from './metered-log.js';
import { ProcessMetrics } from './metrics.js';
import { openTracing } from './open-tracing.js';
import type { Ports } from './ports.js';
import type { KafkaSettings, ServerSettings, ServiceSettings } from './settings.js';

type Surroundings = Pick<Ports, 'clock' | 'ids' | 'logger'>;
type LogPorts = Pick<Ports, 'log' | 'ownership' | 'trims'>;
type StatePorts = Pick<Ports, 'jobs' | 'aggregates' | 'seen' | 'queue' | 'pauses' | 'views' | 'wire' | 'wipeState'>;

/** What has been opened, to be closed in the opposite order. */
class Opened {
  private readonly closers: (() => Promise<void> | void)[] = [];
  private dir: DataDir | undefined;

  constructor(
    readonly settings: ServerSettings,
    readonly around: Surroundings,
  ) {}

  add<T extends { close(): Promise<void> | void }>(port: T): T {
    this.closers.push(() => port.close());
    return port;
  }

  /** The folder of what is kept in this process; not touched where nothing is. */
  get dataDir(): DataDir {
    return (this.dir ??= this.add(openDataDir(this.settings.dataDir, { create: true })));
  }

  async close(): Promise<void> {
    for (const next of this.closers.splice(0).reverse()) await next();
  }
}

/**
 * Every port on the engine that the settings name: a service where its URL is given, one of this process otherwise. Libraries of services are
 * loaded where they are used.
 * @throws data_dir_in_use, data_dir_unusable, data_dir_newer; settings_invalid; log_unavailable, control_plane_unavailable where a service cannot be reached
 */
export async function openPorts(settings: ServerSettings, around: Surroundings): Promise<Ports> {
  const opened = new Opened(settings, around);
  try {
    return await open(opened);
  } catch (error) {
    await opened.close();
    throw error;
  }
}

async function open(opened: Opened): Promise<Ports> {
  const { settings, around } = opened;
  const { clock, ids, logger } = around;
  const metrics = new ProcessMetrics(clock, logger);
  const tracing = opened.add(await openTracing(settings, logger));
  const { services, allowPrivateUrls } = settings;
  const logPorts = services.kafka ? await openKafka(services.kafka, opened) : openLocalLog(opened);
  const log = metered(logPorts.log, metrics);
  const state =
    services.redisUrl === undefined ? openOwnState(opened) : await openRedis(services.redisUrl, log, opened);
  const history = await openHistory(opened);
  const controlPlane = opened.add(
    openControlPlane({
      ...(services.databaseUrl === undefined
        ? { path: opened.dataDir.file('control.db') }
        : { url: services.databaseUrl }),
      clock,
      ids,
    }),
  );
  const transport = opened.add(
    new UndiciTransport({ apps: { allowPrivate: true }, gateways: { allowPrivate: allowPrivateUrls } }),
  );
  const catalog = opened.add(new LogCatalog(log));
  const letterbox = opened.add(await LogLetterbox.open(log, clock, ids, state.wire));
  return {
    ...around,
    metrics,
    tracing,
    ...logPorts,
    log,
    ...state,
    letterbox,
    controlPlane,
    history,
    transport,
    catalog,
    stateIsShared: services.redisUrl !== undefined,
    historyIsShared: services.clickhouseUrl !== undefined,
    close: () => opened.close(),
  };
}

function openLocalLog(opened: Opened): LogPorts {
  const { clock } = opened.around;
  const log = opened.add(LocalEventLog.open(opened.dataDir, { clock }));
  return { log, ownership: () => new SoleOwnership(1), trims: true };
}

async function openKafka(kafka: KafkaSettings, opened: Opened): Promise<LogPorts> {
  const { clock, logger } = opened.around;
  const { services, eventRetentionMs, commandRetentionMs, transitionRetentionMs } = opened.settings;
  const [{ KafkaEventLog }, { KafkaOwnership }] = await Promise.all([
    import('#adapters/kafka/kafka-event-log.js'),
    import('#adapters/kafka/kafka-ownership.js'),
  ]);
  const { brokers, partitions, replicationFactor, minInsyncReplicas, compression, tls, sasl } = kafka;
  const connection = {
    brokers,
    clientId: 'millrace',
    prefix: services.prefix,
    logger,
    ...(tls && { tls: tls.caFile === undefined ? {} : { ca: authoritiesIn(tls.caFile) } }),
    ...(sasl && { sasl }),
  };
  const codec = await codecOf(services, logger);
  const log: EventLog = opened.add(
    await KafkaEventLog.open({
      ...connection,
      compression,
      ...(codec && { codec }),
      clock,
      topics: {
        partitions,
        ...(replicationFactor !== undefined && { replicationFactor }),
        ...(minInsyncReplicas !== undefined && { minInsyncReplicas }),
        retentionMs: { events: eventRetentionMs, commands: commandRetentionMs, transitions: transitionRetentionMs },
      },
    }),
  );
  const count = (await log.ends('commands')).length;
  // Whoever keeps state to himself is the only one.
  const ownership = (of: 'runner' | 'projector') =>
    services.redisUrl === undefined
      ? new SoleOwnership(count)
      : new KafkaOwnership({ ...connection, groupId: `${services.prefix}${of}s` });
  return { log, ownership, trims: false };
}

function authoritiesIn(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Fault(
      'settings_invalid',
      { file },
      { cause, message: `The file of kafka-tls-ca cannot be read: ${why}.` },
    );
  }
}

async function codecOf(
  { schemaRegistryUrl, prefix }: ServiceSettings,
  logger: Logger,
): Promise<RecordCodec | undefined> {
  if (schemaRegistryUrl === undefined) return undefined;
  const { AvroCodec } = await import('#adapters/schema-registry/avro.codec.js');
  const codec = new AvroCodec(schemaRegistryUrl, (topic) => `${prefix}${topic}`);
  try {
    await codec.register();
  } catch (error) {
    // It is asked again when a schema is needed.
    if (!(error instanceof Fault) || error.code !== 'log_unavailable') throw error;
    logger.warn({ err: error }, 'the schema registry cannot be reached');
  }
  return codec;
}

function openOwnState(opened: Opened): StatePorts {
  const { clock, ids, logger } = opened.around;
  const state = StateFile.open(opened.dataDir);
  return {
    jobs: () => Promise.resolve(new MemoryPlatformJobs(clock, logger)),
    aggregates: opened.add(new SqliteAggregateStore(state)),
    seen: opened.add(new SqliteSeenEvents(state)),
    queue: new MemoryWorkQueue(clock, ids, opened.settings.leaseMs),
    pauses: new MemoryPauseIndex(),
    views: undefined,
    wire: undefined,
    wipeState: undefined,
  };
}

async function openRedis(url: string, log: EventLog, opened: Opened): Promise<StatePorts> {
  const { clock, ids, logger } = opened.around;
  const { services, leaseMs } = opened.settings;
  const [{ RedisConnection }, { RedisAggregateStore }, { RedisSeenEvents }, { RedisPauseIndex }, views, wire, queue] =
    await Promise.all([
      import('#adapters/redis/redis-connection.js'),
      import('#adapters/redis/redis-aggregate-store.js'),
      import('#adapters/redis/redis-seen-events.js'),
      import('#adapters/redis/redis-pause-index.js'),
      import('#adapters/redis/redis-run-views.js'),
      import('#adapters/redis/redis-wire.js'),
      import('#adapters/redis/redis-work-queue.js'),
    ]);
  const connection = opened.add(new RedisConnection(url, services.prefix));
  await connection.check();
  const partitions = (await log.ends('commands')).length;
  return {
    jobs: async (among) => {
      if (among === 'own') return new MemoryPlatformJobs(clock, logger);
      const { BullmqPlatformJobs } = await import('#adapters/bullmq/bullmq-platform-jobs.js');
      return new BullmqPlatformJobs({ url, prefix: services.prefix, clock, logger });
    },
    aggregates: opened.add(new RedisAggregateStore(connection)),
    seen: opened.add(new RedisSeenEvents(connection)),
    queue: opened.add(new queue.RedisWorkQueue(connection, clock, ids, { leaseMs, partitions })),
    pauses: new RedisPauseIndex(connection, partitions),
    views: new views.RedisRunViews(connection),
    wire: opened.add(new wire.RedisWire(connection)),
    wipeState: () => connection.wipe(),
  };
}

async function openHistory(opened: Opened): Promise<History> {
  const { settings, around } = opened;
  const { clickhouseUrl: url } = settings.services;
  if (!settings.history) return new HistoryOff();
  if (url === undefined)
    return opened.add(openChdbHistory({ path: opened.dataDir.file('history'), clock: around.clock }));
  const { openClickHouseHistory } = await import('#adapters/clickhouse/http-history.js');
  return opened.add(openClickHouseHistory({ url }));
}
