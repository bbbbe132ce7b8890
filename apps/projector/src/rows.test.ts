import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { StoredEvent } from '#core/event/event.js';
import { Fault } from '#core/faults.js';
import type { PlacedDecision } from '#core/admission/admission.js';
import type { PlacedTransition, RunTransition } from '#core/run/run.transitions.js';
import { DEFAULT_ENV } from '#core/words.js';
import type { PlacedRecord } from '#ports/event-log.port.js';
import type { RunRow } from '#ports/history.port.js';
import { isOfDecision, rowsOfDecision } from './rows.of-decision.js';
import { rowOfEvent } from './rows.of-event.js';
import { foldRun, isOfRun, rowOfTransition, transitionOf } from './rows.of-transition.js';

const RUN = '01KE000000000000000000000A';
const AT = Date.UTC(2026, 0, 1);

const event: StoredEvent = {
  internalId: '01KE0000000000000000000001',
  env: DEFAULT_ENV,
  id: 'order-1',
  name: 'shop/order.placed',
  ts: AT - 5,
  receivedAt: AT,
  payload: '{"data":{},"id":"order-1","name":"shop/order.placed","ts":1,"user":{}}',
  source: 'api',
};

const record = (over: Partial<PlacedRecord>): PlacedRecord => ({
  topic: 'events',
  key: 'order-1',
  type: 'Event',
  schema: 1,
  env: DEFAULT_ENV,
  at: AT,
  body: event,
  position: { partition: 0, offset: 7 },
  ...over,
});

const scheduled: Extract<RunTransition, { type: 'RunScheduled' }> = {
  type: 'RunScheduled',
  at: AT,
  functionId: 'f',
  functionSlug: 'shop-charge',
  functionVersion: 3,
  appId: 'a',
  appName: 'shop',
  events: [event.payload],
  eventIds: [event.internalId],
  eventName: event.name,
  startAt: AT + 1_000,
  maxAttempts: 5,
  parents: [],
  cancelOn: [],
};
const started: RunTransition = { type: 'RunStarted', at: AT + 2 };
const step: RunTransition = {
  type: 'StepCompleted',
  at: AT + 3,
  stepId: 'abc',
  name: 'charge',
  kind: 'run',
  memo: '{"data":1}',
};
const completed: RunTransition = { type: 'RunCompleted', at: AT + 4, output: '{"ok":true}' };
const failed: RunTransition = {
  type: 'RunFailed',
  at: AT + 4,
  output: '{"message":"no","name":"Error"}',
  fault: { name: 'Error', message: 'no', json: '{}' },
  errorClass: 'user',
};
const cancelled: RunTransition = { type: 'RunCancelled', at: AT + 4, by: 'api' };
const skipped: RunTransition = { type: 'RunSkipped', at: AT, reason: 'singleton', blockedBy: 'holder' };

const placed = (transition: RunTransition, offset: number, index = 0): PlacedTransition => ({
  runId: RUN,
  command: { partition: 0, offset },
  index,
  transition,
});

const fold = (...transitions: PlacedTransition[]): RunRow | undefined =>
  transitions.reduce<RunRow | undefined>((row, one) => foldRun(row, DEFAULT_ENV, one), undefined);

describe('the row of an event', () => {
  it('is the event and its place', () => {
    const { internalId, env, id, name, ts, receivedAt, payload, source } = event;
    const position = { partition: 0, offset: 7 };
    expect(rowOfEvent(record({}))).toEqual({ internalId, env, id, name, ts, receivedAt, payload, source, position });
  });

  it.each([
    undefined,
    null,
    'text',
    {},
    { ...event, payload: 1 },
    { ...event, payload: '{' },
    { ...event, payload: 'null' },
    { ...event, ts: 'now' },
    { ...event, receivedAt: Number.NaN },
  ])('cannot be made of %j', (body) => expect(() => rowOfEvent(record({ body }))).toThrow(Fault));
});

