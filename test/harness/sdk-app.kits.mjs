// The SDKs under one face, so that a story is told once: kit.fn(id, {on, ...options}, handler).
import { count, gate, record, setting } from './sdk-app.log.mjs';

/** The variants that stories are told for. v3 and v4 share a place in `globalThis`, so a process holds one of them. */
export const VARIANTS = {
  /** v4 as it comes: steps are checkpointed. */
  v4: { name: 'inngest', client: {} },
  'v4-plain': { name: 'inngest', client: { checkpointing: false } },
  v3: { name: 'inngest-v3', client: {} },
};

const quiet = { debug() {}, info() {}, warn() {}, error() {} };

/** @param id the app's id; its events begin with it */
export async function kitOf(variant, id, { client: more = {}, serve: serveOptions = {} } = {}) {
  const { name, client: given } = VARIANTS[variant];
  const [sdk, node, experimental] = await Promise.all(
    ['', '/node', '/experimental'].map((part) => import(name + part)),
  );
  const client = new sdk.Inngest({ id, logger: quiet, ...given, ...more, fetch: recorded(id) });
  const functions = [];
  const kit = {
    variant,
    isV3: variant === 'v3',
    id,
    sdk,
    client,
    gate,
    setting,
    /** The app's own name of an event. */
    event: (name) => `${id}/${name}`,
    /**
     * Declares a function. `on` is an event of the app, a trigger, or a list of them. Handlers have `did(what)` besides, which notes
     * what happens and says how often it has happened in this run, and `gate(name)`, which waits until the test opens it.
     */
    fn(fnId, { on = [], onFailure, ...options }, handler) {
      const triggers = [on].flat().map((each) => (typeof each === 'string' ? { event: kit.event(each) } : each));
      const config = {
        id: fnId,
        ...options,
        ...(onFailure ? { onFailure: noted(id, `${fnId}-failure`, onFailure) } : {}),
      };
      const wrapped = noted(id, fnId, handler);
      const made = kit.isV3
        ? client.createFunction(config, triggers, wrapped)
        : client.createFunction({ ...config, triggers }, wrapped);
      functions.push(made);
      return made;
    },
    /** Declares a function that runs after the one that asked for it: v4 only. */
    defer(fnId, handler) {
      const made = experimental.createDefer(client, { id: fnId }, noted(id, fnId, handler));
      functions.push(made);
      return made;
    },
    handler: () => node.serve({ client, functions, ...serveOptions }),
  };
  return kit;
}

function noted(app, fn, handler) {
  return (ctx) => {
    const { runId, attempt } = ctx;
    const did = (name, more = {}) => {
      const n = count(`${runId} ${name}`);
      record({ kind: 'did', app, fn, runId, attempt, name, n, ...more });
      return n;
    };
    did('enter');
    return handler({ ...ctx, did, gate: (name) => gate(`${ctx.event.data?.key} ${name}`) });
  };
}

/** What the SDK asks of the server by itself. `/~set {"<app> checkpoint": 500}` lets checkpoints fail. */
function recorded(app) {
  return async (url, init) => {
    const path = new URL(url).pathname;
    const entry = { kind: 'sent', app, path, runId: /^\/v[01]\/(?:checkpoint|runs)\/([^/]+)/.exec(path)?.[1] };
    const refused = path.startsWith('/v1/checkpoint') ? setting(`${app} checkpoint`) : undefined;
    const response = refused ? new Response('{}', { status: refused }) : await fetch(url, init);
    const body = typeof init?.body === 'string' && init.body.length < 100_000 ? JSON.parse(init.body) : undefined;
    record({
      ...entry,
      status: response.status,
      steps: body?.steps?.map(({ op, name }) => `${op} ${name}`),
      seed: headerOf(init, 'x-inngest-event-id-seed'),
    });
    return response;
  };
}

function headerOf(init, name) {
  return new Headers(init?.headers).get(name) ?? undefined;
}
