import { describe, expect, it } from 'vitest';
import { stageOf } from './world.js';

describe.each(['v4', 'v4-plain', 'v3'] as const)('streamed answers of %s', (variant) => {
  const stage = stageOf(variant, `${variant}-stream`);

  it('are read: steps, sleeps, results', async () => {
    const ran = await stage.play('steps.run');
    expect(ran.run).toMatchObject({ status: 'Completed', output: { sum: 42 } });
    expect((await ran.answers()).map(({ status }) => status)).toEqual((await ran.calls()).map(() => 201));
    expect((await stage.play('steps.sleep', { span: '1s' })).run.status).toBe('Completed');
    expect((await stage.play('steps.none')).run.status).toBe('Completed');
  });

  it('are read: errors, attempts, delays', async () => {
    const step = await stage.play('errors.step', { failures: 2 });
    expect(step.run).toMatchObject({ status: 'Completed', output: 'at last' });
    expect((await step.happened('shaky', 3)).map(({ attempt }) => attempt)).toEqual([0, 1, 2]);
    const final = await stage.play('errors.final-body');
    expect(final.run).toMatchObject({ status: 'Failed', output: { message: 'never again' } });
    expect(await final.times('body')).toBe(1);
    const later = await stage.play('errors.later', { where: 'step', after: '2s' });
    const [first, second] = await later.happened('work', 2);
    expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThanOrEqual(1_000);
  });

  it('are read: parallel steps', async () => {
    expect((await stage.play('parallel.many', { n: 10 })).run).toMatchObject({ status: 'Completed', output: 45 });
  });
});
