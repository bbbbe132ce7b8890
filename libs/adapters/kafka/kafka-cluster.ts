import { isIP } from 'node:net';
import type { ConnectionOptions as TlsOptions } from 'node:tls';
import {
  type API,
  AuthenticationError,
  type Broker,
  Connection,
  metadataV12,
  ResponseError,
  type SASLOptions,
} from '@platformatic/kafka';
import { Fault } from '#core/faults.js';

/** How a cluster is reached. Brokers speak the protocol of Kafka 3.6 or newer. */
export interface KafkaConnectOptions {
  /** `host:port` of some of the cluster's brokers; the others are found through them. */
  readonly brokers: readonly string[];
  readonly clientId: string;
  readonly tls?: TlsOptions;
  readonly sasl?: SASLOptions;
  /** The longest wait for a connection, ms. Default 3 s. */
  readonly connectTimeoutMs?: number;
  /** The longest wait for an answer, ms. Default 10 s. */
  readonly requestTimeoutMs?: number;
}

interface PartitionLeaders {
  /** Node by partition; undefined where there is none right now. */
  readonly leaders: readonly (number | undefined)[];
  readonly replicationFactor: number;
}

const CONNECT_TIMEOUT_MS = 3_000;
const REQUEST_TIMEOUT_MS = 10_000;
/** Whoever does not answer a question that any other can answer is left alone after this time. */
const ASK_TIMEOUT_MS = 4_000;
/** A connection holds what it has not sent yet in order; it must never hold back. */
const INFLIGHT_MAX = 1_000;

/** What is known of a cluster: its brokers, and which of them leads which partition. */
export class KafkaCluster {
  readonly requestTimeoutMs: number;
  private readonly bootstrap: readonly Broker[];
  private readonly links: BrokerLinks;
  private brokers = new Map<number, Broker>();
  private topics = new Map<string, PartitionLeaders>();
  private id: string | undefined;
  /** Answered last: it is asked first, for others may hang. */
  private answering: Broker | undefined;
  private refreshing: Promise<void> | undefined;

  /** @param names topics that are asked about */
  constructor(
    private readonly options: KafkaConnectOptions,
    private readonly names: readonly string[],
  ) {
    this.requestTimeoutMs = options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS;
    this.bootstrap = options.brokers.map(brokerOf);
    if (this.bootstrap.length === 0) throw new TypeError('no brokers are given');
    this.links = new BrokerLinks(this, Math.min(this.requestTimeoutMs, ASK_TIMEOUT_MS));
  }

  get clusterId(): string {
    return this.id ?? '';
  }

  get brokerCount(): number {
    return this.brokers.size;
  }

  /** @returns undefined where nobody leads it, as far as is known */
  leaderOf(topic: string, partition: number): number | undefined {
    return this.topics.get(topic)?.leaders[partition];
  }

  partitionsOf(topic: string): number {
    return this.topics.get(topic)?.leaders.length ?? 0;
  }

  replicationOf(topic: string): number {
    return this.topics.get(topic)?.replicationFactor ?? 0;
  }

  /** Looks again. Whoever calls meanwhile gets the same answer. @throws Error when no broker answers */
  refresh(): Promise<void> {
    this.refreshing ??= this.look().finally(() => (this.refreshing = undefined));
    return this.refreshing;
  }

  /** Asks what any broker can answer: one after the other, until one does. @throws Error */
  async ask<A extends unknown[], R>(api: API<A, R>, ...request: A): Promise<R> {
    let cause: unknown;
    for (const broker of this.candidates()) {
      try {
        const answer = await this.links.call(broker, api, ...request);
        this.answering = broker;
        return answer;
      } catch (error) {
        if (answerOf(error) !== undefined) throw error;
        cause = error;
      }
    }
    throw cause;
  }

  broker(node: number): Broker {
    const broker = this.brokers.get(node);
    if (!broker) throw new Error(`there is no broker ${node}`);
    return broker;
  }

  /** @param host that it will be to */
  connection(requestTimeoutMs: number, host: string): Connection {
    const { clientId, tls, sasl } = this.options;
    const connection = new Connection(clientId, {
      connectTimeout: this.options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
      requestTimeout: requestTimeoutMs,
      maxInflights: INFLIGHT_MAX,
      ...(tls === undefined ? {} : { tls, tlsServerName: tls.servername ?? isIP(host) === 0 }),
      ...(sasl === undefined ? {} : { sasl }),
    });
    // Told with the request that fails; without a listener it would end the process.
    connection.on('error', () => undefined);
    return connection;
  }

  async close(): Promise<void> {
    await this.links.close();
  }

