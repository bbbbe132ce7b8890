// Steps side by side.
export default function parallel(kit) {
  const race = (group, body) => (kit.isV3 ? body() : group.parallel({ mode: 'race' }, body));

  kit.fn('five', { on: 'parallel.five' }, async ({ event, step, group, did }) => {
    const { key, racing } = event.data;
    const all = () =>
      Promise.all([
        step.run('run', () => did('run') && 'ran'),
        step.sleep('sleep', '1s'),
        step.waitForEvent('wait', { event: kit.event('parallel.nothing'), timeout: '1s' }),
        step.invoke('invoke', { function: doubler, data: { n: 21, key: `${key} child` } }),
        step.sendEvent('send', { name: kit.event('parallel.nobody') }),
      ]);
    const [ran, slept, waited, invoked, sent] = racing ? await race(group, all) : await all();
    const after = await step.run('after', () => did('after'));
    return { ran, slept: slept ?? null, waited, invoked, sent: sent.ids.length, after };
  });

  const doubler = kit.fn('doubler', {}, ({ event }) => event.data.n * 2);

  kit.fn('chains', { on: 'parallel.chains' }, async ({ event, step, group, did }) => {
    // Chain b is slow in its first step, so only chains that do not wait for each other let a2 run before b1 has ended.
    const a = async () => {
      await step.run('a1', () => void did('a1'));
      return step.run('a2', () => void did('a2'));
    };
    const b = async () => {
      await step.run('b1', async () => {
        if (event.data.held) await held();
        did('b1');
      });
      return step.run('b2', () => void did('b2'));
    };
    const held = () => kit.gate(`${event.data.key} b1`);
    const both = () => Promise.all([a(), b()]);
    await (event.data.racing ? race(group, both) : both());
    return 'done';
  });

  kit.fn('first', { on: 'parallel.first' }, async ({ event, step, group, did }) => {
    const both = () =>
      Promise.race([
        step.run('quick', () => 'quick'),
        step
          .waitForEvent('slow', {
            event: kit.event('parallel.slow'),
            timeout: '1h',
            if: `async.data.key == "${event.data.key}"`,
          })
          .then(() => 'slow'),
      ]);
    const winner = await (event.data.racing ? race(group, both) : both());
    did('decided');
    return winner;
  });

  kit.fn('half', { on: 'parallel.half', retries: 1 }, async ({ step, did, attempt }) => {
    const failing = step.run('bad', () => {
      did('bad', { attempt });
      throw new Error('bad luck');
    });
    const [good, bad] = await Promise.allSettled([step.run('good', () => did('good') && 'fine'), failing]);
    did('settled');
    return { good: good.value, bad: bad.reason?.message };
  });

  kit.fn('many', { on: 'parallel.many' }, async ({ event, step, did }) => {
    const { n } = event.data;
    const got = await Promise.all(
      Array.from({ length: n }, (_, at) => step.run(`part ${at}`, () => did(`part ${at}`) * at)),
    );
    return got.reduce((sum, each) => sum + each, 0);
  });
}
