import { randomBytes } from 'node:crypto';
import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Admin, FindCoordinatorKeyTypes } from '@platformatic/kafka';
import { builtOnce, runProgram } from './built.once.js';
import { freePorts } from './free.port.js';
import { programs } from './programs.js';
import { serviceFolder, ServiceProcess, type ServiceOptions } from './service.process.js';

export interface KafkaClusterOptions extends ServiceOptions {
  /** How many brokers. With three, topics have three replicas unless they say otherwise, and one broker may be gone. Default 1. */
  readonly brokers?: number;
  /** More of the brokers' configuration, which wins over ours: `{ 'message.max.bytes': '20000' }`. */
  readonly config?: Readonly<Record<string, string>>;
  /** Each broker has a second door that asks for TLS and a password: see `secureAddress`. */
  readonly secure?: SecureDoor;
}

/** How clients come in by the second door. */
export interface SecureDoor {
  /** A file of the brokers' private key and certificates, PEM. */
  readonly keystore: string;
  /** Passwords by user, for SASL/PLAIN. Users of SCRAM are made as anywhere: by a request. */
  readonly users: Readonly<Record<string, string>>;
}

interface BrokerPlace {
  readonly id: number;
  readonly port: number;
  readonly controllerPort: number;
  readonly securePort: number;
}

/** What is there on this machine to run brokers with. */
interface Installation {
  /** Arguments of Java, up to the program to run. */
  readonly java: readonly string[];
  /** What a new log begins with, the same for every broker. */
  readonly bootstrap: string;
}

const POM = fileURLToPath(new URL('./kafka/pom.xml', import.meta.url));

/** A small heap, and a start that is quick rather than code that is fast after minutes. */
const JVM = ['-Xmx400m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Xshare:auto', '-Dlog4j2.level=WARN'];

/** One broker of a cluster. It is a controller, too. */
export class KafkaBroker extends ServiceProcess {
  readonly id: number;
  /** Where clients connect, `host:port`. */
  readonly address: string;
  /** Where they connect by TLS and SASL, if there is such a door. */
  readonly secureAddress: string;

  /** Its folder has been laid out. */
  constructor(place: BrokerPlace, folder: string, java: readonly string[], options: ServiceOptions) {
    const address = addressOf(place);
    super(
      {
        name: `kafka broker ${place.id}`,
        command: programs('java').java,
        args: [...java, 'kafka.Kafka', propertiesIn(folder)],
        folder,
        answers: () => kafkaAnswers([address], 1),
      },
      options,
    );
    this.id = place.id;
    this.address = address;
    this.secureAddress = `127.0.0.1:${place.securePort}`;
  }
}

/**
 * Apache Kafka in KRaft mode: one broker, or several that replicate. Topics are made by those who need them; to name one is not enough. Each
 * broker can be killed, suspended and started again by itself.
 */
export class KafkaCluster implements AsyncDisposable {
  readonly nodes: readonly KafkaBroker[];

  private constructor(nodes: readonly KafkaBroker[]) {
    this.nodes = nodes;
  }

