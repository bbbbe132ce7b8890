// `node docker/verify-image.mjs [--keep] [OMIT=--omit=dev]`: takes the steps of the Dockerfile without a container engine, and runs what comes
// of them as the image would: its files, its environment, its user. It shows that an install without dev dependencies runs, and that nothing
// is written beside the data folder. It does not show that an engine takes the file; the Node that runs this stands for the base image.
import { once } from 'node:events';
import { chmodSync, existsSync, globSync, lstatSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { buildImage } from './image.build.mjs';

const START_MS_MAX = 120_000;
const context = dirname(import.meta.dirname);
const { version } = readJson('package.json');
const lock = readJson('package-lock.json').packages;

const folder = mkdtempSync(join(tmpdir(), 'millrace-image-'));
// Its user has to get in.
chmodSync(folder, 0o755);
const problems = [];
try {
  const image = buildImage({
    context,
    dockerfile: join(import.meta.dirname, 'Dockerfile'),
    folder,
    buildArgs: Object.fromEntries(process.argv.slice(2).flatMap(argument)),
  });
  await checkFiles(image);
  await checkServer(image);
} catch (error) {
  problems.push(error.stack);
} finally {
  if (process.argv.includes('--keep')) console.log(`kept: ${folder}`);
  else rmSync(folder, { recursive: true, force: true });
}
for (const problem of problems) console.error(`\n${problem}`);
console.log(problems.length === 0 ? 'The image runs.' : `\n${problems.length} of the checks failed.`);
process.exitCode = problems.length === 0 ? 0 : 1;

function readJson(path) {
  return JSON.parse(readFileSync(join(context, path), 'utf8'));
}

function argument(text) {
  const at = text.indexOf('=');
  return text.startsWith('--') || at < 0 ? [] : [[text.slice(0, at), text.slice(at + 1)]];
}

function check(what, wrong) {
  console.log(`${wrong.length === 0 ? 'ok     ' : 'FAILED '}${what}`);
  if (wrong.length > 0) problems.push(`${what}: no\n  ${wrong.slice(0, 20).join('\n  ')}`);
}

async function checkFiles(image) {
  const installed = globSync('node_modules/{*,@*/*}/package.json', { cwd: image.place('.') }).map(dirname);
  check(
    'it has no dev dependency',
    installed.filter((path) => lock[path]?.dev === true),
  );
  check('every package and file that its programs import is there', missingImports(image));
  check(
    'it has no source and no test',
    globSync(['**/*.ts', 'dist/**/*.test.*', 'dist/libs/testkit', 'test'], {
      cwd: image.place('.'),
      exclude: ['node_modules'],
    }),
  );
  const { code, out } = await image.run([...image.entrypoint, '--version']);
  check(`millrace --version says ${version}`, code === 0 && out.trim() === version ? [] : [`${code}: ${out}`]);
}

function missingImports(image) {
  const { imports } = readJson('package.json');
  const importing =
    /^(?:import|export)\b[^'"\n]*\bfrom ['"](.+?)['"]|^import ['"](.+?)['"]|\bimport\(['"](.+?)['"]\)/gm;
  const missing = new Map();
  for (const path of globSync('dist/**/*.js', { cwd: image.place('.') })) {
    for (const [, from, only, called] of readFileSync(image.place(path), 'utf8').matchAll(importing)) {
      const name = from ?? only ?? called;
      if (isBuiltin(name) || missing.has(name)) continue;
      if (!existsSync(image.place(placeOf(name, path, imports)))) missing.set(name, `${name}, in ${path}`);
    }
  }
  // The engine of history is an optional package: what needs it says so when it is not there.
  return [...missing].filter(([name]) => name !== 'chdb').map(([, where]) => where);
}

/** The file or folder that an import means. */
function placeOf(name, importer, imports) {
  if (name.startsWith('.')) return join(dirname(importer), name);
  for (const [pattern, target] of Object.entries(imports)) {
    const [before, after] = pattern.split('*');
    if (!name.startsWith(before)) continue;
    return target.default.replace('*', name.slice(before.length, name.length - after.length));
  }
  const parts = name.split('/');
  return join('node_modules', ...parts.slice(0, name.startsWith('@') ? 2 : 1));
}

async function checkServer(image) {
  const millrace = image.entrypoint;
  const before = inventory(image);
  const { out } = await image.run([...millrace, 'keygen']);
  const keys = Object.fromEntries(
    out
      .trim()
      .split('\n')
      .map((line) => line.split('=')),
  );
  const history = existsSync(image.place('node_modules/chdb')) ? {} : { MILLRACE_NO_HISTORY: 'true' };
  for (const mode of ['dev', 'start']) {
    const port = await freePort();
    const env = { MILLRACE_PORT: `${port}`, ...history, ...(mode === 'start' ? keys : {}) };
    const server = image.start([...millrace, mode], env);
    let printed = '';
    for (const stream of [server.stdout, server.stderr]) stream.on('data', (chunk) => (printed += chunk));
    const ended = once(server, 'close');
    const up = await Promise.race([answers(port), ended.then(() => false)]);
    check(`millrace ${mode} starts`, up ? [] : [printed]);
    if (!up) continue;
    const key = mode === 'start' ? keys.INNGEST_EVENT_KEY : 'any';
    const sent = await fetch(`http://127.0.0.1:${port}/e/${key}`, {
      method: 'POST',
      body: '{"name":"image/verified"}',
    });
    check('  takes an event', sent.status === 200 ? [] : [`${sent.status} ${await sent.text()}`]);
    const healthy = await image.run(image.healthcheck, env);
    check('  its HEALTHCHECK passes', healthy.code === 0 ? [] : [`${healthy.code}: ${healthy.out}`]);
    server.kill('SIGTERM');
    const [code, signal] = await ended;
    check('  ends in order at SIGTERM', code === 0 ? [] : [`${code ?? signal}: ${printed}`]);
    const unhealthy = await image.run(image.healthcheck, env);
    check('  its HEALTHCHECK fails after that', unhealthy.code === 1 ? [] : [`${unhealthy.code}: ${unhealthy.out}`]);
  }
  const after = inventory(image);
  check(
    'nothing was written beside the data folder',
    [...after].filter(([path, mark]) => before.get(path) !== mark).map(([path]) => path),
  );
}

/** Every file but those that may change, with its size and time of change. */
function inventory(image) {
  const files = new Map();
  const changing = ['/var/lib/millrace', '/tmp'].map((path) => image.place(path));
  const walk = (path) => {
    if (changing.includes(path)) return;
    const stat = lstatSync(path);
    files.set(path, `${stat.size} ${stat.mtimeMs}`);
    if (stat.isDirectory()) for (const name of readdirSync(path)) walk(join(path, name));
  };
  walk(image.root);
  return files;
}

async function answers(port) {
  for (const until = Date.now() + START_MS_MAX; Date.now() < until; await pause(100)) {
    const answer = await fetch(`http://127.0.0.1:${port}/health`).catch(() => undefined);
    if (answer?.ok) return true;
  }
  return false;
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}
