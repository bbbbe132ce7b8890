import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AdmissionTransition } from '#core/admission/admission.js';
import type { RunTransition } from '#core/run/run.transitions.js';
import { SdkApps, type Entry } from '../harness/sdk-app.process.js';
import { Server } from '../harness/server.process.js';
import { until } from '../harness/until.js';
import { transitionsIn, type Told } from './log.stories.js';

/** How often the server is killed; CI kills more often than `npm test`. */
const KILLS = Math.ceil(Number(process.env['MILLRACE_KILLS'] ?? 8) / 2);
const TENANTS = ['acme', 'globex', 'initech'];
const BURST = 9;
const APP = 'limits';
/** Every step takes less; what an app still does for a server that is gone is done before its lease is over. */
const LEASE_S = 4;

interface Sent {
  readonly n: number;
  readonly tenant: string;
  readonly order: string;
  readonly internalId: string;
}

interface Wave {
  readonly at: number;
  readonly by: 1 | -1;
}

/**
 * Every kind of flow control at once, under load, and a server that dies again and again. What the app saw is counted call by call, also those of a
 * server that is gone; what was decided is read from the log.
 */
describe(`limits over ${KILLS} kills`, () => {
  let server: Server;
  let apps: SdkApps;
  const sent: Sent[] = [];
  let calls: readonly Entry[] = [];
  let told: readonly Told[] = [];

  beforeAll(
    async () => {
      server = await Server.start({
        env: { MILLRACE_LEASE_TIME: String(LEASE_S), MILLRACE_CHECKPOINT_INTERVAL: '0.3' },
      });
      const functions = ['test/chaos/limits.functions.mjs'];
      // Without checkpoints a call is one step: a call that outlives its server ends with that.
      apps = await SdkApps.start([{ id: APP, variant: 'v4-plain', functions }], { INNGEST_DEV: server.url });
      await apps.sync(APP);
      let n = 0;
      for (let round = 0; round <= KILLS; round++) {
        const burst = Promise.all(Array.from({ length: BURST }, () => send(n++)));
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
          withinMs: 60_000 + 3_000 * sent.length,
          everyMs: 250,
        },
      );
      calls = await apps.log.seen({ kind: ['call', 'answer'] });
      await server.stop();
      told = await transitionsIn(server.dataDir);
    },
    KILLS * 60_000 + 400_000,
  );

  afterAll(async () => {
    await apps[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });

  /** Sends until it is acknowledged, as SDKs do: with one seed. */
  async function send(n: number): Promise<void> {
    const tenant = TENANTS[n % TENANTS.length] as string;
    const order = `order-${Math.floor(n / 2)}`;
    const seed = `${Date.now()},${randomBytes(10).toString('base64')}`;
    const event = { name: `${APP}/limits`, data: { n, key: tenant, order } };
    const internalId = await until(
      async () => {
        try {
          const { status, body } = await server.api.send(event, { 'x-inngest-event-id-seed': seed });
          return status === 200 ? body.ids[0] : undefined;
        } catch {
          return undefined; // The server is being killed or started: it is sent again.
        }
      },
      { what: `event ${n} to be acknowledged`, withinMs: 60_000 },
    );
    sent.push({ n, tenant, order, internalId });
  }

  /** Debounces and batches that are not over: each event is in a run in the end, or was dropped and it is said why. */
  async function pending(): Promise<number> {
    const { body } = await server.api.request<{ data: readonly { internal_id: string }[] }>(
      'GET',
      `/v1/events?name=${APP}/limits&limit=1`,
    );
    const [last] = body.data;
    if (!last) return 1;
    const seen = await Promise.all(
      sent.map(async ({ internalId }) => {
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

  const isDecision = (t: Told['transition']): t is AdmissionTransition => 'functionId' in t && !('functionSlug' in t);
  const slugOf = (runId: string) =>
    runs()
      .get(runId)
      ?.functionSlug.slice(APP.length + 1);
  const functionIdOf = (fn: string) =>
    [...runs().values()].find((run) => run.functionSlug === `${APP}-${fn}`)?.functionId;

  let known: ReadonlyMap<string, Extract<RunTransition, { type: 'RunScheduled' }>> | undefined;

  function runs(): NonNullable<typeof known> {
    return (known ??= new Map(
      told.flatMap(({ runId, transition }) =>
        transition.type === 'RunScheduled' ? [[runId, transition] as const] : [],
      ),
    ));
  }

  function runsOf(fn: string): readonly string[] {
    return [...runs().keys()].filter((runId) => slugOf(runId) === fn);
  }

  function decisionsOf(fn: string): readonly AdmissionTransition[] {
    const id = functionIdOf(fn);
    return told.flatMap(({ transition }) =>
      isDecision(transition) && transition.functionId === id ? [transition] : [],
    );
  }

  /** Requests in progress as the app counts them, the most at any instant after one more of `of` came. */
  function most(of: readonly string[], counted: readonly string[], key?: string): number {
    let inProgress = 0;
    let peak = 0;
    for (const { kind, fn, ...entry } of calls) {
      if (!counted.includes(fn) || (key !== undefined && entry['key'] !== key)) continue;
      inProgress += kind === 'call' ? 1 : -1;
      if (kind === 'call' && of.includes(fn)) peak = Math.max(peak, inProgress);
    }
    return peak;
  }

  /** How many runs of a function there were at a time, by what begins and what ends one, in the order of the log. */
  function together(fn: string, begins: RunTransition['type'], key?: string): number {
    const mine = new Set(runsOf(fn).filter((runId) => key === undefined || tenantOf(runId) === key));
    const waves = told.flatMap(({ runId, transition }, at): readonly Wave[] => {
      if (!mine.has(runId)) return [];
      if (transition.type === begins) return [{ at, by: 1 }];
      return /^Run(Completed|Failed|Cancelled|Skipped)$/.test(transition.type) ? [{ at, by: -1 }] : [];
    });
    let now = 0;
    return Math.max(0, ...waves.map(({ by }) => (now += by)));
  }

  function tenantOf(runId: string): string {
    const [event = '{}'] = runs().get(runId)?.events ?? [];
    return (JSON.parse(event) as { data: { key: string } }).data.key;
  }

  it('every run ends once, and every step has one result', () => {
    for (const runId of runs().keys()) {
      const own = told.filter((one) => one.runId === runId).map(({ transition }) => transition);
      const ends = own.filter(({ type }) => /^Run(Completed|Failed|Cancelled|Skipped)$/.test(type));
      expect(ends, `run ${runId} of ${slugOf(runId)} ends once`).toHaveLength(1);
      const results = own.flatMap((it) => (it.type === 'StepCompleted' || it.type === 'StepFailed' ? [it.stepId] : []));
      expect(new Set(results).size).toBe(results.length);
    }
  });

  it.each(['keyed', 'shared', 'whole', 'throttled', 'single', 'latest'])('every event has one run of %s', (fn) => {
    const started = runsOf(fn).flatMap((runId) => runs().get(runId)?.eventIds ?? []);
    expect(started.toSorted()).toEqual(sent.map(({ internalId }) => internalId).toSorted());
  });

  it('requests in progress never exceed a limit, of a key and of the account, whoever was killed', () => {
    expect(calls.length).toBeGreaterThan(0);
    for (const tenant of TENANTS) {
      expect(most(['keyed'], ['keyed'], tenant), `keyed ${tenant}`).toBeLessThanOrEqual(2);
      expect(most(['latest'], ['latest'], tenant), `latest ${tenant}`).toBeLessThanOrEqual(1);
      expect(most(['mixed'], ['mixed'], tenant), `mixed ${tenant}`).toBeLessThanOrEqual(1);
    }
    expect(most(['throttled'], ['throttled'])).toBeLessThanOrEqual(2);
    // One count, and each function has a number of its own for it.
    expect(most(['keyed'], ['keyed', 'shared'])).toBeLessThanOrEqual(5);
    expect(most(['shared'], ['keyed', 'shared'])).toBeLessThanOrEqual(3);
  });

  it('no more whole runs are under way than may be', () => {
    expect(together('whole', 'RunStarted')).toBeLessThanOrEqual(2);
    for (const tenant of TENANTS) {
      expect(together('single', 'RunScheduled', tenant), tenant).toBeLessThanOrEqual(2); // One, and one that is skipped for it.
      expect(together('latest', 'RunStarted', tenant), tenant).toBeLessThanOrEqual(1);
    }
  });

  it('runs start no faster than the throttle lets them', () => {
    const intervalMs = 2_000 / 3;
    const spent = decisionsOf('throttled').filter((it) => it.type === 'ThrottleSpent');
    expect(spent.map(({ runId }) => runId).toSorted()).toEqual(
      runsOf('throttled')
        .filter((runId) => told.some((one) => one.runId === runId && one.transition.type === 'RunStarted'))
        .toSorted(),
    );
    for (const [i, { at, tat }] of spent.entries()) {
      expect(tat - at, 'four at once').toBeLessThanOrEqual(4 * intervalMs + 1);
      if (i > 0) expect(tat - (spent[i - 1]?.tat ?? 0), 'and one for each interval').toBeGreaterThan(intervalMs - 1);
    }
  });

  it('an event is charged once, and has a run where it was not over the limit', () => {
    for (const fn of ['rated', 'once']) {
      const decided = decisionsOf(fn).filter((it) => 'nextAt' in it);
      expect(decided.map(({ eventId }) => eventId).toSorted(), fn).toEqual(
        sent.map(({ internalId }) => internalId).toSorted(),
      );
      const charged = decided.filter(({ type }) => type === 'RateCharged').map(({ eventId }) => eventId);
      const started = runsOf(fn).flatMap((runId) => runs().get(runId)?.eventIds ?? []);
      expect(started.toSorted(), fn).toEqual(charged.toSorted());
    }
    const orders = runsOf('once').map((runId) => {
      const [event = '{}'] = runs().get(runId)?.events ?? [];
      return (JSON.parse(event) as { data: { order: string } }).data.order;
    });
    expect(orders.toSorted()).toEqual([...new Set(sent.map(({ order }) => order))].toSorted());
  });

  it('a debounce loses no event: each has fired, or another took its place', () => {
    for (const fn of ['debounced']) {
      const decisions = decisionsOf(fn);
      const arrived = decisions.filter(({ type }) => /^Debounce(Opened|Moved|Outdated)$/.test(type));
      expect(arrived, fn).toHaveLength(sent.length);
      const fired = decisions.filter((it) => it.type === 'DebounceFired');
      expect(
        fired.reduce((sum, { superseded }) => sum + superseded + 1, 0),
        fn,
      ).toBe(sent.length);
      expect(fired.map(({ runId }) => runId).toSorted(), fn).toEqual(runsOf(fn).toSorted());
    }
  });

  it('a batch loses and doubles no event, and keeps their order', () => {
    const batches = runsOf('batched').map((runId) => runs().get(runId)?.eventIds ?? []);
    expect(batches.flat().toSorted()).toEqual(sent.map(({ internalId }) => internalId).toSorted());
    for (const batch of batches) expect(batch.length).toBeLessThanOrEqual(4);
    const joined = new Map<string, number>();
    for (const [at, { transition }] of told.entries())
      if (transition.type === 'BatchOpened' || transition.type === 'BatchJoined') joined.set(transition.eventId, at);
    for (const batch of batches) {
      const places = batch.map((eventId) => joined.get(eventId) ?? -1);
      expect(places).toEqual(places.toSorted((a, b) => a - b));
    }
  });

  it('a run that is skipped names the one that held its place, and of many in a row the last one lives', () => {
    const skipped = told.filter(({ transition }) => transition.type === 'RunSkipped');
    expect(skipped.length).toBeGreaterThan(0);
    for (const { transition } of skipped)
      expect(transition).toMatchObject({ reason: 'singleton', blockedBy: expect.any(String) as string });
    for (const tenant of TENANTS) {
      const mine = runsOf('latest').filter((runId) => tenantOf(runId) === tenant);
      const last = mine.at(-1) ?? '';
      expect(
        told.some(({ runId, transition }) => runId === last && transition.type === 'RunCompleted'),
        tenant,
      ).toBe(true);
    }
  });
});
