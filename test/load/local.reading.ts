import { DatabaseSync } from 'node:sqlite';
import type { RunTransition } from '#core/run/run.transitions.js';
import { runsOf, type LoggedRun, type LogReading, type LogTally } from './log.reading.ts';

/** The log in a file, read while it is written. */
export class LocalReading implements LogReading {
  private readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  tally(): Promise<LogTally> {
    return this.looking((db) => {
      const number = (sql: string) => Number(Object.values(db.prepare(sql).get() ?? {})[0]);
      const end = (topic: string) => number(`SELECT coalesce(max(offset) + 1, 0) FROM ${topic}`);
      const ended = (types: string) =>
        number(`SELECT count(*) FROM transitions WHERE kind IN (SELECT id FROM kinds WHERE type IN (${types}))`);
      return {
        // What has not been copied out of the write-ahead log included, free pages not.
        bytes: (number('PRAGMA page_count') - number('PRAGMA freelist_count')) * number('PRAGMA page_size'),
        events: end('events'),
        commands: end('commands'),
        runsCompleted: ended("'RunCompleted'"),
        wentWrong: ended("'RunFailed', 'RunCancelled'") + number('SELECT count(*) FROM dead_letters'),
      };
    });
  }

  async runs(slug: string): Promise<readonly LoggedRun[]> {
    const all = await this.looking((db) => {
      const bodies = db.prepare(
        "SELECT t.key, t.body FROM transitions t JOIN kinds k ON k.id = t.kind WHERE k.type IN ('RunScheduled', 'StepCompleted', 'RunCompleted') ORDER BY t.offset",
      );
      return bodies.all() as unknown as readonly { readonly key: string; readonly body: string }[];
    });
    const told = all.map(({ key, body }) => {
      const { transition } = JSON.parse(body) as { readonly transition: RunTransition };
      return { runId: key, partition: 0, transition };
    });
    return runsOf(slug, told);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  private looking<T>(look: (db: DatabaseSync) => T): Promise<T> {
    return new Promise((resolve) => {
      const db = new DatabaseSync(this.path, { readOnly: true, timeout: 5_000 });
      try {
        resolve(look(db));
      } finally {
        db.close();
      }
    });
  }
}
