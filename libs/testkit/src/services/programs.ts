import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** The programs that the services are made of, and the Debian packages that have them. */
const PACKAGES = {
  'redis-server': 'redis-server',
  postgres: 'postgresql',
  initdb: 'postgresql',
  java: 'openjdk-17-jre-headless',
  mvn: 'maven',
  go: 'golang-go',
  ps: 'procps',
  kcat: 'kcat',
  openssl: 'openssl',
} as const;

export type ProgramName = keyof typeof PACKAGES;

const POSTGRES_ROOT = '/usr/lib/postgresql';
const POLICY = '/usr/sbin/policy-rc.d';

/** A service cannot be started here, and why. */
export class ProgramsMissing extends Error {
  override readonly name = 'ProgramsMissing';
}

/**
 * Where the programs are, by name. What is missing is installed, as root on Debian.
 * @throws ProgramsMissing, with what to install, elsewhere
 */
export function programs<N extends ProgramName>(...names: readonly N[]): Readonly<Record<N, string>> {
  const missing = names.filter((name) => findProgram(name) === undefined);
  if (missing.length > 0) install(missing);
  return Object.fromEntries(names.map((name) => [name, findProgram(name) ?? fail([name])])) as Record<N, string>;
}

/** Where a program is, in the folders of PATH and where packages hide it; undefined when it is nowhere. */
export function findProgram(name: string): string | undefined {
  const folders = [
    ...(process.env['PATH'] ?? '').split(delimiter).filter(Boolean),
    ...(existsSync(POSTGRES_ROOT)
      ? readdirSync(POSTGRES_ROOT).map((version) => join(POSTGRES_ROOT, version, 'bin'))
      : []),
  ];
  return folders.map((folder) => join(folder, name)).find(executable);
}

function executable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false; // It is not there, or not ours to run: the next folder is asked.
  }
}

function install(names: readonly ProgramName[]): void {
  const apt = findProgram('apt-get');
  if (!apt || process.getuid?.() !== 0) fail(names);
  const packages = packagesOf(names);
  console.error(`services: installing ${packages.join(', ')} ...`);
  withoutDaemons(() => {
    aptGet(apt, ['update', '-q']);
    aptGet(apt, ['install', '-q', '-y', '--no-install-recommends', ...packages]);
  });
}

function aptGet(apt: string, args: readonly string[]): void {
  // Several may be installing at once.
  const { status, stdout, stderr, error } = spawnSync(apt, ['-o', 'DPkg::Lock::Timeout=600', ...args], {
    encoding: 'utf8',
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  });
  if (error) throw error;
  if (status !== 0) throw new ProgramsMissing(`apt-get ${args.join(' ')} failed:\n${stdout}\n${stderr}`);
}

/** A package that is installed starts no service of the system: a policy says no, unless the machine has a policy of its own. */
function withoutDaemons(work: () => void): void {
  const own = existsSync(POLICY);
  if (!own) writeFileSync(POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    work();
  } finally {
    if (!own) rmSync(POLICY, { force: true });
  }
}

function packagesOf(names: readonly ProgramName[]): readonly string[] {
  return [...new Set(names.map((name) => PACKAGES[name]))];
}

function fail(names: readonly ProgramName[]): never {
  throw new ProgramsMissing(
    `Tests against real services need ${names.join(', ')}, and this machine has none. ` +
      `Install them (Debian and Ubuntu: apt-get install --no-install-recommends ${packagesOf(names).join(' ')}), ` +
      'or run as root on Debian, where this is done for you.',
  );
}
