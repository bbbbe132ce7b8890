// One function for each kind of flow control, and some with several. Events carry `key`, a tenant, and `n`; steps take a while.
import { setTimeout as pause } from 'node:timers/promises';

// Some take longer than a server needs to be there again: they are still at work when it has to know of them.
const work = (ms) => () => pause(Math.random() < 0.15 ? 2_500 : ms * (0.5 + Math.random()));

export default function limits(kit) {
  const tenant = 'event.data.key';
  const all = { scope: 'account', key: '"all"' };

  const steps = async ({ step, attempt, event }) => {
    await step.run('first', work(60));
    await step.sleep('nap', '300ms');
    await step.run('second', async () => {
      await pause(40);
      if (event.data.n % 5 === 0 && attempt === 0) throw new Error('once more');
    });
    await Promise.all([step.run('left', work(50)), step.run('right', work(50))]);
    return event.data.n;
  };

  kit.fn(
    'keyed',
    {
      on: 'limits',
      concurrency: [
        { limit: 2, key: tenant },
        { ...all, limit: 5 },
      ],
    },
    steps,
  );
  kit.fn('shared', { on: 'limits', concurrency: { ...all, limit: 3 } }, steps);
  kit.fn('whole', { on: 'limits', concurrency: { fn: [{ limit: 2 }] } }, steps);
  const throttle = { limit: 3, period: '2s', burst: 1 };
  kit.fn('throttled', { on: 'limits', throttle, concurrency: 2, priority: { run: 'int(event.data.n)' } }, steps);
  kit.fn('rated', { on: 'limits', rateLimit: { limit: 10, period: '20s', key: tenant } }, steps);
  kit.fn('debounced', { on: 'limits', debounce: { period: '1s', key: tenant, timeout: '3s' } }, steps);
  kit.fn(
    'batched',
    { on: 'limits', batchEvents: { maxSize: 4, timeout: '1s', key: tenant } },
    async ({ events, step }) => {
      await step.run('first', work(30));
      return events.map(({ data }) => data.n);
    },
  );
  kit.fn('single', { on: 'limits', singleton: { mode: 'skip', key: tenant } }, steps);
  kit.fn(
    'latest',
    { on: 'limits', singleton: { mode: 'cancel', key: tenant }, concurrency: { limit: 1, key: tenant } },
    steps,
  );
  kit.fn('once', { on: 'limits', idempotency: 'event.data.order' }, steps);
  kit.fn(
    'mixed',
    {
      on: 'limits',
      rateLimit: { limit: 100, period: '10s' },
      debounce: { period: '1s', key: tenant },
      singleton: { mode: 'cancel', key: tenant },
      throttle: { limit: 5, period: '1s', key: tenant },
      concurrency: { limit: 1, key: tenant },
    },
    steps,
  );
}
