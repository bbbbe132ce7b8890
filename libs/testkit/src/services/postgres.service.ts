import { join } from 'node:path';
import { Client } from 'pg';
import { runProgram } from './built.once.js';
import { freePort } from './free.port.js';
import { programs } from './programs.js';
import { serviceFolder, ServiceProcess, type ServiceOptions } from './service.process.js';
import { guarded, systemUser, type SystemUser } from './system.process.js';

/** A Postgres server. It trusts everybody on the loopback, and what is committed survives a kill, but no loss of power: it does not wait for the disk. */
export class PostgresServer extends ServiceProcess {
  readonly port: number;

  private constructor(port: number, folder: string, user: SystemUser | undefined, options: ServiceOptions) {
    super(
      {
        name: 'postgres',
        command: programs('postgres').postgres,
        args: ['-D', dataIn(folder), ...settingArgs({ ...SETTINGS, port: String(port) })],
        folder,
        user,
        // The stop that does not wait until its clients leave.
        stopSignal: 'SIGINT',
        forks: true,
        tooEarly: /pre-existing shared memory block|lock file ".*" already exists/,
        answers: () => postgresAnswers(urlOf(port)),
      },
      options,
    );
    this.port = port;
  }

  static async launch(options: ServiceOptions = {}): Promise<PostgresServer> {
    const { initdb } = programs('initdb', 'postgres', 'ps');
    // It refuses to run as root.
    const user = process.getuid?.() === 0 ? systemUser('postgres') : undefined;
    const folder = await serviceFolder('postgres', user);
    const layout = ['--username=postgres', '--auth=trust', '--encoding=UTF8', '--locale=C', '--no-sync'];
    const [command, ...args] = guarded([initdb, '-D', dataIn(folder), ...layout], user, false);
    await runProgram(command, args, { cwd: folder });
    const postgres = new PostgresServer(await freePort(), folder, user, options);
    await postgres.start();
    return postgres;
  }

  /** The URL of its first database. Its user may make more. */
  get url(): string {
    return urlOf(this.port);
  }
}

/** @throws when the server at this URL answers no query */
export async function postgresAnswers(url: string): Promise<void> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 10_000, query_timeout: 10_000 });
  // What goes wrong is thrown by the calls.
  client.on('error', () => {});
  try {
    await client.connect();
    await client.query('SELECT 1');
  } finally {
    await client.end();
  }
}

const SETTINGS = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  fsync: 'off',
  full_page_writes: 'off',
  max_connections: '200',
  shared_buffers: '32MB',
} as const;

function settingArgs(settings: Readonly<Record<string, string>>): readonly string[] {
  return Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
}

function dataIn(folder: string): string {
  return join(folder, 'data');
}

function urlOf(port: number): string {
  return `postgres://postgres@127.0.0.1:${port}/postgres`;
}
