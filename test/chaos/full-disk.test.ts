import { randomUUID } from 'node:crypto';
import { rmSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as pause } from 'node:timers/promises';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { SdkApps } from '../harness/sdk-app.process.js';
import { Server } from '../harness/server.process.js';
import { SmallDisk } from '../harness/small.disk.js';
import { Stage } from '../harness/stage.js';
import { until } from '../harness/until.js';
import { causeOf, endOf, storiesIn } from './log.stories.js';

const MEGABYTES = 96;
/** Refusals in a row that show that nothing more goes in. */
const REFUSALS = 20;
const functions = ['steps', 'waits', 'ends'].map((name) => `test/e2e/functions/${name}.mjs`);
const padding = 'x'.repeat(20_000);

const disk = SmallDisk.mount(MEGABYTES);
const missing = typeof disk === 'string' ? disk : undefined;
afterAll(() => {
  if (disk instanceof SmallDisk) disk.unmount();
});

if (missing !== undefined && process.env['CI'] === 'true') throw new Error(`no disk can be mounted: ${missing}`);

const skipped = missing === undefined ? '' : ` (SKIPPED, no disk can be mounted: ${missing})`;

it.skipIf(missing !== undefined).each(['while it runs', 'after it was killed'])(
  `loses nothing that it has acknowledged when its disk fills up and is emptied %s${skipped}`,
  { timeout: 240_000 },
  async (when) => {
    if (!(disk instanceof SmallDisk)) return;
    const dataDir = join(disk.path, randomUUID());
    await using server = await Server.start({ flags: { 'data-dir': dataDir, 'retry-interval': 1 } });
    await using apps = await SdkApps.start([{ id: 'v4', variant: 'v4', functions }], { INNGEST_DEV: server.url });
    await apps.sync('v4');
    const stage = new Stage('v4', server.api, apps.log, 'v4');

    const acknowledged = new Set<string>();
    const refused: (readonly [key: string, seed: string])[] = [];
    /** Sends an event that starts a run, as SDKs do. @returns whether it was taken */
    async function send(key: string = randomUUID(), seed = `${Date.now()},${btoa(randomUUID().slice(0, 10))}`) {
      const event = { name: stage.event('steps.sent'), data: { key, padding } };
      const { status, headers, body } = await server.api.send(event, { 'x-inngest-event-id-seed': seed });
      const [id] = body.ids;
      if (status === 200 && id !== undefined) acknowledged.add(id);
      else {
        expect({ status, ids: body.ids, after: headers.get('retry-after') }).toEqual({
          status: 503,
          ids: [],
          after: '1',
        });
        refused.push([key, seed]);
      }
      return status === 200;
    }

    const sleeping = await stage.start('steps.sleep', { span: '3s' });
    const waiting = await stage.start('waits.wait', { match: 'data.key' });
    const working = await stage.start('ends.cancellable', { does: 'work' });
    await waiting.waiting('answer');
    await working.happened('enter');
    for (let i = 0; i < 10; i++) expect(await send()).toBe(true);
    for (const eventId of acknowledged) await server.api.runOf(eventId);

    disk.fill();
    for (let inARow = 0; inARow < REFUSALS;) inARow = (await send()) ? 0 : inARow + 1;
    // What a function comes to meanwhile cannot be written down, and a sleep ends.
    await working.open('work');
    await pause(4_000);
    await send();
    expect(server.alive).toBe(true);
    expect((await server.api.request('GET', '/health')).status).toBe(200);
    if (when === 'after it was killed') {
      await server.kill();
      await startOnFullDisk(server);
    }

    disk.free();
    if (!server.alive) await server.start();
    await until(async () => (await send()) || undefined, { what: 'an event to be taken again' });
    for (const [key, seed] of refused.splice(0)) expect(await send(key, seed)).toBe(true);
    await stage.emit('waits.answer', { key: waiting.key });
    for (const story of [sleeping, waiting, working])
      expect(await story.ended()).toMatchObject({ status: 'Completed' });

    await server.kill();
    await server.start();
    expect(await send()).toBe(true);
    await allEnded(server);
    for (const eventId of acknowledged) expect(await server.api.runsOf(eventId)).toHaveLength(1);
    expect(await server.stop()).toBe(0);

    for (const name of ['log.db', 'state.db', 'control.db']) {
      const db = new DatabaseSync(join(dataDir, name));
      expect([name, db.prepare('PRAGMA integrity_check').all()]).toEqual([name, [{ integrity_check: 'ok' }]]);
      db.close();
    }
    const runsOf = Map.groupBy(await storiesIn(dataDir), causeOf);
    for (const eventId of acknowledged) {
      const runs = runsOf.get(eventId) ?? [];
      expect(runs, `event ${eventId} has one run`).toHaveLength(1);
      expect(runs.map(endOf)).toMatchObject([{ type: 'RunCompleted' }]);
    }
    rmSync(dataDir, { recursive: true });
  },
);

/** A server that finds its disk full says so and ends, or waits for room, and ends when it is told to. */
async function startOnFullDisk(server: Server): Promise<void> {
  const started = expect(server.start()).rejects.toThrow('before it was listening');
  const before = server.output.length;
  const said = () => server.output.slice(before);
  await until(() => !server.alive || said().includes('cannot be written; waiting') || undefined, {
    what: () => `the server to say that its disk is full; it says ${said()}`,
  });
  if (server.alive) expect(await server.stop()).toBe(0);
  else expect(said()).toMatch(/"code":"(state_unavailable|log_unavailable|data_dir_unusable)"/);
  await started;
}

function allEnded({ api }: Server): Promise<unknown> {
  return until(
    async () => {
      const { body } = await api.request<{ data: unknown[] }>('GET', '/v1/runs?status=Scheduled,Running&limit=100');
      return body.data.length === 0 || undefined;
    },
    { what: 'every run to end', withinMs: 60_000 },
  );
}
