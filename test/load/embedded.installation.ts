import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, Installation, WORKERS, type InstallationOptions, type Part } from './installation.ts';
import { LocalReading } from './local.reading.ts';
import type { LogReading } from './log.reading.ts';
import type { ProcessOptions } from './millrace.process.ts';
import { childrenOf } from './process.meter.ts';

/** One process with all roles, on a folder. */
export class EmbeddedInstallation extends Installation {
  override readonly mode = 'embedded';
  override readonly workers = WORKERS;
  private readonly folder = mkdtempSync(join(tmpdir(), 'millrace-bench-'));
  private readonly port: number;

  private constructor(port: number) {
    super();
    this.port = port;
  }

  static async make(): Promise<EmbeddedInstallation> {
    return new EmbeddedInstallation(await freePort());
  }

  override get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  protected override plan({ appUrls, inside, nodeFlags }: InstallationOptions): readonly ProcessOptions[] {
    const flags = ['--data-dir', this.dataDir, ...appUrls.flatMap((url) => ['-u', url])];
    return [{ name: 'server', port: this.port, flags, inside, nodeFlags }];
  }

  override parts(): readonly Part[] {
    const { pid } = this.process('server');
    return [
      { name: 'server', pids: [pid], isOwn: true },
      { name: 'history', pids: childrenOf(pid), isOwn: true },
    ];
  }

  override reading(): Promise<LogReading> {
    return Promise.resolve(new LocalReading(join(this.dataDir, 'log.db')));
  }

  override empty(): Promise<void> {
    for (const suffix of ['', '-wal', '-shm']) rmSync(join(this.dataDir, `state.db${suffix}`), { force: true });
    return Promise.resolve();
  }

  protected override remove(): Promise<void> {
    rmSync(this.folder, { recursive: true, force: true });
    return Promise.resolve();
  }

  private get dataDir(): string {
    return join(this.folder, 'data');
  }
}
