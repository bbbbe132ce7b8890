import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { parentPort } from 'node:worker_threads';

/** What `Checkpointer` asks for. `release` lets go of the file. */
export interface CheckpointAsk {
  readonly id: number;
  readonly path: string;
  readonly release?: true;
}

/** How far it came: frames in the write-ahead log, and how many of them are in the database. */
export interface CheckpointAnswer {
  readonly id: number;
  readonly frames: number;
  readonly copied: number;
  readonly error?: string;
}

interface OpenFile {
  readonly db: DatabaseSync;
  readonly checkpoint: StatementSync;
}

const files = new Map<string, OpenFile>();

function open(path: string): OpenFile {
  const known = files.get(path);
  if (known) return known;
  const db = new DatabaseSync(path, { timeout: 0 });
  // Syncs the write-ahead log before it copies, and the database before the write-ahead log is used again.
  db.exec('PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0; PRAGMA checkpoint_fullfsync = 1;');
  const file = { db, checkpoint: db.prepare('PRAGMA wal_checkpoint(PASSIVE)') };
  files.set(path, file);
  return file;
}

function answer({ id, path, release }: CheckpointAsk): CheckpointAnswer {
  try {
    if (release) {
      files.get(path)?.db.close();
      files.delete(path);
      return { id, frames: 0, copied: 0 };
    }
    const row = open(path).checkpoint.get();
    return { id, frames: Number(row?.['log']), copied: Number(row?.['checkpointed']) };
  } catch (error) {
    return { id, frames: 0, copied: 0, error: String(error) };
  }
}

parentPort?.on('message', (ask: CheckpointAsk) => parentPort?.postMessage(answer(ask)));
