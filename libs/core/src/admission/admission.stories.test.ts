import { describe, expect, it } from 'vitest';
import type { Command, Effect } from '../effects.js';
import { derivedUlid } from '../event/event.ids.js';
import type { InvokeParent, StoredEvent } from '../event/event.js';
import { throttleKey } from '../flow/flow.js';
import type { FunctionConfig } from '../function/function.config.js';
import type { ScheduleRun } from '../run/run.commands.js';
import { invokeRefused } from '../run/run.memos.js';
import type { Admission, AdmissionOf } from './admission.js';
import { decideAdmission } from './admission.decide.js';
import { passOn, tellInvokers } from './admission.decision.js';
import { admissionOwed } from './admission.owed.js';
import { planAdmission, planAfterDebounce } from './admission.plan.js';
import {
  BATCH,
  CANCEL,
  Control,
  DEBOUNCE,
  ENV,
  eventOf,
  FN_ID,
  functionOf,
  offerOf,
  offerRun,
  ONCE,
  RATE,
  SKIP,
  START,
  told,
} from './admission.story.js';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const CALLER: InvokeParent = { runId: 'caller', stepId: 'step' };

function commands(effects: readonly Effect[]) {
  return effects.flatMap((effect) => (effect.kind === 'command' ? [effect.command] : []));
}

function runOf(effects: readonly Effect[]): ScheduleRun {
  return commands(effects).find(({ type }) => type === 'ScheduleRun') as ScheduleRun;
}

