// Steps that are checkpointed in all the ways there are.
export default function checkpoints(kit) {
  const row = async ({ event, step, did, gate }, names) => {
    for (const name of names) {
      await step.run(name, async () => {
        const { holds, ms } = event.data;
        if (holds === name) {
          did(`${name} begins`);
          await gate(name);
        }
        if (ms) await new Promise((resolve) => setTimeout(resolve, ms));
        did(name);
        return name;
      });
    }
    return names.length;
  };

  kit.fn('single', { on: 'single', retries: 20 }, (ctx) => row(ctx, ['a', 'b', 'c', 'd', 'e', 'f', 'g']));
  kit.fn('buffered', { on: 'buffered', retries: 20, checkpointing: { bufferedSteps: 3 } }, (ctx) =>
    row(ctx, ['a', 'b', 'c', 'd', 'e', 'f', 'g']),
  );
  kit.fn('timed', { on: 'timed', checkpointing: { bufferedSteps: 100, maxInterval: '200ms' } }, (ctx) =>
    row(ctx, ['a', 'b', 'c']),
  );
  kit.fn('short', { on: 'short', checkpointing: { maxRuntime: '500ms' } }, (ctx) =>
    row(ctx, ['a', 'b', 'c', 'd', 'e', 'f']),
  );

  kit.fn('mixed', { on: 'mixed', checkpointing: { bufferedSteps: 10 } }, async (ctx) => {
    await row(ctx, ['a', 'b']);
    await ctx.step.sleep('nap', '1s');
    await row(ctx, ['c', 'd']);
    const two = await Promise.all([ctx.step.run('e', () => 'e'), ctx.step.run('f', () => 'f')]);
    return [...two, await ctx.step.run('g', () => 'g')];
  });

  kit.fn('shaky', { on: 'shaky', retries: 2 }, async ({ step, did, attempt }) => {
    await step.run('a', () => did('a'));
    await step.run('b', () => {
      if (did('b', { attempt }) < 3) throw new Error('not yet');
    });
    await step.run('c', () => did('c'));
    if (did('body', { attempt }) < 3) throw new Error('body not yet');
    return 'done';
  });
}
