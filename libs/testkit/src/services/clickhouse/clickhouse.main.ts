/*
 * ClickHouse's HTTP interface over the engine in this process, so that a client of a server talks to the real engine. Started by
 * clickhouse.service.ts as `node clickhouse.main.ts <port> <folder>`; runs as it is under Node's type stripping.
 *
 * Every request has a connection of its own to the engine: its database, its settings and its parameters are set there the way the server
 * does it. Results are buffered, so an error is always a status. Left out, and refused: sessions, roles, compressed blocks. Everybody is let
 * in: users cannot be made.
 */
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { gunzipSync } from 'node:zlib';
import { Session } from 'chdb';
import { hasMoreThanOne, literal } from './statement.text.ts';

interface Statement {
  readonly sql: string;
  readonly database: string;
  /** Of a result, where the statement names none. */
  readonly format: string;
  readonly settings: ReadonlyMap<string, string>;
  readonly params: ReadonlyMap<string, string>;
}

interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array;
}

/** A refusal as the server words it. */
class Refusal extends Error {
  readonly code: number;
  readonly type: string;

  constructor(code: number, type: string, message: string) {
    super(`Code: ${code}. DB::Exception: ${message} (${type})`);
    this.code = code;
    this.type = type;
  }
}

const NOT_SETTINGS = new Set([
  'query',
  'database',
  'default_format',
  'query_id',
  'user',
  'password',
  'quota_key',
  'buffer_size',
  'wait_end_of_query',
]);
const LEFT_OUT = ['session_id', 'role', 'compress', 'decompress'];
const NOT_FOUND = new Set([46, 47, 50, 56, 60, 63, 73, 81, 115]);
const BAD_REQUEST = new Set([6, 26, 27, 36, 38, 41, 43, 53, 62, 69, 72, 117, 131, 167, 168, 321, 456]);

const [port = '', folder = ''] = process.argv.slice(2);
/** What the engine embedded allows and a server does not. */
const ARGS = ['--implicit_select=0', '--allow_introspection_functions=0'];
/** Keeps the engine up between requests. */
const keeper = new Session(folder, { connectionArgs: ARGS });
const version = keeper.query('SELECT version()', 'TSV').trim();

async function statementOf(request: IncomingMessage): Promise<Statement> {
  const url = new URL(request.url ?? '/', 'http://localhost');
  const entries = [...url.searchParams];
  let body = await buffer(request);
  if (request.headers['content-encoding'] === 'gzip') body = gunzipSync(body);
  let text = body.toString('utf8');
  const type = request.headers['content-type'] ?? '';
  if (type.startsWith('multipart/form-data')) {
    const form = await new Response(body, { headers: { 'content-type': type } }).formData();
    for (const [name, value] of form) entries.push([name, typeof value === 'string' ? value : await value.text()]);
    text = '';
  }
  const fields = new Map(entries);
  const refused = LEFT_OUT.find((name) => fields.has(name) && fields.get(name) !== '0');
  if (refused) throw new Refusal(48, 'NOT_IMPLEMENTED', `The test server has no ${refused}.`);

  const rest = entries.filter(([name]) => !NOT_SETTINGS.has(name));
  const params = rest.filter(([name]) => name.startsWith('param_'));
  const settings = rest.filter(([name]) => !name.startsWith('param_'));
  return {
    sql: [fields.get('query') ?? '', text].filter((part) => part !== '').join('\n'),
    database: fields.get('database') ?? header(request, 'x-clickhouse-database') ?? 'default',
    format: fields.get('default_format') ?? header(request, 'x-clickhouse-format') ?? 'TabSeparated',
    // What is only read cannot change anything, as on a server.
    settings: new Map([...(request.method === 'GET' ? [['readonly', '2'] as const] : []), ...settings]),
    params: new Map(params),
  };
}

async function run({ sql, database, format, settings, params }: Statement): Promise<Uint8Array> {
  if (hasMoreThanOne(sql)) throw new Refusal(62, 'SYNTAX_ERROR', 'Syntax error (Multi-statements are not allowed)');
  const connection = new Session(folder, { connectionArgs: ARGS });
  try {
    if (database !== 'default') await connection.queryAsync(`USE \`${database.replace(/[\\`]/g, '\\$&')}\``);
    // Once it is read-only no other setting can be made.
    const ordered = [...params, ...settings].sort(([a], [b]) => Number(a === 'readonly') - Number(b === 'readonly'));
    for (const [name, value] of ordered) await connection.queryAsync(`SET ${nameOf(name)} = ${literal(value)}`);
    const result = await connection.queryAsync(sql, { format });
    return result.bytes();
  } finally {
    connection.close();
  }
}

function nameOf(name: string): string {
  if (!/^\w+$/.test(name)) throw new Refusal(115, 'UNKNOWN_SETTING', `Unknown setting '${name}'`);
  return name;
}

async function answer(request: IncomingMessage): Promise<Answer> {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost');
  const isPing = pathname === '/ping' || (request.method === 'GET' && !searchParams.has('query'));
  if (isPing) return { status: 200, body: 'Ok.\n' };
  try {
    const statement = await statementOf(request);
    const format = /\bFORMAT\s+(\w+)[\s;]*$/i.exec(statement.sql)?.[1] ?? statement.format;
    const type = /^JSON(?!.*EachRow)/.test(format) ? 'application/json' : 'text/plain';
    const headers = { 'x-clickhouse-format': format, 'content-type': `${type}; charset=UTF-8` };
    return { status: 200, headers, body: await run(statement) };
  } catch (error) {
    return refusal(error);
  }
}

function refusal(error: unknown): Answer {
  const { message } = error as Error;
  const code = Number(/^Code: (\d+)/.exec(message)?.[1] ?? 1002);
  const status = NOT_FOUND.has(code) ? 404 : BAD_REQUEST.has(code) ? 400 : 500;
  const headers = { 'x-clickhouse-exception-code': String(code), 'content-type': 'text/plain; charset=UTF-8' };
  return { status, headers, body: `${message} (version ${version} (official build))\n` };
}

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { status, headers, body } = await answer(request);
  const query = new URL(request.url ?? '/', 'http://localhost').searchParams.get('query_id');
  response.writeHead(status, {
    'x-clickhouse-query-id': query ?? randomUUID(),
    'x-clickhouse-server-display-name': 'millrace-testkit',
    ...headers,
  });
  response.end(body);
}

function header(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

// Parameters may be long, and come in the address.
const server = createServer({ maxHeaderSize: 1024 ** 2 }, (request, response) => {
  serve(request, response).catch((error: unknown) => {
    // The client went away in the middle of its request.
    console.error(error);
    response.destroy();
  });
});
server.keepAliveTimeout = 10_000;
server.listen(Number(port), '127.0.0.1');

process.on('SIGTERM', () => {
  server.close(() => {
    keeper.close();
    process.exit(0);
  });
  server.closeIdleConnections();
});
