import { describe, expect, it } from 'vitest';
import { stageOf, VARIANTS } from './world.js';

const MB = 1024 * 1024;

describe.each(VARIANTS)('what is large, in %s', (variant) => {
  const stage = stageOf(variant);

  it('is read by the SDK from the server where it is too large for a call', async () => {
    const story = await stage.play('limits.large-state', { parts: 3, bytes: 2 * MB });
    expect(story.run).toMatchObject({ status: 'Completed', output: [2 * MB, 2 * MB, 2 * MB, 'small'] });
    const calls = await story.calls();
    const withheld = calls.filter(({ useApi }) => useApi);
    expect(withheld.length).toBeGreaterThan(0);
    for (const { steps } of withheld) expect(steps).toEqual([]);
    for (const { bytes } of calls) expect(bytes).toBeLessThanOrEqual(4 * MB);
    const asked = await stage.log.seen({ kind: 'sent', runId: story.runId });
    for (const path of ['actions', 'batch']) {
      expect(asked.filter((entry) => entry['path'] === `/v0/runs/${story.runId}/${path}`)).toHaveLength(
        withheld.length,
      );
    }
  });

  it('is read with the event, where that is large too', async () => {
    const story = await stage.play('limits.large-event', { a: 'a'.repeat(1.5 * MB), b: 'b'.repeat(MB) });
    expect(story.run).toMatchObject({ status: 'Completed', output: [1.5 * MB, MB, 1.5 * MB, 2_500_000] });
    expect((await story.calls()).some(({ useApi }) => useApi)).toBe(true);
  });

  it('may be just under 4 MB as the output of a step', async () => {
    const story = await stage.play('limits.large-output', { where: 'step', bytes: 4 * MB - 1_000 });
    expect(story.run).toMatchObject({ status: 'Completed', output: 4 * MB - 1_000 });
    expect(await story.times('large')).toBe(1);
  });

  it('fails the attempt as the output of a step of more than 4 MB', async () => {
    const story = await stage.play('limits.large-output', { where: 'step', bytes: 4 * MB + 1 });
    expect(story.run.status).toBe('Failed');
    expect(JSON.stringify(story.run.output)).toMatch(/output/);
    expect(await story.times('large')).toBe(2);
    expect(await story.times('before')).toBe(1);
  });

  it('fails the attempt as an answer of more than 8 MB', async () => {
    const story = await stage.play('limits.large-output', { where: 'function', bytes: 8 * MB + 1 });
    expect(story.run).toMatchObject({ status: 'Failed', output: { error: { name: 'output_too_large' } } });
    expect(await story.times('large')).toBe(2);
  });

  it('may be the input of an invoked function', async () => {
    expect((await stage.play('limits.large-input', { bytes: 2 * MB })).run).toMatchObject({
      status: 'Completed',
      output: 2 * MB,
    });
  });
});
