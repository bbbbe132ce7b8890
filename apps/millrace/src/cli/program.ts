import { Command, CommanderError } from 'commander';
import type { EpochMs } from '#core/words.js';
import { version } from '../version.js';
import type { Context, Declare } from './command.context.js';
import { Console } from './console.js';
import { EXIT, Failure, usage, type ExitCode } from './failure.js';

/** The process around the command line. */
export interface World {
  readonly stdin: Context['stdin'];
  readonly stdout: { write(text: string): unknown; readonly isTTY?: boolean };
  readonly stderr: { write(text: string): unknown; readonly isTTY?: boolean };
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  readonly now: () => EpochMs;
}

/** A command loads its own file, and nothing that it does not need: asking a server must not wait for a server to be loaded. */
const COMMANDS: readonly (readonly [
  name: string,
  about: string,
  load: () => Promise<{ readonly declare: Declare }>,
])[] = [
  [
    'dev',
    'run everything in one process, for development: no keys, this machine only',
    () => import('./dev.command.js'),
  ],
  ['start', 'run everything in one process, durable, keys required', () => import('./start.command.js')],
  ['send', 'send events', () => import('./send.command.js')],
  ['runs', 'list, show and cancel runs', () => import('./runs.command.js')],
  [
    'functions',
    'list and show functions and what waits of them; pause, resume',
    () => import('./functions.command.js'),
  ],
  ['verify', 'compare what the stores hold with the log', () => import('./verify.command.js')],
  ['rebuild', 'have a store made anew from the log', () => import('./rebuild.command.js')],
  ['doctor', 'look whether all that Millrace needs is there', () => import('./doctor.command.js')],
  ['keygen', 'make an event key and a signing key', () => import('./keygen.command.js')],
  ['version', 'print the version', () => import('./version.command.js')],
];

const HELP = `
Examples:
  millrace dev -u http://localhost:3000/api/inngest
  millrace send shop/order.placed -d '{"orderId":"o-1"}' --wait
  millrace runs list --status failed --from 1h

Exit codes: 0 ok, 1 failed, 2 wrong usage, 3 not found, 4 refused for its keys, 5 time is up, 130 interrupted.`;

/** Runs one command. @returns the exit code */
export async function run(argv: readonly string[], world: World): Promise<number> {
  const { stdin, stdout, stderr, env, cwd, now } = world;
  // Also what is wrong with the options is printed as they ask.
  const console = new Console(stdout, stderr, env, argv.includes('--json'), !argv.includes('--no-color'));
  let exit: ExitCode = EXIT.ok;
  const program = new Command('millrace')
    .description('Durable functions on a log: runs apps written with the Inngest SDKs.')
    .version(version, '-V, --version', 'print the version')
    .addHelpText('after', HELP)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => stdout.write(text),
      writeErr: (text) => stderr.write(text),
      outputError: () => undefined, // It is thrown as well.
    });
  const words = argv.filter((word) => !word.startsWith('-'));
  const named = words[0] === 'help' ? words[1] : words[0];
  for (const [name, about, load] of COMMANDS) {
    const command = program.command(name).description(about);
    if (name !== named) continue;
    const { declare } = await load();
    declare(command, { console, env, cwd, stdin, now }, (code) => (exit = code));
  }
  try {
    await program.parseAsync(argv, { from: 'user' });
    return exit;
  } catch (error) {
    if (!(error instanceof CommanderError)) return console.failure(error);
    if (error.exitCode === 0) return EXIT.ok;
    if (error.code === 'commander.help') return EXIT.usage; // It has been printed, for want of a command.
    return console.failure(usageOf(error, named));
  }
}

/** What commander says, in our form. */
function usageOf(error: CommanderError, named: string | undefined): Failure {
  const [what = '', hint] = error.message.replace(/^error: /, '').split('\n');
  const known = COMMANDS.some(([name]) => name === named);
  const help = `See \`millrace ${known ? `${named} ` : ''}--help\`.`;
  const sentence = `${what.charAt(0).toUpperCase()}${what.slice(1)}`;
  return usage(
    sentence.endsWith('.') ? sentence : `${sentence}.`,
    hint === undefined ? help : `${hint.replace(/^\(|\)$/g, '')} ${help}`,
  );
}
