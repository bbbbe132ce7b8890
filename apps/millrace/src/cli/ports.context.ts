import type { Command } from 'commander';
import type { Ports } from '#platform/ports.js';
import { readSettings } from '#platform/settings.js';
import { flags } from '#platform/settings.rows.js';
import { createLogger } from '../logger.js';
import { withOutputOptions, type Context } from './command.context.js';
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

/** Opens the stores that the options name, for as long as `use` takes. @throws settings_invalid, data_dir_in_use, ... */
export async function withPorts<T>(
  command: Command,
  { env, cwd }: Context,
  use: (ports: Ports) => Promise<T>,
): Promise<T> {
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
