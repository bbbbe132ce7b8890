// What goes wrong in functions and steps, and how it is tried again.
export default function errors(kit) {
  const { NonRetriableError, RetryAfterError } = kit.sdk;

  kit.fn('step', { on: 'errors.step', retries: 3 }, async ({ event, step, did, attempt }) => {
    await step.run('first', () => void did('first'));
    const got = await step.run('shaky', () => {
      if (did('shaky', { attempt }) <= event.data.failures) throw new TypeError('not yet');
      return 'at last';
    });
    await step.run('last', () => void did('last', { attempt }));
    return got;
  });

  kit.fn('body', { on: 'errors.body', retries: 3 }, async ({ event, step, did, attempt }) => {
    await step.run('first', () => void did('first'));
    if (did('body', { attempt }) <= event.data.failures) throw new TypeError('not yet');
    return 'at last';
  });

  kit.fn('exhausted', { on: 'errors.exhausted', retries: 2 }, async ({ step, did }) => {
    await step.run('boom', () => {
      did('boom');
      throw new RangeError('always', { cause: new Error('the cause') });
    });
  });

  kit.fn('body-exhausted', { on: 'errors.body-exhausted', retries: 1 }, ({ did }) => {
    did('body');
    throw new RangeError('always');
  });

  kit.fn('caught', { on: 'errors.caught', retries: 1 }, async ({ step, did }) => {
    const seen = [];
    try {
      await step.run('outer', () => {
        did('outer');
        throw new RangeError('outer failed');
      });
    } catch (outer) {
      seen.push([outer.name, outer.message, outer.stack?.includes('outer failed') ?? false]);
      try {
        await step.run('inner', () => {
          did('inner');
          throw new NonRetriableError('inner failed');
        });
      } catch (inner) {
        seen.push([inner.name, inner.message]);
      }
      await step.run('cleanup', () => void did('cleanup'));
    }
    return seen;
  });

  kit.fn('final-step', { on: 'errors.final-step' }, async ({ step, did }) => {
    await step.run('boom', () => {
      did('boom');
      throw new NonRetriableError('never again');
    });
  });

  kit.fn('final-body', { on: 'errors.final-body' }, ({ did }) => {
    did('body');
    throw new NonRetriableError('never again', { cause: new Error('why') });
  });

  kit.fn('later', { on: 'errors.later', retries: 1 }, async ({ event, step, did, attempt }) => {
    const { where, after } = event.data;
    const work = () => {
      if (did('work', { attempt }) === 1) throw new RetryAfterError('come back later', after);
      return 'now';
    };
    return where === 'step' ? step.run('work', work) : work();
  });

  kit.fn('odd', { on: 'errors.odd', retries: 0 }, ({ event }) => {
    const what = { text: 'just a text', nothing: undefined, object: { code: 7 } };
    throw what[event.data.what];
  });

  kit.fn('once', { on: 'errors.once', retries: 0 }, ({ did }) => {
    did('body');
    throw new Error('once is enough');
  });

  kit.fn('defaults', { on: 'errors.defaults' }, ({ did }) => {
    did('body');
    throw new Error('again and again');
  });
}
