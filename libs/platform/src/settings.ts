import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { Fault } from '#core/faults.js';
import { LIMITS } from '#core/limits.js';
import { findConfigFile, readConfigFile, type ConfigFile } from './settings.file.js';
import {
  ALIASES,
  KEY_HELP,
  lookUp,
  ROLES,
  ROWS,
  UNUSED,
  variable,
  type Given,
  type Mode,
  type Role,
  type Row,
} from './settings.rows.js';

export type LogLevel = NonNullable<Given['log-level']>;

/** What a server is told at boot. Paths are absolute. */
export interface ServerSettings {
  readonly mode: Mode;
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
  readonly dataDir: string;
  /** Nobody named the folder: it goes with the server. */
  readonly dataDirTemporary: boolean;
  /** Apps that people named: they may lie anywhere. */
  readonly appUrls: readonly string[];
  /** Look for apps on the usual local ports, and on `discoveryPorts`. */
  readonly discovery: boolean;
  readonly discoveryPorts: readonly number[];
  /** Ask healthy apps again and again whether they changed; those in error are asked in any case. */
  readonly poll: boolean;
  readonly pollIntervalMs: number;
  /** Every retry waits this long; absent: longer and longer. */
  readonly retryIntervalMs?: number;
  /** Empty in dev. */
  readonly eventKeys: readonly string[];
  /** The current one, then the one before it. Empty in dev. */
  readonly signingKeys: readonly string[];
  /** Calls to apps under way at the same time. */
  readonly queueWorkers: number;
  readonly callTimeoutMs: number;
  readonly eventBodyBytesMax: number;
  /** Let URLs that users give point into private networks. */
  readonly allowPrivateUrls: boolean;
  readonly eventRetentionMs: number;
  readonly commandRetentionMs: number;
  readonly transitionRetentionMs: number;
  readonly checkpointMs: number;
  readonly leaseMs: number;
  readonly history: boolean;
  /** What this process does. */
  readonly roles: readonly Role[];
  readonly services: ServiceSettings;
  /** Where spans go; absent: there are none. */
  readonly otlpEndpoint?: string;
  /** How often what has changed is put on the log as it stands, where stores may be lost. */
  readonly snapshotMs: number;
  readonly logLevel: LogLevel;
  /** Logs and terminal as one JSON object a line. */
  readonly json: boolean;
}

/** Services that stand for engines of this process. Each may be given alone. */
export interface ServiceSettings {
  readonly kafka?: KafkaSettings;
  readonly redisUrl?: string;
  readonly databaseUrl?: string;
  readonly clickhouseUrl?: string;
  readonly schemaRegistryUrl?: string;
  /** Stands before the names of topics and of keys: several installations may share services. */
  readonly prefix: string;
}

export interface KafkaSettings {
  readonly brokers: readonly string[];
  /** Of topics that are made. */
  readonly partitions: number;
  readonly replicationFactor?: number;
  readonly minInsyncReplicas?: number;
  readonly compression: NonNullable<Given['compression']>;
  readonly tls?: { readonly caFile?: string };
  readonly sasl?: {
    readonly mechanism: NonNullable<Given['kafka-sasl-mechanism']>;
    readonly username: string;
    readonly password: string;
  };
}

export interface SettingSources {
  readonly mode: Mode;
  /** By name; only those that were given. */
  readonly flags: Readonly<Record<string, unknown>>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** A file that was named. Without one, dev looks for `millrace.json` or `inngest.json` in the project. */
  readonly configFile?: string | undefined;
}

export interface ReadSettings {
  readonly settings: ServerSettings;
  /** Path of the file that was read. */
  readonly configFile?: string;
  /** What people should know of what they gave, in sentences. */
  readonly notes: readonly string[];
}

const SECOND_MS = 1_000;
const DAY_MS = 24 * 60 * 60 * SECOND_MS;

/**
 * Reads the settings of a server. A flag goes before a variable (MILLRACE_..., then INNGEST_...), a variable before the file, the
 * file before the default.
 * @throws settings_invalid that tells all that is wrong; `data.settings` has the names
 */