  private async look(): Promise<void> {
    const answer = await this.ask(metadataV12.api, [...this.names], false, false).catch((error: unknown) => {
      // Topics that do not exist, or partitions without a leader: the rest of the answer holds.
      const found = answerOf<Awaited<ReturnType<typeof metadataV12.api.async>>>(error);
      if (!found) throw error;
      return found;
    });
    if (answer.brokers.length === 0) throw new Error('the broker knows of no broker yet');
    this.id = answer.clusterId ?? undefined;
    this.brokers = new Map(answer.brokers.map(({ nodeId, host, port }) => [nodeId, { host, port }]));
    for (const { name, errorCode, partitions } of answer.topics) {
      // While a broker starts it may not know of a topic yet: what was known of it stays.
      if (name == null || errorCode !== 0 || partitions.length === 0) continue;
      const leaders = Array.from<number | undefined>({ length: partitions.length });
      for (const { partitionIndex, leaderId } of partitions)
        leaders[partitionIndex] = this.brokers.has(leaderId) ? leaderId : undefined;
      this.topics.set(name, { leaders, replicationFactor: partitions[0]?.replicaNodes.length ?? 0 });
    }
  }

  private candidates(): Iterable<Broker> {
    const known = [...(this.answering ? [this.answering] : []), ...this.brokers.values(), ...this.bootstrap];
    return new Map(known.map((broker) => [`${broker.host}:${broker.port}`, broker])).values();
  }
}

/** Connections for one purpose, one a broker: a broker takes the requests of a connection one after the other. */
export class BrokerLinks {
  private readonly connections = new Map<string, Promise<Connection>>();
  private closed = false;

  constructor(
    private readonly cluster: KafkaCluster,
    private readonly requestTimeoutMs: number = cluster.requestTimeoutMs,
  ) {}

  /** @throws Error when the broker cannot be reached, does not answer in time, or answers with an error: then see `answerOf` */
  async call<A extends unknown[], R>(to: Broker | number, api: API<A, R>, ...request: A): Promise<R> {
    const connection = await this.connect(typeof to === 'number' ? this.cluster.broker(to) : to);
    return api.async(connection, ...request);
  }

  async close(): Promise<void> {
    this.closed = true;
    const open = [...this.connections.values()];
    this.connections.clear();
    await Promise.allSettled(open.map(async (connection) => (await connection).close()));
  }

  private connect(broker: Broker): Promise<Connection> {
    if (this.closed) return Promise.reject(new Error('closed'));
    const name = `${broker.host}:${broker.port}`;
    const known = this.connections.get(name);
    if (known) return known;
    const opening = this.open(broker);
    this.connections.set(name, opening);
    const forget = (): void => {
      if (this.connections.get(name) === opening) this.connections.delete(name);
    };
    opening.then((connection) => {
      connection.once('error', forget);
      connection.once('close', forget);
      if (!connection.isConnected()) forget();
    }, forget);
    return opening;
  }

  private async open({ host, port }: Broker): Promise<Connection> {
    const connection = this.cluster.connection(this.requestTimeoutMs, host);
    await connection.connect(host, port);
    return connection;
  }
}

/** The answer of a broker that named errors in it; undefined where there was none. */
export function answerOf<R>(error: unknown): R | undefined {
  return error instanceof ResponseError ? (error['response'] as R) : undefined;
}

/** What went wrong, and because of what. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const causes: readonly unknown[] =
    error instanceof AggregateError ? error.errors : error.cause === undefined ? [] : [error.cause];
  return causes.length === 0 ? error.message : `${error.message} (${causes.map(reasonOf).join('; ')})`;
}

/** That the brokers do not let us in, or we do not trust them; undefined where they may just be away. */
export function refusal(error: unknown): Fault | undefined {
  const chain = causesOf(error);
  const refused = chain.find((one) => one instanceof AuthenticationError);
  const answered = chain.some((one) => one instanceof ResponseError);
  if (refused && answered)
    return new Fault('settings_invalid', {}, { cause: error, message: `Kafka refuses the user: ${refused.message}` });
  const distrusted = chain.find(({ code }) => CERTIFICATE.test(String(code)));
  if (!distrusted) return undefined;
  const message = `The certificate of a Kafka broker is not to be trusted: ${distrusted.message}.`;
  return new Fault('settings_invalid', { code: distrusted.code }, { cause: error, message });
}

/** https://nodejs.org/api/tls.html#x509-certificate-error-codes */
const CERTIFICATE = /CERT|LEAF_SIGNATURE/;

function causesOf(error: unknown): readonly (Error & { readonly code?: string })[] {
  if (!(error instanceof Error)) return [];
  const inner = error instanceof AggregateError ? (error.errors as readonly unknown[]) : [];
  return [error, ...[...inner, error.cause].flatMap(causesOf)];
}

export function unavailable(cause: unknown, message?: string): Fault {
  if (cause instanceof Fault) return cause;
  return new Fault(
    'log_unavailable',
    { reason: reasonOf(cause) },
    { cause, ...(message === undefined ? {} : { message }) },
  );
}

/** Waits; ends early, without an error, when the signal says so. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener('abort', done);
  });
}

/** How long to wait before the next try, after so many that failed. */
export function backoffMs(failures: number, mostMs = 1_000): number {
  return Math.min(mostMs, 20 * 2 ** Math.min(failures, 10));
}

function brokerOf(text: string): Broker {
  const [, host, port] = /^(?:\w+:\/\/)?\[?(.+?)\]?:(\d+)$/.exec(text) ?? [];
  if (host === undefined || port === undefined) throw new TypeError(`not the host:port of a broker: ${text}`);
  return { host, port: Number(port) };
}
