import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { freePort } from './free.port.js';
import { serviceFolder, ServiceProcess, type ServiceOptions } from './service.process.js';

const PROGRAM = fileURLToPath(new URL('./clickhouse/clickhouse.main.ts', import.meta.url));

/** ClickHouse as a server over HTTP: the engine is the real one (chdb), the HTTP interface before it is ours. */
export class ClickHouseServer extends ServiceProcess {
  readonly port: number;

  private constructor(port: number, folder: string, options: ServiceOptions) {
    super(
      {
        name: 'clickhouse',
        command: process.execPath,
        args: ['--disable-warning=ExperimentalWarning', PROGRAM, String(port), join(folder, 'data')],
        folder,
        answers: () => clickhouseAnswers(urlOf(port)),
      },
      options,
    );
    this.port = port;
  }

  static async launch(options: ServiceOptions = {}): Promise<ClickHouseServer> {
    const clickhouse = new ClickHouseServer(await freePort(), await serviceFolder('clickhouse'), options);
    await clickhouse.start();
    return clickhouse;
  }

  get url(): string {
    return urlOf(this.port);
  }
}

/** @throws when the server at this URL answers no query */
export async function clickhouseAnswers(url: string): Promise<void> {
  const response = await fetch(`${url}/?query=SELECT+1`, { signal: AbortSignal.timeout(10_000) });
  if (!response.ok) throw new Error(await response.text());
}

function urlOf(port: number): string {
  return `http://127.0.0.1:${port}`;
}
