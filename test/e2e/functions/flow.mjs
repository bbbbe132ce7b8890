// What is let in, what is held back, and in which order it goes.
export default function flow(kit) {
  const { NonRetriableError, RetryAfterError, referenceFunction } = kit.sdk;
  const key = 'event.data.customer';

  /** Does as its event says. */
  const act = async ({ event, events, step, did, gate, attempt }) => {
    const { does, n } = event.data;
    const ns = events.map(({ data }) => data.n);
    if (does === 'throw') throw new NonRetriableError('as it was told');
    if (does === 'hold') {
      await step.run('work', async () => {
        did('working', { n });
        await gate('work');
      });
    }
    if (does === 'wait') {
      const on = `async.data.key == "${event.data.key}"`;
      await step.waitForEvent('wake', { event: kit.event('flow.wake'), timeout: '365d', if: on });
    }
    if (does === 'retry') {
      await step.run('shaky', async () => {
        if (did('shaky', { attempt }) === 1) {
          await gate('shaky');
          throw new RetryAfterError('not yet', '2s');
        }
      });
    }
    if (does === 'row') {
      await step.run('first', async () => {
        did('working', { n });
        await gate('work');
      });
      for (const name of ['second', 'third']) await step.run(name, () => void did(name, { n }));
    }
    did('ran', { n, ns });
    return { n, ns };
  };
  const fn = (id, options = {}) => kit.fn(id, { on: `flow.${id}`, retries: 0, ...options }, act);

  // What happens before there is a run.
  fn('rated', { rateLimit: { limit: 25, period: '24h', key } });
  fn('strict', { rateLimit: { limit: 1, period: '24h', key } });
  fn('pair-a', { on: 'flow.pair', rateLimit: { limit: 1, period: '24h' } });
  fn('pair-b', { on: 'flow.pair', rateLimit: { limit: 1, period: '24h' } });
  fn('idempotent', { idempotency: key, rateLimit: { limit: 1_000, period: '1h' } });
  fn('twin-a', { on: 'flow.twin' });
  fn('twin-b', { on: 'flow.twin' });
  fn('debounced', { debounce: { period: '10m', key } });
  fn('capped', { debounce: { period: '10m', key, timeout: '15m' } });
  fn('debounced-rated', { debounce: { period: '10m', key }, rateLimit: { limit: 10, period: '24h', key } });
  fn('debounced-single', { debounce: { period: '10m', key }, singleton: { key, mode: 'skip' } });
  fn('batched', { batchEvents: { maxSize: 3, timeout: '10m', key } });
  fn('batched-large', { batchEvents: { maxSize: 1_000, timeout: '1h', key } });
  fn('batched-if', { batchEvents: { maxSize: 2, timeout: '1h', key, if: 'event.data.alone != true' } });
  fn('batched-rated', { batchEvents: { maxSize: 2, timeout: '1h', key }, rateLimit: { limit: 1, period: '24h', key } });
  fn('skipping', { singleton: { key, mode: 'skip' } });
  fn('skipping-bound', { singleton: { key, mode: 'skip' }, timeouts: { finish: '3s' } });
  fn('cancelling', { singleton: { key, mode: 'cancel' } });

  kit.fn('invoker', { on: 'flow.invoke', retries: 0 }, async ({ event, step }) => {
    const { app = kit.id, target, payload } = event.data;
    try {
      return await step.invoke('target', {
        function: referenceFunction({ appId: app, functionId: target }),
        data: payload,
      });
    } catch (error) {
      return { caught: error.message };
    }
  });

  // How many at once, how fast, in which order.
  fn('keyed', { concurrency: { limit: 1, key } });
  fn('twofold', { concurrency: [{ limit: 3 }, { limit: 1, key }] });
  for (const scope of ['account', 'env']) {
    fn(`${scope}-one`, { concurrency: { scope, limit: 1, key } });
    fn(`${scope}-two`, { concurrency: { scope, limit: 2, key } });
  }
  fn('shaky', { retries: 1, concurrency: { limit: 1, key } });
  fn('ranked', { concurrency: { limit: 1, key }, priority: { run: 'event.data.factor' } });
  fn('hasty', { concurrency: { limit: 1, key }, timeouts: { start: '3s' } });
  fn('alone-in-line', { concurrency: { limit: 1, key: 'event.data.shop' }, singleton: { key, mode: 'skip' } });
  fn('alone-in-time', {
    concurrency: { limit: 1, key: 'event.data.shop' },
    singleton: { key, mode: 'skip' },
    timeouts: { start: '3s' },
  });
  fn('batched-keyed', {
    batchEvents: { maxSize: 2, timeout: '1h', key: 'event.data.batch' },
    concurrency: { limit: 1, key },
  });
  fn('throttled', { throttle: { limit: 3, period: '6h' } });
  fn('bursting', { retries: 1, throttle: { limit: 1, period: '3h', burst: 2, key } });
  fn('throttled-keyed', { throttle: { limit: 2, period: '4h', key }, concurrency: { limit: 1, key } });
  fn('debounced-throttled', {
    debounce: { period: '10m', key: 'event.data.topic' },
    throttle: { limit: 1, period: '3h', key },
  });
  fn('impatient', { throttle: { limit: 1, period: '2h', key }, timeouts: { start: '5h' } });

  kit.fn('fan', { on: 'flow.fan', concurrency: { limit: 2, key } }, async ({ step, did, gate }) => {
    const names = ['a', 'b', 'c'];
    const one = (name) =>
      step.run(name, async () => {
        did('working', { step: name });
        await gate(name);
      });
    await Promise.all(names.map(one));
    return names;
  });

  // What can be paused, a function for each story.
  fn('held-back');
  fn('called-off');
  fn('asleep', { debounce: { period: '10m', key } });
  fn('shut', { singleton: { mode: 'skip' } });
}
