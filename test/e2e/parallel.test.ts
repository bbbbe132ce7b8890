import { describe, expect, it } from 'vitest';
import { stageOf, VARIANTS } from './world.js';

describe.each(VARIANTS)('parallel steps of %s', (variant) => {
  const stage = stageOf(variant);
  const five = { ran: 'ran', slept: null, waited: null, invoked: 42, sent: 1, after: 1 };

  it('runs steps of five kinds side by side', async () => {
    const story = await stage.play('parallel.five');
    expect(story.run).toMatchObject({ status: 'Completed', output: five });
    expect(await story.times('run')).toBe(1);
    const targets = (await story.calls()).map(({ target }) => target);
    // The app runs two of the five. v2 of the protocol enters the function again when all are done; v1 after each one, and plans from then on.
    expect(targets.filter((target) => target !== 'step')).toHaveLength(stage.isV3 ? 3 : 2);
    if (variant === 'v4') expect(targets).toHaveLength(4);
    if (variant === 'v4-plain') expect(targets).toHaveLength(5); // `after` ends a request.
  });

  it('enters the function after each step of a race', async () => {
    const story = await stage.play('parallel.five', { racing: true });
    expect(story.run).toMatchObject({ status: 'Completed', output: five });
    expect(await story.times('run')).toBe(1);
    expect(await story.times('after')).toBe(1);
    const targets = (await story.calls()).map(({ target }) => target);
    expect(targets.filter((target) => target !== 'step')).toHaveLength(stage.isV3 ? 3 : 2);
    expect(targets.length).toBeGreaterThan(variant === 'v4' ? 4 : 5);
  });

  it('keeps two chains in step, or lets each go at its own pace', async () => {
    const inStep = await stage.start('parallel.chains', { held: true });
    await inStep.happened('a1');
    await inStep.open('b1');
    expect((await inStep.ended()).output).toBe('done');
    for (const name of ['a1', 'a2', 'b1', 'b2']) expect([name, await inStep.times(name)]).toEqual([name, 1]);
    if (!stage.isV3) {
      const [b1] = await inStep.happened('b1');
      const [a2] = await inStep.happened('a2');
      expect(a2?.seq).toBeGreaterThan(b1?.seq ?? 0);
    }

    const own = await stage.start('parallel.chains', { held: true, racing: true });
    await own.happened('a2'); // While b1 still runs.
    expect(await own.times('b1')).toBe(0);
    await own.open('b1');
    expect((await own.ended()).output).toBe('done');
    for (const name of ['a1', 'a2', 'b1', 'b2']) expect([name, await own.times(name)]).toEqual([name, 1]);
  });

  it('decides a race at once in race mode', async () => {
    const story = await stage.start('parallel.first', { racing: true });
    await story.happened('decided');
    // v4 does not end the function while a branch is open; v3 does.
    if (!stage.isV3) {
      await story.waiting('slow');
      await stage.emit('parallel.slow', { key: story.key });
    }
    expect(await story.ended()).toMatchObject({ status: 'Completed', output: 'quick' });
  });

  it('decides a race when all have ended, where nobody asked for race mode (v3: at once)', async () => {
    const story = await stage.start('parallel.first');
    if (!stage.isV3) {
      await stage.api.runWhen(
        story.runId,
        'past its quick step',
        ({ waiting_for: waits = [] }) => waits.length === 1 && waits[0]?.name === 'slow',
      );
      expect(await story.times('decided')).toBe(0);
      await stage.emit('parallel.slow', { key: story.key });
    }
    expect((await story.ended()).output).toBe('quick');
  });

  it('retries a failing step by itself, and enters the function once both have ended', async () => {
    const story = await stage.play('parallel.half');
    expect(story.run).toMatchObject({ status: 'Completed', output: { good: 'fine', bad: 'bad luck' } });
    expect(await story.times('good')).toBe(1);
    expect((await story.happened('bad', 2)).map(({ attempt }) => attempt)).toEqual([0, 1]);
    expect(await story.times('settled')).toBe(1);
  });

  it('runs fifty steps side by side, each once', async () => {
    const story = await stage.play('parallel.many', { n: 50 });
    expect(story.run.output).toBe((50 * 49) / 2);
    const did = await stage.log.seen({ kind: 'did', runId: story.runId });
    const parts = did.filter(({ name }) => name?.startsWith('part'));
    expect(parts).toHaveLength(50);
    expect(new Set(parts.map(({ name }) => name)).size).toBe(50);
  });
});