describe('a rate limit', () => {
  const fresh = () => new Control(RATE.key);
  const received = (id: string, ms: number) => eventOf(id, { receivedAt: START + ms });

  it('charges the first event, which goes on, and drops the second', () => {
    const control = fresh();
    expect(told(control.offer(RATE, received('a', 0)))).toEqual(['RateCharged a next 10000', '> ScheduleRun run-a']);
    expect(told(control.offer(RATE, received('b', 9_999), 9_999))).toEqual(['RateLimited b next 10000']);
    expect(told(control.offer(RATE, received('c', 10_000), 10_000))).toEqual([
      'RateCharged c next 20000',
      '> ScheduleRun run-c',
    ]);
  });

  it('of 10 in 10 s lets 2 of 10 through that come at once', () => {
    const control = fresh();
    const stage = { ...RATE, limit: 10 };
    const decisions = Array.from({ length: 10 }, (_, n) => control.offer(stage, received(`e${n}`, 0)));
    expect(decisions.flatMap(({ transitions }) => transitions.map(({ type }) => type))).toEqual([
      'RateCharged',
      'RateCharged',
      ...Array.from({ length: 8 }, () => 'RateLimited'),
    ]);
  });

  it('counts when an event was received: what came in time is not dropped because the runner is late', () => {
    const control = fresh();
    control.offer(RATE, received('a', 0), HOUR);
    expect(told(control.offer(RATE, received('b', 10_000), HOUR + 1))).toContain('> ScheduleRun run-b');
    expect(told(control.offer(RATE, received('c', 19_999), HOUR + 2))).toEqual(['RateLimited c next 20000']);
  });

  it('goes by the numbers of today', () => {
    const control = fresh();
    control.offer(RATE, received('a', 0));
    expect(told(control.offer({ ...RATE, limit: 20 }, received('b', 9_000), 9_000))).toContain('> ScheduleRun run-b');
  });

  it('says so at once to the step that invoked what is over it', () => {
    const control = fresh();
    control.offer(RATE, received('a', 0));
    const { effects } = control.offer(RATE, eventOf('b', { parent: CALLER }), 5);
    expect(commands(effects)).toEqual([
      {
        type: 'ResumeStep',
        runId: 'caller',
        stepId: 'step',
        env: ENV,
        at: START + 5,
        eventId: 'b',
        result: {
          fault: {
            name: 'Error',
            message: 'invoked function is rate limited',
            json: '{"data":null,"message":"invoked function is rate limited","name":"Error"}',
          },
        },
      },
    ]);
  });

  it('is charged once by an event that is offered again, and lets nothing pass twice', () => {
    const control = fresh();
    const source = { topic: 'events', partition: 2, offset: 40 } as const;
    const first = offerRun(RATE, offerOf(received('a', 0)), START, source);
    expect(told(control.take(first))).toContain('> ScheduleRun run-a');
    const { state } = control;
    expect(told(control.take(first))).toEqual(['offer_taken']);
    expect(told(control.take({ ...first, at: START + MINUTE }))).toEqual(['offer_taken']);
    expect(control.state).toBe(state);
  });

  it('knows origins apart by topic and partition, and each by its own offsets', () => {
    const control = fresh();
    const take = (id: string, topic: 'events' | 'commands', partition: number, offset: number) =>
      told(control.take(offerRun(RATE, offerOf(received(id, 0)), START, { topic, partition, offset })))[0];
    expect(take('a', 'events', 2, 40)).toMatch('RateCharged');
    expect(take('b', 'events', 3, 7)).toMatch('RateLimited');
    expect(take('c', 'commands', 2, 7)).toMatch('RateLimited');
    expect(take('d', 'events', 2, 39)).toBe('offer_taken');
    expect(take('e', 'events', 3, 8)).toMatch('RateLimited');
    expect(control.state?.taken).toEqual({ e2: 40, e3: 8, c2: 7 });
  });

  it('is remembered for half an hour behind the last offer and behind its time, whichever is later', () => {
    const control = fresh();
    control.offer(RATE, received('a', 0));
    expect(control.state?.until).toBe(START + 10 * SECOND + 30 * MINUTE);
    control.offer(RATE, received('b', 0), MINUTE);
    expect(control.state?.until).toBe(START + 31 * MINUTE);
    expect(told(control.forget(31 * MINUTE - 1))).toEqual(['still_needed']);
    expect(told(control.forget(31 * MINUTE))).toEqual(['AdmissionForgotten']);
    expect(control.state).toBeUndefined();
    expect(told(control.forget(32 * MINUTE))).toEqual(['nothing_remembered']);
  });

  it('passes an event on to the stages behind it, with its own place as the source', () => {
    const control = fresh();
    control.offset = 12;
    const { effects } = control.offer(RATE, received('a', 0), 3, { then: [DEBOUNCE, ONCE] });
    const offer = offerOf(received('a', 0), { then: [ONCE] });
    const source = { topic: 'commands', partition: 7, offset: 12 };
    expect(effects).toEqual([
      {
        kind: 'command',
        key: DEBOUNCE.key,
        command: {
          type: 'OfferRun',
          env: ENV,
          functionId: FN_ID,
          key: DEBOUNCE.key,
          at: START + 3,
          stage: DEBOUNCE,
          offer,
          source,
        },
      },
    ]);
  });

  it('that stands for idempotency says so', () => {
    const control = fresh();
    const { transitions } = control.offer({ ...RATE, idempotency: true }, received('a', 0));
    expect(transitions).toMatchObject([
      { type: 'RateCharged', idempotency: true, key: 'k', limit: 1, periodMs: 10_000 },
    ]);
  });
});

describe('the end of the way', () => {
  it('is the run, or one that is skipped where the function is paused, and says which record made it', () => {
    const source = { topic: 'events', partition: 0, offset: 0 } as const;
    const offer = offerOf(eventOf('a'));
    expect(passOn(offer, source, START)).toEqual({ kind: 'command', key: 'run-a', command: { ...offer.run, source } });
    expect(passOn({ ...offer, skip: 'function_paused' }, source, START)).toEqual({
      kind: 'command',
      key: 'run-a',
      command: { ...offer.run, source, type: 'SkipRun', reason: 'function_paused' },
    });
  });

  it('tells all that invoked', () => {
    const fault = invokeRefused('why');
    const effects = tellInvokers([CALLER, { ...CALLER, stepId: 'other' }], { env: ENV, at: 1, eventId: 'e', fault });
    expect(commands(effects)).toMatchObject([
      { stepId: 'step', result: { fault } },
      { stepId: 'other', result: { fault } },
    ]);
  });
});

