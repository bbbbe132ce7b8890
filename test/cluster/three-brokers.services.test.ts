import { beforeAll, expect, it } from 'vitest';
import { KafkaCluster } from '#testkit/services/kafka.service.js';
import { services } from '#testkit/services/services.js';
import { storiesOf, toldOnce } from '../chaos/log.stories.js';
import { OrdersApp } from '../chaos/orders.app.js';
import { Orders } from '../chaos/orders.js';
import build from '../harness/build.setup.js';
import { useServices } from '../harness/cluster.names.js';
import { kafkaAt, recordsOn } from '../harness/kafka.log.js';
import { Server } from '../harness/server.process.js';
import { until } from '../harness/until.js';

/** Three brokers keep three copies, of which two have what is acknowledged: each broker in turn is lost under load. */
const ROUNDS_WITHOUT = 3;
const WITHIN_MS = 240_000;

let kafka: KafkaCluster;

beforeAll(async () => {
  build();
  kafka = await KafkaCluster.launch({ brokers: 3 });
  useServices({ ...services(), kafkaBrokers: kafka.brokers });
  return () => kafka[Symbol.asyncDispose]();
});

it('loses no order and holds none up when brokers are lost one after the other', { timeout: 900_000 }, async () => {
  await using server = await Server.start();
  await using app = await OrdersApp.start(server.url);
  expect(await topicSettings(server.topicPrefix)).toEqual(new Set(['3 copies, min.insync.replicas=2']));

  const orders = new Orders(() => server.url);
  await orders.round();
  for (const id of [1, 2, 3]) {
    const led = await partitionsLedBy(id, server.topicPrefix);
    expect(led.length).toBeGreaterThan(0);
    const under = orders.round();
    await kafka.node(id).kill();
    await under;
    for (let round = 1; round < ROUNDS_WITHOUT; round++) await orders.round();
    await kafka.node(id).start();
    await allInSync(server.topicPrefix);
    await orders.round();
  }
  await orders.finish(WITHIN_MS);
  const records = await recordsOn(kafka.brokers, [`${server.topicPrefix}transitions`]);
  const told = toldOnce(
    records.map(({ timestamp: at, value }) => ({ at, body: JSON.parse(String(value)) as unknown })),
  );
  orders.judge(storiesOf(told), await app.executed());
});

async function withAdmin<T>(work: (admin: ReturnType<ReturnType<typeof kafkaAt>['admin']>) => Promise<T>): Promise<T> {
  const admin = kafkaAt(kafka.brokers).admin();
  await admin.connect();
  try {
    return await work(admin);
  } finally {
    await admin.disconnect();
  }
}

async function partitionsIn(prefix: string) {
  return withAdmin(async (admin) => {
    const names = (await admin.listTopics()).filter((name) => name.startsWith(prefix));
    const { topics } = await admin.fetchTopicMetadata({ topics: names });
    return topics.flatMap(({ name, partitions }) => partitions.map((partition) => ({ name, ...partition })));
  });
}

async function topicSettings(prefix: string): Promise<ReadonlySet<string>> {
  const partitions = await partitionsIn(prefix);
  const names = [...new Set(partitions.map(({ name }) => name))];
  expect(names).toHaveLength(6);
  const { resources } = await withAdmin((admin) =>
    admin.describeConfigs({
      includeSynonyms: false,
      resources: names.map((name) => ({ type: 2, name, configNames: ['min.insync.replicas'] })),
    }),
  );
  const least = new Map(
    resources.map(({ resourceName, configEntries }) => [resourceName, configEntries[0]?.configValue]),
  );
  return new Set(
    partitions.map(({ name, replicas }) => `${replicas.length} copies, min.insync.replicas=${least.get(name)}`),
  );
}

async function partitionsLedBy(broker: number, prefix: string): Promise<readonly unknown[]> {
  return (await partitionsIn(prefix)).filter(({ leader }) => leader === broker);
}

/** A broker that came back has caught up: another may be lost. */
async function allInSync(prefix: string): Promise<void> {
  await until(async () => (await partitionsIn(prefix)).every(({ isr }) => isr.length === 3) || undefined, {
    what: 'all copies to be in sync',
    withinMs: WITHIN_MS,
    everyMs: 250,
  });
}