describe('the row of a transition', () => {
  it('names its step, and carries the transition as canonical JSON', () => {
    expect(rowOfTransition(DEFAULT_ENV, 'f', placed(step, 9, 2))).toEqual({
      env: DEFAULT_ENV,
      runId: RUN,
      functionId: 'f',
      partition: 0,
      offset: 9,
      index: 2,
      type: 'StepCompleted',
      at: AT + 3,
      stepId: 'abc',
      stepName: 'charge',
      body: `{"at":${AT + 3},"kind":"run","memo":"{\\"data\\":1}","name":"charge","stepId":"abc","type":"StepCompleted"}`,
    });
  });

  it('names no step where there is none', () => {
    expect(rowOfTransition(DEFAULT_ENV, '', placed(started, 9))).toMatchObject({
      stepId: '',
      stepName: '',
      functionId: '',
    });
  });

  it('is of runs only: signals and crons are on the topic too', () => {
    expect(isOfRun(record({ topic: 'transitions', key: RUN }))).toBe(true);
    expect(isOfRun(record({ topic: 'transitions', key: `signal:${DEFAULT_ENV}:paid` }))).toBe(false);
    expect(isOfRun(record({ topic: 'transitions', key: `cron:${DEFAULT_ENV}:f:0 5 * * *` }))).toBe(false);
  });

  it.each([
    undefined,
    {},
    { ...placed(step, 1), runId: 'another' },
    { ...placed(step, 1), index: -1 },
    { ...placed(step, 1), command: { partition: 0 } },
    { ...placed(step, 1), transition: { at: AT } },
    { ...placed(scheduled, 1), transition: { ...scheduled, eventIds: undefined } },
    { ...placed(scheduled, 1), transition: { ...scheduled, eventIds: [1] } },
    { ...placed(scheduled, 1), transition: { ...scheduled, functionSlug: 7 } },
    { ...placed(scheduled, 1), transition: { ...scheduled, startAt: 'soon' } },
    { ...placed(step, 1), transition: { type: 'RunStarted' } },
  ])('cannot be made of %j', (body) =>
    expect(() => transitionOf(record({ topic: 'transitions', key: RUN, body }))).toThrow(Fault),
  );

  it('of a type that is not known yet is kept all the same', () => {
    const body = { ...placed(step, 1), transition: { type: 'RunPondered', at: AT } };
    expect(transitionOf(record({ topic: 'transitions', key: RUN, body }))).toBe(body);
  });
});