export function readSettings(sources: SettingSources): ReadSettings {
  const { mode, cwd, env } = sources;
  const reading = new Reading(mode);
  const file = configOf(sources, reading);
  // What was taken first stays, so the strongest source goes first.
  for (const [name, value] of Object.entries(sources.flags)) reading.take(name, value, `--${name}`, cwd);
  for (const prefix of ['MILLRACE', 'INNGEST']) {
    for (const name of [...Object.keys(ROWS), ...Object.keys(ALIASES), ...Object.keys(UNUSED)]) {
      const label = variable(prefix, name);
      if (env[label]) reading.take(name, env[label], label, cwd, true);
    }
  }
  if (mode === 'start') {
    for (const [name, row] of Object.entries<Row>(ROWS)) {
      if (row.variable && env[row.variable]) reading.take(name, env[row.variable], row.variable, cwd, true);
    }
  }
  // What platforms that host servers set; in dev it is the port of the app.
  if (mode === 'start' && env['PORT']) reading.take('port', env['PORT'], 'PORT', cwd);
  if (file) {
    // A file of the reference may hold what only that server knows.
    const ambient = file.label === 'inngest.json';
    for (const [key, value] of Object.entries(file.values)) {
      reading.take(key, value, `"${key}" in ${file.label}`, dirname(file.path), ambient);
    }
  }
  const given = reading.end();
  const settings = { ...settle(mode, given, cwd), discoveryPorts: mode === 'dev' ? portIn(env['PORT']) : [] };
  return { settings, notes: reading.notes, ...(file && { configFile: file.path }) };
}

function configOf({ mode, cwd, env, configFile }: SettingSources, reading: Reading): ConfigFile | undefined {
  const named = configFile ?? (env['MILLRACE_CONFIG'] || undefined);
  let path = named === undefined ? undefined : resolve(cwd, named);
  if (path === undefined && mode === 'dev') {
    const found = findConfigFile(cwd);
    path = found.path;
    for (const other of found.unreadable)
      reading.note(`${other} is not read: write it as JSON, millrace.json beside it.`);
  }
  if (path === undefined) return undefined;
  const file = readConfigFile(path);
  if (typeof file !== 'string') return file;
  reading.wrong('config', file);
  return undefined;
}

/** Gathers what is given, what is wrong with it, and what is to be said about it. */
class Reading {
  readonly notes: string[] = [];
  private readonly problems: { readonly name: string; readonly what: string }[] = [];
  private readonly given: Record<string, unknown> = {};
  /** How each was given, whether right or wrong. */
  private readonly labels = new Map<string, string>();

  constructor(private readonly mode: Mode) {}

  /**
   * @param label for people: `--port`, `MILLRACE_PORT`, `"port" in millrace.json`
   * @param base what a relative path is relative to
   * @param ambient not written for this command in particular: what does not concern it is no mistake
   */
  take(givenName: string, value: unknown, label: string, base: string, ambient = false): void {
    const alias = lookUp(ALIASES, givenName);
    const name = alias?.is ?? givenName;
    const unused = lookUp(UNUSED, name);
    if (unused) return this.note(`${label} has no effect: ${unused.why}.`);
    const row = lookUp<Row>(ROWS, name);
    if (!row) {
      const what = `${label} is not a setting of Millrace`;
      return ambient ? this.note(`${what}.`) : this.wrong(name, what);
    }
    if (row.mode && row.mode !== this.mode) {
      if (!ambient) this.note(`${label} has no effect: ${whyNot(row.mode)}.`);
      return;
    }
    if (this.labels.has(name)) return;
    this.labels.set(name, label);
    const read = row.schema.safeParse(value);
    if (!read.success) {
      const shown = row.secret ? '' : `, not ${quote(value)}`;
      const wrongs = new Set(read.error.issues.map(({ message }) => `${label} ${message}${shown}`));
      for (const what of wrongs) this.wrong(name, what);
      return;
    }
    this.given[name] = name === 'data-dir' ? resolve(base, read.data as string) : read.data;
    if (alias) this.note(`${label} is taken as --${name}.`);
  }

