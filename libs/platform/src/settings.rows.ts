import { z } from 'zod';
import { parseDuration } from '#core/duration.js';
import { LIMITS } from '#core/limits.js';

/** `dev`: no keys, this machine only. `start`: durable, keys required. */
export type Mode = 'dev' | 'start';

/** What a process does; one does all unless it is told otherwise. */
export const ROLES = ['event-api', 'runner', 'executor', 'projector', 'api'] as const;
export type Role = (typeof ROLES)[number];

/** A setting as people give it. Its name is its flag (`--poll-interval`), its key in a file, and MILLRACE_POLL_INTERVAL. */
export interface Row {
  /** Reads what a flag, a variable or a file says. */
  readonly schema: z.ZodType;
  readonly about: string;
  /** For the help, as `<seconds>`. A setting that takes nothing is a switch. */
  readonly takes?: string;
  readonly short?: string;
  /** May be given several times. */
  readonly many?: true;
  /** Never shown back. */
  readonly secret?: true;
  /** Given by variable or file only. */
  readonly advanced?: true;
  /** Where it means something; absent: everywhere. */
  readonly mode?: Mode;
  /** A variable without our prefix, as the service's own tools have it. Read by `start`: in dev it is likely to be the app's own. */
  readonly variable?: string;
}

const SECOND_MS = 1_000;
const HOUR_MS = 60 * 60 * SECOND_MS;
const DAY_MS = 24 * HOUR_MS;
export const KEY_HELP = '`millrace keygen` makes a pair';

function text(error: string) {
  return z.string({ error }).trim().min(1, { error });
}

function oneOf<const T extends readonly [string, ...string[]]>(words: T) {
  return z.enum(words, { error: `must be one of ${words.join(', ')}` });
}

function numeric(min: number, max: number, error: string) {
  return z
    .union([z.number(), z.string().regex(/^ *\d+(\.\d+)? *$/, { error })], { error })
    .pipe(z.coerce.number<string | number>().min(min, { error }).max(max, { error }));
}

function whole(min: number, max: number) {
  const error = `must be a whole number from ${min} to ${max}`;
  return numeric(min, max, error).refine(Number.isInteger, { error });
}

/** Seconds, read as ms. */
function seconds(min: number, max: number) {
  return numeric(min, max, `must be a number of seconds from ${min} to ${max}`).transform((n) =>
    Math.round(n * SECOND_MS),
  );
}

/** `12h`, `30d`, read as ms. */
function time(minMs: number, min: string) {
  const error = `must be a length of time such as 12h or 30d, at least ${min}`;
  return z
    .string({ error })
    .transform((given) => parseDuration(given) ?? Number.NaN)
    .refine((ms) => ms >= minMs, { error });
}

function list<T extends z.ZodType<unknown, string>>(item: T, error: string) {
  return z
    .union([z.string(), z.array(z.string())], { error })
    .transform((given) => [given].flat().flatMap((part) => part.split(/[\s,]+/)))
    .transform((parts) => parts.filter((part) => part !== ''))
    .pipe(z.array(item).min(1, { error }));
}

const onOff = z.union([z.boolean(), z.stringbool()], { error: 'must be true or false' });

/** `localhost:3000/api/inngest` is meant as http. */
const appUrl = z.string().transform((given, context) => {
  const url = URL.parse(given.includes('://') ? given : `http://${given}`);
  if (url?.protocol === 'http:' || url?.protocol === 'https:') return url.href;
  context.addIssue({ code: 'custom', message: 'must be an http or https URL' });
  return z.NEVER;
});

const eventKey = z
  .string()
  .regex(/^[\w.~-]{1,256}$/, { error: 'must be made of letters, digits and - . _ ~ only, for it stands in URLs' })
  .refine((key) => key !== 'NO_EVENT_KEY_SET', {
    error: 'must not be NO_EVENT_KEY_SET, which SDKs without a key send',
  });

const signingKey = text('must be a text').regex(/^(signkey-\w+-)?([0-9a-f]{2})+$/i, {
  error: `must be an even number of hex digits, with or without \`signkey-prod-\` before them; ${KEY_HELP}`,
});

/** An address of a service, of one of these schemes. It may hold a password, so it is never shown back. */
function serviceUrl(...schemes: readonly string[]) {
  const error = `must be a URL that begins with ${schemes.map((scheme) => `${scheme}://`).join(' or ')}`;
  return z
    .string({ error })
    .refine((given) => schemes.includes(URL.parse(given)?.protocol.slice(0, -1) ?? ''), { error });
}

const broker = z
  .string()
  .regex(/^[^\s:/]+:\d{1,5}$|^\[[0-9a-f:.]+\]:\d{1,5}$/i, { error: 'must be host:port, or several' });

