import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sharedServices } from '../harness/cluster.names.js';
import { root } from '../harness/root.path.js';
import { SdkApps } from '../harness/sdk-app.process.js';
import { Server } from '../harness/server.process.js';
import { Stage } from '../harness/stage.js';

const functions = ['steps', 'waits', 'errors', 'ends', 'checkpoints'].map((name) => `test/e2e/functions/${name}.mjs`);

describe('an app that dies', { concurrent: false }, () => {
  let server: Server;
  beforeAll(async () => {
    // Time for an app to come back before its attempts are used up.
    server = await Server.start({ flags: { 'retry-interval': 1 } });
  });
  afterAll(() => server[Symbol.asyncDispose]());

  it.each([
    ['single', 'd', ['a', 'b', 'c'], ['d']],
    ['buffered', 'f', ['a', 'b', 'c'], ['d', 'e']],
  ])('repeats only what came after the last checkpoint (%s)', async (name, holds, stored, repeated) => {
    const id = `dies-${name}`;
    await using apps = await SdkApps.start([{ id, variant: 'v4', functions }], { INNGEST_DEV: server.url });
    await apps.sync(id);
    const stage = new Stage('v4', server.api, apps.log, id);
    const story = await stage.start(name, { holds });
    await story.happened(`${holds} begins`);
    for (const each of stored) expect([each, await story.times(each)]).toEqual([each, 1]);
    await apps.kill();
    await apps.start();
    const [again] = await apps.log.wait({ kind: 'call', runId: story.runId });
    expect(again?.target).toBe('step');
    expect(again?.steps).toHaveLength(stored.length);
    await story.happened(`${holds} begins`);
    await story.open(holds);
    expect(await story.ended()).toMatchObject({ status: 'Completed', output: 7 });
    // The log of the app began anew with it.
    for (const each of stored) expect([each, await story.times(each)]).toEqual([each, 0]);
    for (const each of repeated) expect([each, await story.times(each)]).toEqual([each, 1]);
  });
});

describe('a server that is started again', { concurrent: false }, () => {
  it.each(['killed', 'stopped'])('goes on with everything after it was %s', async (how) => {
    await using server = await Server.start();
    await using apps = await SdkApps.start([{ id: 'v4', variant: 'v4', functions }], { INNGEST_DEV: server.url });
    await apps.sync('v4');
    const stage = new Stage('v4', server.api, apps.log, 'v4');
    const { api } = stage;

    const signal = randomUUID();
    const done = await stage.play('steps.run', {}, { id: 'only once' });
    const sleeping = await stage.start('steps.sleep', { span: '4s' });
    const waiting = await stage.start('waits.wait', { match: 'data.key' });
    const signalled = await stage.start('waits.signal', { signal });
    const invoking = await stage.start('steps.invoke', { payload: { does: 'wait' } });
    const retrying = await stage.start('errors.later', { where: 'step', after: '4s' });
    const cancellable = await stage.start('ends.cancellable', { does: 'sleep' });
    const working = await stage.start('ends.cancellable', { does: 'work' });
    await retrying.happened('work');
    await sleeping.waiting('nap');
    await waiting.waiting('answer');
    await signalled.waiting('call');
    await cancellable.waiting('nap');
    await working.happened('enter');
    const [child] = await apps.log.wait({ kind: 'call', app: 'v4', fn: 'child', key: `${invoking.key} child` });
    await api.waiting(child?.runId ?? '', 'release');

    if (how === 'killed') await server.kill();
    else expect(await Promise.all([server.stop(), working.open('work')]).then(([code]) => code)).toBe(0);
    await server.start();

    await working.open('work');
    await stage.emit('waits.answer', { key: waiting.key });
    await stage.emit('steps.release', { key: `${invoking.key} child` });
    await stage.emit('ends.cancel', { key: cancellable.key });
    expect((await api.request('POST', '/v1/signals', { signal, data: 1 })).status).toBe(200);
    expect(await waiting.ended()).toMatchObject({ status: 'Completed', output: { data: { key: waiting.key } } });
    expect(await signalled.ended()).toMatchObject({ status: 'Completed', output: { signal, data: 1 } });
    expect(await invoking.ended()).toMatchObject({
      status: 'Completed',
      output: { result: { name: 'inngest/function.invoked' } },
    });
    expect(await cancellable.ended()).toMatchObject({ status: 'Cancelled' });
    expect(await working.ended()).toMatchObject({ status: 'Completed', output: 'went on' });
    expect(await retrying.ended()).toMatchObject({ status: 'Completed', output: 'now' });
    expect((await retrying.happened('work')).map(({ attempt }) => attempt)).toEqual([0, 1]);
    expect(await sleeping.ended()).toMatchObject({ status: 'Completed' });
    const [before] = await sleeping.happened('before');
    const [after] = await sleeping.happened('after');
    expect((after?.at ?? 0) - (before?.at ?? 0)).toBeGreaterThanOrEqual(4_000);

    // What has ended is still known, with what it came to; and its event starts nothing more.
    expect(await api.run(done.runId)).toMatchObject({ status: 'Completed', output: { sum: 42 } });
    const again = await stage.emit('steps.run', { key: 'again' }, { id: 'only once' });
    await stage.play('steps.none');
    expect(await api.runsOf(again)).toEqual([]);
    expect(await apps.log.seen({ kind: 'call', key: 'again' })).toEqual([]);
  });

  it('loses no event that it has taken, however it ends', async () => {
    await using server = await Server.start();
    await using apps = await SdkApps.start([{ id: 'v4', variant: 'v4', functions }], { INNGEST_DEV: server.url });
    await apps.sync('v4');
    const stage = new Stage('v4', server.api, apps.log, 'v4');
    const keys = Array.from({ length: 100 }, () => randomUUID());
    const sent = await Promise.all(keys.map((key) => stage.emit('steps.none', { key })));
    await server.kill();
    await server.start();
    for (const [at, key] of keys.entries()) {
      const [call] = await apps.log.wait({ kind: 'call', key });
      expect(await server.api.ended(call?.runId ?? '')).toMatchObject({ status: 'Completed', event_id: sent[at] });
    }
    const runs = await Promise.all(sent.map((id) => server.api.runsOf(id)));
    expect(runs.map(({ length }) => length)).toEqual(Array(100).fill(1));
  });
});

// A process of a cluster has none.
describe.runIf(sharedServices() === undefined)('the folder of a server', () => {
  it('is not used by two at a time', async () => {
    await using server = await Server.start();
    const second = spawn(
      process.execPath,
      [join(root, 'bin/millrace.js'), 'dev', '--port', '0', '--data-dir', server.dataDir],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    let said = '';
    for (const stream of [second.stdout, second.stderr]) stream.on('data', (text) => (said += String(text)));
    const [code] = (await once(second, 'close')) as [number];
    expect(code).toBe(1);
    expect(said).toMatch(/Another Millrace process \(pid \d+\) uses the data folder/);
    expect(said).not.toMatch(/\n {4}at /);
    expect((await server.api.request('GET', '/health')).status).toBe(200);
  });
});
