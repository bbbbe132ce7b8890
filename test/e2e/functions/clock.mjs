// What happens at its time.
export default function clock(kit) {
  kit.fn('ticking', { on: [{ cron: 'TZ=Asia/Kolkata 0,30 * * * *' }, 'clock.tick'] }, ({ event, did }) => {
    did('ticked', { event, scheduledAt: Date.parse(event.data.scheduledAt) });
    return event.data;
  });

  kit.fn(
    'tick-watcher',
    { on: { event: 'inngest/scheduled.timer', if: "event.data.cron == 'TZ=Asia/Kolkata 0,30 * * * *'" } },
    ({ event, did }) => {
      did('saw tick', { scheduledAt: Date.parse(event.data.scheduledAt) });
    },
  );

  kit.fn('nap', { on: 'clock.nap' }, async ({ event, step, did }) => {
    await step.run('before', () => void did('before'));
    await step.sleep('nap', event.data.span);
    await step.run('after', () => void did('after'));
    return 'awake';
  });

  kit.fn('patient', { on: 'clock.patient' }, async ({ event, step }) => {
    const { key, timeout } = event.data;
    try {
      return await step.invoke('endless', {
        function: endless,
        data: { key: `${key} child` },
        ...(timeout ? { timeout } : {}),
      });
    } catch (error) {
      return { caught: error.message };
    }
  });

  const endless = kit.fn('endless', {}, ({ step }) =>
    step.waitForEvent('never', { event: kit.event('clock.never'), timeout: '366d' }),
  );

  const cancelOn = [
    { event: kit.event('clock.cancel'), match: 'data.key', timeout: '1d' },
    { event: kit.event('clock.cancel-always'), match: 'data.key' },
  ];
  kit.fn('watched', { on: 'clock.watched', cancelOn }, async ({ step }) => {
    await step.sleep('nap', '365d');
    return 'awake';
  });

  kit.fn('bounded', { on: 'clock.bounded', timeouts: { finish: '2h' } }, async ({ step }) => {
    await step.sleep('nap', '3h');
    return 'awake';
  });

  kit.fn('later', { on: 'clock.later', retries: 1 }, async ({ step, did, attempt }) => {
    return step.run('work', () => {
      if (did('work', { attempt }) === 1) throw new kit.sdk.RetryAfterError('tomorrow', '20h');
      return 'now';
    });
  });
}