export const ROWS = {
  host: {
    schema: text('must be an address'),
    takes: '<address>',
    about: 'Address to listen on (dev: 127.0.0.1; start: 0.0.0.0).',
  },
  port: {
    schema: whole(0, 65_535),
    takes: '<port>',
    short: '-p',
    about: 'Port to listen on (8288); 0 takes one that is free.',
  },
  'data-dir': {
    schema: text('must be a path'),
    takes: '<folder>',
    about: 'Folder to keep data in (dev: a temporary one; start: ./.millrace).',
  },
  persist: { schema: onOff, mode: 'dev', about: 'Keep data in ./.millrace/dev.' },
  memory: {
    schema: onOff,
    mode: 'dev',
    about: 'Keep data in a temporary folder that goes with the server (what dev does anyway).',
  },
  'sdk-url': {
    schema: list(appUrl, 'must be a URL, or several'),
    takes: '<url>',
    short: '-u',
    many: true,
    about: 'URL of an app to sync; repeat it, or separate several by commas.',
  },
  'no-discovery': { schema: onOff, mode: 'dev', about: 'Do not look for apps on the usual local ports.' },
  'no-poll': { schema: onOff, about: 'Do not ask apps whether they changed.' },
  'poll-interval': {
    schema: seconds(0, 86_400),
    takes: '<seconds>',
    about: 'How often apps are asked whether they changed (dev: 5; start: never).',
  },
  'retry-interval': {
    schema: seconds(0, 86_400),
    takes: '<seconds>',
    about: 'Let every retry wait this long, instead of longer and longer.',
  },
  'event-key': {
    schema: list(eventKey, 'must be a key, or several'),
    takes: '<key>',
    many: true,
    secret: true,
    mode: 'start',
    about: 'Key that apps send events with; repeat it for more.',
  },
  'signing-key': {
    schema: signingKey,
    takes: '<key>',
    secret: true,
    mode: 'start',
    about: 'Key that calls are signed with: hex digits, of even number.',
  },
  'signing-key-fallback': {
    schema: signingKey,
    takes: '<key>',
    secret: true,
    mode: 'start',
    about: 'The signing key before this one, accepted while keys are being changed.',
  },
  'queue-workers': {
    schema: whole(1, 10_000),
    takes: '<count>',
    about: 'Calls to apps under way at the same time (100).',
  },
  'call-timeout': {
    schema: seconds(1, LIMITS.callMsMax / SECOND_MS),
    takes: '<seconds>',
    about: 'Longest time that an app may take to answer a call (7200).',
  },
  'allow-private-urls': {
    schema: onOff,
    about: 'Let URLs that users give point into private networks (dev: they may).',
  },
  'no-history': { schema: onOff, about: 'Keep no history: saves memory; lists and ended runs are gone.' },
  'log-level': {
    schema: oneOf(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']),
    takes: '<level>',
    short: '-l',
    about: 'What is logged (dev: warn; start: info).',
  },
  roles: {
    schema: list(oneOf(ROLES), 'must be a role, or several').transform((roles) => [...new Set(roles)]),
    takes: '<role>',
    many: true,
    about: `What this process does (all): ${ROLES.join(', ')}. Processes of other roles need the same services.`,
  },
  'kafka-brokers': {
    schema: list(broker, 'must be host:port, or several'),
    takes: '<host:port>',
    many: true,
    variable: 'KAFKA_BROKERS',
    about: 'Keep the log in Kafka, found by these brokers.',
  },
  'redis-url': {
    schema: serviceUrl('redis', 'rediss'),
    takes: '<url>',
    secret: true,
    variable: 'REDIS_URL',
    about: 'Keep queue and running state in Redis.',
  },
  'database-url': {
    schema: serviceUrl('postgres', 'postgresql'),
    takes: '<url>',
    secret: true,
    variable: 'DATABASE_URL',
    about: 'Keep apps and functions in Postgres.',
  },
  'clickhouse-url': {
    schema: serviceUrl('http', 'https'),
    takes: '<url>',
    secret: true,
    variable: 'CLICKHOUSE_URL',
    about: 'Keep history in ClickHouse (its HTTP port; the path names the database).',
  },
  'schema-registry-url': {
    schema: serviceUrl('http', 'https'),
    takes: '<url>',
    secret: true,
    variable: 'SCHEMA_REGISTRY_URL',
    about: 'Write records as Avro, with schemas in this registry, instead of JSON.',
  },
  'topic-prefix': {
    schema: text('must be a text').regex(/^[\w.-]{1,100}$/, {
      error: 'must be made of letters, digits and . _ - only',
    }),
    takes: '<text>',
    advanced: true,
    about: 'What stands before the names of topics (millrace.) and of keys in Redis.',
  },
  partitions: {
    schema: whole(1, 1_024),
    takes: '<count>',
    advanced: true,
    about: 'Partitions of the topics, where they are made (12). So many runners can share the work.',
  },
  'replication-factor': {
    schema: whole(1, 9),
    takes: '<count>',
    advanced: true,
    about: 'Copies of each partition, where topics are made (3, or as many as there are brokers).',
  },
  'min-insync-replicas': {
    schema: whole(1, 9),
    takes: '<count>',
    advanced: true,
    about: 'Copies that have a record when it is acknowledged, where topics are made (2 of 3 copies or more, else 1).',
  },
  compression: {
    schema: oneOf(['none', 'gzip', 'snappy', 'lz4', 'zstd']),
    takes: '<kind>',
    advanced: true,
    about: 'How batches are compressed on their way to Kafka (none).',
  },
  'kafka-tls': { schema: onOff, advanced: true, about: 'Speak TLS with the brokers.' },
  'kafka-tls-ca': {
    schema: text('must be a path'),
    takes: '<file>',
    advanced: true,
    about: 'Certificates of authorities that the brokers are checked against, PEM.',
  },
  'kafka-sasl-mechanism': {
    schema: oneOf(['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512']),
    takes: '<name>',
    advanced: true,
    about: 'How to sign in at the brokers (PLAIN).',
  },
  'kafka-username': {
    schema: text('must be a text'),
    takes: '<name>',
    advanced: true,
    about: 'User to sign in at the brokers.',
  },
  'kafka-password': {
    schema: text('must be a text'),
    takes: '<password>',
    secret: true,
    advanced: true,
    about: 'Password to sign in at the brokers.',
  },
  'otlp-endpoint': {
    schema: serviceUrl('http', 'https'),
    takes: '<url>',
    secret: true,
    advanced: true,
    variable: 'OTEL_EXPORTER_OTLP_ENDPOINT',
    about: 'Hand spans to an OpenTelemetry collector (its HTTP address, such as http://localhost:4318).',
  },
  verbose: { schema: onOff, short: '-v', about: 'The same as --log-level debug.' },
  json: { schema: onOff, about: 'Print one JSON object a line.' },
  'event-body-bytes-max': {
    schema: whole(1_024, 2 ** 30),
    takes: '<bytes>',
    advanced: true,
    about: 'Largest body of a request to the event API (33554432).',
  },
  'event-retention': {
    schema: time(DAY_MS, '1d'),
    takes: '<time>',
    advanced: true,
    about: 'How long events stay on the log (30d).',
  },
  'command-retention': {
    schema: time(HOUR_MS, '1h'),
    takes: '<time>',
    advanced: true,
    about: 'How long commands stay on the log (30d).',
  },
  'transition-retention': {
    schema: time(HOUR_MS, '1h'),
    takes: '<time>',
    advanced: true,
    about: 'How long transitions stay on the log (30d).',
  },
  'checkpoint-interval': {
    schema: seconds(0.05, 600),
    takes: '<seconds>',
    advanced: true,
    about: 'How often runs that changed are written beside the log (2).',
  },
  'snapshot-interval': {
    schema: seconds(1, 3_600),
    takes: '<seconds>',
    advanced: true,
    about: 'How often runs that changed are put on the log as they stand, where stores may be lost (30).',
  },
  'lease-time': {
    schema: seconds(0.1, 3_600),
    takes: '<seconds>',
    advanced: true,
    about:
      'How long a call that limits count holds its place when nothing is heard of who made it, as after a crash (30).',
  },
} as const satisfies Record<string, Row>;

export type SettingName = keyof typeof ROWS;

/** What was given, read. */
export type Given = { readonly [N in SettingName]?: z.output<(typeof ROWS)[N]['schema']> };

/** What a table has under a name that people gave. */
export function lookUp<T>(table: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}

interface Unused {
  readonly takes?: string;
  readonly why: string;
}

const CONNECT: Unused = { takes: '<value>', why: 'Connect is not served yet' };

/** What servers of the same protocol take and this one has no use for: said so, when it is given. */
export const UNUSED: Readonly<Record<string, Unused>> = {
  tick: { takes: '<ms>', why: 'work is woken, not looked for' },
  'no-ui': { why: 'there is no dashboard yet' },
  'connect-gateway-port': CONNECT,
};

interface Alias {
  readonly is: SettingName;
  readonly takes?: string;
}

/** Other names of the same thing. */
export const ALIASES: Readonly<Record<string, Alias>> = {
  'sqlite-dir': { is: 'data-dir', takes: '<folder>' },
  'redis-uri': { is: 'redis-url', takes: '<url>' },
  'postgres-uri': { is: 'database-url', takes: '<url>' },
};

/** `MILLRACE_POLL_INTERVAL` of `poll-interval`. */
export function variable(prefix: string, name: string): string {
  return `${prefix}_${name.toUpperCase().replaceAll('-', '_')}`;
}

/** A flag for the command line. */
export interface Flag {
  readonly name: string;
  readonly short?: string | undefined;
  readonly takes?: string | undefined;
  readonly many?: boolean | undefined;
  readonly about: string;
  /** Taken, and left out of the help. */
  readonly hidden: boolean;
}

/** What a mode takes, in the order of the help. */
export function flags(mode: Mode): readonly Flag[] {
  const known = Object.entries<Row>(ROWS)
    .filter(([, row]) => !row.advanced)
    .map(([name, { short, takes, many, about, mode: only }]) => {
      return { name, short, takes, many, about, hidden: only !== undefined && only !== mode };
    });
  const others = Object.entries<{ readonly takes?: string }>({ ...ALIASES, ...UNUSED });
  return [...known, ...others.map(([name, { takes }]) => ({ name, takes, about: '', hidden: true }))];
}
