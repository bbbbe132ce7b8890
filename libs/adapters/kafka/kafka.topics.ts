import { ConfigResourceTypes, createTopicsV7, describeConfigsV4 } from '@platformatic/kafka';
import { Fault } from '#core/faults.js';
import type { Topic } from '#ports/event-log.port.js';
import { answerOf, backoffMs, type KafkaCluster, pause, refusal, unavailable } from './kafka-cluster.js';

/** How topics are made that do not exist yet. */
export interface TopicOptions {
  /** Of all topics but `config`, which has one. Default 12. */
  readonly partitions?: number;
  /** Default: 3, or as many as there are brokers. */
  readonly replicationFactor?: number;
  /** So many replicas must have a record before it is acknowledged. Default: 2 of 3 or more, else 1. */
  readonly minInsyncReplicas?: number;
  /** How long records are kept, ms; -1: for ever. Default 7 days, dead letters 30 days. Compacted topics keep the newest of each key. */
  readonly retentionMs?: Partial<Record<TimedTopic, number>>;
  /** Largest batch that a topic takes, bytes. Default 32 MiB. */
  readonly messageBytesMax?: number;
  /** Settings of topics, by Kafka's names; they come before those above. */
  readonly settings?: Partial<Record<Topic, Readonly<Record<string, string>>>>;
}

type TimedTopic = Exclude<Topic, CompactedTopic>;
type CompactedTopic = 'snapshots' | 'config';

const TOPICS: readonly Topic[] = ['events', 'commands', 'transitions', 'snapshots', 'config', 'dead-letters'];
const DAY = 24 * 60 * 60 * 1_000;
const RETENTION_MS: Record<TimedTopic, number> = {
  events: 7 * DAY,
  commands: 7 * DAY,
  transitions: 7 * DAY,
  'dead-letters': 30 * DAY,
};
const PARTITIONS = 12;
const MESSAGE_BYTES_MAX = 32 * 1024 * 1024;
/** How long the broker waits for topics to come into being; that they do is seen in any case. */
const CREATE_MS = 2_000;
const TOPIC_ALREADY_EXISTS = 36;

/** A topic as it is in the cluster. */
export interface TopicInfo {
  readonly topic: Topic;
  readonly name: string;
  readonly partitions: number;
  /** Largest batch that it takes, bytes. */
  readonly messageBytesMax: number;
}

export function topicNames(prefix: string): readonly string[] {
  return TOPICS.map((topic) => prefix + topic);
}

export function isCompacted(topic: Topic): topic is CompactedTopic {
  return topic === 'snapshots' || topic === 'config';
}

/**
 * Makes the topics that do not exist and checks those that do. Several processes may do it at once.
 * @throws settings_invalid when a topic is not what the log needs, or the brokers do not let us in; log_unavailable when it takes too long
 */
export async function openTopics(
  cluster: KafkaCluster,
  prefix: string,
  options: TopicOptions,
  patienceMs: number,
): Promise<ReadonlyMap<Topic, TopicInfo>> {
  const until = performance.now() + patienceMs;
  for (let failures = 0; ; failures++) {
    try {
      await cluster.refresh();
      const missing = TOPICS.filter((topic) => cluster.partitionsOf(prefix + topic) === 0);
      if (missing.length === 0) return await checked(cluster, prefix);
      await create(cluster, prefix, missing, options);
    } catch (error) {
      if (error instanceof Fault) throw error;
      if (performance.now() > until) throw refusal(error) ?? unavailable(error);
    }
    if (performance.now() > until) throw unavailable(new Error('the topics do not come into being'));
    await pause(backoffMs(failures, 250));
  }
}

