import { BullmqPlatformJobs } from './bullmq-platform-jobs.js';

/**
 * Takes jobs named `export` and never ends one. Prints the payload of each that it has begun.
 *     argv: URL of Redis, prefix, silence in ms
 */
const [url = '', prefix = '', silenceMs = ''] = process.argv.slice(2);
const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const clock = { now: () => Date.now(), at: () => () => undefined };
const jobs = new BullmqPlatformJobs({ url, prefix, clock, logger: quiet, silenceMs: Number(silenceMs) });
jobs.handle('export', (payload) => {
  console.log(JSON.stringify(payload));
  return new Promise<void>(() => undefined);
});
