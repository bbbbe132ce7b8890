import { setTimeout as pause } from 'node:timers/promises';
import type { Command } from 'commander';
import type { Ports } from '#platform/ports.js';
import { countText } from '../text.js';
import { lengthOption, type Context, type Declare } from './command.context.js';
import { confirm } from './confirm.js';
import { EXIT, Failure, usage, type ExitCode } from './failure.js';
import { withPorts, withPortsOptions } from './ports.context.js';

const HELP = `
Everything in Redis follows from the log, so it can be thrown away. Servers go on meanwhile: runners notice, and put everything out again.

Example:
  millrace rebuild redis --kafka-brokers localhost:9092 --redis-url redis://localhost`;

export const declare: Declare = (command, context, end) => {
  withPortsOptions(command)
    .argument('<store>', 'what is made anew: `redis`')
    .option('--yes', 'do not ask')
    .option('--timeout <time>', 'how long to wait until it is there again (5m)')
    .addHelpText('after', HELP)
    .action(async (store: string) => end(await rebuild(store, command, context)));
};

async function rebuild(store: string, command: Command, context: Context): Promise<ExitCode> {
  if (store !== 'redis') throw usage(`What is made anew is redis, not "${store}".`);
  const { yes, timeout = '5m' } = command.opts<{ readonly yes?: true; readonly timeout?: string }>();
  const waitMs = lengthOption('--timeout', timeout);
  if (!yes) await confirm(`Throw away what ${store} holds, and make it again from the log?`, context);
  return withPorts(command, context, (ports) => rebuildState(ports, waitMs, context));
}

async function rebuildState(ports: Ports, waitMs: number, { console }: Context): Promise<ExitCode> {
  const { wipeState, queue, log } = ports;
  if (!wipeState) throw usage('There is no Redis: give --redis-url.');
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

/** @throws Failure when it takes longer */
async function waitFor(waitMs: number, holds: () => Promise<boolean>): Promise<void> {
  for (const end = performance.now() + waitMs; !(await holds());) {
    if (performance.now() > end) {
      throw new Failure(EXIT.timeout, 'It is not there again yet.', {
        why: 'No server has made it again in this time; one that starts does.',
        next: 'See `millrace verify`.',
        code: 'timeout',
      });
    }
    await pause(100);
  }
}
