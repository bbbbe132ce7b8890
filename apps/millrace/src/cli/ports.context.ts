import type { Command } from 'commander';
import type { Ports } from '#platform/ports.js';
import { Fault } from '#core/faults.js';
import { readSettings } from '#platform/settings.js';
import { flags } from '#platform/settings.rows.js';
import { createLogger } from '../logger.js';
import { withOutputOptions, type Context } from './command.context.js';
import { EXIT, Failure, usage } from './failure.js';
import { given, optionOf } from './flags.js';

/** What of a server's settings says where its data are. */
const NAMES = new Set([
  'data-dir',
  'kafka-brokers',
  'redis-url',
  'database-url',
  'clickhouse-url',
  'schema-registry-url',
  'no-history',
]);

function known() {
  return flags('start').filter(({ name }) => NAMES.has(name));
}

/** The options of a command that looks at data itself, without a server. Variables count as for `millrace start`. */
export function withPortsOptions(command: Command): Command {
  for (const flag of known()) command.addOption(optionOf(flag));
  return withOutputOptions(command).option('--config <file>', 'read settings from a JSON file');
}

/** Opens the stores that the options name, for as long as `use` takes. @throws a Failure where that cannot be */
export async function withPorts<T>(command: Command, context: Context, use: (ports: Ports) => Promise<T>): Promise<T> {
  try {
    return await useOpened(command, context, use);
  } catch (error) {
    throw failureOf(error);
  }
}

async function useOpened<T>(command: Command, { env, cwd }: Context, use: (ports: Ports) => Promise<T>): Promise<T> {
  const [{ openPorts }, { SystemClock }, { SystemIds }] = await Promise.all([
    import('#platform/open-ports.js'),
    import('#platform/system-clock.js'),
    import('#platform/system-ids.js'),
  ]);
  const { config } = command.opts<{ readonly config?: string }>();
  // Nobody is served here, so nobody has to be told from strangers.
  const keys = { MILLRACE_EVENT_KEY: 'unused', MILLRACE_SIGNING_KEY: '0'.repeat(64) };
  const { settings } = readSettings({
    mode: 'start',
    flags: given(command, known()),
    env: { ...env, ...keys, MILLRACE_LOG_LEVEL: 'error' },
    cwd,
    configFile: config,
  });
  const logger = createLogger(settings, process.stderr, env);
  const ports = await openPorts(settings, { clock: new SystemClock(), ids: new SystemIds(), logger });
  try {
    return await use(ports);
  } finally {
    await ports.close();
  }
}

/** What keeps a command from the data, and what to do about it. */
function failureOf(error: unknown): unknown {
  if (!(error instanceof Fault)) return error;
  const { code, message, data } = error;
  switch (code) {
    case 'settings_invalid':
      return usage(message);
    case 'data_dir_in_use':
      return new Failure(
        EXIT.failed,
        message,
        { next: 'Stop the server that uses it, or name its services.', code },
        error,
      );
    case 'data_dir_unusable':
    case 'data_dir_newer':
      return new Failure(EXIT.failed, message, { next: 'Name another folder with --data-dir.', code }, error);
    case 'state_unavailable':
    case 'log_unavailable':
    case 'control_plane_unavailable':
    case 'history_unavailable': {
      const { reason } = data;
      const next = 'See whether what was named can be reached.';
      return new Failure(
        EXIT.failed,
        message,
        { why: typeof reason === 'string' ? reason : undefined, next, code },
        error,
      );
    }
    default:
      return error;
  }
}