  note(sentence: string): void {
    if (!this.notes.includes(sentence)) this.notes.push(sentence);
  }

  wrong(name: string, what: string): void {
    this.problems.push({ name, what });
  }

  /** @throws settings_invalid */
  end(): Given {
    const given = this.given as Given;
    this.checkTogether(given);
    const [first, ...more] = this.problems;
    if (!first) return given;
    const lines = this.problems.map(({ what }) => `  ${what}.`);
    const message = more.length === 0 ? `${first.what}.` : `${lines.length} settings are wrong:\n${lines.join('\n')}`;
    throw new Fault('settings_invalid', { settings: this.problems.map(({ name }) => name) }, { message });
  }

  /** What is right by itself and wrong with another, or missing. */
  private checkTogether(given: Given): void {
    const other = given['data-dir'] === undefined ? 'persist' : 'data-dir';
    if (given.memory && given[other]) {
      this.wrong(
        'memory',
        `${this.labels.get('memory')} and ${this.labels.get(other)} contradict each other: give one of them`,
      );
    }
    this.checkServices(given);
    if (this.mode === 'dev') return;
    for (const [name, why] of [
      ['event-key', 'anybody could send events'],
      ['signing-key', 'apps and servers could not tell each other from strangers'],
    ] as const) {
      if (this.labels.has(name)) continue;
      const names = `--${name} (or ${variable('MILLRACE', name)})`;
      this.wrong(name, `${names} is missing: without it ${why}; ${KEY_HELP}`);
    }
    const digits = given['signing-key']?.replace(/^signkey-\w+-/, '').length ?? Infinity;
    if (digits < 32)
      this.note(`The signing key has ${digits} hex digits, and fewer than 32 can be guessed; ${KEY_HELP}.`);
  }

  /** A process that leaves a part to others has to share with them what it keeps. */
  private checkServices(given: Given): void {
    if ((given['kafka-username'] === undefined) !== (given['kafka-password'] === undefined)) {
      this.wrong('kafka-username', 'kafka-username and kafka-password go together: give both of them');
    }
    const { 'replication-factor': copies, 'min-insync-replicas': inSync } = given;
    if (copies !== undefined && inSync !== undefined && inSync > copies) {
      this.wrong(
        'min-insync-replicas',
        `${this.labels.get('min-insync-replicas')} must not be more than the ${copies} copies that there are`,
      );
    }
    const missing = (['kafka-brokers', 'redis-url', 'database-url', 'clickhouse-url'] as const).filter(
      (name) => given[name] === undefined && !(name === 'clickhouse-url' && given['no-history']),
    );
    if (given.roles && given.roles.length < ROLES.length && missing.length > 0) {
      const names = missing.map((name) => `--${name}`).join(', ');
      this.wrong('roles', `${this.labels.get('roles')} leaves roles to other processes, which needs ${names} as well`);
    }
    if (given['schema-registry-url'] !== undefined && given['kafka-brokers'] === undefined)
      this.note('--schema-registry-url has no effect without --kafka-brokers.');
  }
}

/** Why a setting means nothing in the other mode. */
function whyNot(only: Mode): string {
  return only === 'dev' ? 'it is of dev only' : 'dev asks for no keys';
}

