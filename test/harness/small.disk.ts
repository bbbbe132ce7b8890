import { spawnSync } from 'node:child_process';
import { appendFileSync, mkdtempSync, rmdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const mounted = new Set<SmallDisk>();
process.on('exit', () => mounted.forEach((disk) => disk.unmount()));

/** A disk of its own, so small that a test can fill it up. To mount one takes the rights of an administrator, and Linux. */
export class SmallDisk {
  private constructor(readonly path: string) {}

  /** @returns why there is none, as a text */
  static mount(megabytes: number): SmallDisk | string {
    const path = mkdtempSync(join(tmpdir(), 'millrace-disk-'));
    const { status, stderr, error } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', path]);
    if (status !== 0) {
      rmdirSync(path);
      return error?.message ?? String(stderr).trim();
    }
    const disk = new SmallDisk(path);
    mounted.add(disk);
    return disk;
  }

  /** Takes all the room that is left. */
  fill(): void {
    for (let bytes = 1024 * 1024; bytes >= 1; bytes = Math.floor(bytes / 2)) this.take(Buffer.alloc(bytes));
  }

  /** Gives the room back. */
  free(): void {
    rmSync(this.ballast);
  }

  /** Also while files on it are open. */
  unmount(): void {
    if (!mounted.delete(this)) return;
    spawnSync('umount', ['--lazy', this.path]);
    rmdirSync(this.path);
  }

  private get ballast(): string {
    return join(this.path, 'ballast');
  }

  private take(chunk: Buffer): void {
    try {
      for (;;) appendFileSync(this.ballast, chunk);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    }
  }
}
