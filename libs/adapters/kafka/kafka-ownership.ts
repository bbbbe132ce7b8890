import {
  decodeConsumerProtocolAssignment,
  decodeConsumerProtocolSubscription,
  encodeConsumerProtocolAssignment,
  encodeConsumerProtocolSubscription,
  findCoordinatorV4,
  FindCoordinatorKeyTypes,
  heartbeatV4,
  joinGroupV9,
  leaveGroupV5,
  syncGroupV5,
} from '@platformatic/kafka';
import { Fault } from '#core/faults.js';
import type { Logger } from '#ports/logger.port.js';
import { type Owner, Ownership } from '#ports/ownership.port.js';
import {
  answerOf,
  backoffMs,
  BrokerLinks,
  KafkaCluster,
  type KafkaConnectOptions,
  pause,
  reasonOf,
} from './kafka-cluster.js';
import { OwnedPartitions } from './owned.partitions.js';
import { assign } from './partitions.assign.js';

export interface KafkaOwnershipOptions extends KafkaConnectOptions {
  /** Stands before the topics' names. Default `millrace.`. */
  readonly prefix?: string;
  /** The consumer group. Default: the prefix and `owners`. */
  readonly groupId?: string;
  /** A member that is not heard of for so long has lost its partitions, ms. Default 6 s, the least that brokers allow by themselves. */
  readonly sessionTimeoutMs?: number;
  /** How often a member is heard of, ms. Default 1 s. */
  readonly heartbeatMs?: number;
  /** How long those that share the partitions out wait for a member, ms. Default 6 s. */
  readonly rebalanceTimeoutMs?: number;
  readonly logger: Logger;
}

const PREFIX = 'millrace.';
const SESSION_TIMEOUT_MS = 6_000;
const HEARTBEAT_MS = 1_000;
/** So many in a row are told of. */
const LOUD_FAILURES = 5;
const PROTOCOL_TYPE = 'consumer';
const PROTOCOL = 'millrace-even';
const SUBSCRIPTION_VERSION = 3;

/** https://kafka.apache.org/protocol#protocol_error_codes */
const ILLEGAL_GENERATION = 22;
const UNKNOWN_MEMBER_ID = 25;
const REBALANCE_IN_PROGRESS = 27;
const MEMBER_ID_REQUIRED = 79;

/** A place in the group as it was shared out last. */
interface Membership {
  readonly generation: number;
  readonly coordinator: number;
}

/**
 * Shares the partitions out by a classic consumer group over `commands`: who is not heard of for a session's time has none any more. A
 * partition that stays with its member is not touched when others come and go. Offsets are not kept in the group.
 */
export class KafkaOwnership extends Ownership {
  private readonly cluster: KafkaCluster;
  private readonly links: BrokerLinks;
  private readonly pulse: BrokerLinks;
  private readonly topic: string;
  private readonly groupId: string;
  private readonly sessionTimeoutMs: number;
  private readonly heartbeatMs: number;
  private readonly rebalanceTimeoutMs: number;
  private readonly closing = new AbortController();
  private readonly joined = Promise.withResolvers<void>();
  private memberId = '';
  private coordinatorId: number | undefined;
  private generation = -1;
  private leaving = false;
  private owned: OwnedPartitions | undefined;
  private running: Promise<void> | undefined;
  private closed: Promise<void> | undefined;

  constructor(private readonly options: KafkaOwnershipOptions) {
    super();
    const prefix = options.prefix ?? PREFIX;
    this.topic = `${prefix}commands`;
    this.groupId = options.groupId ?? `${prefix}owners`;
    this.sessionTimeoutMs = options.sessionTimeoutMs ?? SESSION_TIMEOUT_MS;
    this.heartbeatMs = options.heartbeatMs ?? HEARTBEAT_MS;
    this.rebalanceTimeoutMs = options.rebalanceTimeoutMs ?? SESSION_TIMEOUT_MS;
    this.cluster = new KafkaCluster(options, [this.topic]);
    // Whoever joins waits for the others.
    const answerMs = Math.max(this.sessionTimeoutMs, this.rebalanceTimeoutMs) + this.cluster.requestTimeoutMs;
    this.links = new BrokerLinks(this.cluster, answerMs);
    // A coordinator that hangs must be left before the session is over.
    this.pulse = new BrokerLinks(this.cluster, this.sessionTimeoutMs / 3);
    this.joined.promise.catch(() => undefined);
  }

