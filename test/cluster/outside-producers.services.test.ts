import { randomUUID } from 'node:crypto';
import { type Message, Partitioners } from 'kafkajs';
import { beforeAll, describe, expect, it } from 'vitest';
import { DEFAULT_ENV } from '#core/words.js';
import { services } from '#testkit/services/services.js';
import type { Api, EventView, RunView } from '../harness/api.client.js';
import build from '../harness/build.setup.js';
import { useServices } from '../harness/cluster.names.js';
import { kafkaAt, recordsOn } from '../harness/kafka.log.js';
import { sendByKcat } from '../harness/kcat.js';
import { SdkApps } from '../harness/sdk-app.process.js';
import { Server } from '../harness/server.process.js';
import { until } from '../harness/until.js';

/** Producers that know only docs/topics.md write to `events` of a cluster that serves an app. */
const EVENT_BYTES_MAX = 3 * 1024 * 1024;
const { kafkaBrokers: brokers } = services();

let server: Server;
let api: Api;
let events: string;

beforeAll(async () => {
  build();
  useServices(services());
  // What has been started goes also when this fails.
  await using started = new AsyncDisposableStack();
  server = started.use(await Server.start());
  ({ api } = server);
  events = `${server.topicPrefix}events`;
  const env = { INNGEST_DEV: server.url, DAILY_CRON: 'TZ=UTC 0 0 29 2 *' };
  const functions = ['test/cluster/varied.functions.mjs'];
  const apps = started.use(await SdkApps.start([{ id: 'varied', variant: 'v4-plain', functions }], env));
  await apps.sync('varied');
  const stays = started.move();
  return () => stays.disposeAsync();
}, 300_000);

async function sendByKafkajs(...messages: readonly Message[]): Promise<void> {
  const producer = kafkaAt(brokers).producer({ createPartitioner: Partitioners.DefaultPartitioner });
  await producer.connect();
  await producer.send({ topic: events, messages: [...messages] });
  await producer.disconnect();
}

/** An event as the API shows it, once it is there. */
function seen(name: string, id: string, count = 1): Promise<readonly EventView[]> {
  return until(
    async () => {
      const found = (await api.events(`name=${name}&limit=100`)).filter((event) => event.id === id);
      return found.length >= count ? found : undefined;
    },
    { what: `event ${id}`, withinMs: 60_000, everyMs: 100 },
  );
}

async function runOf(name: string, id: string): Promise<RunView> {
  const [event] = await seen(name, id);
  return api.runOf(event?.internal_id ?? '');
}

const TS = Date.UTC(2026, 6, 1, 12);
const plain = (name: string, id: string, data: object): string => JSON.stringify({ name, id, data, ts: TS });

/** All ways to say the same event. */
const FORMS: Readonly<Record<string, (name: string, id: string, data: object) => Promise<void>>> = {
  'plain, by kafkajs': (name, id, data) => sendByKafkajs({ key: id, value: plain(name, id, data) }),
  'plain, by kcat': (name, id, data) => sendByKcat(brokers, events, { key: id, value: plain(name, id, data) }),
  'a binary CloudEvent, by kafkajs': (name, id, data) =>
    sendByKafkajs({ key: id, value: JSON.stringify(data), headers: binary(name, id) }),
  'a binary CloudEvent, by kcat': (name, id, data) =>
    sendByKcat(brokers, events, { key: id, value: JSON.stringify(data), headers: binary(name, id) }),
  'a structured CloudEvent, by kafkajs': (name, id, data) =>
    sendByKafkajs({ key: id, value: structured(name, id, data), headers: STRUCTURED }),
  'a structured CloudEvent, by kcat': (name, id, data) =>
    sendByKcat(brokers, events, { key: id, value: structured(name, id, data), headers: STRUCTURED }),
};
const STRUCTURED = { 'content-type': 'application/cloudevents+json; charset=utf-8' };

function binary(name: string, id: string): Record<string, string> {
  return {
    ce_specversion: '1.0',
    ce_type: name,
    ce_id: id,
    ce_source: '/shop',
    ce_time: new Date(TS).toISOString(),
    'content-type': 'application/json',
  };
}

function structured(name: string, id: string, data: object): string {
  const time = new Date(TS).toISOString();
  return JSON.stringify({ specversion: '1.0', type: name, id, source: '/shop', time, data });
}

