import type { Command } from 'commander';
import { lengthOption, type Context, type Declare } from './command.context.js';
import { usage, type ExitCode } from './failure.js';
import { withPorts, withPortsOptions } from './ports.context.js';

const HELP = `
Everything in Redis and in history follows from the log, so it can be thrown away. Servers go on meanwhile: runners and projectors notice, and
make it again. What the log does not keep any more cannot be made again: history that holds more than the log is only thrown away with --yes.
History in a data folder is made anew here, while no server uses the folder.

Examples:
  millrace rebuild redis --kafka-brokers localhost:9092 --redis-url redis://localhost
  millrace rebuild history --kafka-brokers localhost:9092 --redis-url redis://localhost --clickhouse-url http://localhost:8123
  millrace rebuild history --data-dir /var/lib/millrace`;

export interface RebuildOptions {
  /** Nobody is asked. */
  readonly yes: boolean;
  readonly waitMs: number;
}

export const declare: Declare = (command, context, end) => {
  withPortsOptions(command)
    .argument('<store>', 'what is made anew: `redis` or `history`')
    .option('--yes', 'do not ask')
    .option('--timeout <time>', 'how long to wait until servers have made it again (5m)')
    .addHelpText('after', HELP)
    .action(async (store: string) => end(await rebuild(store, command, context)));
};

async function rebuild(store: string, command: Command, context: Context): Promise<ExitCode> {
  const { yes = false, timeout = '5m' } = command.opts<{ readonly yes?: true; readonly timeout?: string }>();
  const options: RebuildOptions = { yes, waitMs: lengthOption('--timeout', timeout) };
  switch (store) {
    case 'redis': {
      const { rebuildRedis } = await import('./rebuild.redis.js');
      return withPorts(command, context, (ports) => rebuildRedis(ports, options, context));
    }
    case 'history': {
      const { rebuildHistory } = await import('./rebuild.history.js');
      return withPorts(command, context, (ports) => rebuildHistory(ports, options, context));
    }
    default:
      throw usage(`What is made anew is redis or history, not "${store}".`);
  }
}
