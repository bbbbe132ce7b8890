// Steps that wait for events and signals.
export default function waits(kit) {
  kit.fn('wait', { on: 'waits.wait' }, async ({ event, step, did, gate }) => {
    const { timeout = '1h', match, expression, held, forOwn } = event.data;
    if (held) await step.run('held', () => gate('held'));
    const answer = await step.waitForEvent('answer', {
      event: kit.event(forOwn ? 'waits.wait' : 'waits.answer'),
      timeout,
      ...(match ? { match } : {}),
      ...(expression ? { if: expression } : {}),
    });
    did('answered');
    return answer;
  });

  kit.fn('wait-all', { on: 'waits.all' }, async ({ event, step, did }) => {
    const of = (id) =>
      step.waitForEvent(id, {
        event: kit.event('waits.answer'),
        timeout: '1h',
        if: `async.data.to == "${event.data.key}"`,
      });
    const [first, second] = await Promise.all([of('first'), of('second')]);
    did('answered');
    return [first?.data.to, second?.data.to];
  });

  kit.fn('ask', { on: 'waits.ask' }, async ({ event, step }) => {
    const { key } = event.data;
    const [answer] = await Promise.all([
      step.waitForEvent('reply', { event: kit.event('waits.reply'), timeout: '1h', if: `async.data.to == "${key}"` }),
      step.sendEvent('question', { name: kit.event('waits.question'), data: { from: key } }),
    ]);
    return answer?.data ?? null;
  });

  kit.fn('answerer', { on: 'waits.question' }, ({ event }) =>
    kit.client.send({ name: kit.event('waits.reply'), data: { to: event.data.from, said: 'yes' } }),
  );

  kit.fn('signal', { on: 'waits.signal', retries: 0 }, async ({ event, step, did }) => {
    const { signal, timeout = '1h', onConflict } = event.data;
    const got = await step.waitForSignal('call', { signal, timeout, ...(onConflict ? { onConflict } : {}) });
    did('signalled');
    return got;
  });

  kit.fn('signaller', { on: 'waits.signaller' }, async ({ event, step }) => {
    return (await step.sendSignal('call', { signal: event.data.signal, data: { hello: 1 } })) ?? null;
  });
}