describe.each(Object.entries(FORMS))('an event written from outside: %s', (_form, write) => {
  it('starts a run, and looks like one that was sent', async () => {
    const [key, id] = [randomUUID(), randomUUID()];
    await write('varied/varied.shipped', id, { key });
    expect(await api.ended((await runOf('varied/varied.shipped', id)).run_id)).toMatchObject({
      status: 'Completed',
      output: key,
      event_ids: [(await seen('varied/varied.shipped', id))[0]?.internal_id],
    });
    const twin = randomUUID();
    await api.emit('varied/varied.shipped', { key }, { id: twin, ts: TS });
    const [[written], [sent]] = await Promise.all([
      seen('varied/varied.shipped', id),
      seen('varied/varied.shipped', twin),
    ]);
    const own = { internal_id: expect.any(String) as string, received_at: expect.any(String) as string };
    expect(written).toEqual({ ...sent, ...own, id, source: 'kafka' });
  });

  it('lets a run go on that waits for it', async () => {
    const key = randomUUID();
    const order = await api.runOf(await api.emit('varied/varied.order', { key, n: 2 }));
    await api.waiting(order.run_id, 'paid');
    await write('varied/varied.paid', randomUUID(), { key, sum: 0.5 });
    expect(await api.ended(order.run_id)).toMatchObject({
      status: 'Completed',
      output: { paid: { key, sum: 0.5 }, doubled: 4 },
    });
  });
});

it('an event that is written again, by whomever, starts its functions once', async () => {
  const id = randomUUID();
  const value = plain('varied/varied.shipped', id, { key: id });
  await sendByKafkajs({ key: id, value }, { key: id, value });
  await sendByKcat(brokers, events, { key: id, value });
  await api.emit('varied/varied.shipped', { key: id }, { id });
  const copies = await seen('varied/varied.shipped', id, 4);
  const of = await Promise.all(
    copies.map(async ({ internal_id }) =>
      until(
        async () => {
          const [run] = await api.runsOf(internal_id);
          const [decision] = await api.decisions(internal_id);
          return run?.run_id ?? decision?.type;
        },
        { what: `what became of ${internal_id}` },
      ),
    ),
  );
  const [run, ...others] = of.toSorted();
  expect(others).toEqual(['EventRepeated', 'EventRepeated', 'EventRepeated']);
  expect(await api.ended(run ?? '')).toMatchObject({ status: 'Completed', output: id });
});

it('an event without an id is one each time that it is written', async () => {
  const key = randomUUID();
  const value = JSON.stringify({ name: 'varied/varied.shipped', data: { key } });
  await sendByKafkajs({ value }, { value });
  await sendByKcat(brokers, events, { key: 'any', value });
  await until(
    async () => {
      const sent = (await api.events('name=varied/varied.shipped&limit=100')).filter(({ data }) => data['key'] === key);
      const runs = (await Promise.all(sent.map(({ internal_id }) => api.runsOf(internal_id)))).flat();
      return runs.length === 3 || undefined;
    },
    { what: 'three runs', everyMs: 100 },
  );
});

describe('controls', () => {
  const event = (name: string, data: object) => ({ name: `varied/varied.${name}`, id: randomUUID(), data });
  const written = async ({ name, id }: { name: string; id: string }) => (await seen(name, id))[0]?.internal_id ?? '';

  it('limit the rate of events, wherever they come from', async () => {
    const customer = randomUUID();
    const [first, second] = [event('rated', { customer, n: 1 }), event('rated', { customer, n: 2 })];
    await sendByKafkajs({ key: first.id, value: JSON.stringify(first) });
    await api.decided(await written(first), 'RateCharged');
    await sendByKcat(brokers, events, { key: second.id, value: JSON.stringify(second) });
    await api.decided(await written(second), 'RateLimited');
    await api.decided(await api.emit('varied/varied.rated', { customer, n: 3 }), 'RateLimited');
  });

  it('gather events in a batch, wherever they come from', async () => {
    const customer = randomUUID();
    const first = event('batched', { customer, n: 1 });
    await sendByKcat(brokers, events, { key: first.id, value: JSON.stringify(first) });
    const opened = await written(first);
    await api.decided(opened, 'BatchOpened');
    const second = await api.emit('varied/varied.batched', { customer, n: 2 });
    expect(await api.endOf(second)).toMatchObject({ output: [1, 2], event_ids: [opened, second] });
  });
});