describe('a debounce', () => {
  const fresh = () => new Control(DEBOUNCE.key);
  const dated = (id: string, ms: number) => eventOf(id, { ts: START + ms });
  const fired = (id: string) => offerOf(eventOf(id), { then: [ONCE] });

  it('waits a period behind the last event, which alone goes on', () => {
    const control = fresh();
    expect(told(control.offer(DEBOUNCE, dated('a', 0), 0))).toEqual(['DebounceOpened a due 2000']);
    expect(told(control.offer(DEBOUNCE, dated('b', 1), 1_500))).toEqual(['DebounceMoved b for a due 3500']);
    expect(told(control.fire(2, 3_499, fired('b')))).toEqual(['timer_early']);
    expect(told(control.fire(2, 3_500, fired('b')))).toEqual(['DebounceFired b over 1', `> OfferRun ${ONCE.key}`]);
    expect(admissionOwed(control.state)).toEqual([]);
  });

  it('is not changed by an older event, which is told so', () => {
    const control = fresh();
    control.offer(DEBOUNCE, dated('a', 5), 0);
    expect(told(control.offer(DEBOUNCE, dated('b', 4), 1_000))).toEqual(['DebounceOutdated b by a']);
    expect(told(control.fire(1, 2_000, fired('a')))).toEqual(['DebounceFired a over 1', `> OfferRun ${ONCE.key}`]);
  });

  it('takes an equally old one for a later', () => {
    const control = fresh();
    control.offer(DEBOUNCE, dated('a', 5), 0);
    expect(told(control.offer(DEBOUNCE, dated('b', 5), 0))).toEqual(['DebounceMoved b for a due 2000']);
  });

  it('never waits longer than its timeout behind the first event', () => {
    const control = fresh();
    const stage = { ...DEBOUNCE, timeoutMs: 4_000 };
    const due = [0, 1_000, 2_500, 3_900].map((ms) => told(control.offer(stage, dated(`e${ms}`, ms), ms))[0]);
    expect(due).toEqual([
      'DebounceOpened e0 due 2000',
      'DebounceMoved e1000 for e0 due 3000',
      'DebounceMoved e2500 for e1000 due 4000',
      'DebounceMoved e3900 for e2500 due 4000',
    ]);
    expect(told(control.fire(4, 4_000, fired('e3900')))[0]).toBe('DebounceFired e3900 over 3');
    expect(told(control.offer(stage, dated('next', 4_001), 4_001))).toEqual(['DebounceOpened next due 6001']);
  });

  it('has a timeout that also goes before the period of the first', () => {
    const control = fresh();
    expect(told(control.offer({ ...DEBOUNCE, timeoutMs: 1_000 }, dated('a', 0), 0))).toEqual([
      'DebounceOpened a due 1000',
    ]);
  });

  it('does not fire by a firing that did not see the last event; the one that did is another thing that is owed', () => {
    const control = fresh();
    const stage = { ...DEBOUNCE, timeoutMs: 1_000 };
    control.offer(stage, dated('a', 0), 0);
    const before = admissionOwed(control.state);
    control.offer(stage, dated('b', 1), 999);
    const after = admissionOwed(control.state);
    expect(before).toEqual([{ kind: 'admission', id: 'debounce:k@1', key: 'debounce:k', turn: 1, at: START + 1_000 }]);
    expect(after).toEqual([{ kind: 'admission', id: 'debounce:k@2', key: 'debounce:k', turn: 2, at: START + 1_000 }]);
    expect(told(control.fire(1, 1_000, fired('a')))).toEqual(['turn_unknown']);
    expect(told(control.fire(2, 1_001, fired('b')))[0]).toBe('DebounceFired b over 1');
  });

  it('fires once', () => {
    const control = fresh();
    control.offer(DEBOUNCE, dated('a', 0), 0);
    control.fire(1, 2_000, fired('a'));
    expect(told(control.fire(1, 2_001, fired('a')))).toEqual(['turn_unknown']);
    expect(told(control.offer(DEBOUNCE, dated('b', -9), 2_002))).toEqual(['DebounceOpened b due 4002']);
    expect(told(control.fire(1, 9_000, fired('b')))).toEqual(['turn_unknown']);
    expect(told(fresh().fire(0, 2_000, fired('a')))).toEqual(['turn_unknown']);
  });

  it('tells the steps whose invoke was taken the place of, and those that came too late', () => {
    const control = fresh();
    const parent = (stepId: string) => ({ parent: { runId: 'caller', stepId } });
    control.offer(DEBOUNCE, eventOf('a', parent('a')), 0);
    const moved = control.offer(DEBOUNCE, eventOf('b', parent('b')), 1);
    const outdated = control.offer(DEBOUNCE, eventOf('c', { ts: START - 1, ...parent('c') }), 2);
    const fault = invokeRefused('a later event took its place');
    expect(fault.message).toBe('The invoked function did not run: a later event took its place');
    expect(commands(moved.effects)).toMatchObject([
      { type: 'ResumeStep', stepId: 'a', eventId: 'a', result: { fault } },
    ]);
    expect(commands(outdated.effects)).toMatchObject([
      { type: 'ResumeStep', stepId: 'c', eventId: 'c', result: { fault } },
    ]);
  });

  it('of a function that is gone drops its event, and says so to who invoked it', () => {
    const control = fresh();
    control.offer(DEBOUNCE, eventOf('a', { parent: CALLER }), 0);
    const decision = control.fire(1, 2_000);
    expect(told(decision)).toEqual(['DebounceDropped a', '> ResumeStep caller']);
    expect(control.state).toMatchObject({ turn: 1, until: START + 2_000 + 30 * MINUTE });
    expect(control.state).not.toHaveProperty('window');
  });

  it('is remembered as long as an event waits, and half an hour more', () => {
    const control = fresh();
    control.offer(DEBOUNCE, dated('a', 0), 0);
    expect(told(control.forget(365 * DAY))).toEqual(['still_needed']);
    control.fire(1, 2_000, fired('a'));
    expect(told(control.forget(2_000 + 30 * MINUTE - 1))).toEqual(['still_needed']);
    expect(told(control.forget(2_000 + 30 * MINUTE))).toEqual(['AdmissionForgotten']);
  });
});

