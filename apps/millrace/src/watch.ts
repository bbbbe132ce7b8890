import type { Projector } from '#apps/projector/src/projector.js';
import type { Runner } from '#apps/runner/src/runner.js';
import type { Position } from '#core/words.js';
import type { Ports } from '#platform/ports.js';
import type { ServerSettings } from '#platform/settings.js';
import type { Role } from '#platform/settings.rows.js';
import type { Reading } from '#ports/metrics.port.js';
import { Readiness } from './readiness.js';
import { version } from './version.js';

type LagReading = Reading<'millrace_partition_lag_records'>;

/** What is seen of a process from outside: fills the gauges, and says what it takes for it to be ready. */
export function watchOver(
  settings: ServerSettings,
  ports: Ports,
  runner: Runner | undefined,
  projector: Projector | undefined,
): Readiness {
  const { metrics, queue, log, catalog, history, clock, logger } = ports;
  const { mode, roles } = settings;
  const has = (...some: readonly Role[]) => some.some((role) => roles.includes(role));

  const build = { version, node: process.version, mode, roles: roles.join(',') };
  metrics.gauge('millrace_build_info', () => [{ labels: build, value: 1 }]);
  if (runner) {
    metrics.gauge('millrace_partitions_served', () => [{ labels: {}, value: runner.served.length }]);
    metrics.gauge('millrace_partition_lag_records', () => runnerLag(ports, runner));
  }
  if (projector) metrics.gauge('millrace_partition_lag_records', () => projectorLag(projector));
  if (has('executor')) {
    metrics.gauge('millrace_queue_items', async () =>
      Object.entries(await queue.counts()).map(([state, value]) => ({ labels: { state }, value: Number(value) })),
    );
  }

  const readiness = new Readiness(clock, logger);
  readiness.add('log', async () => void (await log.ends('config')));
  readiness.add('catalog', async () => void (await catalog.caughtUp()));
  if (runner) readiness.add('partitions', () => missing(runner.missing));
  if (has('runner', 'executor')) readiness.add('queue', async () => void (await queue.counts()));
  if (projector && !has('event-api', 'runner', 'executor')) {
    // Others go on without History, so they do not wait for it.
    readiness.add('history', async () => {
      if (projector.hasGivenUp) return 'History is not kept up any more: see the log of the process';
      await history.positions('events');
      return undefined;
    });
  }
  return readiness;
}

function missing(partitions: readonly number[]): string | undefined {
  return partitions.length === 0 ? undefined : `not served yet: ${partitions.join(', ')}`;
}

async function runnerLag({ log }: Ports, runner: Runner): Promise<readonly LagReading[]> {
  const { served } = runner;
  if (served.length === 0) return [];
  const [commands, events] = await Promise.all([log.ends('commands'), log.ends('events')]);
  const lags = await Promise.all(
    served.map(async (one) => [
      lagOf('commands', one.partition, commands, one.decided),
      lagOf('events', one.partition, events, await one.taken()),
    ]),
  );
  return lags.flat();
}

function lagOf(topic: string, partition: number, ends: readonly Position[], next: Position | undefined): LagReading {
  const end = ends.find((one) => one.partition === partition)?.offset ?? 0;
  return { labels: { role: 'runner', topic, partition }, value: Math.max(0, end - (next?.offset ?? 0)) };
}

async function projectorLag(projector: Projector): Promise<readonly LagReading[]> {
  return (await projector.behind()).map(({ topic, from, records }) => ({
    labels: { role: 'projector', topic, partition: from.partition },
    value: records,
  }));
}
