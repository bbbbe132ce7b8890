import { describe, expect, it } from 'vitest';
import type { RunFlow } from '#core/flow/flow.js';
import type { Run } from '#core/run/run.state.js';
import type { Access } from '#ports/access.port.js';
import { NO_ROWS, type RunRow } from '#ports/history.port.js';
import type { Letterbox } from '#ports/letterbox.port.js';
import type { QueuedItem, WorkQueue } from '#ports/work-queue.port.js';
import { ManualClock } from '#testkit/manual-clock.js';
import { MemoryHistory } from '#testkit/memory-history.js';
import { cancelled, ENV, given, scheduled, skipped, START } from '#testkit/run.story.js';
import { RunsService } from './runs.service.js';

const ID = '01KB00000000000000000000R1';
const CALL = { id: 'w1', target: 'step', attempt: 0, dueAt: START, leased: false, wait: { cause: 'paused', place: 2 } };
const CALL_VIEW = {
  step_id: 'step',
  attempt: 0,
  status: 'queued',
  at: new Date(START).toISOString(),
  wait: { cause: 'paused', place: 2 },
};

const ROW: RunRow = {
  runId: ID,
  env: ENV,
  functionId: 'f',
  functionSlug: 'shop-charge',
  functionVersion: 3,
  appId: 'a',
  appName: 'shop',
  status: 'Skipped',
  eventName: 'shop/order.placed',
  eventIds: ['e1'],
  cron: '',
  batchId: '',
  queuedAt: START,
  startAt: START,
  startedAt: START,
  endedAt: START,
  output: null,
  skipReason: '',
  skippedFor: '',
  version: 10,
};

/** The service where one run is known as it stands now. */
function serviceOf(
  run: Run | undefined,
  calls: readonly unknown[] = [CALL],
  history = new MemoryHistory(),
): RunsService {
  return new RunsService(
    { get: () => Promise.resolve(run) },
    history,
    { caughtUp: () => Promise.resolve() },
    {} as Letterbox,
    { ofRun: () => Promise.resolve(calls as readonly QueuedItem[]) } as unknown as WorkQueue,
    new ManualClock(START),
    { env: ENV } as Access,
  );
}

describe('a run that is active', () => {
  it('says what its calls wait for', async () => {
    const { now } = given(scheduled());
    expect(await serviceOf(now).one(ID)).toMatchObject({ status: 'Scheduled', queue: [CALL_VIEW] });
    expect((await serviceOf(now, []).one(ID)).queue).toEqual([]);
    expect(await serviceOf(now).jobs(ID)).toEqual([
      { id: 'w1', run_id: ID, function_id: now.functionId, ...CALL_VIEW },
    ]);
  });

  it('says what of flow control it carries, if anything', async () => {
    const flow: RunFlow = {
      priority: 60,
      step: [{ scope: 'env', expression: 'event.data.shop', value: 'acme', limit: 2 }],
      run: { scope: 'fn', value: '', limit: 1 },
      throttle: { expression: 'event.data.u', value: 'false' },
      notes: ['throttle.key failed: no such key; all such runs share one bucket'],
    };
    expect((await serviceOf(given(scheduled({ flow })).now).one(ID)).flow).toEqual({
      priority: 60,
      keys: [
        { limit: 'step', scope: 'env', expression: 'event.data.shop', value: 'acme' },
        { limit: 'run', scope: 'fn', expression: null, value: '' },
        { limit: 'throttle', scope: 'fn', expression: 'event.data.u', value: 'false' },
      ],
      notes: flow.notes,
    });
    expect(await serviceOf(given(scheduled()).now).one(ID)).not.toHaveProperty('flow');
  });
});

describe('a run that was skipped', () => {
  const HOLDER = '01KE000000000000000000000B';

  it('says why and for which run, in memory still or not', async () => {
    const { now } = given(skipped({ blockedBy: HOLDER }));
    const shown = {
      status: 'Skipped',
      started_at: new Date(START).toISOString(),
      skip_reason: 'Singleton',
      skipped_for: HOLDER,
    };
    expect(await serviceOf(now).one(ID)).toMatchObject(shown);

    const history = new MemoryHistory();
    await history.append({ ...NO_ROWS, runs: [{ ...ROW, skipReason: 'Singleton', skippedFor: HOLDER }] }, {});
    const later = serviceOf(undefined, [], history);
    expect(await later.one(ID)).toMatchObject(shown);
    expect(await later.list({ limit: 10, statuses: ['Skipped'] })).toMatchObject([shown]);
    expect(await later.ofEvent('e1')).toMatchObject([shown]);
  });

  it('because its function is paused names no other run', async () => {
    const { now } = given(skipped({ reason: 'function_paused' }));
    expect(await serviceOf(now).one(ID)).toMatchObject({ skip_reason: 'FunctionPaused', skipped_for: null });
  });

  it('is the only one that says so', async () =>
    expect(await serviceOf(given(scheduled(), cancelled).now).one(ID)).not.toHaveProperty('skip_reason'));
});

it('a run that has ended waits for nothing', async () => {
  expect(await serviceOf(given(scheduled(), cancelled).now).one(ID)).not.toHaveProperty('queue');
  expect(await serviceOf(given(skipped()).now).one(ID)).toMatchObject({ status: 'Skipped' });
});

it('a run that is not there has no jobs', async () => {
  await expect(serviceOf(undefined).jobs(ID)).rejects.toMatchObject({ code: 'run_unknown' });
  await expect(serviceOf(undefined).jobs('x')).rejects.toMatchObject({ code: 'run_id_invalid' });
});
