import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { stageOf, VARIANTS } from './world.js';

describe.each(VARIANTS)('waits of %s', (variant) => {
  const stage = stageOf(variant);
  const { api } = stage;
  const signal = (name: string, data: unknown) =>
    api.request<{ data: { run_id: string }; error?: string }>('POST', '/v1/signals', { signal: name, data });

  it('goes on with the event that it waited for', async () => {
    const story = await stage.start('waits.wait', { match: 'data.key' });
    const waiting = await story.waiting('answer');
    expect(waiting.waiting_for).toMatchObject([{ kind: 'wait', event: stage.event('waits.answer') }]);
    await stage.emit('waits.answer', { key: 'of another' });
    const id = await stage.emit('waits.answer', { key: story.key, list: [1] }, { v: '3' });
    expect(await story.ended()).toMatchObject({
      status: 'Completed',
      output: { name: stage.event('waits.answer'), id, v: '3', data: { key: story.key, list: [1] } },
    });
  });

  it('compares the event that it waits for with the one that started it', async () => {
    const story = await stage.start('waits.wait', {
      floor: 5,
      expression: 'async.data.to == event.data.key && async.data.n > event.data.floor',
    });
    await story.waiting('answer');
    await stage.emitAll(
      'waits.answer',
      [1, 5, 6, 7].map((n) => ({ to: story.key, n })),
    );
    expect((await story.ended()).output).toMatchObject({ data: { n: 6 } });
  });

  it('gives up after the timeout, with nothing', async () => {
    const story = await stage.play('waits.wait', { match: 'data.key', timeout: '1s' });
    expect(story.run).toMatchObject({ status: 'Completed', output: null });
  });

  it.each(['0s', '-5s', '2001-01-01T00:00:00Z'])('gives up at once on a timeout of %s', async (timeout) => {
    expect((await stage.play('waits.wait', { match: 'data.key', timeout })).run).toMatchObject({
      status: 'Completed',
      output: null,
    });
  });

  it('does not see what came before it waited', async () => {
    const story = await stage.start('waits.wait', { match: 'data.key', held: true });
    await stage.emit('waits.answer', { key: story.key, n: 'early' });
    await story.open('held');
    await story.waiting('answer');
    await stage.emit('waits.answer', { key: story.key, n: 'late' });
    expect((await story.ended()).output).toMatchObject({ data: { n: 'late' } });
  });

  it('is not resolved by the event that started it', async () => {
    const story = await stage.start('waits.wait', {
      forOwn: true,
      match: 'data.kind',
      kind: randomUUID(),
      timeout: '1s',
    });
    expect(await story.ended()).toMatchObject({ status: 'Completed', output: null });
  });

  it('resolves every wait that matches, and enters the function once', async () => {
    const story = await stage.start('waits.all');
    await story.waiting('second');
    await stage.emit('waits.answer', { to: story.key });
    expect((await story.ended()).output).toEqual([story.key, story.key]);
    expect(await story.times('answered')).toBe(1);
  });

  it('hears the answer to what it asks in the same breath', async () => {
    expect((await stage.play('waits.ask')).run.output).toMatchObject({ said: 'yes' });
  });

  it('fails at once when the expression cannot be compiled', async () => {
    const story = await stage.play('waits.wait', { expression: 'nonsense ==' });
    expect(story.run).toMatchObject({
      status: 'Failed',
      output: { error: { name: 'InvalidExpression', message: 'Wait for Event If expression failed to compile' } },
    });
  });

  it('fails at once when it should wait for longer than a year', async () => {
    const { run } = await stage.play('waits.wait', { timeout: '370d' });
    const message = expect.stringContaining('52w6d') as string; // As the SDK writes it.
    expect(run).toMatchObject({ status: 'Failed', output: { error: { name: 'InngestErrTimeoutTooLong', message } } });
  });

  it('goes on with a signal', async () => {
    const name = randomUUID();
    expect(await signal(name, 'too early')).toMatchObject({ status: 404, body: { error: 'No signal found' } });
    const story = await stage.start('waits.signal', { signal: name });
    await story.waiting('call');
    expect(await signal(name, { hello: 1 })).toMatchObject({ status: 200, body: { data: { run_id: story.runId } } });
    expect((await story.ended()).output).toEqual({ signal: name, data: { hello: 1 } });
    expect(await signal(name, 'again')).toMatchObject({ status: 404 });
  });

  it('sends a signal from a function, and one that nobody waits for', async () => {
    const name = randomUUID();
    const story = await stage.start('waits.signal', { signal: name });
    await story.waiting('call');
    expect((await stage.play('waits.signaller', { signal: name })).run.status).toBe('Completed');
    expect((await story.ended()).output).toEqual({ signal: name, data: { hello: 1 } });
    expect((await stage.play('waits.signaller', { signal: name })).run.status).toBe('Completed');
  });

  it('gives up on a signal after the timeout, and frees its name', async () => {
    const name = randomUUID();
    expect((await stage.play('waits.signal', { signal: name, timeout: '1s' })).run).toMatchObject({
      status: 'Completed',
      output: null,
    });
    expect(await signal(name, 1)).toMatchObject({ status: 404 });
  });

  it('fails the second run that waits for the same signal', async () => {
    const name = randomUUID();
    const first = await stage.start('waits.signal', { signal: name });
    await first.waiting('call');
    const { run } = await stage.play('waits.signal', { signal: name });
    expect(run.status).toBe('Failed');
    expect(JSON.stringify(run.output)).toContain('Signal conflict; signal wait already exists for another run');
    await signal(name, 1);
    expect((await first.ended()).status).toBe('Completed');
  });

  it('lets a second run take a signal over', async () => {
    const name = randomUUID();
    const first = await stage.start('waits.signal', { signal: name, timeout: '3s' });
    await first.waiting('call');
    const second = await stage.start('waits.signal', { signal: name, onConflict: 'replace' });
    await second.waiting('call');
    expect(await signal(name, 2)).toMatchObject({ status: 200, body: { data: { run_id: second.runId } } });
    expect((await second.ended()).output).toEqual({ signal: name, data: 2 });
    expect(await first.ended()).toMatchObject({ status: 'Completed', output: null });
  });
});