describe('a batch', () => {
  const fresh = () => new Control(BATCH.key);
  const batchId = derivedUlid(START, BATCH.key, 'a');

  it('closes with its last event: one run with all of them, as they came', () => {
    const control = fresh();
    expect(told(control.offer(BATCH, eventOf('a', { data: 1 }), 0))).toEqual(['BatchOpened a as 1 due 5000']);
    expect(told(control.offer(BATCH, eventOf('b', { data: 2 }), 4_000))).toEqual(['BatchJoined b as 2 due 5000']);
    const decision = control.offer(BATCH, eventOf('c', { data: 3 }), 4_500);
    const runId = derivedUlid(START + 4_500, FN_ID, batchId);
    expect(told(decision)).toEqual([
      'BatchJoined c as 3 due 5000',
      'BatchFired a of 3 by size',
      `> ScheduleRun ${runId}`,
    ]);
    const run = runOf(decision.effects);
    expect(run).toMatchObject({ runId, batchId, at: START + 4_500, startAt: START + 4_500, eventIds: ['a', 'b', 'c'] });
    expect(run.events.map((text) => (JSON.parse(text) as { data: number }).data)).toEqual([1, 2, 3]);
    expect(control.state).toEqual({
      kind: 'batch',
      env: ENV,
      functionId: FN_ID,
      key: BATCH.key,
      turn: 1,
      taken: { e0: 2 },
      until: START + 4_500 + 30 * MINUTE,
    });
    expect(told(control.offer(BATCH, eventOf('d'), 4_501))).toEqual(['BatchOpened d as 1 due 9501']);
  });

  it('has the configuration of its last event and the keys of its first', () => {
    const control = fresh();
    const first = { throttle: { value: 'first' }, notes: ['of the first'] };
    control.offer({ ...BATCH, maxSize: 2 }, eventOf('a', { name: 'shop/first' }), 0, {
      run: { flow: first, functionVersion: 3 },
    });
    const { effects } = control.offer({ ...BATCH, maxSize: 2 }, eventOf('b'), 1, {
      run: {
        flow: { throttle: { value: 'second' } },
        functionVersion: 4,
        startTimeoutMs: 5,
        cancelOn: [{ event: 'x', since: 0, until: 1 }],
      },
    });
    const run = runOf(effects);
    expect(run).toMatchObject({ flow: first, functionVersion: 4, eventName: 'shop/first', cancelOn: [] });
    expect(run).not.toHaveProperty('startTimeoutMs');
  });

  it('has no keys where its first event had none', () => {
    const control = fresh();
    control.offer({ ...BATCH, maxSize: 2 }, eventOf('a'), 0);
    const { effects } = control.offer({ ...BATCH, maxSize: 2 }, eventOf('b'), 1, { run: { flow: { priority: 9 } } });
    expect(runOf(effects)).not.toHaveProperty('flow');
  });

  it('closes when its time is over, by what is configured then', () => {
    const control = fresh();
    control.offer(BATCH, eventOf('a', { parent: CALLER }), 0);
    control.offer(BATCH, eventOf('b', { parent: { ...CALLER, stepId: 'b' } }), 1_000);
    const offer = offerOf(eventOf('a'), { run: { runId: 'planned', functionVersion: 9, flow: { priority: 1 } } });
    expect(told(control.fire(1, 4_999, offer))).toEqual(['timer_early']);
    const decision = control.fire(1, 5_000, offer);
    expect(told(decision)).toEqual(['BatchFired a of 2 by timeout', '> ScheduleRun planned']);
    expect(runOf(decision.effects)).toMatchObject({
      batchId,
      functionVersion: 9,
      flow: { priority: 1 },
      eventIds: ['a', 'b'],
      parents: [CALLER, { ...CALLER, stepId: 'b' }],
      startAt: START + 5_000,
    });
    expect(told(control.fire(1, 5_001, offer))).toEqual(['turn_unknown']);
  });

  it('is due all the same when an event has joined since', () => {
    const control = fresh();
    control.offer(BATCH, eventOf('a'), 0);
    const owed = admissionOwed(control.state);
    control.offer(BATCH, eventOf('b'), 4_999);
    expect(admissionOwed(control.state)).toEqual(owed);
    expect(told(control.fire(1, 5_000, offerOf(eventOf('a'))))[0]).toBe('BatchFired a of 2 by timeout');
  });

  it('closes when it is heavy enough, with the event that makes it so', () => {
    const control = fresh();
    const heavy = (id: string) => eventOf(id, { data: 'é'.repeat(500) });
    const bytes = Buffer.byteLength(heavy('a').payload);
    const stage = { ...BATCH, maxSize: 100, bytesMax: 2 * bytes };
    control.offer(stage, heavy('a'), 0);
    const decision = control.offer(stage, heavy('b'), 1);
    expect(decision.transitions).toMatchObject([
      { type: 'BatchJoined', bytes: 2 * bytes },
      { by: 'bytes', size: 2 },
    ]);
    control.offer({ ...stage, bytesMax: 2 * bytes + 1 }, heavy('c'), 2);
    expect(told(control.offer({ ...stage, bytesMax: 2 * bytes + 1 }, heavy('d'), 3))).toEqual([
      'BatchJoined d as 2 due 5002',
    ]);
  });

  it('may be one event that is heavy enough alone', () => {
    const control = fresh();
    expect(told(control.offer({ ...BATCH, bytesMax: 10 }, eventOf('a'), 0)).slice(0, 2)).toEqual([
      'BatchOpened a as 1 due 5000',
      'BatchFired a of 1 by bytes',
    ]);
  });

  it('of a paused function becomes a skipped run', () => {
    const control = fresh();
    control.offer({ ...BATCH, maxSize: 2 }, eventOf('a'), 0);
    const { effects } = control.offer({ ...BATCH, maxSize: 2 }, eventOf('b'), 0, { skip: 'function_paused' });
    expect(commands(effects)).toMatchObject([
      { type: 'SkipRun', reason: 'function_paused', eventIds: ['a', 'b'], batchId },
    ]);
  });

  it('of a function that is gone is dropped, and who invoked it is told', () => {
    const control = fresh();
    control.offer(BATCH, eventOf('a', { parent: CALLER }), 0);
    control.offer(BATCH, eventOf('b'), 0);
    const decision = control.fire(1, 5_000);
    expect(decision.transitions).toMatchObject([{ type: 'BatchDropped', batchId, size: 2, reason: 'function_gone' }]);
    expect(commands(decision.effects)).toMatchObject([{ type: 'ResumeStep', runId: 'caller', eventId: 'a' }]);
  });

  it('takes an event in no more time when it is large', () => {
    const control = fresh();
    const stage = { ...BATCH, maxSize: 1e9 };
    for (let n = 0; n < 20_000; n++) control.offer(stage, eventOf(`e${n}`), 0);
    const { buffer } = control.state as AdmissionOf<'batch'>;
    expect(buffer?.size).toBe(20_000);
    const lengths = buffer?.chunks.map(({ length }) => length) ?? [];
    expect(lengths).toEqual([16_384, 2_048, 1_024, 512, 32]); // The digits of 20,000.
    expect(buffer?.chunks.flat().map(({ internalId }) => internalId)).toEqual(
      Array.from({ length: 20_000 }, (_, n) => `e${n}`),
    );
  });
});

