import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { causeOf, endOf, ofType, storiesIn, type Story } from './log.stories.js';

/** How often the server is killed; CI kills more often than `npm test`. */
const KILLS = Number(process.env['MILLRACE_KILLS'] ?? 8);
/** Orders of each round between two kills. */
const BURST = 12;
const SEED = Number(process.env['MILLRACE_SEED'] ?? Date.now() % 1_000_000);
const ROOT = join(import.meta.dirname, '../..');

interface Sent {
  readonly n: number;
  readonly internalId: string;
  cancelled: boolean;
}

interface RunView {
  readonly run_id: string;
  readonly event_id: string;
}

/** What a step of the app comes to: another token each time that its body runs, and the tokens of the results that it was made of. */
interface Result {
  readonly n: number;
  readonly step: string;
  readonly of: readonly string[];
  readonly token: string;
}

/** A small generator with a seed, so that a failure can be played again. */
function dice(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const roll = dice(SEED);
const folder = mkdtempSync(join(tmpdir(), 'millrace-chaos-'));
let app: ChildProcess;
let server: ChildProcess;
let serverPort: number;
let appPort: number;
let reportPort: number;
let serverLog = '';

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

async function until<T>(what: string, look: () => Promise<T | undefined | false>, withinMs = 60_000): Promise<T> {
  const end = Date.now() + withinMs;
  let last: unknown;
  while (Date.now() < end) {
    try {
      const found = await look();
      if (found !== undefined && found !== false) return found;
    } catch (error) {
      last = error;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`never came to hold: ${what} (seed ${SEED}); ${String(last)}\n${serverLog.slice(-4_000)}`);
}

async function get<T>(path: string): Promise<T> {
  const response = await fetch(`http://127.0.0.1:${serverPort}${path}`);
  const body = (await response.json()) as { data: T; error?: string };
  if (!response.ok) throw new Error(`${path}: ${body.error}`);
  return body.data;
}

function startServer(): void {
  const url = `http://localhost:${appPort}/api/inngest`;
  const flags = [
    'dev',
    '--port',
    String(serverPort),
    '--data-dir',
    join(folder, 'data'),
    '-u',
    url,
    '--no-discovery',
    '--retry-interval',
    '1',
  ];
  server = spawn(process.execPath, [join(ROOT, 'bin/millrace.js'), ...flags], { stdio: ['ignore', 'pipe', 'pipe'] });
  const keep = (chunk: Buffer) => (serverLog = (serverLog + chunk.toString()).slice(-20_000));
  server.stdout?.on('data', keep);
  server.stderr?.on('data', keep);
}

async function kill(): Promise<void> {
  const gone = new Promise((resolve) => server.once('exit', resolve));
  server.kill('SIGKILL');
  await gone;
}

async function stop(): Promise<void> {
  const gone = new Promise((resolve) => server.once('exit', resolve));
  server.kill('SIGTERM');
  await gone;
}

/** By name, what the steps of a run came to: the function must have been told this, and nothing else. */
function recorded(story: Story): Record<string, Result> {
  const steps = ofType(story, 'StepCompleted').filter(({ kind }) => kind === 'run' || kind === 'invoke');
  return Object.fromEntries(steps.map(({ name, memo }) => [name, (JSON.parse(memo) as { data: Result }).data]));
}

/** Sends until it is acknowledged: with an id of our own or with a seed, as SDKs do. */
async function send(name: string, n: number, id?: string): Promise<string> {
  const seed = `${Date.now()},${randomBytes(10).toString('base64')}`;
  return until(`${name} ${n} is acknowledged`, async () => {
    const response = await fetch(`http://127.0.0.1:${serverPort}/e/key`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-inngest-event-id-seed': seed },
      body: JSON.stringify({ name, data: { n }, ...(id === undefined ? {} : { id }) }),
    });
    const body = (await response.json()) as { ids: string[] };
    return response.ok ? body.ids[0] : undefined;
  });
}

beforeAll(async () => {
  [serverPort, appPort, reportPort] = [await freePort(), await freePort(), await freePort()];
  app = spawn(process.execPath, [join(import.meta.dirname, 'app.mjs')], {
    env: {
      ...process.env,
      INNGEST_DEV: `http://127.0.0.1:${serverPort}`,
      PORT: String(appPort),
      REPORT_PORT: String(reportPort),
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await new Promise((resolve) => app.stdout?.once('data', resolve));
});

afterAll(async () => {
  if (server?.exitCode === null) await kill();
  app?.kill();
  rmSync(folder, { recursive: true, force: true });
});

it(`loses and doubles nothing over ${KILLS} kills (seed ${SEED})`, { timeout: KILLS * 15_000 + 180_000 }, async () => {
  const sent: Sent[] = [];
  let next = 0;
  startServer();
  await until(
    'the app is synced',
    async () =>
      ((await (await fetch(`http://127.0.0.1:${serverPort}/dev`)).json()) as { functions: unknown[] }).functions
        .length === 3,
  );

  for (let round = 0; round <= KILLS; round++) {
    const numbers = Array.from({ length: BURST }, () => next++);
    const burst = Promise.all(
      numbers.map(async (n) => {
        const internalId = await send(
          n % 3 === 0 ? 'chaos/calls' : 'chaos/work',
          n,
          n % 2 === 0 ? `work-${n}` : undefined,
        );
        sent.push({ n, internalId, cancelled: false });
      }),
    );
    // What an earlier round began is told, or cancelled, while this one is killed.
    const listeners = sent.filter(({ n }) => n < next - 2 * BURST && n >= next - 4 * BURST);
    const telling = Promise.all(
      listeners.map(async (order) => {
        if (order.n % 7 === 0) {
          order.cancelled = true;
          await send('chaos/cancel', order.n, `cancel-${order.n}`);
        } else await send('chaos/tell', order.n, `tell-${order.n}`);
      }),
    );
    if (round < KILLS) {
      await new Promise((resolve) => setTimeout(resolve, 50 + roll() * 2_500));
      await kill();
      startServer();
    }
    await Promise.all([burst, telling]);
  }
  for (const order of sent.filter(({ n }) => n >= next - 3 * BURST))
    await send('chaos/tell', order.n, `tell-again-${order.n}`);

  // Who was told before it waited is told again, until every run has ended.
  const byEvent = new Map(sent.map((order) => [order.internalId, order]));
  await until(
    'every run has ended',
    async () => {
      const active = await get<RunView[]>('/v1/runs?status=Scheduled,Running&limit=100');
      const waiting = active.flatMap(({ event_id }) => byEvent.get(event_id) ?? []);
      await Promise.all(waiting.map(({ n }) => send('chaos/tell', n)));
      return active.length === 0;
    },
    150_000,
  );
  const report = (await (await fetch(`http://127.0.0.1:${reportPort}`)).json()) as { executed: [string, number][] };
  const executed = new Map(report.executed);
  await stop();

  const stories = await storiesIn(join(folder, 'data'));
  const startedBy = Map.groupBy(stories, causeOf);
  const childrenOf = Map.groupBy(stories, (story) => ofType(story, 'RunScheduled')[0]?.parents.at(-1)?.runId);
  for (const order of sent) {
    const runs = startedBy.get(order.internalId) ?? [];
    expect(runs, `event ${order.n} has one run`).toHaveLength(1);
    const [story] = runs as [Story];
    const end = endOf(story);
    expect(order.cancelled ? ['RunCancelled', 'RunCompleted'] : ['RunCompleted']).toContain(end.type);
    if (end.type !== 'RunCompleted') continue;

    const results = recorded(story);
    expect(JSON.parse(end.output), `the outcome of ${order.n} is made of what is recorded`).toEqual({
      told: order.n,
      results,
    });
    const tokens = (...steps: string[]) => steps.map((step) => results[step]?.token);
    expect(results, `the steps of ${order.n} are made of what is recorded`).toMatchObject({
      first: { n: order.n, step: 'first', of: [] },
      second: { n: order.n, step: 'second', of: tokens('first') },
      left: { n: order.n, step: 'left', of: tokens('second') },
      right: { n: order.n, step: 'right', of: tokens('second') },
      child: { n: order.n, step: 'only', of: [] },
      join: { n: order.n, step: 'join', of: tokens('left', 'right', 'child') },
      last: { n: order.n, step: 'last', of: tokens('join') },
    });
    const children = childrenOf.get(story.runId) ?? [];
    expect(children, `${order.n} invoked one run`).toHaveLength(1);
    const [small] = children as [Story];
    const smallEnd = endOf(small);
    expect(recorded(small), `what ${order.n} invoked`).toEqual({ only: results['child'] });
    expect(smallEnd.type === 'RunCompleted' && JSON.parse(smallEnd.output)).toEqual(results['child']);
    for (const step of ['first', 'second', 'left', 'right', 'join', 'last', 'only']) {
      expect(executed.get(`${order.n}/${step}`), `${order.n}/${step}`).toBeGreaterThan(0);
    }
  }
});
