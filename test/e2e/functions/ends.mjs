// How runs end, who hears of it, and what ends them before their time.
export default function ends(kit) {
  const { NonRetriableError } = kit.sdk;

  kit.fn('ender', { on: 'ends.end', retries: 1 }, async ({ event, step }) => {
    const { does } = event.data;
    if (does === 'throw') throw new TypeError('went wrong');
    if (does === 'throw for good') throw new NonRetriableError('went wrong for good', { cause: new Error('why') });
    if (does === 'sleep') await step.sleep('nap', '1h');
    return { ok: true };
  });

  const ofEnder = (name) => ({ event: `inngest/function.${name}`, if: `event.data.function_id == '${kit.id}-ender'` });
  kit.fn('observer', { on: ['finished', 'failed', 'cancelled'].map(ofEnder) }, ({ event, did }) => {
    did('saw', { of: event.data.run_id, event });
    return 'seen';
  });

  const failing = ({ event, did }) => {
    did('body');
    throw new RangeError(`failed with ${event.data.n}`);
  };
  const onFailure = ({ event, error, did }) => {
    did('handled', { of: event.data.run_id, event, error: { name: error.name, message: error.message } });
    return 'handled';
  };
  kit.fn('guarded', { on: 'ends.guarded', retries: 1, onFailure }, failing);

  const badly = ({ event, did }) => {
    did('handled', { of: event.data.run_id });
    throw new Error('the handler failed as well');
  };
  kit.fn('guarded-badly', { on: 'ends.guarded-badly', retries: 0, onFailure: badly }, failing);

  const stepping = async ({ event, step, did }) => {
    const told = await step.run('tell', () => did('handled', { of: event.data.run_id }) && 'told');
    await step.sleep('pause', '1s');
    return told;
  };
  kit.fn('guarded-durably', { on: 'ends.guarded-durably', retries: 0, onFailure: stepping }, failing);

  const cancelOn = [
    { event: kit.event('ends.cancel'), match: 'data.key' },
    { event: kit.event('ends.cancel-if'), if: 'async.data.to == event.data.key && async.data.n > event.data.floor' },
    { event: kit.event('ends.cancel-soon'), match: 'data.key', timeout: '1s' },
  ];
  kit.fn('cancellable', { on: 'ends.cancellable', cancelOn }, async ({ event, step, did, gate, attempt }) => {
    const { does, key } = event.data;
    if (does === 'sleep') await step.sleep('nap', '1h');
    if (does === 'wait') await step.waitForEvent('answer', { event: kit.event('ends.nothing'), timeout: '1h' });
    if (does === 'work') await step.run('work', () => gate('work'));
    if (does === 'retry') {
      await step.run('shaky', () => {
        did('shaky', { attempt });
        throw new kit.sdk.RetryAfterError('much later', '1h');
      });
    }
    if (does === 'invoke') await step.invoke('child', { function: sleeper, data: { key: `${key} child` } });
    did('went on');
    return 'went on';
  });

  const sleeper = kit.fn('sleeper', {}, async ({ event, step }) => {
    await step.waitForEvent('release', {
      event: kit.event('ends.release'),
      timeout: '1h',
      if: `async.data.key == "${event.data.key}"`,
    });
    return 'slept';
  });

  kit.fn('finishing', { on: 'ends.finishing', timeouts: { finish: '1s' } }, async ({ event, step, did, gate }) => {
    if (event.data.does === 'work') await step.run('work', () => gate('work'));
    else await step.sleep('nap', '1h');
    did('went on');
  });

  kit.fn('starting', { on: 'ends.starting', concurrency: 1, timeouts: { start: '1s' } }, async ({ step, gate }) => {
    await step.run('work', () => gate('work'));
    return 'worked';
  });

  if (!kit.isV3) {
    const deferred = kit.defer('deferred', ({ event, did }) => {
      did('deferred', { of: event.data.of, event });
      return 'deferred';
    });
    kit.fn('defers', { on: 'ends.defers', retries: 0 }, async ({ event, step, defer, did }) => {
      await step.run('first', () => void did('first'));
      const { does, key } = event.data;
      defer('later', { function: deferred, data: { of: key, n: 1 } });
      const withdrawn = defer('never', { function: deferred, data: { of: key, n: 2 } });
      await step.run('second', () => void did('second'));
      withdrawn.abort();
      await step.run('third', () => void did('third'));
      if (does === 'throw') throw new Error('failed after all');
      return 'deferred something';
    });
  }

  let working = 0;
  kit.fn('crowded', { on: 'ends.crowded', concurrency: { limit: 2 } }, async ({ step, did, gate }) => {
    await step.run('work', async () => {
      did('working', { together: ++working });
      await gate('work');
      working--;
    });
    await step.sleep('nap', '1s'); // Holds no room.
    return 'worked';
  });
}