  /** As long as the cluster does not answer it is asked again. @throws log_unavailable when it is closed meanwhile */
  override async open(owner: Owner): Promise<void> {
    if (this.owned) throw new Error('it is open already');
    this.owned = new OwnedPartitions(owner, this.options.logger);
    this.running = this.run(this.owned);
    await this.joined.promise;
  }

  override close(): Promise<void> {
    this.closed ??= this.shut();
    return this.closed;
  }

  private async shut(): Promise<void> {
    this.leaving = true;
    // It stays a member while it gives, so that nobody takes before what is under way has ended.
    this.owned?.assign([]);
    await this.owned?.settled();
    this.closing.abort();
    this.joined.reject(new Fault('log_unavailable', { reason: 'closed' }, { message: 'The ownership is closed.' }));
    await this.leave();
    await Promise.all([this.links.close(), this.pulse.close()]);
    await this.running;
    await this.cluster.close();
  }

  private get isClosed(): boolean {
    return this.closing.signal.aborted;
  }

  private async run(owned: OwnedPartitions): Promise<void> {
    for (let failures = 0; !this.isClosed;) {
      try {
        await this.cluster.refresh();
        const membership = await this.join(owned);
        failures = 0;
        await this.stay(membership);
        // The others are not kept waiting by one that goes.
        if (this.leaving) return await this.leave();
      } catch (error) {
        if (this.isClosed) return;
        // A new cluster takes a moment until it keeps groups; later it is told once.
        if (++failures === LOUD_FAILURES) {
          const told = { group: this.groupId, reason: reasonOf(error) };
          this.options.logger.warn(told, 'The group of owners cannot be joined yet.');
        }
        await pause(backoffMs(failures), this.closing.signal);
      }
    }
  }

  /** Takes part in sharing the partitions out, until that comes to something. */
  private async join(owned: OwnedPartitions): Promise<Membership> {
    for (;;) {
      const coordinator = await this.coordinator();
      const share = await this.share(coordinator, owned);
      if (!share) continue;
      const { generation, partitions } = share;
      this.generation = generation;
      this.coordinatorId = coordinator;
      if (!this.leaving) owned.assign(partitions);
      this.options.logger.info({ group: this.groupId, generation, partitions }, 'Partitions are shared out.');
      this.joined.resolve();
      return { generation, coordinator };
    }
  }

  /** @returns what came to this member; undefined when it has to be done again */
  private async share(coordinator: number, owned: OwnedPartitions): Promise<Share | undefined> {
    const ownedPartitions = [{ topic: this.topic, partitions: [...owned.wanted] }];
    const metadata = encodeConsumerProtocolSubscription({
      version: SUBSCRIPTION_VERSION,
      topics: [this.topic],
      ownedPartitions,
      generationId: this.generation,
    });
    try {
      const { groupId, sessionTimeoutMs, rebalanceTimeoutMs, memberId } = this;
      const protocols = [{ name: PROTOCOL, metadata }];
      const group = await this.links.call(
        coordinator,
        joinGroupV9.api,
        groupId,
        sessionTimeoutMs,
        rebalanceTimeoutMs,
        memberId,
        null,
        PROTOCOL_TYPE,
        protocols,
        null,
      );
      this.memberId = group.memberId;
      const shares = group.leader === group.memberId ? this.shareOut(group.members) : [];
      const { assignment } = await this.links.call(
        coordinator,
        syncGroupV5.api,
        groupId,
        group.generationId,
        group.memberId,
        null,
        PROTOCOL_TYPE,
        PROTOCOL,
        shares,
      );
      const assigned = decodeConsumerProtocolAssignment(assignment).assignedPartitions;
      const partitions = assigned.filter(({ topic }) => topic === this.topic).flatMap((one) => one.partitions);
      return { generation: group.generationId, partitions };
    } catch (error) {
      const answer = answerOf<{ errorCode: number; memberId?: string }>(error);
      switch (answer?.errorCode) {
        case MEMBER_ID_REQUIRED:
          this.memberId = answer.memberId ?? '';
          return undefined;
        case UNKNOWN_MEMBER_ID:
          this.memberId = '';
          return undefined;
        case ILLEGAL_GENERATION:
        case REBALANCE_IN_PROGRESS:
          return undefined;
        default:
          throw error;
      }
    }
  }

