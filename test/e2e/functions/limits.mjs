// Things that are large.
export default function limits(kit) {
  const text = (bytes) => 'x'.repeat(bytes);

  kit.fn('large-state', { on: 'limits.large-state' }, async ({ event, step }) => {
    const { parts, bytes } = event.data;
    const lengths = [];
    for (let at = 0; at < parts; at++) lengths.push((await step.run(`part ${at}`, () => text(bytes))).length);
    await step.sleep('pause', '1s');
    return [...lengths, await step.run('last', () => 'small')];
  });

  kit.fn('large-event', { on: 'limits.large-event' }, async ({ event, step }) => {
    const lengths = await step.run('measure', () => [event.data.a.length, event.data.b.length]);
    await step.sleep('pause', '1s');
    const known = await step.run('part', () => text(2_500_000));
    await step.sleep('pause again', '1s');
    return [...lengths, event.data.a.length, known.length];
  });

  kit.fn('large-output', { on: 'limits.large-output', retries: 1 }, async ({ event, step, did }) => {
    const { where, bytes } = event.data;
    if (where === 'step') {
      await step.run('before', () => void did('before'));
      const got = await step.run('large', () => did('large') && text(bytes));
      return got.length;
    }
    did('large');
    return text(bytes);
  });

  kit.fn('large-input', { on: 'limits.large-input', retries: 0 }, async ({ event, step }) => {
    return step.invoke('child', { function: child, data: { text: text(event.data.bytes) } });
  });
  const child = kit.fn('measured', {}, ({ event }) => event.data.text.length);
}
