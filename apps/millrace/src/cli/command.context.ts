import type { Command } from 'commander';
import { parseDuration } from '#core/duration.js';
import { parseIsoInstant } from '#core/instant.js';
import type { EpochMs } from '#core/words.js';
import { hashSigningKey } from '#protocol/bearer.js';
import { ApiClient } from './api.client.js';
import type { Console } from './console.js';
import { EXIT, usage, type ExitCode } from './failure.js';

/** What a command has to do with the world. */
export interface Context {
  readonly console: Console;
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  /** Standard input; opened where it is asked for. */
  readonly stdin: () => AsyncIterable<Buffer> & { readonly isTTY?: boolean };
  readonly now: () => EpochMs;
}

/** A file of commands: adds options and action to the command of its name. The action's exit code goes to `end`. */
export type Declare = (command: Command, context: Context, end: (exit: ExitCode) => void) => void;

const URL_DEFAULT = 'http://127.0.0.1:8288';
const TIMEOUT_DEFAULT = '30s';

interface ClientOptions {
  readonly url?: string;
  readonly signingKey?: string;
  readonly eventKey?: string;
  readonly timeout?: string;
}

/** The options of every command that talks to a server. */
export function withClientOptions(
  command: Command,
  timeoutAbout = `give up after this long (${TIMEOUT_DEFAULT})`,
): Command {
  return withOutputOptions(command)
    .option('--url <url>', `server to talk to (${URL_DEFAULT}) [env MILLRACE_URL]`)
    .option('--signing-key <key>', 'signing key of the server, if it has one [env MILLRACE_SIGNING_KEY]')
    .option('--timeout <time>', timeoutAbout);
}

/** The options of every command. They are read before all others: see `run`. */
export function withOutputOptions(command: Command): Command {
  return command.option('--json', 'print JSON').option('--no-color', 'print without colours');
}

/**
 * Opens the way to the server that the options name, for as long as `use` takes.
 * @param timeout for a command that waits longer than for an answer; undefined: without end
 */
export async function withClient<T>(
  command: Command,
  { env, console }: Context,
  use: (api: ApiClient) => Promise<T>,
  timeout: string | undefined = TIMEOUT_DEFAULT,
): Promise<T> {
  const given = command.opts<ClientOptions>();
  const limit = given.timeout ?? timeout;
  const deadline =
    limit === undefined ? new AbortController().signal : AbortSignal.timeout(lengthOption('--timeout', limit));
  const api = new ApiClient({
    url: urlOption(given.url ?? (env['MILLRACE_URL'] || URL_DEFAULT)),
    bearer: bearerOf(given.signingKey, env),
    eventKey: given.eventKey ?? firstOf(env, 'MILLRACE_EVENT_KEY', 'INNGEST_EVENT_KEY') ?? 'NO_EVENT_KEY_SET',
    deadline,
  });
  const interrupted = () => {
    console.note('Interrupted. What was asked for goes on in the server.');
    process.exit(EXIT.interrupted);
  };
  process.once('SIGINT', interrupted);
  try {
    return await use(api);
  } finally {
    process.removeListener('SIGINT', interrupted);
    api.close();
  }
}

/** Servers take the key hashed, so that it stays here. A key that is no key is told of where somebody just typed it. */
function bearerOf(given: string | undefined, env: NodeJS.ProcessEnv): string | undefined {
  const key = given ?? firstOf(env, 'MILLRACE_SIGNING_KEY', 'INNGEST_SIGNING_KEY');
  const bearer = key === undefined ? undefined : hashSigningKey(key.trim());
  if (given !== undefined && bearer === undefined)
    throw usage('--signing-key must be hex digits, with or without `signkey-prod-` before them.');
  return bearer;
}

/** The first that is set; of a list of keys, the first. */
function firstOf(env: NodeJS.ProcessEnv, ...names: readonly string[]): string | undefined {
  const value = names.map((name) => env[name]).find((text) => text !== undefined && text !== '');
  return value?.split(',')[0]?.trim();
}

/** @throws usage */
export function urlOption(text: string): URL {
  const url = URL.parse(text.includes('://') ? text : `http://${text}`);
  if (url?.protocol === 'http:' || url?.protocol === 'https:') return url;
  throw usage(`--url must be an http or https URL, not "${text}".`);
}

/** `30s`, `1h30m`; a bare number is seconds. @throws usage */
export function lengthOption(name: string, text: string): number {
  const ms = /^\d+(\.\d+)?$/.test(text) ? Number(text) * 1_000 : parseDuration(text);
  if (ms === undefined || ms <= 0 || ms > 2 ** 31 - 1)
    throw usage(`${name} must be a length of time such as 30s or 2h, not "${text}".`);
  return ms;
}

/** A date, milliseconds since 1970, or a length of time before now. @throws usage */
export function instantOption(name: string, text: string, now: EpochMs): EpochMs {
  const ago = parseDuration(text);
  const at = /^\d{5,}$/.test(text)
    ? Number(text)
    : (parseIsoInstant(text) ?? (ago === undefined ? undefined : now - Math.abs(ago)));
  if (at === undefined)
    throw usage(`${name} must be a time such as 2026-11-22T10:00:00Z, or 1h for an hour ago, not "${text}".`);
  return at;
}