describe('the rows of a decision', () => {
  const KEY = `debounce:${DEFAULT_ENV}:f:=k`;
  const opened: PlacedDecision = {
    runId: KEY,
    command: { partition: 0, offset: 9 },
    index: 1,
    transition: { type: 'DebounceOpened', at: AT, functionId: 'f', eventId: 'e1', key: 'k', dueAt: AT + 9 },
  };
  const of = (body: unknown, key = KEY) => rowsOfDecision(record({ topic: 'transitions', key, body }));
  const telling = (transition: object) => of({ ...opened, transition });

  it('name the event, and carry the transition as canonical JSON', () => {
    expect(of(opened)).toEqual([
      {
        env: DEFAULT_ENV,
        eventId: 'e1',
        functionId: 'f',
        key: KEY,
        topic: 'commands',
        partition: 0,
        offset: 9,
        index: 1,
        type: 'DebounceOpened',
        at: AT,
        runId: '',
        body: `{"at":${AT},"dueAt":${AT + 9},"eventId":"e1","functionId":"f","key":"k","type":"DebounceOpened"}`,
      },
    ]);
  });

  it('are of the intake where it was the event that was decided', () => {
    const transition = {
      type: 'EventRepeated',
      at: AT,
      functionId: 'f',
      eventId: 'e2',
      key: 'id',
      first: 'e1',
    } as const;
    const key = `intake:${DEFAULT_ENV}:f`;
    const body: PlacedDecision = { runId: key, event: { partition: 1, offset: 3 }, index: 0, transition };
    expect(of(body, key)).toMatchObject([{ eventId: 'e2', key, topic: 'events', partition: 1, offset: 3, index: 0 }]);
  });

  it('name the run where there is one', () => {
    expect(telling({ ...opened.transition, type: 'DebounceFired', runId: RUN, superseded: 2 })).toMatchObject([
      { type: 'DebounceFired', eventId: 'e1', runId: RUN },
    ]);
  });

  it('are two where an event took the place of another', () => {
    const rows = telling({ ...opened.transition, type: 'DebounceMoved', eventId: 'e2', superseded: 'e1' });
    expect(rows).toMatchObject([{ eventId: 'e2' }, { eventId: 'e1' }]);
    expect(rows[1]).toEqual({ ...rows[0], eventId: 'e1' });
    expect(telling({ ...opened.transition, type: 'DebounceOutdated', kept: 'e0' })).toMatchObject([{ eventId: 'e1' }]);
  });

  it('are as many as a batch has events, when it closes', () => {
    const closed = { ...opened.transition, type: 'BatchFired', batchId: 'b', runId: RUN, eventIds: ['e1', 'e2', 'e3'] };
    expect(telling(closed).map(({ eventId, runId }) => [eventId, runId])).toEqual([
      ['e1', RUN],
      ['e2', RUN],
      ['e3', RUN],
    ]);
  });

  it('are none where it is about no event', () => {
    for (const type of ['SingletonReleased', 'ThrottleSpent', 'AdmissionForgotten', 'RatePondered'])
      expect(telling({ type, at: AT, functionId: 'f' })).toEqual([]);
  });

  it('are of controls and the intake only', () => {
    const is = (key: string) => isOfDecision(record({ topic: 'transitions', key }));
    for (const control of ['rate', 'idempotency', 'debounce', 'batch', 'once', 'singleton', 'throttle', 'intake'])
      expect(is(`${control}:${DEFAULT_ENV}:f:=k`)).toBe(true);
    for (const other of [RUN, `signal:${DEFAULT_ENV}:paid`, `cron:${DEFAULT_ENV}:f`, 'toString:x', ':rate', 'rate', ''])
      expect(is(other)).toBe(false);
  });

  it.each([
    undefined,
    null,
    'text',
    {},
    { ...opened, runId: 'another' },
    { ...opened, index: undefined },
    { ...opened, command: undefined },
    { ...opened, command: { partition: 0, offset: -1 } },
    { ...opened, transition: null },
    { ...opened, transition: 'text' },
    { ...opened, transition: { ...opened.transition, at: 'now' } },
    { ...opened, transition: { ...opened.transition, type: 1 } },
    { ...opened, transition: { ...opened.transition, functionId: undefined } },
    { ...opened, transition: { ...opened.transition, eventId: 1 } },
    { ...opened, transition: { ...opened.transition, runId: {} } },
    { ...opened, transition: { ...opened.transition, type: 'DebounceMoved' } },
    { ...opened, transition: { ...opened.transition, type: 'BatchFired', eventIds: 'e1' } },
    { ...opened, transition: { ...opened.transition, type: 'BatchFired', eventIds: ['e1', 2] } },
  ])('cannot be made of %j', (body) => expect(() => of(body)).toThrow(Fault));
});

