// Steps that run, sleep, send and invoke.
export default function steps(kit) {
  kit.fn('none', { on: 'steps.none' }, ({ event, attempt, runId }) => ({ event, attempt, runId }));

  kit.fn('run', { on: 'steps.run' }, async ({ step, did }) => {
    const value = await step.run('value', () => {
      did('value');
      return { deep: { n: 1.5, text: 'zwölf ☃ \u0000', list: [1, null, true, 'x'] } };
    });
    const nothing = await step.run('nothing', () => void did('nothing'));
    const turns = [];
    for (let i = 0; i < 3; i++) turns.push(await step.run('turn', () => ({ i, n: did('turn') })));
    const sum = await step.run('sum', (a, b) => a + b, 40, 2);
    return { value, nothing: nothing ?? null, turns, sum };
  });

  kit.fn('sleep', { on: 'steps.sleep' }, async ({ event, step, did }) => {
    await step.run('before', () => void did('before'));
    const { until, span } = event.data;
    const slept = until === undefined ? await step.sleep('nap', span) : await step.sleepUntil('nap', new Date(until));
    await step.run('after', () => void did('after'));
    return slept ?? null;
  });

  kit.fn('send', { on: 'steps.send' }, async ({ event, step }) => {
    const { key } = event.data;
    const one = await step.sendEvent('one', { name: kit.event('steps.sent'), data: { key: `${key} one` } });
    const many = await step.sendEvent(
      'many',
      ['two', 'three'].map((name) => ({ name: kit.event('steps.sent'), data: { key: `${key} ${name}` } })),
    );
    return { one, many };
  });

  kit.fn('sent', { on: 'steps.sent' }, ({ event }) => event.data.key);

  const child = kit.fn('child', {}, async ({ event, step }) => {
    const { does, key } = event.data;
    if (does === 'throw') throw new kit.sdk.NonRetriableError('child went wrong');
    if (does === 'wait')
      await step.waitForEvent('release', {
        event: kit.event('steps.release'),
        timeout: '1h',
        if: `async.data.key == "${key}"`,
      });
    return { child: event.data, name: event.name };
  });

  kit.fn('invoke', { on: 'steps.invoke' }, async ({ event, step, did }) => {
    const { ref, app, payload, timeout, key } = event.data;
    const target =
      ref === undefined ? child : kit.sdk.referenceFunction({ functionId: ref, ...(app ? { appId: app } : {}) });
    try {
      const result = await step.invoke('call', {
        function: target,
        data: { ...payload, key: `${key} child` },
        ...(timeout ? { timeout } : {}),
      });
      return { result };
    } catch (error) {
      did('caught');
      return { caught: { name: error.name, message: error.message } };
    }
  });

  kit.fn('fetch', { on: 'steps.fetch', retries: 1 }, async ({ event, step }) => {
    try {
      const response = await step.fetch(event.data.url, event.data.init);
      return { status: response.status, kind: response.headers.get('content-type'), body: await response.text() };
    } catch (error) {
      return { caught: { name: error.name, message: error.message } };
    }
  });

  kit.fn('infer', { on: 'steps.infer', retries: 1 }, async ({ event, step }) => {
    const { url, provider, apiKey } = event.data;
    const models = {
      openai: () => step.ai.models.openai({ model: 'gpt-test', apiKey, baseUrl: url }),
      anthropic: () =>
        step.ai.models.anthropic({ model: 'claude-test', apiKey, baseUrl: url, defaultParameters: { max_tokens: 16 } }),
      gemini: () => step.ai.models.gemini({ model: 'gemini-test', apiKey, baseUrl: url }),
    };
    try {
      return { said: await step.ai.infer('ask', { model: models[provider](), body: event.data.body }) };
    } catch (error) {
      return { caught: { name: error.name, message: error.message } };
    }
  });
}
