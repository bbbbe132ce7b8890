import { describe, expect, it } from 'vitest';
import { derivedUlid } from '../event/event.ids.js';
import type { FunctionConfig } from '../function/function.config.js';
import type { AdmissionOf, Offer } from './admission.js';
import { passOn } from './admission.decision.js';
import {
  planAdmission,
  planAfterBatch,
  planAfterDebounce,
  type AdmissionPlan,
  type AdmissionRequest,
} from './admission.plan.js';
import {
  BATCH,
  Control,
  DEBOUNCE,
  ENV,
  eventOf,
  FN_ID,
  functionOf,
  START,
  type EventParts,
} from './admission.story.js';

const DAY = 24 * 3_600_000;
const AT = START + 50;

/** Every control but batching. */
const ALL = {
  rateLimit: { limit: 3, periodMs: 60_000, key: 'event.data.user' },
  debounce: { periodMs: 2_000, timeoutMs: 9_000, key: 'event.data.user' },
  singleton: { key: 'event.data.user', mode: 'cancel' },
} as const satisfies Partial<FunctionConfig>;

const BATCHED: Partial<FunctionConfig> = { batch: { maxSize: 4, timeoutMs: 7_000, key: 'event.data.user' } };

function planned(
  config: Partial<FunctionConfig>,
  parts: EventParts = {},
  more: Partial<AdmissionRequest> = {},
): AdmissionPlan {
  const event = eventOf('internal', { data: { user: 'u1' }, ...parts });
  return planAdmission({ fn: functionOf(config), event, runId: 'R', at: AT, paused: false, ...more });
}

function offered(...args: Parameters<typeof planned>): Offer {
  const plan = planned(...args);
  if (plan.kind !== 'offer') throw new Error(`refused: ${plan.error}`);
  return plan.offer;
}

/** The stages by kind, in order. */
function kinds(...args: Parameters<typeof planned>): readonly string[] {
  return offered(...args).then.map(({ kind }) => kind);
}

function notes(...args: Parameters<typeof planned>): readonly string[] | undefined {
  return offered(...args).run.flow?.notes;
}