describe('the row of a run', () => {
  const row: RunRow = {
    runId: RUN,
    env: DEFAULT_ENV,
    functionId: 'f',
    functionSlug: 'shop-charge',
    functionVersion: 3,
    appId: 'a',
    appName: 'shop',
    status: 'Scheduled',
    eventName: event.name,
    eventIds: [event.internalId],
    cron: '',
    batchId: '',
    queuedAt: AT,
    startAt: AT + 1_000,
    startedAt: null,
    endedAt: null,
    output: null,
    skipReason: '',
    skippedFor: '',
    version: 10,
  };

  it('begins with RunScheduled', () => {
    expect(fold(placed(scheduled, 10))).toEqual(row);
    expect(fold(placed({ ...scheduled, cron: '0 5 * * *', batchId: 'b' }, 10))).toEqual({
      ...row,
      cron: '0 5 * * *',
      batchId: 'b',
    });
  });

  it('follows the run to its end', () => {
    expect(fold(placed(scheduled, 10), placed(started, 11))).toEqual({
      ...row,
      status: 'Running',
      startedAt: AT + 2,
      version: 11,
    });
    const end = { ...row, startedAt: AT + 2, endedAt: AT + 4, version: 15 };
    const way = [placed(scheduled, 10), placed(started, 11), placed(step, 12)];
    expect(fold(...way, placed(completed, 15))).toEqual({ ...end, status: 'Completed', output: '{"ok":true}' });
    expect(fold(...way, placed(failed, 15))).toEqual({ ...end, status: 'Failed', output: failed.output });
    expect(fold(...way, placed(cancelled, 15))).toEqual({ ...end, status: 'Cancelled' });
  });

  it('of a run that never runs says why', () => {
    const end = { ...row, status: 'Skipped', startedAt: AT, endedAt: AT };
    expect(fold(placed(scheduled, 10), placed(skipped, 10, 1))).toEqual({
      ...end,
      skipReason: 'Singleton',
      skippedFor: 'holder',
    });
    expect(
      fold(placed(scheduled, 10), placed({ type: 'RunSkipped', at: AT, reason: 'function_paused' }, 10, 1)),
    ).toEqual({ ...end, skipReason: 'FunctionPaused' });
  });

  it('keeps a reason that is not known yet', () => {
    const odd = { ...skipped, reason: 'moon_full' } as unknown as RunTransition;
    expect(fold(placed(scheduled, 10), placed(odd, 10, 1))).toMatchObject({ skipReason: 'moon_full' });
  });

  it('does not show keys and priority, which stand in the transition', () => {
    const flow = { priority: 120, singleton: 'singleton:f:=k', notes: ['a key failed'] };
    const told = placed({ ...scheduled, flow, startTimeoutAt: AT + 9 }, 10);
    expect(fold(told)).toEqual(row);
    expect(JSON.parse(rowOfTransition(DEFAULT_ENV, 'f', told).body)).toEqual(told.transition);
  });

  it('is the same row while nothing of it changes', () => {
    const before = fold(placed(scheduled, 10));
    expect(foldRun(before, DEFAULT_ENV, placed(step, 12))).toBe(before);
    expect(foldRun(before, DEFAULT_ENV, placed(scheduled, 10))).toBe(before);
  });

  it('takes two transitions of one command', () => {
    expect(fold(placed(scheduled, 10), placed(started, 11), placed(completed, 11, 4))).toMatchObject({
      status: 'Completed',
      version: 11,
    });
  });

  it('that ended stays as it ended', () => {
    const end = fold(placed(scheduled, 10), placed(cancelled, 12));
    for (const late of [scheduled, skipped, started, completed, failed])
      expect(foldRun(end, DEFAULT_ENV, placed(late, 20))).toBe(end);
  });

  it('is not made up where the beginning is missing', () => {
    expect(fold(placed(started, 11), placed(completed, 12))).toBeUndefined();
  });

  it('ends the same when any stretch of what happened is told again', () => {
    const told = [placed(scheduled, 10), placed(started, 11), placed(step, 12), placed(completed, 12, 1)];
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(3), fc.nat(3))), (again) => {
        const stretches = again.flatMap(([from, until]) => told.slice(from, until + 1));
        expect(fold(...told, ...stretches)).toEqual(fold(...told));
        expect(
          fold(told[0]!, told[1]!, ...stretches.filter(({ command }) => command.offset <= 11), ...told.slice(2)),
        ).toEqual(fold(...told));
      }),
    );
  });
});
