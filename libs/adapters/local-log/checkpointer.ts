import { Worker } from 'node:worker_threads';
import type { CheckpointAnswer, CheckpointAsk } from './checkpoint.worker.js';

/** Copies write-ahead logs into their databases on a thread of its own, which is started when it is first needed. */
export class Checkpointer {
  private worker: Worker | undefined;
  private readonly waiting = new Map<number, { resolve(answer: CheckpointAnswer): void; reject(error: Error): void }>();
  private lastId = 0;

  /** Copies what is in the write-ahead log of a database now. @throws Error when the disk refuses */
  run(path: string): Promise<CheckpointAnswer> {
    return this.ask(path, false);
  }

  /** Closes what the thread holds of a file. Harmless when it holds nothing. */
  async release(path: string): Promise<void> {
    if (this.worker) await this.ask(path, true);
  }

  async close(): Promise<void> {
    await this.worker?.terminate();
    this.worker = undefined;
  }

  private ask(path: string, release: boolean): Promise<CheckpointAnswer> {
    this.worker ??= this.start();
    const worker = this.worker;
    const id = ++this.lastId;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      worker.ref();
      const ask: CheckpointAsk = release ? { id, path, release } : { id, path };
      worker.postMessage(ask);
    });
  }

  private start(): Worker {
    // Sources are run as they are in tests, where the worker is TypeScript too.
    const file = import.meta.url.endsWith('.ts') ? './checkpoint.worker.ts' : './checkpoint.worker.js';
    const worker = new Worker(new URL(file, import.meta.url));
    worker.unref();
    worker.on('message', (answer: CheckpointAnswer) => {
      const asker = this.waiting.get(answer.id);
      this.waiting.delete(answer.id);
      // An idle thread must not keep the process alive, one that is waited for must.
      if (this.waiting.size === 0) worker.unref();
      if (answer.error === undefined) asker?.resolve(answer);
      else asker?.reject(new Error(answer.error));
    });
    const gone = (error: Error) => {
      if (this.worker === worker) this.worker = undefined;
      for (const asker of this.waiting.values()) asker.reject(error);
      this.waiting.clear();
    };
    worker.on('error', gone);
    worker.on('exit', (code) => gone(new Error(`the checkpoint thread ended with code ${code}`)));
    return worker;
  }
}