describe('an event id', () => {
  const fresh = () => new Control(ONCE.key);
  const runs = (runId: string) => ({ run: { runId } });

  it('starts one run, whatever else comes with it', () => {
    const control = fresh();
    expect(told(control.offer(ONCE, eventOf('a'), 0, runs('A')))).toEqual([
      `EventIdTaken A until ${DAY}`,
      '> ScheduleRun A',
    ]);
    const refused = control.offer(ONCE, eventOf('b', { parent: CALLER }), DAY - 1, runs('B'));
    expect(told(refused)).toEqual(['EventIdRefused b', '> ResumeStep caller']);
    expect(commands(refused.effects)).toMatchObject([
      { result: { fault: invokeRefused('an event with this id has started it before') } },
    ]);
    expect(refused.transitions).toMatchObject([{ runId: 'A', key: 'k' }]);
  });

  it('passes the same run again', () => {
    const control = fresh();
    control.offer(ONCE, eventOf('a'), 0, runs('A'));
    expect(told(control.offer(ONCE, eventOf('a'), 5, runs('A')))).toEqual([
      `EventIdTaken A until ${DAY}`,
      '> ScheduleRun A',
    ]);
  });

  it('may start another a day later, however often it came meanwhile', () => {
    const control = fresh();
    control.offer(ONCE, eventOf('a'), 0, runs('A'));
    for (let ms = HOUR; ms < DAY; ms += 20 * MINUTE) control.offer(ONCE, eventOf(`b${ms}`), ms, runs(`B${ms}`));
    expect(told(control.offer(ONCE, eventOf('c'), DAY, runs('C')))).toEqual([
      `EventIdTaken C until ${2 * DAY}`,
      '> ScheduleRun C',
    ]);
  });

  it('is remembered for the day, and half an hour behind the last offer', () => {
    const control = fresh();
    control.offer(ONCE, eventOf('a'), 0, runs('A'));
    expect(control.state?.until).toBe(START + DAY);
    control.offer(ONCE, eventOf('b'), DAY - MINUTE, runs('B'));
    expect(told(control.forget(DAY + 29 * MINUTE - 1))).toEqual(['still_needed']);
    expect(told(control.forget(DAY + 29 * MINUTE))).toEqual(['AdmissionForgotten']);
  });
});

