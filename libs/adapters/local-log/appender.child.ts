import { setImmediate as turn } from 'node:timers/promises';
import { DEFAULT_ENV } from '#core/words.js';
import type { LogRecord } from '#ports/event-log.port.js';
import { openDataDir } from './data-dir.js';
import { LocalEventLog } from './local-event-log.js';

/**
 * Appends to the log of a folder until it is killed, and prints `<topic> <offset> <number>` for every record once its append is acknowledged.
 *     argv: folder, the first number
 */
const [path = '', first = '0'] = process.argv.slice(2);
const dir = openDataDir(path);
const clock = { now: () => Date.now(), at: () => () => undefined };
const log = LocalEventLog.open(dir, { clock, checkpointFrames: 20 });

let n = Number(first);
const record = (number: number): LogRecord => ({
  topic: number % 3 === 0 ? 'transitions' : 'commands',
  key: `key ${number % 5}`,
  type: `Type${number % 4}`,
  schema: 1,
  env: DEFAULT_ENV,
  at: number,
  body: { number, padding: 'x'.repeat((number * 37) % 3_000) },
});

async function appendForever(): Promise<never> {
  for (;;) {
    const records = Array.from({ length: 1 + (n % 7) }, () => record(n++));
    const positions = await log.append(records);
    const lines = records.map(({ topic, at }, index) => `${topic} ${positions[index]?.offset} ${at}\n`);
    process.stdout.write(lines.join(''));
    await turn();
  }
}

await Promise.all([appendForever(), appendForever(), appendForever()]);