  /** Starts all the brokers. They know each other by then, and consumer groups can be joined. */
  static async launch(options: KafkaClusterOptions = {}): Promise<KafkaCluster> {
    const { java, bootstrap } = await installation();
    const places = await brokerPlaces(options.brokers ?? 1);
    const clusterId = kafkaUuid();
    const nodes = await Promise.all(
      places.map(async (place) => {
        const folder = await brokerFolder(place, places, {
          ...secureConfigOf(place, options.secure),
          ...options.config,
        });
        await format(folder, place, clusterId, bootstrap);
        return new KafkaBroker(place, folder, java, options);
      }),
    );
    const cluster = new KafkaCluster(nodes);
    try {
      await Promise.all(nodes.map((node) => node.start()));
      await cluster.settled();
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
    return cluster;
  }

  /** Where clients begin, `host:port` each. */
  get brokers(): readonly string[] {
    return this.nodes.map(({ address }) => address);
  }

  /** The broker of this id: they count from 1. */
  node(id: number): KafkaBroker {
    const node = this.nodes[id - 1];
    if (!node) throw new Error(`there is no broker ${id}`);
    return node;
  }

  /** Resolves when all the brokers are in, and have a coordinator for groups. */
  private async settled(): Promise<void> {
    for (;;) {
      try {
        return await kafkaAnswers(this.brokers, this.nodes.length);
      } catch (error) {
        if (this.nodes.some(({ running }) => !running)) throw error;
      }
    }
  }

  /** Ends all and removes their data. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.nodes.map((node) => node[Symbol.asyncDispose]()));
  }
}

/** @throws when these brokers do not answer, or when there are fewer than so many of them */
export async function kafkaAnswers(brokers: readonly string[], brokersMin: number): Promise<void> {
  const admin = new Admin({ clientId: 'services', bootstrapBrokers: [...brokers], retries: 0, timeout: 10_000 });
  try {
    const known = await admin.metadata({ topics: [] });
    if (known.brokers.size < brokersMin) throw new Error(`${known.brokers.size} of ${brokersMin} brokers are there`);
    // Any group will do: the first who asks for one has the topic made in which groups are kept.
    await admin.findCoordinator({ keyType: FindCoordinatorKeyTypes.GROUP, keys: ['services'] });
  } finally {
    await admin.close();
  }
}

async function brokerPlaces(count: number): Promise<readonly BrokerPlace[]> {
  const ports = await freePorts(3 * count);
  return Array.from({ length: count }, (_, at) => {
    const [port = 0, controllerPort = 0, securePort = 0] = ports.slice(3 * at);
    return { id: at + 1, port, controllerPort, securePort };
  });
}

function configOf(
  place: BrokerPlace,
  places: readonly BrokerPlace[],
  folder: string,
): Readonly<Record<string, string>> {
  const replicas = String(Math.min(3, places.length));
  const inSync = places.length >= 3 ? '2' : '1';
  return {
    'process.roles': 'broker,controller',
    'node.id': String(place.id),
    'controller.quorum.voters': places.map(({ id, controllerPort }) => `${id}@127.0.0.1:${controllerPort}`).join(','),
    listeners: `${plain(place)},CONTROLLER://127.0.0.1:${place.controllerPort}`,
    'advertised.listeners': plain(place),
    'controller.listener.names': 'CONTROLLER',
    'log.dirs': dataIn(folder),
    'auto.create.topics.enable': 'false',
    'default.replication.factor': replicas,
    'min.insync.replicas': inSync,
    'offsets.topic.replication.factor': replicas,
    'offsets.topic.num.partitions': '4',
    'transaction.state.log.replication.factor': replicas,
    'transaction.state.log.min.isr': inSync,
    'transaction.state.log.num.partitions': '4',
    'share.coordinator.state.topic.replication.factor': replicas,
    'share.coordinator.state.topic.min.isr': inSync,
    'share.coordinator.state.topic.num.partitions': '4',
    // A broker that is killed is missed soon, and is taken back soon.
    'broker.heartbeat.interval.ms': '500',
    'broker.session.timeout.ms': '5000',
    // The first of a group need not wait for more to come.
    'group.initial.rebalance.delay.ms': '0',
    // Many small topics, on one disk, of which nothing has to outlive the machine.
    'log.index.size.max.bytes': '1048576',
    'log.cleaner.dedupe.buffer.size': '16777216',
    'log.cleaner.backoff.ms': '1000',
  };
}

/** Beside the door that brokers and most tests use. */
function secureConfigOf(place: BrokerPlace, door: SecureDoor | undefined): Readonly<Record<string, string>> {
  if (!door) return {};
  const secure = `SECURE://127.0.0.1:${place.securePort}`;
  const users = Object.entries(door.users).map(([name, password]) => `user_${name}="${password}"`);
  const scram = 'org.apache.kafka.common.security.scram.ScramLoginModule required;';
  return {
    listeners: `${plain(place)},${secure},CONTROLLER://127.0.0.1:${place.controllerPort}`,
    'advertised.listeners': `${plain(place)},${secure}`,
    'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL',
    'listener.name.secure.ssl.keystore.type': 'PEM',
    'listener.name.secure.ssl.keystore.location': door.keystore,
    'listener.name.secure.sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512',
    'listener.name.secure.plain.sasl.jaas.config': `org.apache.kafka.common.security.plain.PlainLoginModule required ${users.join(' ')};`,
    'listener.name.secure.scram-sha-256.sasl.jaas.config': scram,
    'listener.name.secure.scram-sha-512.sasl.jaas.config': scram,
  };
}

function plain(place: BrokerPlace): string {
  return `PLAINTEXT://${addressOf(place)}`;
}

function addressOf({ port }: BrokerPlace): string {
  return `127.0.0.1:${port}`;
}

function propertiesIn(folder: string): string {
  return join(folder, 'server.properties');
}

/** A broker's folder with its configuration. */
async function brokerFolder(
  place: BrokerPlace,
  places: readonly BrokerPlace[],
  more: Readonly<Record<string, string>> = {},
): Promise<string> {
  const folder = await serviceFolder('kafka');
  await writeFile(propertiesIn(folder), propertiesText({ ...configOf(place, places, folder), ...more }));
  return folder;
}

/** What `kafka-storage format` does, without a JVM: the log's folder says whose it is, and begins like every other. */
async function format(folder: string, place: BrokerPlace, clusterId: string, bootstrap: string): Promise<void> {
  const data = dataIn(folder);
  await mkdir(data);
  await copyFile(bootstrap, join(data, BOOTSTRAP));
  const identity = { version: '1', 'cluster.id': clusterId, 'node.id': String(place.id), 'directory.id': kafkaUuid() };
  await writeFile(join(data, 'meta.properties'), propertiesText(identity));
}

/** Gets the jars from Maven's repository, and has one broker show how it starts, so that all others start in half the time. Once. */
async function installation(): Promise<Installation> {
  const folder = await builtOnce('kafka', [POM], async (made) => {
    const target = [`-DoutputDirectory=${made}`, '-DincludeScope=runtime'];
    await runProgram(programs('mvn').mvn, ['-q', '-B', '-f', POM, 'dependency:copy-dependencies', ...target]);
  });
  const java = [...JVM, '-cp', join(folder, '*')];
  const start = await builtOnce('kafka-start', [POM], (made) => recordStart(java, made));
  return { java: [`-XX:SharedArchiveFile=${join(start, CLASSES)}`, ...java], bootstrap: join(start, BOOTSTRAP) };
}

/** Formats and runs a broker, and leaves what a new log begins with and the classes that it has loaded. */
async function recordStart(java: readonly string[], target: string): Promise<void> {
  const places = await brokerPlaces(1);
  for (const place of places) {
    const folder = await brokerFolder(place, places);
    const tool = ['kafka.tools.StorageTool', 'format', '--cluster-id', kafkaUuid(), '--config', propertiesIn(folder)];
    await runProgram(programs('java').java, [...java, ...tool]);
    await copyFile(join(dataIn(folder), BOOTSTRAP), join(target, BOOTSTRAP));
    await using broker = new KafkaBroker(
      place,
      folder,
      [`-XX:ArchiveClassesAtExit=${join(target, CLASSES)}`, ...java],
      {},
    );
    await broker.start();
    await broker.stop();
  }
}

const BOOTSTRAP = 'bootstrap.checkpoint';
const CLASSES = 'classes.jsa';

function propertiesText(properties: Readonly<Record<string, string>>): string {
  return Object.entries(properties)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('');
}

function kafkaUuid(): string {
  return randomBytes(16).toString('base64url');
}

function dataIn(folder: string): string {
  return join(folder, 'data');
}
