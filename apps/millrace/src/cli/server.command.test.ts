import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { millrace, startMillrace } from '#testkit/millrace-process.js';

let folder: string;
beforeAll(() => (folder = mkdtempSync(join(tmpdir(), 'millrace-server-'))));
afterAll(() => rmSync(folder, { recursive: true }));

interface Line {
  readonly type: string;
  readonly url: string;
  readonly data_dir: string;
}

const FREE = ['--port', '0', '--no-discovery'];
/** Starts a server that speaks JSON. @returns what it said when it was up */
async function up(args: readonly string[], env: Record<string, string> = {}) {
  const server = startMillrace([...args, '--json'], { cwd: folder, env });
  const said = await server.printed('\n');
  return { server, listening: JSON.parse(said.split('\n')[0] as string) as Line };
}

it('dev: runs until it is told to stop, and takes its folder along', async () => {
  const { server, listening } = await up(['dev', ...FREE]);
  expect(listening).toMatchObject({
    type: 'listening',
    mode: 'dev',
    url: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/) as unknown,
  });
  expect(existsSync(listening.data_dir)).toBe(true);
  expect(await millrace(['send', 'a/b', '--url', listening.url])).toMatchObject({ exit: 0 });
  server.child.kill('SIGINT');
  const { exit, stdout, stderr } = await server.gone;
  expect(
    stdout
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as Line).type),
  ).toEqual(['listening', 'stopped']);
  expect(stderr).toContain('SIGINT: waiting for calls under way.');
  expect(exit).toBe(0);
  expect(existsSync(listening.data_dir)).toBe(false);
});

it('dev: says for people what it is', async () => {
  const server = startMillrace(['dev', ...FREE, '-u', 'http://127.0.0.1:1/api/inngest', '--tick', '150'], {
    cwd: folder,
  });
  expect(await server.printed('not synced')).toContain('DEV: no keys asked, not for production');
  server.child.kill('SIGTERM');
  const { exit, stdout, stderr } = await server.gone;
  expect(stdout).toMatch(/● http:\/\/127\.0\.0\.1:1\/api\/inngest not synced: .*\n {4}Is the app running/);
  expect(stderr).toContain('--tick has no effect: work is woken, not looked for.\n');
  expect(exit).toBe(0);
});

it('start: keeps its folder, which nobody else may use meanwhile', async () => {
  const keys = await millrace(['keygen']);
  const env = Object.fromEntries(
    keys.stdout
      .trim()
      .split('\n')
      .map((line) => line.split('=') as [string, string]),
  );
  const args = ['start', '--host', '127.0.0.1', '--port', '0', '--data-dir', 'data'];
  const { server, listening } = await up(args, env);
  expect(listening).toMatchObject({ mode: 'start', data_dir: join(folder, 'data') });
  const second = await millrace(args, { cwd: folder, env });
  expect(second.exit).toBe(1);
  expect(second.stderr).toContain(`error: Another Millrace process (pid ${server.child.pid}) uses the data folder`);
  expect(second.stderr).toContain('next: Stop that one, or give this one a folder of its own with --data-dir.');
  const asked = (bearer: Record<string, string>) => millrace(['runs', 'list', '--url', listening.url], { env: bearer });
  expect(await asked({})).toMatchObject({ exit: 4 });
  expect(await asked(env)).toMatchObject({ exit: 0 });
  expect(await millrace(['send', 'a/b', '--url', listening.url], { env })).toMatchObject({ exit: 0 });
  const doctor = await millrace(['doctor', '--url', listening.url, '--data-dir', 'data'], { cwd: folder, env });
  expect(doctor.stdout).toContain('✓ data     Another Millrace process');
  server.child.kill('SIGTERM');
  expect(await server.gone).toMatchObject({ exit: 0 });
  expect(existsSync(join(folder, 'data'))).toBe(true);
});

it('start: does not begin without keys', async () => {
  const { exit, stdout, stderr } = await millrace(['start', '--port', '0'], { cwd: folder });
  expect({ exit, stdout }).toEqual({ exit: 2, stdout: '' });
  expect(stderr).toContain('error: 2 settings are wrong:');
  expect(stderr).toContain('`millrace keygen` makes a pair');
  expect(existsSync(join(folder, '.millrace'))).toBe(false);
});

it('tells all settings that are wrong, also for machines', async () => {
  writeFileSync(join(folder, 'c.json'), '{"poll-interval":"often"}');
  const { exit, stderr } = await millrace(['dev', '--port', 'x', '--config', 'c.json', '--json'], { cwd: folder });
  expect(exit).toBe(2);
  const { code, error } = JSON.parse(stderr) as { code: string; error: string };
  expect(code).toBe('settings_invalid');
  expect(error.split('\n')).toEqual([
    '2 settings are wrong:',
    '  --port must be a whole number from 0 to 65535, not "x".',
    '  "poll-interval" in c.json must be a number of seconds from 0 to 86400, not "often".',
  ]);
});

it('takes flags as users of the reference write them', async () => {
  const flags = [
    '-p',
    'wrong',
    '-u',
    'a',
    '-u',
    'b,c',
    '--no-poll',
    '--poll-interval=5',
    '--retry-interval',
    '1',
    '-v',
    '--memory',
  ];
  const unused = [
    '--no-ui',
    '--queue-workers',
    '200',
    '--connect-gateway-port',
    '8289',
    '--postgres-uri',
    'postgres://x',
    '--redis-uri',
    'redis://r',
  ];
  const { exit, stderr } = await millrace(['dev', ...flags, ...unused], { cwd: folder });
  expect(exit).toBe(2);
  expect(stderr).toContain('error: --port must be a whole number from 0 to 65535, not "wrong".\n');
});

it('says which port is taken', async () => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  const { port } = other.address() as { port: number };
  const { exit, stderr } = await millrace(['dev', '--no-discovery', '--port', String(port), '--data-dir', 'taken'], {
    cwd: folder,
  });
  other.close();
  expect(exit).toBe(1);
  expect(stderr).toContain(`error: Port ${port} is taken.`);
  expect(stderr).toContain('give another with --port');
});

it('lists in its help what means something in its mode', async () => {
  const [dev, start] = await Promise.all([millrace(['dev', '--help']), millrace(['start', '--help'])]);
  expect(dev.stdout).toContain('--no-discovery');
  expect(dev.stdout).not.toContain('--signing-key');
  expect(start.stdout).toContain('--signing-key <key>');
  expect(start.stdout).not.toContain('--persist');
  for (const { stdout } of [dev, start]) expect(stdout).not.toContain('--tick');
});

it('finds its version where it was built, too', async () => {
  const { version } = JSON.parse(readFileSync(new URL('../../../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  expect(await millrace(['--version'])).toMatchObject({ stdout: `${version}\n` });
});
