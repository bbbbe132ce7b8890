import { randomBytes } from 'node:crypto';
import { Admin } from '@platformatic/kafka';
import { afterEach, describe, expect, it } from 'vitest';
import type { Logger } from '#ports/logger.port.js';
import { evenlyShared, NotingOwner, ownershipContract } from '#testkit/contracts/ownership.contract.js';
import { ManualClock } from '#testkit/manual-clock.js';
import { KafkaCluster as KafkaServers } from '#testkit/services/kafka.service.js';
import { services } from '#testkit/services/services.js';
import { startSource } from '#testkit/source-process.js';
import { KafkaEventLog } from './kafka-event-log.js';
import { KafkaOwnership } from './kafka-ownership.js';
import { topicNames } from './kafka.topics.js';

const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
const PARTITIONS = 7;

async function makeTopics(brokers: readonly string[]): Promise<string> {
  const prefix = `t${randomBytes(6).toString('hex')}.`;
  const log = await KafkaEventLog.open({
    brokers,
    clientId: 'test',
    prefix,
    topics: { partitions: PARTITIONS },
    clock: new ManualClock(),
    logger: quiet,
  });
  await log.close();
  return prefix;
}

async function forget(brokers: readonly string[], prefix: string): Promise<void> {
  const admin = new Admin({ clientId: 'test', bootstrapBrokers: [...brokers] });
  await admin.deleteTopics({ topics: [...topicNames(prefix)] });
  await admin.close();
}

/** Its session outlasts any test: what is handed over is handed over by itself. */
const member = (brokers: readonly string[], prefix: string, logger: Logger = quiet): KafkaOwnership =>
  new KafkaOwnership({ brokers, clientId: 'test', prefix, heartbeatMs: 100, sessionTimeoutMs: 600_000, logger });

ownershipContract('KafkaOwnership', async () => {
  const brokers = services().kafkaBrokers;
  const prefix = await makeTopics(brokers);
  return { partitions: PARTITIONS, join: () => member(brokers, prefix), dispose: () => forget(brokers, prefix) };
});

describe('owners by a consumer group', () => {
  const open: KafkaOwnership[] = [];
  afterEach(async () => {
    await Promise.all(open.splice(0).map((ownership) => ownership.close()));
  });
  const join = async (brokers: readonly string[], prefix: string, warn: () => void = () => undefined) => {
    const ownership = member(brokers, prefix, { ...quiet, warn });
    open.push(ownership);
    const owner = new NotingOwner();
    await ownership.open(owner);
    return owner;
  };

  it('lose what they have when nothing is heard of them, and find out when they wake up', async () => {
    const brokers = services().kafkaBrokers;
    const prefix = await makeTopics(brokers);
    const owner = await join(brokers, prefix);
    const { child, line, gone } = startSource(new URL('./owner.child.ts', import.meta.url), [
      brokers.join(','),
      prefix,
    ]);
    const other = new NotingOwner();
    const listening = (async () => {
      for (let told = await line(); told !== undefined; told = await line()) {
        const [what, partition] = told.split(' ');
        await (what === 'take' ? other.take(Number(partition)) : other.give(Number(partition)));
      }
    })();
    await evenlyShared([owner, other], PARTITIONS);

    child.kill('SIGSTOP');
    await owner.has(PARTITIONS);
    expect(other.owned.size).toBeGreaterThanOrEqual(3);
    child.kill('SIGCONT');
    await evenlyShared([owner, other], PARTITIONS);

    child.kill('SIGKILL');
    await gone;
    await listening;
    await owner.has(PARTITIONS);
    expect([...owner.wrong, ...other.wrong]).toEqual([]);
  });

  it('keep what they have while the broker is gone, and share again when it is back', async () => {
    await using servers = await KafkaServers.launch();
    const { brokers } = servers;
    const prefix = await makeTopics(brokers);
    const alone = [Promise.withResolvers<void>(), Promise.withResolvers<void>()] as const;
    const first = await join(brokers, prefix, alone[0].resolve);
    const second = await join(brokers, prefix, alone[1].resolve);
    await evenlyShared([first, second], PARTITIONS);
    const [before, told] = [[...first.owned], first.told.length];
    const [server] = servers.nodes;
    await server?.kill();
    await Promise.all(alone.map(({ promise }) => promise));
    expect([...first.owned]).toEqual(before);
    expect(first.told).toHaveLength(told);
    await server?.start();
    const third = await join(brokers, prefix);
    await evenlyShared([first, second, third], PARTITIONS);
    for (const owner of [first, second, third]) expect(owner.wrong).toEqual([]);
    await Promise.all(open.splice(0).map((ownership) => ownership.close()));
  }, 400_000);
});
