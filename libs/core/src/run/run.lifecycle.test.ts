import fc from 'fast-check';
import { expect, it } from 'vitest';
import { canonical } from '../json.js';
import {
  deferredSchedule,
  functionCancelled,
  functionFailed,
  functionFinished,
  functionInvoked,
  scheduledTimer,
  type EndedRun,
} from './run.lifecycle.js';

const event = '{"data":{"a":1},"id":"E1","name":"t/x","ts":5,"user":{}}';
const second = '{"data":{},"id":"E2","name":"t/x","ts":6,"user":{}}';
const completed: EndedRun = {
  runId: 'R1',
  functionSlug: 'app-fn',
  endedAt: 1_795_370_534_128,
  events: [event, second],
  end: { status: 'Completed', output: '{"ok":true}' },
};
const failed: EndedRun = {
  ...completed,
  end: {
    status: 'Failed',
    output: '{"__serialized":true,"message":"kaput","name":"TypeError"}',
    fault: { name: 'TypeError', message: 'kaput', json: '{"data":null,"message":"kaput","name":"TypeError"}' },
    errorClass: 'invalid status code: 500',
  },
};

function read(payload: string): unknown {
  const value: unknown = JSON.parse(payload);
  expect(payload).toBe(canonical(value));
  return value;
}

it('tells that a run finished, and to whom it answers', () => {
  expect(read(functionFinished(completed, 'F1', { runId: 'P1', stepId: 'h1' }))).toEqual({
    name: 'inngest/function.finished',
    id: 'F1',
    ts: 1_795_370_534_128,
    user: {},
    data: {
      _inngest: { status: 'Completed' },
      correlation_id: 'P1.h1',
      function_id: 'app-fn',
      run_id: 'R1',
      event: JSON.parse(event) as unknown,
      events: [JSON.parse(event) as unknown, JSON.parse(second) as unknown],
      result: { ok: true },
    },
  });
});

it('tells that a run failed, under the id of the run, with the class of its error', () => {
  const told = {
    id: 'R1',
    name: 'inngest/function.failed',
    data: {
      _inngest: { status: 'Failed' },
      error: { error: 'invalid status code: 500', name: 'TypeError', message: 'kaput', data: null },
      result: { name: 'TypeError', message: 'kaput', __serialized: true },
    },
  };
  expect(read(functionFailed(failed))).toMatchObject(told);
  expect(read(functionFinished(failed, 'F1'))).toMatchObject({ ...told, id: 'F1', name: 'inngest/function.finished' });
});

it('tells that a run was cancelled, without a result, and passes the sessions on', () => {
  const cancelled: EndedRun = { ...completed, end: { status: 'Cancelled' }, meta: '{"sessions":{"user":"1"}}' };
  const told = read(functionCancelled(cancelled)) as { data: object };
  expect(told).toMatchObject({ id: 'R1', name: 'inngest/function.cancelled', meta: { sessions: { user: '1' } } });
  expect(Object.keys(told.data)).toEqual(['_inngest', 'event', 'events', 'function_id', 'run_id']);
});

it('invokes with the payload, and says what for', () => {
  const told = functionInvoked({
    id: 'I1',
    ts: 7,
    functionSlug: 'app-callee',
    payload:
      '{"data":{"_inngest":"mine","Q":1,"q":1},"meta":{"propagated_sessions":{},"sessions":{"k":"v"}},"user":{"u":1},"v":"2"}',
    parent: { runId: 'P1', stepId: 'h1' },
    stepName: 'i1',
    expiresAt: 99,
    source: { appId: 'A', functionId: 'F', functionVersion: 3 },
  });
  expect(read(told)).toEqual({
    name: 'inngest/function.invoked',
    id: 'I1',
    ts: 7,
    user: { u: 1 },
    v: '2',
    meta: { sessions: { k: 'v' } },
    data: {
      Q: 1,
      q: 1,
      _inngest: {
        correlation_id: 'P1.h1',
        expire: 99,
        fn_id: 'app-callee',
        name: 'i1',
        source_app_id: 'A',
        source_fn_id: 'F',
        source_fn_v: 3,
      },
    },
  });
  expect(read(functionInvoked({ id: 'I2', ts: 8, functionSlug: 's', payload: '{"data":{}}' }))).toEqual({
    name: 'inngest/function.invoked',
    id: 'I2',
    ts: 8,
    user: {},
    data: { _inngest: { fn_id: 's' } },
  });
});

it('ticks', () => {
  const scheduledAt = Date.UTC(2026, 10, 22, 17, 14);
  expect(read(scheduledTimer({ cron: 'TZ=Europe/Paris * * * * *', scheduledAt, fireAt: scheduledAt + 1500 }))).toEqual({
    name: 'inngest/scheduled.timer',
    id: '2026-11-22T17:14:00Z',
    ts: scheduledAt + 1500,
    user: {},
    data: {
      cron: 'TZ=Europe/Paris * * * * *',
      scheduledAt: '2026-11-22T17:14:00Z',
      fireAt: '2026-11-22T17:14:01.500Z',
    },
  });
});

it('leaves work for after the end', () => {
  const parent = { runId: 'R1', functionSlug: 'app-fn', functionId: 'F', appId: 'A' };
  expect(read(deferredSchedule({ id: 'D1', ts: 9, functionSlug: 'app-later', input: '{"x":1}', parent }))).toEqual({
    name: 'inngest/deferred.schedule',
    id: 'D1',
    ts: 9,
    user: {},
    data: {
      x: 1,
      _inngest: {
        fn_slug: 'app-later',
        parent_fn_slug: 'app-fn',
        parent_run_id: 'R1',
        parent_fn_id: 'F',
        parent_app_id: 'A',
      },
    },
  });
});

it('is canonical whatever users sent', () => {
  const json = fc.jsonValue({ maxDepth: 3 }).map((value) => canonical(value));
  fc.assert(
    fc.property(fc.array(json, { minLength: 1, maxLength: 3 }), json, fc.string(), (events, output, slug) => {
      const told = functionFinished(
        { ...completed, functionSlug: slug, events, end: { status: 'Completed', output } },
        'F1',
      );
      expect(told).toBe(canonical(JSON.parse(told)));
    }),
  );
});