  /** As the leader of the group: who gets what. */
  private shareOut(group: readonly { readonly memberId: string; readonly metadata: Buffer }[]): MemberShare[] {
    const members = group.map(({ memberId, metadata }) => {
      const { ownedPartitions, generationId } = decodeConsumerProtocolSubscription(metadata);
      const owned = ownedPartitions.filter(({ topic }) => topic === this.topic).flatMap(({ partitions }) => partitions);
      return { id: memberId, owned, generation: generationId };
    });
    const partitions = this.cluster.partitionsOf(this.topic);
    if (partitions === 0) throw new Error(`there is no topic ${this.topic}`);
    return [...assign(members, partitions)].map(([memberId, share]) => ({
      memberId,
      assignment: encodeConsumerProtocolAssignment({
        version: SUBSCRIPTION_VERSION,
        assignedPartitions: [{ topic: this.topic, partitions: [...share] }],
      }),
    }));
  }

  /** Is heard of, until the partitions are shared out anew. While nobody hears it, it keeps what it has. */
  private async stay({ generation, coordinator }: Membership): Promise<void> {
    let to = coordinator;
    for (let silent = false; ;) {
      await pause(this.heartbeatMs, this.closing.signal);
      if (this.isClosed) return;
      try {
        await this.pulse.call(to, heartbeatV4.api, this.groupId, generation, this.memberId, null);
        if (silent) this.options.logger.info({ group: this.groupId }, 'The group of owners is heard of again.');
        silent = false;
      } catch (error) {
        switch (answerOf<{ errorCode: number }>(error)?.errorCode) {
          case UNKNOWN_MEMBER_ID:
            this.options.logger.warn({ group: this.groupId }, 'The partitions went to others meanwhile.');
            this.memberId = '';
            return;
          case ILLEGAL_GENERATION:
          case REBALANCE_IN_PROGRESS:
            return;
          default:
        }
        if (this.isClosed) return;
        if (!silent)
          this.options.logger.warn(
            { group: this.groupId, reason: reasonOf(error) },
            'The group of owners is not heard of.',
          );
        silent = true;
        try {
          await this.cluster.refresh();
          this.coordinatorId = to = await this.coordinator();
        } catch {
          // Told already; it is asked again with the next heartbeat.
        }
      }
    }
  }

  /** The broker that keeps the group. @throws Error while there is none */
  private async coordinator(): Promise<number> {
    const { coordinators } = await this.cluster.ask(findCoordinatorV4.api, FindCoordinatorKeyTypes.GROUP, [
      this.groupId,
    ]);
    const found = coordinators.find(({ key }) => key === this.groupId);
    if (!found || found.nodeId < 0) throw new Error('nobody keeps the group of owners right now');
    return found.nodeId;
  }

  private async leave(): Promise<void> {
    const { memberId, coordinatorId } = this;
    if (memberId === '' || coordinatorId === undefined) return;
    this.memberId = '';
    // The connection of the member itself may be held by a request that waits for others.
    const links = new BrokerLinks(this.cluster);
    try {
      await links.call(coordinatorId, leaveGroupV5.api, this.groupId, [
        { memberId, groupInstanceId: null, reason: 'closed' },
      ]);
    } catch (error) {
      this.options.logger.warn(
        { group: this.groupId, reason: reasonOf(error) },
        'The group of owners could not be left in order.',
      );
    } finally {
      await links.close();
    }
  }
}

interface Share {
  readonly generation: number;
  readonly partitions: readonly number[];
}

interface MemberShare {
  readonly memberId: string;
  readonly assignment: Buffer;
}
