import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { SdkApps } from '../harness/sdk-app.process.js';
import { Server } from '../harness/server.process.js';
import { until } from '../harness/until.js';
import { LimitsBook } from './limits.book.js';
import { APP, LimitsLoad } from './limits.load.js';
import { transitionsIn } from './log.stories.js';

/** How often the server is killed; CI kills more often than `npm test`. */
const KILLS = Math.ceil(Number(process.env['MILLRACE_KILLS'] ?? 8) / 2);
const BURST = 9;
/** Every step takes less; what an app still does for a server that is gone is done before its lease is over. */
const LEASE_S = 4;

/**
 * Every kind of flow control at once, under load, and a server that dies again and again. What the app saw is counted call by call, also those of a
 * server that is gone; what was decided is read from the log.
 */
describe(`limits over ${KILLS} kills`, () => {
  let server: Server;
  let apps: SdkApps;
  let load: LimitsLoad;
  let book: LimitsBook;

  beforeAll(
    async () => {
      server = await Server.start({
        env: { MILLRACE_LEASE_TIME: String(LEASE_S), MILLRACE_CHECKPOINT_INTERVAL: '0.3' },
      });
      const functions = ['test/chaos/limits.functions.mjs'];
      // Without checkpoints a call is one step: a call that outlives its server ends with that.
      apps = await SdkApps.start([{ id: APP, variant: 'v4-plain', functions }], { INNGEST_DEV: server.url });
      await apps.sync(APP);
      load = new LimitsLoad(() => server.api);
      for (let round = 0; round <= KILLS; round++) {
        const burst = load.burst(BURST);
        if (round < KILLS) {
          await pause(200 + Math.random() * 2_000);
          await server.kill();
          await server.start();
        }
        await burst;
      }
      let active: readonly { readonly function_slug: string }[] = [];
      await until(
        async () => {
          const { status, body } = await server.api.request<{ data: typeof active }>(
            'GET',
            '/v1/runs?status=Scheduled,Running&limit=100',
          );
          active = body.data;
          return status === 200 && active.length === 0 && (await pending()) === 0 ? true : undefined;
        },
        {
          what: () => `every run to end; left are ${JSON.stringify(active.map(({ function_slug }) => function_slug))}`,
          // Two whole runs at a time is what takes longest.
          withinMs: 60_000 + 3_000 * load.sent.length,
          everyMs: 250,
        },
      );
      const calls = await apps.log.seen({ kind: ['call', 'answer'] });
      await server.stop();
      book = new LimitsBook(load.sent, calls, await transitionsIn(server.dataDir));
    },
    KILLS * 60_000 + 400_000,
  );

  afterAll(async () => {
    await apps[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });

  /** Debounces and batches that are not over: each event is in a run in the end, or was dropped and it is said why. */
  async function pending(): Promise<number> {
    const { body } = await server.api.request<{ data: readonly { internal_id: string }[] }>(
      'GET',
      `/v1/events?name=${APP}/limits&limit=1`,
    );
    const [last] = body.data;
    if (!last) return 1;
    const seen = await Promise.all(
      load.sent.map(async ({ internalId }) => {
        const answer = await server.api.request<{ data: readonly { type: string; at: string }[] }>(
          'GET',
          `/v1/events/${internalId}/decisions`,
        );
        return answer.body.data;
      }),
    );
    const open = new Map<string, number>();
    for (const decisions of seen)
      for (const decision of decisions) {
        const { type, key = '' } = decision as unknown as { type: string; key?: string };
        if (type === 'BatchOpened' || type === 'DebounceOpened') open.set(key, (open.get(key) ?? 0) + 1);
        if (type === 'BatchFired' || type === 'DebounceFired') open.set(key, (open.get(key) ?? 0) - 1);
      }
    return [...open.values()].filter((count) => count > 0).length;
  }

  it('every run ends once, and every step has one result', () => book.everyRunEnds());

  it.each(['keyed', 'shared', 'whole', 'throttled', 'single', 'latest'])('every event has one run of %s', (fn) =>
    book.everyEventHasOneRunOf(fn),
  );

  it('requests in progress never exceed a limit, of a key and of the account, whoever was killed', () =>
    book.concurrencyHolds({ inOrder: true }));

  it('no more whole runs are under way than may be', () => book.wholeRunsHold());

  it('runs start no faster than the throttle lets them', () => book.throttleHolds());

  it('an event is charged once, and has a run where it was not over the limit', () => book.rateLimitHolds());

  it('a debounce loses no event: each has fired, or another took its place', () => book.debounceLosesNothing());

  it('a batch loses and doubles no event, and keeps their order', () => book.batchesHold());

  it('a run that is skipped names the one that held its place, and of many in a row the last one lives', () =>
    book.singletonsHold());
});
