import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { MILLRACE, startNode, type MillraceOptions } from '#testkit/millrace-process.js';

/** An installation in small: the launcher as it is, everything else as the test wants it. */
let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'millrace-launcher-'));
  file('package.json', '{"type":"module"}');
  mkdirSync(join(root, 'bin'));
  copyFileSync(MILLRACE, join(root, 'bin/millrace.js'));
});
afterEach(() => rmSync(root, { recursive: true }));

function file(path: string, text: string): string {
  const full = join(root, path);
  mkdirSync(dirname(full), { recursive: true });
  writeFileSync(full, text);
  return full;
}

/** What the launcher starts. */
function main(text: string): void {
  file('dist/apps/millrace/src/main.js', text);
}

/** Runs the launcher under this Node, or under one that says it is another. */
function launch(args: readonly string[] = [], { node, ...options }: MillraceOptions & { readonly node?: string } = {}) {
  const claim = `Object.defineProperty(process.versions, 'node', { value: '${node}' });`;
  const flags = node === undefined ? [] : ['--import', `data:text/javascript,${encodeURIComponent(claim)}`];
  return startNode([...flags, join(root, 'bin/millrace.js'), ...args], options);
}

function bringNode(): void {
  mkdirSync(join(root, 'node_modules/.bin'), { recursive: true });
  symlinkSync(process.execPath, join(root, 'node_modules/.bin/node'));
}

const SAY = 'console.log(process.versions.node, ...process.argv.slice(2), process.env.MILLRACE_LAUNCHER);';

it('runs the command under a Node that fits', async () => {
  main(SAY);
  const { exit, stdout, stderr } = await launch(['a', '--b']).gone;
  expect({ exit, stdout, stderr }).toEqual({
    exit: 0,
    stdout: `${process.versions.node} a --b undefined\n`,
    stderr: '',
  });
});

it.each([
  ['20.20.2', false],
  ['22.22.1', false],
  ['22.22.2', true],
  ['22.23.0', true],
  ['23.11.0', false],
  ['24.14.9', false],
  ['24.15.0', true],
  ['26.0.0', true],
])('Node %s fits: %s', async (node, fits) => {
  main(SAY);
  const { exit, stdout, stderr } = await launch([], { node }).gone;
  if (fits) return expect({ exit, stdout, stderr }).toEqual({ exit: 0, stdout: `${node} undefined\n`, stderr: '' });
  expect({ exit, stdout }).toEqual({ exit: 1, stdout: '' });
  expect(stderr).toContain(`Node ${node} (`);
  expect(stderr).toMatch(
    /is too old: Millrace needs 22\.22\.2 or newer of Node 22, or 24\.15 or newer\. Install .*\n$/,
  );
});

it('goes on under the Node that npm brought, when its own is too old', async () => {
  bringNode();
  main(
    `${SAY} process.stdin.on('data', (data) => console.error(String(data))); process.stdin.on('end', () => process.exit(3));`,
  );
  const { exit, stdout, stderr } = await launch(['a b', '--c'], { node: '20.20.2', stdin: 'piped' }).gone;
  expect({ exit, stdout, stderr }).toEqual({
    exit: 3,
    stdout: `${process.versions.node} a b --c undefined\n`,
    stderr: 'piped\n',
  });
});

it('does not go round in circles when that one is too old as well', async () => {
  main(SAY);
  const old = `#!/bin/sh\nexec "${process.execPath}" --import "data:text/javascript,Object.defineProperty(process.versions,'node',{value:'20.1.0'})" "$@"\n`;
  chmodSync(file('node_modules/.bin/node', old), 0o755);
  const { exit, stderr } = await launch([], { node: '20.20.2' }).gone;
  expect(exit).toBe(1);
  expect(stderr).toMatch(/^millrace: Node 20\.1\.0 .* is too old/);
});

const SERVE = `console.log('up', process.pid); setInterval(() => {}, 1000);`;

it.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('passes on %s, and ends as the command ends', async (signal) => {
  bringNode();
  main(`process.on('${signal}', () => { console.log('stopping'); process.exit(7); }); ${SERVE}`);
  const it = launch([], { node: '20.20.2' });
  await it.printed('up');
  it.child.kill(signal);
  expect(await it.gone).toMatchObject({ exit: 7, stdout: expect.stringContaining('stopping') as unknown });
});

it('dies of the signal that the command dies of', async () => {
  bringNode();
  main(`console.log('up'); process.kill(process.pid, 'SIGTERM'); setInterval(() => {}, 1000);`);
  expect(await launch([], { node: '20.20.2' }).gone).toMatchObject({ exit: 'SIGTERM' });
});

it('takes the command along when it is killed outright', async () => {
  bringNode();
  main(SERVE);
  const it = launch([], { node: '20.20.2' });
  const pid = Number(/up (\d+)/.exec(await it.printed('\n'))?.[1]);
  expect(pid).not.toBe(it.child.pid);
  it.child.kill('SIGKILL');
  // Its output closes when the last process that holds it is gone.
  expect(await it.gone).toMatchObject({ exit: 'SIGKILL' });
});

it('leaves a command alone that somebody else started', async () => {
  main(`console.log(process.env.MILLRACE_LAUNCHER);`);
  const { exit, stdout } = await launch([], { env: { MILLRACE_LAUNCHER: '1' } }).gone;
  expect({ exit, stdout }).toEqual({ exit: 0, stdout: '1\n' });
});

it('builds a checkout that was never built, and keeps standard output clean', async () => {
  const target = join(root, 'dist/apps/millrace/src');
  file(
    'scripts/ensure.mjs',
    `import { mkdirSync, writeFileSync } from 'node:fs';
     console.log('building');
     mkdirSync(${JSON.stringify(target)}, { recursive: true });
     writeFileSync(${JSON.stringify(join(target, 'main.js'))}, "console.log('built')");`,
  );
  const { exit, stdout, stderr } = await launch().gone;
  expect({ exit, stdout }).toEqual({ exit: 0, stdout: 'built\n' });
  expect(stderr).toContain('not built yet');
  expect(stderr).toContain('building\n');
});

it('says so when it cannot build, or has nothing to build with', async () => {
  file('scripts/ensure.mjs', `process.exit(4);`);
  expect(await launch().gone).toMatchObject({
    exit: 1,
    stderr: expect.stringContaining('the build failed') as unknown,
  });
  rmSync(join(root, 'scripts'), { recursive: true });
  expect(await launch().gone).toMatchObject({
    exit: 1,
    stderr: expect.stringContaining('Install Millrace anew.') as unknown,
  });
});

it('says what to do when a library is missing', async () => {
  main(`import 'not-there';`);
  const { exit, stderr } = await launch().gone;
  expect(exit).toBe(1);
  expect(stderr).toMatch(/^millrace: Cannot find package 'not-there'.*`npm ci && npm run build`/);
});
