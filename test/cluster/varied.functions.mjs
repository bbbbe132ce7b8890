// Something of everything that a log tells of.
export default function varied(kit) {
  const { NonRetriableError } = kit.sdk;
  const key = 'event.data.customer';

  const child = kit.fn('child', {}, ({ event, step }) => step.run('double', () => event.data.n * 2));

  kit.fn('order', { on: 'varied.order' }, async ({ event, step }) => {
    const price = await step.run('price', () => event.data.n);
    await step.sleep('nap', '1s');
    const paid = await step.waitForEvent('paid', { event: kit.event('varied.paid'), match: 'data.key', timeout: '1h' });
    const [doubled, note] = await Promise.all([
      step.invoke('double', { function: child, data: { n: price } }),
      step.run('note', () => ({ text: 'später, "später"', list: [1, null, true] })),
    ]);
    await step.sendEvent('tell', { name: kit.event('varied.shipped'), data: { key: event.data.key } });
    return { paid: paid?.data ?? null, doubled, note };
  });
  kit.fn('shipped', { on: 'varied.shipped' }, ({ event }) => event.data.key);
  kit.fn('signalled', { on: 'varied.signalled' }, ({ event, step }) =>
    step.waitForSignal('call', { signal: event.data.key, timeout: '1h' }),
  );

  const failing = async ({ event, step }) => {
    if (event.data.final) throw new NonRetriableError('as it was told');
    await step.run('shaky', () => Promise.reject(new RangeError('once more'))).catch(() => undefined);
    throw new TypeError('after all');
  };
  kit.fn('failing', { on: 'varied.failing', retries: 1, onFailure: ({ error }) => error.message }, failing);
  kit.fn(
    'asleep',
    { on: 'varied.asleep', cancelOn: [{ event: kit.event('varied.wake'), match: 'data.key' }] },
    ({ step }) => step.sleep('night', '10h'),
  );
  kit.fn('late', { on: 'varied.late', timeouts: { finish: '1s' } }, ({ step }) => step.sleep('night', '10h'));

  const answer = ({ events }) => events.map(({ data }) => data.n);
  const flow = (id, options) => kit.fn(id, { on: `varied.${id}`, ...options }, answer);
  flow('rated', { rateLimit: { limit: 1, period: '24h', key } });
  flow('debounced', { debounce: { period: '15s', key } });
  flow('batched', { batchEvents: { maxSize: 2, timeout: '1h', key } });
  flow('once', { idempotency: key });
  flow('throttled', { throttle: { limit: 1, period: '1s', key } });
  flow('keyed', { concurrency: { limit: 1, key }, priority: { run: 'event.data.n' } });
  kit.fn('single', { on: 'varied.single', singleton: { key, mode: 'skip' } }, ({ step }) => step.sleep('nap', '15s'));

  kit.fn('daily', { on: { cron: process.env.DAILY_CRON } }, () => 'ticked');
}