describe('what is no event', () => {
  const text = (value: unknown): Pick<Message, 'value'> => ({ value: JSON.stringify(value) });
  const own = {
    'millrace-type': 'Event',
    'millrace-schema': '1',
    'millrace-env': DEFAULT_ENV,
    ce_time: '2026-07-01T12:00:00Z',
  };
  const name = 'varied/varied.shipped';
  const BAD: Readonly<Record<string, Message>> = {
    'no JSON': { value: 'name=shop/order' },
    'half of a JSON text': { value: '{"name":"varied/varied.shipped","data":{' },
    'no UTF-8': { value: Buffer.from([0x7b, 0xff, 0xfe, 0x7d]) },
    'an Avro body': { value: Buffer.from([0, 0, 0, 0, 1, 2, 3]) },
    'no value': { value: null },
    'an empty value': { value: '' },
    'no name': text({ data: {} }),
    'a name that is none': text({ name: 7 }),
    'a name of ours': text({ name: 'inngest/function.finished', data: {} }),
    'data of a wrong type': text({ name, data: [1] }),
    'an id of a wrong type': text({ name, id: { a: 1 } }),
    'a time of a wrong type': text({ name, ts: 'noon' }),
    'a list of events': text([{ name }]),
    'too deep': { value: `{"name":"${name}","data":${'{"a":'.repeat(600)}1${'}'.repeat(600)}}` },
    'too large': text({ name, data: { x: 'x'.repeat(EVENT_BYTES_MAX) } }),
    'a CloudEvent without a type': { ...text({ id: '1' }), headers: STRUCTURED },
    'headers of ours without what they promise': { ...text({}), headers: own },
    'headers of ours over a wrong value': { ...text({ id: 1, name: [], payload: {} }), headers: own },
    'headers of ours over a payload that is no JSON': {
      ...text({ internalId: 'x', env: DEFAULT_ENV, id: 'x', name, ts: 1, receivedAt: 1, source: 'api', payload: '{' }),
      headers: own,
    },
    'headers of ours that say nothing': { ...text({}), headers: { 'millrace-type': 'Event' } },
    'headers of ours over nothing': { value: null, headers: own },
    'another type of ours': { ...text({ runId: 'x' }), headers: { ...own, 'millrace-type': 'CancelRun' } },
  };

  it.each(Object.keys(BAD))('is set aside, and holds nobody up: %s', async (what) => {
    const bad = BAD[what] as Message;
    const id = randomUUID();
    const key = `bad ${id}`;
    const producer = kafkaAt(brokers).producer();
    await producer.connect();
    const [placed] = await producer.send({ topic: events, messages: [{ key, partition: 0, ...bad }] });
    const good = { key: id, partition: 0, value: plain(name, id, { key: id }) };
    await producer.send({ topic: events, messages: [good] });
    await producer.disconnect();
    expect(await api.ended((await runOf(name, id)).run_id)).toMatchObject({ status: 'Completed', output: id });
    const origin = `events/0/${placed?.baseOffset}`;
    const letter = await until(
      async () => (await recordsOn(brokers, [`${server.topicPrefix}dead-letters`])).find((one) => one.key === origin),
      { what: `the dead letter of ${origin}`, everyMs: 250 },
    );
    const body = JSON.parse(String(letter.value)) as { bytes: string; reason: string };
    expect(body).toMatchObject({ key, origin: { topic: 'events', partition: 0, offset: Number(placed?.baseOffset) } });
    expect(body.reason).not.toBe('');
    const place = new RegExp(`"offset":${placed?.baseOffset}\\b|"${origin}"`);
    const told = (): boolean =>
      server.output.split('\n').some((line) => place.test(line) && /set aside|filed/.test(line));
    await until(() => told() || undefined, { what: `a line in the log about ${origin}` });
    expect((await api.request('GET', '/v1/events?limit=100')).status).toBe(200);
  });
});

describe('a key', () => {
  const KEYS: Readonly<Record<string, Buffer | string | null>> = {
    none: null,
    'of no bytes': '',
    'of bytes that are no text': Buffer.from([0xff, 0x00, 0xc3, 0x28]),
    'of control characters': 'a\u0000\n\r\u001b[31m',
    'of a path': '../../etc/passwd',
    'that is large': 'k'.repeat(100_000),
    'of another event': 'inngest/function.finished',
  };

  it.each(Object.keys(KEYS))('takes nothing from an event: %s', async (what) => {
    const id = randomUUID();
    await sendByKafkajs({ key: KEYS[what] ?? null, value: plain('varied/varied.shipped', id, { key: id }) });
    expect(await api.ended((await runOf('varied/varied.shipped', id)).run_id)).toMatchObject({ output: id });
  });
});
