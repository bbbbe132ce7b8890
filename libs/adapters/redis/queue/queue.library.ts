import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { Fault } from '#core/faults.js';

/** In the order in which they know each other. */
const FILES = [
  'arguments',
  'records',
  'flow.state',
  'flow.numbers',
  'flow.waits',
  'flow.lines',
  'flow.leases',
  'flow.turns',
  'flow.explain',
  'flow.model',
  'queue.home',
  'queue.wake',
  'queue.calls',
];

const TEXT = FILES.map((name) => readFileSync(join(import.meta.dirname, `${name}.lua`), 'utf8')).join('\n');
/** Another text is another function, so that processes of two versions may share a server. */
const NAME = `millrace_queue_${createHash('sha1').update(TEXT).digest('hex').slice(0, 12)}`;
const LIBRARY = `#!lua name=${NAME}\n${TEXT}\nredis.register_function('${NAME}', queue)\n`;

/** Whether it is to be called again, or does not reflect what it would have to, or its answer as JSON. */
export type QueueReply = readonly ['more'] | readonly ['lost'] | readonly ['done', string?];

/**
 * Calls the function of the queue, which is loaded where the server does not know it yet. A function and no script: what it is made of is made
 * once and not for each call, which would take longer than most calls do.
 * @throws state_lost when it has found what cannot be: then it has forgotten everything
 */
export async function callQueue(client: Redis, key: string, args: readonly string[]): Promise<QueueReply> {
  const call = () => client.fcall(NAME, 1, key, ...args) as Promise<QueueReply>;
  try {
    return await call().catch(async (error: unknown) => {
      if (!says(error, 'ERR Function not found')) throw error;
      await load(client);
      return call();
    });
  } catch (error) {
    throw says(error, 'QUEUELOST') ? new Fault('state_lost', { reason: error.message }, { cause: error }) : error;
  }
}

async function load(client: Redis): Promise<void> {
  try {
    await client.function('LOAD', LIBRARY);
  } catch (error) {
    // Another process was faster.
    if (!says(error, `ERR Library '${NAME}' already exists`)) throw error;
  }
}

function says(error: unknown, text: string): error is Error {
  return error instanceof Error && error.message.startsWith(text);
}
