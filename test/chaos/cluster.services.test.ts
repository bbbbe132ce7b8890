import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { beforeAll, expect, it } from 'vitest';
import { KafkaEventLog } from '#adapters/kafka/kafka-event-log.js';
import { SystemClock } from '#platform/system-clock.js';
import type { EventLog, Topic } from '#ports/event-log.port.js';
import { millrace } from '#testkit/millrace-process.js';
import { launchAll } from '#testkit/services/all.services.js';
import build from '../harness/build.setup.js';
import type { ClusterNames } from '../harness/cluster.names.js';
import { SdkApps } from '../harness/sdk-app.process.js';
import { argsOf, Server } from '../harness/server.process.js';
import { until } from '../harness/until.js';
import { FAULTS } from './cluster.faults.js';
import { LimitsBook, stillOpen } from './limits.book.js';
import { APP, LimitsLoad } from './limits.load.js';
import { storiesOf, transitionsOf } from './log.stories.js';
import { OrdersApp } from './orders.app.js';
import { dice, Orders } from './orders.js';

/** How long things go wrong. */
const MINUTES = Number(process.env['MILLRACE_CHAOS_MINUTES'] ?? 3);
/** Says which faults come in which order; when each of them strikes is also up to the machine. */
const SEED = Number(process.env['MILLRACE_SEED'] ?? Date.now() % 1_000_000);
/** Only these kinds, by a part of their names. */
const ONLY = process.env['MILLRACE_CHAOS_ONLY'] ?? '';
/** Where it is kept what it takes to find out what happened. */
const PATH = join(tmpdir(), `millrace-chaos-${SEED}`);
const BURST = 4;
const LEASE_S = 6;
const MINUTE_MS = 60_000;
/** Longest wait for one more run to end. */
const PATIENCE_MS = 90_000;

/** What `verify` prints. */
type Report = Record<'stores' | 'history', readonly { readonly differences?: readonly object[] }[]>;

beforeAll(build);

it(
  `a cluster loses, doubles and oversteps nothing in ${MINUTES} minutes of faults (seed ${SEED})`,
  { timeout: MINUTES * 2 * MINUTE_MS + 20 * MINUTE_MS },
  async () => {
    await using stack = new AsyncDisposableStack();
    const services = await launchAll();
    stack.defer(() => services.end());
    const server = stack.use(
      await Server.start({
        services: services.urls,
        flags: { 'retry-interval': 3, 'log-level': 'info' },
        // Several snapshots between two faults.
        env: { MILLRACE_LEASE_TIME: String(LEASE_S), MILLRACE_SNAPSHOT_INTERVAL: '4' },
      }),
    );
    const names = server.cluster;
    if (!names) throw new Error('the server is no cluster');
    const log = await openLog(names, services.urls.kafkaBrokers);
    stack.defer(() => log.close());
    try {
      await play(server, names, log);
    } catch (error) {
      await keep(server, log);
      await server.kill();
      throw error;
    }

    async function play(server: Server, names: ClusterNames, log: EventLog): Promise<void> {
      await using app = await OrdersApp.start(server.url);
      const functions = ['test/chaos/limits.functions.mjs'];
      // Without checkpoints a call is one step: a call that outlives its executor ends with that.
      await using apps = await SdkApps.start([{ id: APP, variant: 'v4-plain', functions }], {
        INNGEST_DEV: server.url,
      });
      await apps.sync(APP);
      const orders = new Orders(() => server.url);
      const limits = new LimitsLoad(() => server.api);

      const survived = new Map<string, number>();
      const overAt = Date.now() + MINUTES * MINUTE_MS;
      for (const { kind, roll } of faults()) {
        if (Date.now() > overAt) break;
        const load = Promise.all([orders.round(), limits.burst(BURST)]);
        await pause(50 + roll() * 2_500);
        console.log(`${new Date().toISOString()} ${kind}`);
        await FAULTS[kind]?.({ server, names, services, roll });
        await load;
        for (const member of server.of()) expect(member.alive, `${member.roles} goes on after: ${kind}`).toBe(true);
        survived.set(kind, (survived.get(kind) ?? 0) + 1);
      }
      await orders.finish(PATIENCE_MS);
      await until(async () => stillOpen(await transitionsOf(log)) === 0 || undefined, {
        what: 'debounces and batches to fire',
        everyMs: 1_000,
      });
      await orders.finish(PATIENCE_MS);
      const verified = await millrace(['verify', '--json', ...argsOf(names.flags)], {
        env: names.env,
        cwd: server.folder,
      });

      const told = await transitionsOf(log);
      orders.judge(storiesOf(told), await app.executed());
      const entries = await apps.log.seen({ kind: ['call', 'answer'] });
      writeFileSync(`${PATH}.calls.jsonl`, entries.map((entry) => `${JSON.stringify(entry)}\n`).join(''));
      const book = new LimitsBook(limits.sent, entries, told);
      book.everyRunEnds();
      for (const fn of ['keyed', 'shared', 'whole', 'throttled', 'single', 'latest']) book.everyEventHasOneRunOf(fn);
      book.concurrencyHolds({ inOrder: false });
      book.wholeRunsHold();
      book.throttleHolds();
      book.rateLimitHolds();
      book.debounceLosesNothing();
      book.batchesHold();
      const report = JSON.parse(verified.stdout) as Report;
      const differences = [...report.stores, ...report.history].flatMap((one) => one.differences ?? []);
      expect({ exit: verified.exit, differences }, 'what verify says').toEqual({ exit: 0, differences: [] });
      expect(await server.stop(), 'exit code of all').toBe(0);
      const counts = Array.from(survived, ([kind, count]) => `${String(count).padStart(4)}  ${kind}`);
      console.log(
        `${orders.count} orders and ${limits.sent.length} events under limits, ${told.length} transitions; survived:\n${counts.join('\n')}`,
      );
    }
  },
);

/** Every kind once in each round, in another order, and each with dice of its own: what one rolls does not change the next. */
function* faults(): Iterable<{ readonly kind: string; readonly roll: () => number }> {
  const shuffle = dice(SEED);
  const kinds = Object.keys(FAULTS).filter((kind) => kind.includes(ONLY));
  for (let count = 1; ;) {
    const deck = kinds.map((kind) => ({ kind, at: shuffle() })).sort((a, b) => a.at - b.at);
    for (const { kind } of deck) yield { kind, roll: dice(SEED + 7_919 * count++) };
  }
}

function openLog({ prefix }: ClusterNames, brokers: readonly string[]): Promise<EventLog> {
  const ignore = () => undefined;
  const logger = { debug: ignore, info: ignore, warn: ignore, error: ignore };
  return KafkaEventLog.open({ brokers, clientId: 'chaos', prefix, clock: new SystemClock(), logger });
}

/** What it takes to find out what happened. */
async function keep(server: Server, log: EventLog): Promise<void> {
  writeFileSync(`${PATH}.log`, server.output);
  for (const topic of ['events', 'commands', 'transitions', 'snapshots'] as const)
    writeFileSync(`${PATH}.${topic}.jsonl`, await linesOf(log, topic));
  console.error(`Output of the processes and records of the topics are kept in ${PATH}.*`);
}

async function linesOf(log: EventLog, topic: Topic): Promise<string> {
  const lines: string[] = [];
  for (const { partition } of await log.ends(topic)) {
    for (let offset = 0; ;) {
      const page = await log.read(topic, { partition, offset }, 1_000);
      const last = page.at(-1);
      if (!last) break;
      lines.push(...page.map((record) => `${JSON.stringify(record)}\n`));
      offset = last.position.offset + 1;
    }
  }
  return lines.join('');
}
