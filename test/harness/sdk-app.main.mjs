// Real SDK apps in a process of their own: each at /<app id>/api/inngest, the first at /api/inngest as well; the tests' door at /~log, /~open, /~set.
// Argument: {"apps": [{"id", "variant", "functions": [paths], "client"?, "serve"?}], "port"} as JSON. INNGEST_DEV and keys by environment.
import { createServer } from 'node:http';
import { Readable } from 'node:stream';
import { pathToFileURL } from 'node:url';
import { control, record } from './sdk-app.log.mjs';
import { kitOf } from './sdk-app.kits.mjs';

const { apps, port } = JSON.parse(process.argv[2]);
const handlers = new Map();
for (const { id, variant, functions, ...options } of apps) {
  const kit = await kitOf(variant, id, options);
  for (const path of functions) (await import(pathToFileURL(path).href)).default(kit);
  handlers.set(id, kit.handler());
}

async function bodyOf(req) {
  const chunks = [];
  for await (const chunk of req) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Notes a call and its answer. */
function note(app, url, body, req, res) {
  const call = JSON.parse(body.toString());
  const common = {
    app,
    fn: url.searchParams.get('fnId')?.slice(app.length + 1),
    target: url.searchParams.get('stepId'),
    runId: call.ctx.run_id,
    attempt: call.ctx.attempt,
    key: call.event.data?.key,
  };
  record({
    kind: 'call',
    ...common,
    maxAttempts: call.ctx.max_attempts,
    planOnly: call.ctx.disable_immediate_execution,
    useApi: call.use_api,
    steps: Object.keys(call.steps),
    events: call.events?.length ?? 0,
    eventName: call.event.name,
    bytes: body.length,
    version: call.version,
    signed: req.headers['x-inngest-signature'] !== undefined,
    traceparent: req.headers.traceparent,
  });
  const chunks = [];
  let head;
  const { writeHead, write, end } = res;
  res.writeHead = (status, headers) => {
    head = { status, headers: Object.fromEntries(new Headers(headers)) };
    return writeHead.call(res, status, headers);
  };
  res.write = (chunk, ...rest) => {
    chunks.push(Buffer.from(chunk));
    return write.call(res, chunk, ...rest);
  };
  res.end = (chunk, ...rest) => {
    if (chunk !== undefined) chunks.push(Buffer.from(chunk));
    const answer = jsonIn(Buffer.concat(chunks).toString());
    const ops = Array.isArray(answer)
      ? answer.map(({ op, displayName, id }) => `${op} ${displayName ?? id}`)
      : undefined;
    record({
      kind: 'answer',
      ...common,
      status: head?.status,
      noRetry: head?.headers['x-inngest-no-retry'],
      retryAfter: head?.headers['retry-after'],
      ops,
    });
    return end.call(res, chunk, ...rest);
  };
}

function jsonIn(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // A stream, or nothing.
  }
}

const server = createServer(async (req, res) => {
  const url = new URL(req.url, 'http://app');
  const body = await bodyOf(req);
  if (url.pathname.startsWith('/~')) {
    return res.end(JSON.stringify((await control(url.pathname, JSON.parse(body.toString()))) ?? null));
  }
  const first = decodeURIComponent(url.pathname.split('/')[1]);
  const app = first === 'api' ? apps[0].id : first;
  const handler = handlers.get(app);
  if (!handler) return res.writeHead(404).end();
  if (req.method === 'POST' && url.searchParams.has('fnId')) note(app, url, body, req, res);
  else record({ kind: 'asked', app, method: req.method, syncKind: req.headers['x-inngest-sync-kind'] });
  const { headers, method, socket } = req;
  const replayed = Object.assign(Readable.from(body.length > 0 ? [body] : []), {
    headers,
    method,
    url: req.url,
    socket,
  });
  handler(replayed, res);
});
// A machine that stalls must not see connections close while a call is on its way.
server.keepAliveTimeout = 60_000;
server.listen(port, '127.0.0.1', () => {
  console.log(JSON.stringify({ type: 'listening', url: `http://127.0.0.1:${server.address().port}` }));
});
