import { rmSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { networkInterfaces } from 'node:os';
import type { Command } from 'commander';
import { Fault } from '#core/faults.js';
import { readSettings, type ReadSettings, type ServerSettings } from '#platform/settings.js';
import { flags, type Flag, type Mode } from '#platform/settings.rows.js';
import { SystemClock } from '#platform/system-clock.js';
import { createLogger } from '../logger.js';
import { Terminal } from '../terminal.js';
import { version } from '../version.js';
import type { Context, Declare } from './command.context.js';
import { EXIT, Failure, type ExitCode } from './failure.js';
import { given, optionOf } from './flags.js';

const HELP: Record<Mode, string> = {
  dev: `
Every setting can be given as a variable (--poll-interval as MILLRACE_POLL_INTERVAL or INNGEST_POLL_INTERVAL), or in millrace.json or
inngest.json of the project ("poll-interval": 5).

Example:
  millrace dev -u http://localhost:3000/api/inngest`,
  start: `
Every setting can be given as a variable (--event-key as MILLRACE_EVENT_KEY or INNGEST_EVENT_KEY), or in the file that --config names
("event-key": "..."). Keep keys out of command lines: others can see those.

Example:
  millrace keygen > .env && set -a && . ./.env && millrace start --data-dir /var/lib/millrace`,
};

/** The command that runs a server of a mode. */
export function declareServer(mode: Mode): Declare {
  return (command, context, end) => {
    const known = flags(mode);
    for (const flag of known) command.addOption(optionOf(flag));
    command
      .option('--config <file>', 'read settings from a JSON file')
      .option('--no-color', 'print without colours')
      .addHelpText('after', HELP[mode])
      .action(async () => end(await serve(mode, command, known, context)));
  };
}

/** Runs a server until it is told to stop. */
async function serve(mode: Mode, command: Command, known: readonly Flag[], context: Context): Promise<ExitCode> {
  const { settings, notes, configFile } = settingsOf(mode, command, known, context);
  const { console } = context;
  for (const note of notes) console.note(note);
  const terminal = new Terminal({
    version,
    settings,
    addresses: addresses(),
    configFile,
    colors: console.colors,
    out: process.stdout,
    clock: new SystemClock(),
  });
  const stop = new StopSignal((signal) => console.note(`${signal}: waiting for calls under way. Again: stop at once.`));
  try {
    const { startServer } = await import('../host.js');
    const starting = startServer(settings, {
      logger: createLogger(settings, process.stderr, context.env),
      hooks: terminal,
    });
    const server = await Promise.race([starting, stop.given]);
    // A start may take its time, as where it waits for room on the disk; one that is cut off is made again like after a kill.
    if (server) {
      terminal.listening(server.url);
      flushCompileCache(); // Else only an orderly end would keep it.
      await stop.given;
      await server.close();
    }
    terminal.stopped();
    return EXIT.ok;
  } catch (error) {
    throw failureOf(error, settings);
  } finally {
    stop.dispose();
    if (settings.dataDirTemporary) rmSync(settings.dataDir, { recursive: true, force: true });
  }
}

function settingsOf(mode: Mode, command: Command, known: readonly Flag[], { env, cwd }: Context): ReadSettings {
  const { config } = command.opts<{ readonly config?: string }>();
  try {
    return readSettings({ mode, flags: given(command, known), env, cwd, configFile: config });
  } catch (error) {
    if (!(error instanceof Fault) || error.code !== 'settings_invalid') throw error;
    throw new Failure(EXIT.usage, error.message, { next: `See \`millrace ${mode} --help\`.`, code: error.code }, error);
  }
}

/** What keeps a server from starting, and what to do about it. */
function failureOf(error: unknown, { host, port, services }: ServerSettings): unknown {
  const why = error instanceof Error ? error.message : String(error);
  const { prefix: _prefix, ...given } = services;
  const isShared = Object.keys(given).length > 0;
  switch ((error as { readonly code?: unknown }).code) {
    case 'data_dir_in_use':
      return new Failure(
        EXIT.failed,
        why,
        { next: 'Stop that one, or give this one a folder of its own with --data-dir.', code: 'data_dir_in_use' },
        error,
      );
    case 'data_dir_unusable':
      return new Failure(
        EXIT.failed,
        why,
        { next: 'Give another folder with --data-dir.', code: 'data_dir_unusable' },
        error,
      );
    case 'data_dir_newer':
      return new Failure(
        EXIT.failed,
        why,
        { next: 'Upgrade Millrace, or give another folder with --data-dir.', code: 'data_dir_newer' },
        error,
      );
    case 'settings_invalid':
      return new Failure(
        EXIT.usage,
        why,
        { next: 'See docs/settings.md for what can be said of the services.', code: 'settings_invalid' },
        error,
      );
    case 'state_evicts':
      return new Failure(
        EXIT.failed,
        why,
        {
          next: 'Set it there (`CONFIG SET maxmemory-policy noeviction`), or give another Redis.',
          code: 'state_evicts',
        },
        error,
      );
    case 'state_unavailable':
    case 'log_unavailable':
    case 'control_plane_unavailable':
    case 'history_unavailable': {
      const { code, data } = error as Fault;
      if (isShared) {
        const next = 'See whether the services answer under the addresses that were given.';
        const { reason } = data;
        return new Failure(
          EXIT.failed,
          why,
          { why: typeof reason === 'string' ? reason : undefined, next, code },
          error,
        );
      }
      return new Failure(
        EXIT.failed,
        'The data folder cannot be written to.',
        { why: String(data['reason']), next: 'Make room on its disk, or give another folder with --data-dir.', code },
        error,
      );
    }
    case 'EADDRINUSE':
      return new Failure(
        EXIT.failed,
        `Port ${port} is taken.`,
        { why, next: 'Stop what listens there (another Millrace?), or give another with --port.', code: 'port_taken' },
        error,
      );
    case 'EACCES':
      return new Failure(
        EXIT.failed,
        `Port ${port} may not be listened on.`,
        { why, next: 'Give one from 1024 up with --port.', code: 'port_forbidden' },
        error,
      );
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return new Failure(
        EXIT.failed,
        `${host} is no address of this machine.`,
        { why, next: 'Give another with --host.', code: 'host_unknown' },
        error,
      );
    default:
      return error;
  }
}

/** IPv4 addresses under which others may reach this machine. */
function addresses(): readonly string[] {
  return Object.values(networkInterfaces())
    .flatMap((each) => each ?? [])
    .filter(({ family, internal }) => family === 'IPv4' && !internal)
    .map(({ address }) => address);
}

/** A terminal, a launcher and a process group may each pass on the same signal. */
const SAME_SIGNAL_MS = 500;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** The first signal asks for an orderly end, a second one ends at once. */
class StopSignal {
  readonly given: Promise<void>;
  private readonly take: (signal: NodeJS.Signals) => void;

  constructor(first: (signal: NodeJS.Signals) => void) {
    let resolve: () => void;
    this.given = new Promise((done) => (resolve = done));
    let since: number | undefined;
    this.take = (signal) => {
      const now = performance.now();
      if (since === undefined) {
        since = now;
        first(signal);
        resolve();
      } else if (now - since > SAME_SIGNAL_MS) process.exit(EXIT.interrupted);
    };
    for (const signal of SIGNALS) process.on(signal, this.take);
  }

  dispose(): void {
    for (const signal of SIGNALS) process.removeListener(signal, this.take);
  }
}
