import { hostname } from 'node:os';
import { pino } from 'pino';
import type { ServerSettings } from '#platform/settings.js';
import { ROLES, type Role } from '#platform/settings.rows.js';
import type { Logger } from '#ports/logger.port.js';
import { colorsFor, printable, type Colors } from './text.js';

interface Sink {
  write(text: string): unknown;
  readonly isTTY?: boolean;
}

/** The log of a server: an object a line for machines, a sentence a line for people. */
export function createLogger(
  { logLevel: level, json, roles }: Pick<ServerSettings, 'logLevel' | 'json' | 'roles'>,
  out: Sink,
  env: NodeJS.ProcessEnv,
): Logger {
  const colors = colorsFor(out, env, true);
  const write = json ? (line: string) => out.write(line) : (line: string) => out.write(sentence(line, colors));
  return pino(
    {
      level,
      base: baseOf(roles),
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write },
  );
}

/** Lines of several processes come together in one place: they say whose they are. One that does everything is alone. */
function baseOf(roles: readonly Role[]): { readonly roles: string; readonly process: string } | null {
  return roles.length === ROLES.length ? null : { roles: roles.join(','), process: `${hostname()}/${process.pid}` };
}

interface Entry {
  readonly level: string;
  readonly time: string;
  readonly msg?: string;
  readonly err?: { readonly type?: string; readonly message?: string; readonly stack?: string };
}

function sentence(line: string, { dim, red, yellow }: Colors): string {
  const { level, time, msg = '', err, ...data } = JSON.parse(line) as Entry;
  const paint = { error: red, fatal: red, warn: yellow }[level] ?? dim;
  const fields = Object.entries(data).map(
    ([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
  const stack = err && (err.stack ?? `${err.type}: ${err.message}`);
  const lines = stack === undefined ? '' : `\n    ${printable(stack).replaceAll('\n', '\n    ')}`;
  const tail = printable(fields.join(' '));
  return `${dim(time.slice(11, 23))} ${paint(level.padEnd(5))} ${printable(msg)}${tail === '' ? '' : ` ${dim(tail)}`}${dim(lines)}\n`;
}