function settle(mode: Mode, given: Given, cwd: string): Omit<ServerSettings, 'discoveryPorts'> {
  const dev = mode === 'dev';
  const pollIntervalMs = given['poll-interval'] ?? (dev ? 5 * SECOND_MS : 0);
  const retryIntervalMs = given['retry-interval'];
  return {
    mode,
    host: given.host ?? (dev ? '127.0.0.1' : '0.0.0.0'),
    port: given.port ?? 8288,
    ...dataDir(mode, given, cwd),
    appUrls: given['sdk-url'] ?? [],
    discovery: dev && !given['no-discovery'],
    poll: pollIntervalMs > 0 && !given['no-poll'],
    pollIntervalMs: pollIntervalMs || 5 * SECOND_MS,
    ...(retryIntervalMs && { retryIntervalMs }),
    eventKeys: given['event-key'] ?? [],
    signingKeys: [given['signing-key'], given['signing-key-fallback']].filter((key) => key !== undefined),
    queueWorkers: given['queue-workers'] ?? 100,
    callTimeoutMs: given['call-timeout'] ?? LIMITS.callMsMax,
    eventBodyBytesMax: given['event-body-bytes-max'] ?? 32 * 2 ** 20,
    allowPrivateUrls: given['allow-private-urls'] ?? dev,
    eventRetentionMs: given['event-retention'] ?? 30 * DAY_MS,
    commandRetentionMs: given['command-retention'] ?? 30 * DAY_MS,
    transitionRetentionMs: given['transition-retention'] ?? 30 * DAY_MS,
    checkpointMs: given['checkpoint-interval'] ?? 2 * SECOND_MS,
    leaseMs: given['lease-time'] ?? 30 * SECOND_MS,
    history: !given['no-history'],
    roles: given.roles ?? ROLES,
    services: servicesOf(given),
    ...(given['otlp-endpoint'] !== undefined && { otlpEndpoint: given['otlp-endpoint'] }),
    snapshotMs: given['snapshot-interval'] ?? 30 * SECOND_MS,
    logLevel: given['log-level'] ?? (given.verbose ? 'debug' : dev ? 'warn' : 'info'),
    json: given.json ?? false,
  };
}

function servicesOf(given: Given): ServiceSettings {
  const brokers = given['kafka-brokers'];
  const { 'redis-url': redisUrl, 'database-url': databaseUrl, 'clickhouse-url': clickhouseUrl } = given;
  const schemaRegistryUrl = given['schema-registry-url'];
  return {
    ...(brokers && { kafka: kafkaOf(brokers, given) }),
    ...(redisUrl !== undefined && { redisUrl }),
    ...(databaseUrl !== undefined && { databaseUrl }),
    ...(clickhouseUrl !== undefined && { clickhouseUrl }),
    ...(schemaRegistryUrl !== undefined && { schemaRegistryUrl }),
    prefix: given['topic-prefix'] ?? 'millrace.',
  };
}

function kafkaOf(brokers: readonly string[], given: Given): KafkaSettings {
  const { 'kafka-username': username, 'kafka-password': password, 'kafka-tls-ca': caFile } = given;
  const { 'replication-factor': replicationFactor, 'min-insync-replicas': minInsyncReplicas } = given;
  return {
    brokers,
    partitions: given.partitions ?? 12,
    ...(replicationFactor !== undefined && { replicationFactor }),
    ...(minInsyncReplicas !== undefined && { minInsyncReplicas }),
    compression: given.compression ?? 'none',
    ...((given['kafka-tls'] || caFile !== undefined) && { tls: caFile === undefined ? {} : { caFile } }),
    ...(username !== undefined &&
      password !== undefined && {
        sasl: { mechanism: given['kafka-sasl-mechanism'] ?? 'PLAIN', username, password },
      }),
  };
}

function dataDir(mode: Mode, given: Given, cwd: string): Pick<ServerSettings, 'dataDir' | 'dataDirTemporary'> {
  const named = given['data-dir'];
  if (named !== undefined) return { dataDir: named, dataDirTemporary: false };
  if (mode === 'start') return { dataDir: join(cwd, '.millrace'), dataDirTemporary: false };
  if (given.persist) return { dataDir: join(cwd, '.millrace', 'dev'), dataDirTemporary: false };
  // A name that nobody can take before us.
  return { dataDir: join(tmpdir(), `millrace-dev-${randomBytes(8).toString('hex')}`), dataDirTemporary: true };
}

/** The port of the app that is being developed, where its shell names one. */
function portIn(text: string | undefined): readonly number[] {
  const port = Number(text);
  return Number.isInteger(port) && port > 0 && port < 65_536 ? [port] : [];
}

function quote(value: unknown): string {
  const written = Array.isArray(value) && value.length === 1 ? quote(value[0]) : JSON.stringify(value);
  return written.length > 60 ? `${written.slice(0, 57)}...` : written;
}
