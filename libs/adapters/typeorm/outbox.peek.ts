import { existsSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';

/** Whether the database that nobody has open yet has no change to tell, seen without TypeORM. When in doubt it has. */
export function isOutboxEmpty(path: string): boolean {
  if (path === ':memory:' || !existsSync(path)) return true;
  let db: DatabaseSync | undefined;
  try {
    db = new DatabaseSync(path, { readOnly: true });
    return db.prepare('SELECT 1 FROM outbox LIMIT 1').get() === undefined;
  } catch {
    return false; // Whoever opens it in earnest says what is wrong with it.
  } finally {
    db?.close();
  }
}