async function create(
  cluster: KafkaCluster,
  prefix: string,
  missing: readonly Topic[],
  options: TopicOptions,
): Promise<void> {
  const replicationFactor = options.replicationFactor ?? Math.min(3, cluster.brokerCount);
  const topics = missing.map((topic) => ({
    name: prefix + topic,
    numPartitions: topic === 'config' ? 1 : (options.partitions ?? PARTITIONS),
    replicationFactor,
    assignments: [],
    configs: Object.entries(settingsOf(topic, replicationFactor, options)).map(([name, value]) => ({ name, value })),
  }));
  try {
    await cluster.ask(createTopicsV7.api, topics, CREATE_MS, false);
  } catch (error) {
    const answer = answerOf<Awaited<ReturnType<typeof createTopicsV7.api.async>>>(error);
    if (!answer) throw error;
    const refused = answer.topics.find(({ errorCode }) => INVALID.has(errorCode));
    if (refused) {
      const message = `Kafka does not make the topic ${refused.name}: ${refused.errorMessage ?? `error ${refused.errorCode}`}`;
      throw new Fault('settings_invalid', { topic: refused.name, error: refused.errorCode }, { cause: error, message });
    }
    if (answer.topics.some(({ errorCode }) => errorCode !== 0 && errorCode !== TOPIC_ALREADY_EXISTS)) throw error;
  }
}

/** Trying again would not help: names, numbers, settings, rights. */
const INVALID = new Set([17, 29, 31, 37, 38, 40, 42, 44]);

function settingsOf(topic: Topic, replicationFactor: number, options: TopicOptions): Record<string, string> {
  const kept = isCompacted(topic)
    ? { 'cleanup.policy': 'compact', 'min.cleanable.dirty.ratio': '0.1', 'segment.bytes': String(64 * 1024 * 1024) }
    : { 'cleanup.policy': 'delete', 'retention.ms': String(options.retentionMs?.[topic] ?? RETENTION_MS[topic]) };
  return {
    ...kept,
    'max.message.bytes': String(options.messageBytesMax ?? MESSAGE_BYTES_MAX),
    // A record's time is the log's to say: what was received then, not what was written then.
    'message.timestamp.type': 'CreateTime',
    'message.timestamp.after.max.ms': '9223372036854775807',
    'min.insync.replicas': String(options.minInsyncReplicas ?? (replicationFactor >= 3 ? 2 : 1)),
    ...options.settings?.[topic],
  };
}

async function checked(cluster: KafkaCluster, prefix: string): Promise<ReadonlyMap<Topic, TopicInfo>> {
  const partitions = (topic: Topic): number => cluster.partitionsOf(prefix + topic);
  const served = partitions('commands');
  if (partitions('events') !== served) {
    throw wrong(
      prefix,
      `${prefix}events has ${partitions('events')} partitions and ${prefix}commands ${served}: they must have as many`,
    );
  }
  for (const topic of ['transitions', 'snapshots'] as const) {
    if (partitions(topic) < served)
      throw wrong(
        prefix,
        `${prefix}${topic} has ${partitions(topic)} partitions: it must have as many as ${prefix}commands, ${served}`,
      );
  }
  const resources = TOPICS.map((topic) => ({
    resourceType: ConfigResourceTypes.TOPIC,
    resourceName: prefix + topic,
    configurationKeys: ['cleanup.policy', 'max.message.bytes'],
  }));
  const { results } = await cluster.ask(describeConfigsV4.api, resources, false, false);
  const topics = new Map<Topic, TopicInfo>();
  for (const topic of TOPICS) {
    const name = prefix + topic;
    const configs = results.find(({ resourceName }) => resourceName === name)?.configs ?? [];
    const config = (key: string): string => configs.find((one) => one.name === key)?.value ?? '';
    const compacts = config('cleanup.policy').split(',').includes('compact');
    if (compacts !== isCompacted(topic)) {
      const must = isCompacted(topic) ? 'must be compacted' : 'must not be compacted';
      throw wrong(prefix, `${name} has cleanup.policy=${config('cleanup.policy')}: it ${must}`);
    }
    topics.set(topic, {
      topic,
      name,
      partitions: partitions(topic),
      messageBytesMax: Number(config('max.message.bytes')),
    });
  }
  return topics;
}

function wrong(prefix: string, sentence: string): Fault {
  return new Fault('settings_invalid', { prefix }, { message: `The Kafka topic ${sentence}.` });
}