describe('a singleton', () => {
  const fresh = () => new Control(SKIP.key);
  const keyed = (id: string) => ({ run: { runId: id, flow: { priority: 3, singleton: SKIP.key } } });

  it('is held from the moment a run is scheduled; another is skipped, and says by whom', () => {
    const control = fresh();
    expect(told(control.offer(SKIP, eventOf('a'), 0, keyed('A')))).toEqual(['SingletonTaken A', '> ScheduleRun A']);
    const decision = control.offer(SKIP, eventOf('b', { parent: CALLER }), DAY, keyed('B'));
    expect(told(decision)).toEqual(['SingletonSkipped B for A', '> SkipRun B']);
    const [skip] = commands(decision.effects);
    expect(skip).toMatchObject({ type: 'SkipRun', reason: 'singleton', blockedBy: 'A', parents: [CALLER] });
    expect(skip).toHaveProperty('flow', { priority: 3 });
    expect(told(control.forget(365 * DAY))).toEqual(['still_needed']);
  });

  it('is free again when its holder gives it back, and nobody else can', () => {
    const control = fresh();
    control.offer(SKIP, eventOf('a'), 0, keyed('A'));
    expect(told(control.release('B', 1))).toEqual(['not_holder']);
    expect(told(control.release('A', 2))).toEqual(['SingletonReleased A']);
    expect(told(control.release('A', 3))).toEqual(['not_holder']);
    expect(control.state?.until).toBe(START + 2 + 30 * MINUTE);
    expect(told(control.offer(SKIP, eventOf('c'), 4, keyed('C')))).toEqual(['SingletonTaken C', '> ScheduleRun C']);
    expect(control.state?.until).toBeUndefined();
    expect(told(fresh().release('A'))).toEqual(['not_holder']);
  });

  it('goes over to the new run, for which the other is cancelled first', () => {
    const control = fresh();
    control.offer(CANCEL, eventOf('a'), 0, keyed('A'));
    const decision = control.offer(CANCEL, eventOf('b'), 7, keyed('B'));
    expect(told(decision)).toEqual(['SingletonTaken B from A', '> CancelRun A', '> ScheduleRun B']);
    expect(commands(decision.effects)[0]).toEqual({
      type: 'CancelRun',
      runId: 'A',
      env: ENV,
      at: START + 7,
      by: 'singleton',
      cause: 'B',
    });
    expect(runOf(decision.effects).flow?.singleton).toBe(SKIP.key);
    expect(told(control.release('A', 8))).toEqual(['not_holder']);
  });

  it('passes its holder again', () => {
    const control = fresh();
    control.offer(SKIP, eventOf('a'), 0, keyed('A'));
    expect(told(control.offer(SKIP, eventOf('a'), 1, keyed('A')))).toEqual(['SingletonTaken A', '> ScheduleRun A']);
    expect(told(control.offer(CANCEL, eventOf('a'), 2, keyed('A')))).toEqual(['SingletonTaken A', '> ScheduleRun A']);
  });

  it('keeps nothing of a flow that was only its own', () => {
    const control = fresh();
    control.offer(SKIP, eventOf('a'));
    const { effects } = control.offer(SKIP, eventOf('b'), 1, { run: { flow: { singleton: SKIP.key } } });
    expect(commands(effects)[0]).not.toHaveProperty('flow');
  });
});

