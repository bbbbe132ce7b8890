// An app whose executions are counted by step, and whose steps come to something else each time that they run: what a driver was acknowledged is
// compared with what was really done, and what a run made of its steps with what the log says that they came to.
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer as createHttp } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { Inngest } from 'inngest';
import { createServer } from 'inngest/node';

const inngest = new Inngest({ id: 'chaos' });

/** By `<n>/<step>`: how often its body ran. */
const executed = new Map();

/** Of every fourth order these steps last for as long as a server takes to come back: a call of the server that is gone ends while it is made again. */
const SLOW = new Set(['second', 'only', 'last']);
const lastsMs = (n, step) => (n % 4 === 0 && SLOW.has(step) ? 200 + 2_000 * Math.random() : 0);

/** @param before the results that it is made of */
const ran = async (n, step, ...before) => {
  const key = `${n}/${step}`;
  executed.set(key, (executed.get(key) ?? 0) + 1);
  await pause(lastsMs(n, step));
  return { n, step, of: before.map(({ token }) => token), token: randomUUID() };
};

/** With checkpoints a call tells its results as it goes on; without, each step is a call. */
const work = (id, event, checkpointing) =>
  inngest.createFunction(
    { id, checkpointing, triggers: [{ event }], cancelOn: [{ event: 'chaos/cancel', match: 'data.n' }] },
    async ({ event, step }) => {
      const { n } = event.data;
      const first = await step.run('first', () => ran(n, 'first'));
      const second = await step.run('second', () => ran(n, 'second', first));
      const [left, right] = await Promise.all([
        step.run('left', () => ran(n, 'left', second)),
        step.run('right', () => ran(n, 'right', second)),
      ]);
      await step.sleep('nap', '1s');
      const told = await step.waitForEvent('told', { event: 'chaos/tell', match: 'data.n', timeout: '10m' });
      const child = await step.invoke('child', { function: small, data: { n } });
      const join = await step.run('join', () => ran(n, 'join', left, right, child));
      const last = await step.run('last', () => ran(n, 'last', join));
      return { told: told?.data.n ?? null, results: { first, second, left, right, child, join, last } };
    },
  );

const small = inngest.createFunction({ id: 'small', triggers: [{ event: 'chaos/small' }] }, async ({ event, step }) =>
  step.run('only', () => ran(event.data.n, 'only')),
);

const functions = [work('work', 'chaos/work', true), work('calls', 'chaos/calls', false), small];
const app = createServer({ client: inngest, functions });
const report = createHttp((_request, response) => {
  response.end(JSON.stringify({ executed: [...executed] }));
});
const urls = [app, report].map(async (server) => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${server.address().port}`;
});
const [url, reportUrl] = await Promise.all(urls);
console.log(JSON.stringify({ type: 'listening', url: `${url}/api/inngest`, report: reportUrl }));
