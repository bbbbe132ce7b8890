import type { Ports } from '#platform/ports.js';
import { countText } from '../text.js';
import type { Context } from './command.context.js';
import { confirm } from './confirm.js';
import { EXIT, usage, type ExitCode } from './failure.js';
import type { RebuildOptions } from './rebuild.command.js';
import { waitFor } from './wait.for.js';

export async function rebuildRedis(ports: Ports, { yes, waitMs }: RebuildOptions, context: Context): Promise<ExitCode> {
  const { wipeState, queue, log } = ports;
  const { console } = context;
  if (!wipeState) throw usage('There is no Redis: give --redis-url.');
  if (!yes) await confirm('Throw away what Redis holds, and make it again from the log?', context);
  const partitions = (await log.ends('commands')).map(({ partition }) => partition);
  const removed = await wipeState();
  console.note(`${countText(removed, 'key')} removed; waiting for runners to put everything out again.`);
  const startedAt = performance.now();
  await waitFor(waitMs, async () => {
    const known = await Promise.all(partitions.map((partition) => queue.reflects(partition)));
    return known.every((next) => next !== undefined);
  });
  const ms = Math.round(performance.now() - startedAt);
  console.result({ rebuilt: 'redis', keys: removed, ms }, () => [`Redis holds everything again after ${ms} ms.`]);
  return EXIT.ok;
}