describe('a throttle', () => {
  const key = throttleKey(ENV, FN_ID, { value: 'k' });

  it('moves forward only, and is remembered until its time', () => {
    const control = new Control(key);
    expect(told(control.spend('A', 5_000.25))).toEqual(['ThrottleSpent A']);
    expect(told(control.spend('B', 7_000.5, 1))).toEqual(['ThrottleSpent B']);
    expect(told(control.spend('A', 5_000.25, 2))).toEqual(['already_spent']);
    expect(told(control.spend('B', 7_000.5, 3))).toEqual(['already_spent']);
    expect(admissionOwed(control.state)).toEqual([{ kind: 'spent', id: key, at: START + 7_000.5 }]);
    expect(told(control.forget(7_000))).toEqual(['still_needed']);
    expect(told(control.forget(7_001))).toEqual(['AdmissionForgotten']);
  });
});

describe('the whole way', () => {
  const DROPS: Partial<FunctionConfig> = {
    rateLimit: { limit: 10, periodMs: MINUTE },
    debounce: { periodMs: 2 * SECOND, key: 'event.data.user' },
    singleton: { mode: 'skip' },
  };

  /** Every control of a function; what one passes on is taken by the next, and what leaves them is told. */
  function house(config: Partial<FunctionConfig>) {
    const fn = functionOf(config);
    const states = new Map<string, Admission | undefined>();
    const out: string[] = [];
    let offset = 0;
    const post = (key: string, command: Command): void => {
      if (command.type !== 'OfferRun' && command.type !== 'FireAdmission') {
        if ('runId' in command)
          out.push(`${command.type} ${'eventIds' in command ? command.eventIds.join() : command.runId}`);
        return;
      }
      const { next, effects } = decideAdmission(states.get(key), command, { partition: 0, offset: offset++ });
      states.set(key, next);
      for (const effect of effects) if (effect.kind === 'command') post(effect.key, effect.command);
    };
    return {
      out,
      states,
      send: (event: StoredEvent, ms: number): void => {
        const at = START + ms;
        const plan = planAdmission({ fn, event, runId: `run-${event.internalId}`, at, paused: false });
        if (plan.kind !== 'offer') return expect.fail(plan.error);
        const first = passOn(plan.offer, { topic: 'events', partition: 0, offset: offset++ }, at);
        post(first.key, first.command);
      },
      fireAll: (ms: number): void => {
        const at = START + ms;
        for (const [key, state] of states) {
          const [owed] = admissionOwed(state);
          if (state?.kind !== 'debounce' || !state.window || !owed || owed.at > at) continue;
          const offer = planAfterDebounce({ fn, window: state.window, at, paused: false });
          post(key, { type: 'FireAdmission', env: ENV, functionId: FN_ID, key, at, turn: state.turn, offer });
        }
      },
    };
  }

  it('leads from the event to the run, and each control on it says what it has to say', () => {
    const { out, states, send, fireAll } = house(DROPS);
    const of = (id: string, user: string, own: string) =>
      eventOf(id, { id: own, data: { user }, ts: START, receivedAt: START });
    send(of('a', 'u', 'own'), 0);
    send(of('b', 'u', 'other'), 500); // Takes the place of the first, whose id stays free.
    send(of('c', 'u', 'third'), 600); // Three at once are one too many.
    fireAll(2_499);
    expect(out).toEqual([]);
    fireAll(2_500);
    expect(out).toEqual(['ScheduleRun b']);
    const later = (event: StoredEvent, ms: number) => send({ ...event, receivedAt: START + ms }, ms);
    later(of('d', 'u', 'other'), 10_000); // The id has started a run.
    fireAll(20_000);
    later(of('e', 'v', 'own'), 30_000); // The singleton has its holder.
    fireAll(40_000);
    expect(out).toEqual(['ScheduleRun b', 'SkipRun e']);
    expect([...states.keys()]).toEqual([
      'rate:env:fn:=',
      'debounce:env:fn:=u',
      'once:env:fn:=other',
      'singleton:env:fn:=',
      'debounce:env:fn:=v',
      'once:env:fn:=own',
    ]);
  });
});

describe('what is broken', () => {
  it('a state of another control is no state', () => {
    const control = new Control(RATE.key);
    control.offer(RATE, eventOf('a'));
    expect(() => control.offer(ONCE, eventOf('b'))).toThrow('rate:k is a rate, not a once');
  });

  it('a firing finds nothing to fire where there is none', () => {
    const control = new Control(RATE.key);
    control.offer(RATE, eventOf('a'));
    expect(told(control.fire(1, DAY))).toEqual(['turn_unknown']);
  });

  it('says the same from what was written and read', () => {
    const control = new Control(BATCH.key);
    control.offer(BATCH, eventOf('a', { parent: CALLER }), 0);
    const command = offerRun(BATCH, offerOf(eventOf('b')), START + 1, { topic: 'events', partition: 0, offset: 9 });
    const again = JSON.parse(JSON.stringify({ state: control.state, command })) as {
      state: typeof control.state;
      command: typeof command;
    };
    const position = { partition: 0, offset: 1 };
    expect(decideAdmission(again.state, again.command, position)).toEqual(
      decideAdmission(control.state, command, position),
    );
  });
});
