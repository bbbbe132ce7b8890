import { describe, expect, it } from 'vitest';
import { RedisServer } from '#testkit/services/redis.service.js';
import { sharedServices } from '../harness/cluster.names.js';
import { SdkApps } from '../harness/sdk-app.process.js';
import { Server } from '../harness/server.process.js';
import { Stage } from '../harness/stage.js';
import { until } from '../harness/until.js';

interface Refused {
  readonly error?: string;
  readonly code?: string;
}

describe.skipIf(!sharedServices())('a cluster whose Redis is gone', () => {
  it('answers every question, or says why it cannot, and goes on when Redis is back', async () => {
    await using redis = await RedisServer.launch();
    await using server = await Server.start({ flags: { 'redis-url': redis.url } });
    const functions = ['steps', 'waits'].map((name) => `test/e2e/functions/${name}.mjs`);
    await using apps = await SdkApps.start([{ id: 'v4', variant: 'v4', functions }], { INNGEST_DEV: server.url });
    await apps.sync('v4');
    const { api } = server;
    const stage = new Stage('v4', api, apps.log, 'v4');
    const done = await stage.play('steps.run');
    const waiting = await stage.start('waits.wait', { match: 'data.key' });
    await waiting.waiting('answer');
    await until(async () => ((await api.runsOf(waiting.eventId)).length > 0 ? true : undefined), {
      what: 'history to have both',
    });

    await redis.kill();
    const of = (runId: string) => [`/v1/runs/${runId}`, `/v1/runs/${runId}/jobs`, `/v1/runs/${runId}/transitions`];
    const questions: readonly (readonly [method: string, path: string, body?: unknown])[] = [
      ...[...of(done.runId), ...of(waiting.runId)].map((path) => ['GET', path] as const),
      ['GET', `/v0/runs/${waiting.runId}/actions`],
      ['GET', '/v1/runs?limit=10'],
      ['GET', '/v1/events?limit=10'],
      ['GET', `/v1/events/${done.eventId}`],
      ['GET', `/v1/events/${done.eventId}/runs`],
      ['GET', `/v1/events/${done.eventId}/decisions`],
      ['GET', '/v1/functions'],
      ['GET', '/v1/functions/v4-run'],
      ['GET', '/v1/functions/v4-run/queue'],
      ['DELETE', `/v1/runs/${waiting.runId}`],
      ['POST', '/v1/signals', { signal: 'nobody waits for it' }],
    ];
    const answers = await Promise.all(
      questions.map(async ([method, path, body]) => {
        const { status, body: answer } = await api.request<Refused>(method, path, body, {
          'content-type': 'application/json',
        });
        const { code, error } = answer ?? {};
        return { what: `${method} ${path}`, status, code, error };
      }),
    );
    for (const { what, status, code, error } of answers) {
      if (status === 200) continue;
      expect([what, status]).toEqual([what, 503]);
      expect([what, code]).toEqual([what, expect.stringMatching(/^(state|history)_unavailable$/)]);
      expect([what, error]).toEqual([what, expect.stringMatching(/^[A-Z].*\.$/)]);
    }
    const refused = answers.filter(({ status }) => status !== 200).map(({ what }) => what);
    expect(refused).toEqual(expect.arrayContaining(of(waiting.runId).map((path) => `GET ${path}`)));
    expect(refused).not.toContain('GET /v1/functions');
    expect(refused).not.toContain('GET /v1/events?limit=10');

    const later = await api.emit('v4/steps.none');
    await redis.start();
    await stage.emit('waits.answer', { key: waiting.key });
    expect(await endOf(api, waiting.runId)).toBe('Completed');
    await until(async () => (await statusesOf(api, later)).includes('Completed') || undefined, {
      what: 'the run of what was sent meanwhile',
      withinMs: 60_000,
    });
  });
});

/** While Redis comes back, answers are refused. */
function endOf(api: Server['api'], runId: string): Promise<string> {
  return until(
    async () => {
      const { body } = await api.request<{ data?: { status: string; ended_at: string | null } }>(
        'GET',
        `/v1/runs/${runId}`,
      );
      return body.data?.ended_at ? body.data.status : undefined;
    },
    { what: `run ${runId} to end`, withinMs: 60_000 },
  );
}

async function statusesOf(api: Server['api'], eventId: string): Promise<readonly string[]> {
  return (await api.runsOf(eventId)).map(({ status }) => status);
}