describe('the way of an event', () => {
  it('without flow control is a run', () => {
    const plan = planned({});
    expect(plan).toMatchObject({
      kind: 'offer',
      dedupe: 'event_id',
      offer: { then: [], run: { type: 'ScheduleRun', runId: 'R', at: AT } },
    });
    const offer = offered({});
    expect(offer.run).not.toHaveProperty('flow');
    expect(offer).not.toHaveProperty('skip');
    expect(offer.event).not.toHaveProperty('payload');
    expect(passOn(offer, { topic: 'events', partition: 0, offset: 0 }, AT)).toMatchObject({
      key: 'R',
      command: offer.run,
    });
  });

  it('goes through rate, debounce, its id and singleton, in this order', () => {
    expect(kinds(ALL, { id: 'own' })).toEqual(['rate', 'debounce', 'once', 'singleton']);
    expect(offered(ALL, { id: 'own' }).then).toEqual([
      { kind: 'rate', key: 'rate:env:fn:=u1', value: 'u1', limit: 3, periodMs: 60_000 },
      { kind: 'debounce', key: 'debounce:env:fn:=u1', value: 'u1', periodMs: 2_000, timeoutMs: 9_000 },
      { kind: 'once', key: 'once:env:fn:=own', value: 'own' },
      { kind: 'singleton', key: 'singleton:env:fn:=u1', value: 'u1', mode: 'cancel' },
    ]);
  });

  it('asks for the id only where the sender gave one and something may drop the event before', () => {
    const { singleton, rateLimit, debounce } = ALL;
    expect(kinds(ALL)).toEqual(['rate', 'debounce', 'singleton']);
    expect(kinds({ singleton }, { id: 'own' })).toEqual(['singleton']);
    expect(planned({ singleton }, { id: 'own' })).toMatchObject({ dedupe: 'event_id' });
    for (const config of [{ rateLimit }, { debounce }, { idempotency: 'event.data.user' }]) {
      expect(kinds(config, { id: 'own' })).toContain('once');
      expect(planned(config, { id: 'own' })).toMatchObject({ dedupe: 'internal_id' });
    }
  });

  it('asks one memory for an id, also for events that a key lets through', () => {
    const parts = { id: 'own', data: { user: false } };
    expect(kinds({ rateLimit: ALL.rateLimit }, parts)).toEqual(['once']);
    expect(planned({ rateLimit: ALL.rateLimit }, parts)).toMatchObject({ dedupe: 'internal_id' });
  });

  it('has keyless controls of the whole function', () => {
    const config = {
      rateLimit: { limit: 1, periodMs: 1_000 },
      debounce: { periodMs: 1_000 },
      singleton: { mode: 'skip' },
    } as const;
    expect(offered(config).then.map(({ key }) => key)).toEqual([
      'rate:env:fn:=',
      'debounce:env:fn:=',
      'singleton:env:fn:=',
    ]);
  });

  it('hashes what is long in a key', () =>
    expect(offered(ALL, { data: { user: 'x'.repeat(1_000) } }).then[0]?.key).toMatch(/^rate:env:fn:#[0-9a-f]{64}$/));

  it('by idempotency is a rate of one a day, instead of the rate limit', () =>
    expect(offered({ ...ALL, idempotency: 'event.data.user + "!"' }).then[0]).toEqual({
      kind: 'rate',
      key: 'idempotency:env:fn:=u1!',
      value: 'u1!',
      limit: 1,
      periodMs: DAY,
      idempotency: true,
    }));

  it('carries the key of the singleton, to be given back', () => {
    expect(offered(ALL).run.flow).toEqual({ singleton: 'singleton:env:fn:=u1' });
    expect(offered(ALL, {}, { paused: true }).run).not.toHaveProperty('flow');
  });

  it('of a paused function holds no singleton, and ends as a skipped run', () => {
    expect(kinds(ALL, { id: 'own' }, { paused: true })).toEqual(['rate', 'debounce', 'once']);
    expect(offered({}, {}, { paused: true }).skip).toBe('function_paused');
  });

  it('looks into the event only where an expression asks, and parses it once', () => {
    const broken = { payload: 'no json' };
    const event = { ...eventOf('e'), ...broken };
    const ask = { event, runId: 'R', at: AT, paused: false };
    expect(planAdmission({ ...ask, fn: functionOf({ rateLimit: { limit: 1, periodMs: 1 } }) }).kind).toBe('offer');
    let looks = 0;
    const view = {
      get value() {
        looks++;
        return { data: { user: 'seen' } };
      },
    };
    expect(planAdmission({ ...ask, view, fn: functionOf(ALL) })).toMatchObject({
      offer: { then: [{ value: 'seen' }, {}, {}] },
    });
    expect(looks).toBe(3);
  });

  it('carries who invoked it, and the cron it is of', () => {
    const parent = { runId: 'caller', stepId: 's' };
    expect(offered({}, {}, { parent }).run.parents).toEqual([parent]);
    const cron = { kind: 'cron', functionId: FN_ID, scheduledAt: START } as const;
    expect(offered({}, { data: { cron: '* * * * *' } }, { cron }).run.cron).toBe('* * * * *');
  });
});

describe('a key that comes to nothing', () => {
  const FAILS = '{"a": 1}.b.c.d < "x" && [1][5] == 1';

  it('switches the rate limit off where it is false or missing, and says so on the run', () => {
    const { rateLimit } = ALL;
    expect(kinds({ rateLimit }, { data: { user: false } })).toEqual([]);
    expect(notes({ rateLimit }, { data: { user: false } })).toEqual([
      'rateLimit.key is false; it does not apply to this run',
    ]);
    expect(notes({ rateLimit }, { data: {} })).toEqual([
      'rateLimit.key is missing in the event; it does not apply to this run',
    ]);
    expect(kinds({ rateLimit }, { data: {} })).toEqual([]);
  });

  it('switches idempotency off likewise, and no rate limit comes instead', () => {
    const config = { rateLimit: ALL.rateLimit, idempotency: 'event.data.none' };
    expect(kinds(config)).toEqual([]);
    expect(notes(config)).toEqual(['idempotency is missing in the event; it does not apply to this run']);
  });

  it('refuses the event where it fails', () => {
    const rateLimit = { limit: 1, periodMs: 1_000, key: '[1][event.data.n]' };
    const refused = (config: Partial<FunctionConfig>) => planned(config, { data: { n: 5 } });
    expect(refused({ rateLimit })).toMatchObject({ kind: 'refused', control: 'rateLimit.key' });
    expect(refused({ idempotency: '[1][event.data.n]' })).toMatchObject({ kind: 'refused', control: 'idempotency' });
    expect(refused({ batch: { maxSize: 2, timeoutMs: 1_000, key: '[1][event.data.n]' } })).toMatchObject({
      kind: 'refused',
      control: 'batchEvents.key',
      error: expect.any(String) as string,
    });
    expect(refused({ idempotency: 'foo(' })).toMatchObject({ kind: 'refused', control: 'idempotency' });
  });

  it('puts an event into the debounce of all that failed', () => {
    const config = { debounce: { periodMs: 1_000, key: '[1][5]' } };
    expect(offered(config).then).toMatchObject([
      { kind: 'debounce', value: '<invalid>', key: 'debounce:env:fn:=<invalid>' },
    ]);
    expect(notes(config)).toMatchObject([
      expect.stringMatching(/^debounce\.key failed: .+; all such runs share one bucket$/),
    ]);
  });

  it('makes no singleton of it, whether false, missing or failed', () => {
    const singleton = (key: string) => ({ singleton: { key, mode: 'skip' } }) as const;
    for (const key of ['false', 'event.data.none', '[1][5]', 'no CEL (', FAILS]) {
      expect(kinds(singleton(key)), key).toEqual([]);
      expect(notes(singleton(key)), key).toMatchObject([
        expect.stringMatching(/^singleton\.key .+; it does not apply to this run$/),
      ]);
    }
  });

  it('is told with those of the queue', () => {
    const config = { ...ALL, throttle: { limit: 1, periodMs: 1_000, burst: 0, key: 'event.data.none' } };
    expect(notes(config, { data: {} })?.map((note) => note.split(' ')[0])).toEqual([
      'rateLimit.key',
      'debounce.key',
      'singleton.key',
      'throttle.key',
    ]);
  });
});

describe('a batched event', () => {
  it('passes nothing but its batch', () => {
    const plan = planned({ ...BATCHED, rateLimit: { limit: 1, periodMs: 1_000 } }, { id: 'own' });
    expect(plan).toMatchObject({ kind: 'offer', dedupe: 'internal_id' });
    expect(plan.kind === 'offer' && plan.offer.then).toEqual([
      { kind: 'batch', key: 'batch:env:fn:=u1', value: 'u1', maxSize: 4, timeoutMs: 7_000, bytesMax: 10_485_760 },
    ]);
  });

  it('goes its way alone where the condition is false or fails', () => {
    const batch = { maxSize: 2, timeoutMs: 1_000 };
    const rateLimit = { limit: 1, periodMs: 1_000 };
    const way = (condition: string) => kinds({ batch: { ...batch, if: condition }, rateLimit });
    expect(way('event.data.user == "u1"')).toEqual(['batch']);
    expect(way('event.data.user == "u2"')).toEqual(['rate']);
    expect(way('event.data.none')).toEqual(['rate']);
    expect(way('event.data.user')).toEqual(['rate']);
    expect(notes({ batch: { ...batch, if: 'event.data.user' } })).toMatchObject([
      expect.stringMatching(/^batchEvents\.if failed: .+; the event runs on its own$/),
    ]);
    expect(planned({ batch: { ...batch, if: 'false' } }, { id: 'own' })).toMatchObject({ dedupe: 'event_id' });
  });

  it('is none that a cron made', () => {
    const internal = { kind: 'cron', functionId: 'other', scheduledAt: START } as const;
    expect(kinds(BATCHED, { internal })).toEqual([]);
  });

  it('shares a batch with those whose key is missing, and its run says so', () => {
    expect(offered(BATCHED, { data: {} }).then).toMatchObject([{ kind: 'batch', value: 'false' }]);
    expect(notes(BATCHED, { data: {} })).toEqual([
      'batchEvents.key is missing in the event; all such events share one batch',
    ]);
  });
});

describe('what fires', () => {
  function windowOf(config: Partial<FunctionConfig>, parts: EventParts) {
    const control = new Control(DEBOUNCE.key);
    const event = eventOf('internal', { data: { user: 'u1' }, ...parts });
    const plan = planAdmission({ fn: functionOf(config), event, runId: 'R', at: AT, paused: false });
    if (plan.kind !== 'offer') throw new Error('refused');
    control.offer(DEBOUNCE, event, 0, { run: plan.offer.run });
    return (control.state as AdmissionOf<'debounce'>).window ?? expect.fail('no window');
  }

  it('after a debounce goes through its id and the singleton, as configured now', () => {
    const window = windowOf(ALL, { id: 'own', ts: START - 5 });
    const offer = planAfterDebounce({ fn: functionOf(ALL), window, at: AT, paused: false });
    expect(offer.then.map(({ kind }) => kind)).toEqual(['once', 'singleton']);
    expect(offer.run).toMatchObject({
      runId: derivedUlid(AT, FN_ID, 'internal'),
      at: AT,
      startAt: START - 5,
      eventIds: ['internal'],
      flow: { singleton: 'singleton:env:fn:=u1' },
    });
    expect(JSON.parse(offer.run.events[0] ?? '')).toMatchObject({ data: { user: 'u1' }, id: 'own' });
    const { debounce } = ALL;
    const now = planAfterDebounce({ fn: functionOf({ debounce }), window, at: AT, paused: false });
    expect(now.then.map(({ kind }) => kind)).toEqual(['once']);
  });

  it('after a debounce waits for an event of the future, and is for who invoked it', () => {
    const future = windowOf(ALL, { ts: START + DAY });
    expect(planAfterDebounce({ fn: functionOf(ALL), window: future, at: AT, paused: false }).run.startAt).toBe(
      START + DAY,
    );
    const parent = { runId: 'caller', stepId: 's' };
    const invoked = windowOf(ALL, { parent });
    expect(planAfterDebounce({ fn: functionOf(ALL), window: invoked, at: AT, paused: false }).run.parents).toEqual([
      parent,
    ]);
  });

  it('after a debounce is of its own cron only', () => {
    const cron = (functionId: string) =>
      windowOf(ALL, { internal: { kind: 'cron', functionId, scheduledAt: START }, data: { cron: '1 * * * *' } });
    const after = (functionId: string) =>
      planAfterDebounce({ fn: functionOf(ALL), window: cron(functionId), at: AT, paused: false }).run.cron;
    expect(after(FN_ID)).toBe('1 * * * *');
    expect(after('other')).toBeUndefined();
  });

  it('after a debounce keeps the notes of the controls that it has passed', () => {
    const config = { ...ALL, debounce: { periodMs: 1_000, key: '[1][5]' } };
    const offer = planAfterDebounce({ fn: functionOf(config), window: windowOf(config, {}), at: AT, paused: false });
    expect(offer.run.flow?.notes).toMatchObject([expect.stringMatching(/^debounce\.key failed/)]);
  });

  it('while the function is paused is skipped', () => {
    const offer = planAfterDebounce({ fn: functionOf(ALL), window: windowOf(ALL, {}), at: AT, paused: true });
    expect(offer).toMatchObject({ skip: 'function_paused', then: [] });
  });

  it('after a batch is the run of all, with the keys of the first', () => {
    const config = { ...BATCHED, throttle: { limit: 1, periodMs: 1_000, burst: 0, key: 'event.data.user' } };
    const control = new Control(BATCH.key);
    control.offer(BATCH, eventOf('a', { data: { user: 'first' } }));
    control.offer(BATCH, eventOf('b', { data: { user: 'second' } }));
    const { buffer } = control.state as AdmissionOf<'batch'>;
    const offer = planAfterBatch({ fn: functionOf(config), buffer: buffer ?? expect.fail(), at: AT, paused: false });
    const batchId = derivedUlid(START, BATCH.key, 'a');
    expect(offer).toMatchObject({
      then: [],
      event: { internalId: 'a', env: ENV },
      run: {
        runId: derivedUlid(AT, FN_ID, batchId),
        flow: { throttle: { expression: 'event.data.user', value: 'first' } },
      },
    });
    const { effects } = control.fire(1, 5_000, offer);
    expect(effects).toMatchObject([
      { key: offer.run.runId, command: { type: 'ScheduleRun', eventIds: ['a', 'b'], batchId, flow: offer.run.flow } },
    ]);
    expect(planAfterBatch({ fn: functionOf(config), buffer: buffer ?? expect.fail(), at: AT, paused: true }).skip).toBe(
      'function_paused',
    );
  });
});
