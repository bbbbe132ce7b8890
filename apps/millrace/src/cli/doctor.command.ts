import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { checkDataDir } from '#platform/data-dir.check.js';
import { countText, lengthText, type Colors } from '../text.js';
import { version } from '../version.js';
import { withClient, withClientOptions, type Context, type Declare } from './command.context.js';
import { EXIT, Failure, type ExitCode } from './failure.js';

interface Check {
  readonly name: string;
  readonly state: 'ok' | 'warning' | 'failed';
  readonly detail: string;
  /** What to do about it. */
  readonly next?: string;
}

const HELP = `
Looks for a server, at what it needs, and at what is in its way. Ends with 0 when nothing is wrong; warnings are not wrong.`;

export const declare: Declare = (command, context, end) => {
  withClientOptions(command)
    .option('--data-dir <folder>', 'data folder to look at (./.millrace) [env MILLRACE_DATA_DIR]')
    .addHelpText('after', HELP)
    .action(async () => end(await examine(command, context)));
};

async function examine(command: Command, context: Context): Promise<ExitCode> {
  const { dataDir } = command.opts<{ readonly dataDir?: string }>();
  const dir = resolve(context.cwd, dataDir ?? (context.env['MILLRACE_DATA_DIR'] || '.millrace'));
  const server = await lookForServer(command, context);
  const checks = [
    { name: 'node', state: 'ok', detail: `Node ${process.versions.node} (${process.execPath})` } as const,
    ...server.checks,
    await lookAtDataDir(dir, server.found),
    await lookAtHistory(),
  ];
  const ok = checks.every(({ state }) => state !== 'failed');
  context.console.result({ ok, version, checks }, (colors) => checks.flatMap((check) => linesOf(check, colors)));
  return ok ? EXIT.ok : EXIT.failed;
}

interface ServerInfo {
  readonly version?: string;
  readonly kind?: string;
  readonly handlers?: readonly {
    readonly name: string;
    readonly url: string;
    readonly error: { readonly message: string } | null;
  }[];
  readonly functions?: readonly unknown[];
}

async function lookForServer(
  command: Command,
  context: Context,
): Promise<{ readonly found: boolean; readonly checks: readonly Check[] }> {
  return withClient(command, context, async (api) => {
    const since = performance.now();
    let info: ServerInfo;
    try {
      info = (await api.ask('/dev')) as ServerInfo;
      if (typeof info?.version !== 'string' || !Array.isArray(info.handlers)) throw api.strange('/dev');
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      const { why, next } = error.details;
      const failed: Check = {
        name: 'server',
        state: 'failed',
        detail: [error.message, why].filter(Boolean).join(' '),
        ...(next ? { next } : {}),
      };
      return { found: false, checks: [failed, ...(await lookAtPort(api.url))] };
    }
    const took = lengthText(performance.now() - since);
    const functions = countText(info.functions?.length ?? 0, 'function');
    const detail = `millrace ${info.version} (${info.kind}) at ${api.url.origin}, answered in ${took}, ${functions}`;
    return { found: true, checks: [{ name: 'server', state: 'ok', detail }, ...appsOf(info), ...(await keysOf(api))] };
  });
}

function appsOf({ handlers = [] }: ServerInfo): readonly Check[] {
  if (handlers.length === 0) {
    return [
      {
        name: 'apps',
        state: 'warning',
        detail: 'No app is synced.',
        next: 'Start an app, or name one: `millrace dev -u http://localhost:3000/api/inngest`.',
      },
    ];
  }
  return handlers.map(({ name, url, error }) =>
    error === null
      ? { name: 'app', state: 'ok', detail: `${name} at ${url}` }
      : {
          name: 'app',
          state: 'warning',
          detail: `${name || url} is not synced: ${error.message}`,
          next: 'See that the app runs and serves its functions at this URL.',
        },
  );
}

/** Whether the API lets us in. */
async function keysOf(api: {
  data(path: string, query: Record<string, string>): Promise<unknown>;
}): Promise<readonly Check[]> {
  try {
    await api.data('/v1/runs', { limit: '1' });
    return [{ name: 'api', state: 'ok', detail: 'Runs can be listed.' }];
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return [
      {
        name: 'api',
        state: 'failed',
        detail: `Runs cannot be listed: ${error.message}`,
        ...(error.details.next ? { next: error.details.next } : {}),
      },
    ];
  }
}

/** Without a server on this machine: whether something else is in its place. */
async function lookAtPort({ hostname, port, protocol }: URL): Promise<readonly Check[]> {
  const host = hostname.replace(/^\[|\]$/g, '');
  if (!/^(localhost|127\.|::1$)/.test(host)) return [];
  const number = Number(port || (protocol === 'https:' ? 443 : 80));
  const code = await new Promise<string | undefined>((done) => {
    const probe = createServer();
    probe.on('error', (error: NodeJS.ErrnoException) => done(error.code ?? error.message));
    probe.listen(number, host, () => probe.close(() => done(undefined)));
  });
  if (code === undefined) return [{ name: 'port', state: 'ok', detail: `Port ${number} is free.` }];
  const taken = code === 'EADDRINUSE';
  const detail = taken
    ? `Port ${number} is taken by something that is no Millrace server.`
    : `Port ${number} cannot be listened on: ${code}.`;
  return [
    { name: 'port', state: 'failed', detail, next: 'Stop what listens there, or give the server another with --port.' },
  ];
}

async function lookAtDataDir(dir: string, serverFound: boolean): Promise<Check> {
  const { state, detail } = await checkDataDir(dir);
  if (state === 'unusable')
    return {
      name: 'data',
      state: 'failed',
      detail,
      next: 'Give another folder with --data-dir, or make this one writable.',
    };
  if (state !== 'in_use' || serverFound) return { name: 'data', state: 'ok', detail };
  return { name: 'data', state: 'warning', detail, next: 'A server runs that --url does not reach.' };
}

const HISTORY_MS = 30_000;
const ENGINE = `process.stdout.write(require(process.argv[1]).query('SELECT version()', 'TabSeparated'))`;

/** The engine is loaded as a server would, in a process of its own: it is large, and a broken one must not take us with it. */
async function lookAtHistory(): Promise<Check> {
  const off = 'Without it there is no history: no lists of runs and events, no runs that have ended.';
  let path: string;
  try {
    path = createRequire(import.meta.url).resolve('chdb');
  } catch {
    return {
      name: 'history',
      state: 'warning',
      detail: `chdb is not installed. ${off}`,
      next: '`npm ci` installs it, on Linux and macOS.',
    };
  }
  const since = performance.now();
  return new Promise((done) => {
    execFile(process.execPath, ['-e', ENGINE, path], { timeout: HISTORY_MS }, (error, stdout, stderr) => {
      if (error) {
        const why = stderr.trim().split('\n').at(-1) || error.message;
        return done({
          name: 'history',
          state: 'warning',
          detail: `chdb cannot be loaded: ${why}. ${off}`,
          next: '`npm ci` installs it anew.',
        });
      }
      done({
        name: 'history',
        state: 'ok',
        detail: `chdb with ClickHouse ${stdout.trim()}, loaded in ${lengthText(performance.now() - since)}`,
      });
    });
  });
}

function linesOf({ name, state, detail, next }: Check, { green, yellow, red, dim }: Colors): readonly string[] {
  const mark = { ok: green('✓'), warning: yellow('!'), failed: red('✗') }[state];
  return [`${mark} ${name.padEnd(8)} ${detail}`, ...(next === undefined ? [] : [`  ${' '.repeat(8)} ${dim(next)}`])];
}
