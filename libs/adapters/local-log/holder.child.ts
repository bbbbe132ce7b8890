import { Fault } from '#core/faults.js';
import { openDataDir } from './data-dir.js';

/**
 * Opens a data folder and holds it until it is killed.
 *     argv: folder, `nobody` to become a user without rights first
 *     prints: `open`, or the code and the message of the fault
 */
const [path = '', user] = process.argv.slice(2);
if (user === 'nobody' && process.getuid?.() === 0) {
  process.setgid?.(65_534);
  process.setuid?.(65_534);
}
try {
  openDataDir(path, { create: true });
  console.log('open');
  setInterval(() => undefined, 1_000_000);
} catch (error) {
  if (!(error instanceof Fault)) throw error;
  console.log(`${error.code} ${error.message}`);
}
