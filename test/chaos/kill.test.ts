import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, it } from 'vitest';
import { storiesIn } from './log.stories.js';
import { dice, Orders } from './orders.js';

/** How often the server is killed; CI kills more often than `npm test`. */
const KILLS = Number(process.env['MILLRACE_KILLS'] ?? 8);
const SEED = Number(process.env['MILLRACE_SEED'] ?? Date.now() % 1_000_000);
const ROOT = join(import.meta.dirname, '../..');

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
  const orders = new Orders(() => `http://127.0.0.1:${serverPort}`);
  startServer();
  await until(
    'the app is synced',
    async () =>
      ((await (await fetch(`http://127.0.0.1:${serverPort}/dev`)).json()) as { functions: unknown[] }).functions
        .length === 3,
  );

  for (let round = 0; round <= KILLS; round++) {
    const under = orders.round();
    if (round < KILLS) {
      await new Promise((resolve) => setTimeout(resolve, 50 + roll() * 2_500));
      await kill();
      startServer();
    }
    await under;
  }
  await orders.finish(150_000);
  const report = (await (await fetch(`http://127.0.0.1:${reportPort}`)).json()) as { executed: [string, number][] };
  const executed = new Map(report.executed);
  await stop();

  orders.judge(await storiesIn(join(folder, 'data')), executed);
});
