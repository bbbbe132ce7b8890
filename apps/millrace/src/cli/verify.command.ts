import type { VerifiedHistory } from '#apps/projector/src/verify.history.js';
import type { UnverifiedPartition, VerifiedPartition } from '#apps/runner/src/verify/verify.stores.js';
import type { Ports } from '#platform/ports.js';
import { countText } from '../text.js';
import type { Declare } from './command.context.js';
import { EXIT, type ExitCode } from './failure.js';
import { withPorts, withPortsOptions } from './ports.context.js';

const HELP = `
Folds the log into a fresh state and compares what the stores hold with it. Servers may go on meanwhile, where the log is in Kafka; a data folder
is looked at while no server uses it. Ends with 0 when nothing differs.

Example:
  millrace verify --kafka-brokers localhost:9092 --redis-url redis://localhost --clickhouse-url http://localhost:8123`;

type StoreReport = VerifiedPartition | UnverifiedPartition;

interface Report {
  readonly stores: readonly StoreReport[];
  readonly history: readonly VerifiedHistory[];
}

const SHOWN_MAX = 10;

export const declare: Declare = (command, context, end) => {
  withPortsOptions(command)
    .addHelpText('after', HELP)
    .action(async () =>
      end(
        await withPorts(command, context, async (ports) => {
          const report = await verify(ports);
          context.console.result({ ...report }, () => linesOf(report));
          return exitOf(report);
        }),
      ),
    );
};

async function verify(ports: Ports): Promise<Report> {
  const [{ verifyPartition }, { verifyHistory }] = await Promise.all([
    import('#apps/runner/src/verify/verify.stores.js'),
    import('#apps/projector/src/verify.history.js'),
  ]);
  const { log, aggregates, queue, history, views } = ports;
  const partitions = (await log.ends('commands')).map(({ partition }) => partition);
  const stores: StoreReport[] = [];
  const told: VerifiedHistory[] = [];
  for (const partition of partitions) {
    // A queue in memory is of the process that we are, and empty.
    stores.push(await verifyPartition({ log, aggregates, queue: views && queue }, partition));
    told.push(await verifyHistory(log, history, partition));
  }
  return { stores, history: told };
}

function exitOf({ stores, history }: Report): ExitCode {
  const good = stores.every((it) => 'why' in it || it.differences.length === 0);
  return good && history.every(({ differences }) => differences.length === 0) ? EXIT.ok : EXIT.failed;
}

function linesOf({ stores, history }: Report): readonly string[] {
  return [
    ...stores.flatMap((it) =>
      'why' in it
        ? [
            `state ${it.partition}: the store has nothing of it; the next runner makes it from the log (${behind(it.lag)})`,
          ]
        : [
            `state ${it.partition}: ${countText(it.active, 'active aggregate')}, ${differ(it.differences.length)}, ${behind(it.lag)}`,
            ...shown(it.differences),
          ],
    ),
    ...history.flatMap((it) => [
      `history ${it.partition}: ${countText(it.runs, 'run')}, ${differ(it.differences.length)}, ${behind(it.lag)}`,
      ...shown(it.differences),
    ]),
  ];
}

function differ(count: number): string {
  return count === 0 ? 'no difference' : countText(count, 'difference');
}

function behind(lag: number): string {
  return lag === 0 ? 'up to date' : `${countText(lag, 'record')} behind`;
}

function shown(differences: readonly { readonly key: string; readonly what: string }[]): readonly string[] {
  const lines = differences.slice(0, SHOWN_MAX).map(({ key, what }) => `  ${what.replaceAll('_', ' ')}: ${key}`);
  return differences.length > SHOWN_MAX ? [...lines, `  and ${differences.length - SHOWN_MAX} more`] : lines;
}
