import { describe, expect, it } from 'vitest';
import { stageOf, VARIANTS } from './world.js';

describe.each(VARIANTS)('errors of %s', (variant) => {
  const stage = stageOf(variant);

  it('tries a step again until it works, and counts its attempts anew for the next', async () => {
    const story = await stage.play('errors.step', { failures: 2 });
    expect(story.run).toMatchObject({ status: 'Completed', output: 'at last' });
    expect((await story.happened('shaky', 3)).map(({ attempt }) => attempt)).toEqual([0, 1, 2]);
    expect(await story.times('first')).toBe(1);
    expect((await story.happened('last')).map(({ attempt }) => attempt)).toEqual([0]);
  });

  it('tries the code between steps again, with the steps remembered', async () => {
    const story = await stage.play('errors.body', { failures: 2 });
    expect(story.run).toMatchObject({ status: 'Completed', output: 'at last' });
    const attempts = (await story.happened('body', 3)).map(({ attempt }) => attempt);
    // A checkpointed step counts as headway: the attempts of its request begin anew.
    expect(attempts).toEqual([0, 1, 2]);
    expect(await story.times('first')).toBe(1);
  });

  it('fails with the error of the step once the attempts are used up', async () => {
    const story = await stage.play('errors.exhausted');
    const stack = expect.stringContaining('RangeError: always') as string;
    // v3 loses the name of what a step throws.
    expect(story.run).toMatchObject({
      status: 'Failed',
      output: { name: stage.isV3 ? 'Error' : 'RangeError', message: 'always', stack },
    });
    expect(await story.times('boom')).toBe(3);
    const entries = (await story.calls()).map(({ attempt }) => attempt);
    expect(entries).toEqual([0, 1, 2, 0]);
  });

  it('fails with the error of the function once the attempts are used up', async () => {
    const story = await stage.play('errors.body-exhausted');
    expect(story.run).toMatchObject({ status: 'Failed', output: { name: 'RangeError', message: 'always' } });
    expect((await story.happened('body', 2)).map(({ attempt }) => attempt)).toEqual([0, 1]);
  });

  it('lets the function catch what steps throw, one inside the other', async () => {
    const story = await stage.play('errors.caught');
    expect(story.run.status).toBe('Completed');
    expect(story.run.output).toMatchObject([
      [expect.any(String), 'outer failed', true],
      [expect.any(String), 'inner failed'],
    ]);
    expect([await story.times('outer'), await story.times('inner'), await story.times('cleanup')]).toEqual([2, 1, 1]);
  });

  it('does not try again what is not to be tried again', async () => {
    const step = await stage.play('errors.final-step');
    expect(step.run).toMatchObject({ status: 'Failed', output: { message: 'never again' } });
    expect(await step.times('boom')).toBe(1);
    const body = await stage.play('errors.final-body');
    expect(body.run).toMatchObject({ status: 'Failed', output: { message: 'never again' } });
    expect(await body.times('body')).toBe(1);
  });

  it.each(['step', 'body'])('comes back after the time that a %s asked for', async (where) => {
    const story = await stage.play('errors.later', { where, after: '2s' });
    expect(story.run).toMatchObject({ status: 'Completed', output: 'now' });
    const [first, second] = await story.happened('work', 2);
    // Whole seconds on the wire.
    expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThanOrEqual(1_000);
    expect([first?.attempt, second?.attempt]).toEqual([0, 1]);
    const asked = await story.answers({ retryAfter: ['2', '1'] });
    expect(asked).toHaveLength(1);
  });

  // v3 takes a thrown undefined for a returned one.
  it.each(stage.isV3 ? ['text', 'object'] : ['text', 'object', 'nothing'])(
    'fails readably where %s is thrown',
    async (what) => {
      const { run } = await stage.play('errors.odd', { what });
      expect(run).toMatchObject({
        status: 'Failed',
        output: { name: expect.any(String) as string, message: expect.any(String) as string },
      });
    },
  );

  it('makes one attempt with no retries, five by default', async () => {
    const once = await stage.play('errors.once');
    expect(await once.times('body')).toBe(1);
    expect((await once.calls())[0]).toMatchObject({ attempt: 0, maxAttempts: 1 });
    const five = await stage.play('errors.defaults');
    expect((await five.happened('body', 5)).map(({ attempt }) => attempt)).toEqual([0, 1, 2, 3, 4]);
    expect((await five.calls())[0]).toMatchObject({ maxAttempts: 5 });
    expect(five.run.output).toMatchObject({ message: 'again and again' });
  });
});
