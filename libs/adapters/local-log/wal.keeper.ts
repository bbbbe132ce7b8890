import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { Checkpointer } from './checkpointer.js';
import { messageOf } from './sqlite-file.js';

/** Frames (pages, 4 KiB each) that gather before they are copied into the database: 8 MiB. */
export const CHECKPOINT_FRAMES = 2_000;

export interface WalKeeperOptions {
  /** Told when a held writer may go on. */
  readonly released?: () => void;
  readonly checkpointFrames?: number;
}

/**
 * Keeps the write-ahead log of a database small without stopping the main thread. SQLite begins it anew only when all of it has been
 * copied, which a writer that never pauses would never see: so what came in during a first pass is copied in a second one, short for
 * there is little left, while the writer holds its commits back.
 */
export class WalKeeper {
  /** Set while the writer should wait; resolves when it may go on. */
  held: Promise<void> | undefined;
  private readonly look: StatementSync;
  private readonly framesMax: number;
  private readonly released: () => void;
  private pass: Promise<void> | undefined;
  /** Frames from which on the next pass is counted: where the log stood after the last, unless it has begun anew. */
  private mark = 0;
  private warned = false;

  constructor(
    db: DatabaseSync,
    private readonly path: string,
    private readonly checkpointer: Checkpointer,
    options: WalKeeperOptions = {},
  ) {
    this.look = db.prepare('PRAGMA wal_checkpoint(NOOP)', { returnArrays: true });
    this.framesMax = options.checkpointFrames ?? CHECKPOINT_FRAMES;
    this.released = options.released ?? (() => undefined);
  }

  /** To be called after a commit, outside a transaction. Costs a few microseconds. */
  committed(): void {
    if (this.pass) return;
    const frames = this.frames();
    if (frames < this.mark) this.mark = 0;
    if (frames - this.mark >= this.framesMax) this.pass = this.copy();
  }

  /** To be called where a write failed: on a full disk, what is missing may be room that the log itself takes. */
  failed(): void {
    this.pass ??= this.copy();
  }

  /** Resolves when no pass is running. */
  async close(): Promise<void> {
    await this.pass;
    await this.checkpointer.release(this.path);
  }

  private frames(): number {
    const row = this.look.get() as unknown as readonly number[];
    return row[1] ?? 0;
  }

  private async copy(): Promise<void> {
    let release: (() => void) | undefined;
    let patience = this.framesMax;
    try {
      const first = await this.checkpointer.run(this.path);
      if (this.frames() !== first.copied) {
        this.held = new Promise((resolve) => (release = resolve));
        await this.checkpointer.run(this.path);
      }
      this.warned = false;
    } catch (cause) {
      // Nothing is lost, the log only grows. Where the disk is full there may be room soon, so the next pass comes early.
      patience = Math.ceil(patience / 16);
      if (!this.warned)
        process.emitWarning(new Error(`${this.path} could not be checkpointed: ${messageOf(cause)}`, { cause }));
      this.warned = true;
    } finally {
      this.mark = this.frames() - this.framesMax + patience;
      this.pass = undefined;
      this.held = undefined;
      if (release) {
        release();
        this.released();
      }
    }
  }
}
