// A server in a process of its own whose clock a test moves ahead: message {shift: ms}, answer {now}.
// Arguments: the root of the installation, the mode, the flags as JSON, how far the clock is ahead.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [root, mode, flags, ahead] = process.argv.slice(2);
const load = (path) => import(pathToFileURL(join(root, 'dist', path)).href);
const [{ startServer }, { readSettings }, { ShiftedClock }] = await Promise.all([
  load('apps/millrace/src/host.js'),
  load('libs/platform/src/settings.js'),
  load('libs/testkit/src/shifted-clock.js'),
]);

const { settings } = readSettings({ mode, flags: JSON.parse(flags), env: process.env, cwd: process.cwd() });
mkdirSync(settings.dataDir, { recursive: true });
const clock = new ShiftedClock();
clock.shift(Number(ahead));
const say = (level) => (data, text) =>
  console.error(JSON.stringify({ level, text, ...data, err: data?.err && (data.err.stack ?? String(data.err)) }));
const logger = { debug() {}, info() {}, warn: say('warn'), error: say('error') };
const server = await startServer(settings, { logger, clock });

process.on('message', ({ shift }) => {
  clock.shift(shift);
  process.send({ now: clock.now() });
});
process.on('disconnect', () => process.exit(0));
process.on('SIGTERM', () => server.close().then(() => process.exit(0)));
console.log(JSON.stringify({ type: 'listening', url: server.url }));
