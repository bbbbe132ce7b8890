import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseDuration } from '#core/duration.js';
import type { Wait } from '#core/flow/flow.js';
import type { FunctionConfig, FunctionVersion } from '#core/function/function.config.js';
import type { QueuedItem } from '#ports/work-queue.port.js';
import { viewOfFunction } from './function.view.js';
import { lengthText } from './length.text.js';
import { readPause } from './pause.read.js';
import { viewOfBacklog, viewOfQueued } from './queue.view.js';
import { viewOfWait } from './wait.view.js';

const AT = Date.UTC(2026, 10, 22, 10);
const ISO = '2026-11-22T10:00:00.000Z';

function aFunction(config: Partial<FunctionConfig> = {}, more: Partial<FunctionVersion> = {}): FunctionVersion {
  return {
    id: 'f',
    env: 'e',
    appId: 'a',
    appName: 'shop',
    version: 3,
    config: {
      slug: 'shop-order',
      name: 'Order',
      triggers: [
        { event: 'shop/placed', expression: 'event.data.n > 1' },
        { cron: '0 5 * * *', jitterMs: 90_000 },
      ],
      url: 'http://localhost:3000/api/inngest?fnId=shop-order&stepId=step',
      retries: 4,
      cancelOn: [],
      timeouts: {},
      ...config,
    },
    ...more,
  };
}

describe('a function', () => {
  it('is shown with its triggers', () =>
    expect(viewOfFunction(aFunction())).toEqual({
      id: 'f',
      slug: 'shop-order',
      name: 'Order',
      app_name: 'shop',
      version: 3,
      triggers: [
        { event: 'shop/placed', expression: 'event.data.n > 1' },
        { cron: '0 5 * * *', jitter: '1m30s' },
      ],
      paused: null,
      flow_control: {},
    }));

  it('says since when it is paused', () =>
    expect(viewOfFunction(aFunction({}, { paused: { at: AT, running: 'cancel' } })).paused).toEqual({
      at: ISO,
      running: 'cancel',
    }));

  it('says its flow control as apps do', () =>
    expect(
      viewOfFunction(
        aFunction({
          concurrency: { step: [{ limit: 2, key: 'event.data.shop', scope: 'env' }], fn: [{ limit: 1, scope: 'fn' }] },
          throttle: { limit: 1, periodMs: 5_000, burst: 0, key: 'event.data.u' },
          rateLimit: { limit: 3, periodMs: 86_400_000 },
          debounce: { periodMs: 1_000, timeoutMs: 60_000 },
          batch: { maxSize: 10, timeoutMs: 1_500, if: 'event.data.n > 1' },
          singleton: { mode: 'cancel' },
          idempotency: 'event.data.id',
          priority: 'event.data.p',
        }),
      ).flow_control,
    ).toEqual({
      concurrency: { step: [{ limit: 2, key: 'event.data.shop', scope: 'env' }], fn: [{ limit: 1, scope: 'fn' }] },
      throttle: { limit: 1, period: '5s', burst: 0, key: 'event.data.u' },
      rateLimit: { limit: 3, period: '24h' },
      debounce: { period: '1s', timeout: '1m' },
      batchEvents: { maxSize: 10, timeout: '1s500ms', if: 'event.data.n > 1' },
      singleton: { mode: 'cancel' },
      idempotency: 'event.data.id',
      priority: { run: 'event.data.p' },
    }));
});

it('lengths of time are written as they are read', () => {
  fc.assert(fc.property(fc.nat(), (ms) => parseDuration(lengthText(ms), true) === ms));
  expect(lengthText(0)).toBe('0s');
});

describe('what is waited for', () => {
  const slot = {
    cause: 'concurrency',
    scope: 'env',
    expression: 'event.data.shop',
    key: 'acme',
    limit: 2,
    inUse: 2,
    holders: ['R1', 'R2'],
    place: 4,
  } as const satisfies Wait;
  const slotView = {
    cause: 'concurrency',
    scope: 'env',
    expression: 'event.data.shop',
    key: 'acme',
    limit: 2,
    in_use: 2,
    holders: ['R1', 'R2'],
    place: 4,
  };

  it('is shown with the numbers of its cause', () => {
    expect(viewOfWait(slot)).toEqual(slotView);
    const { expression: _, ...whole } = slot;
    expect(viewOfWait({ ...whole, cause: 'run_concurrency', scope: 'fn', key: '' })).toEqual({
      ...slotView,
      cause: 'run_concurrency',
      scope: 'fn',
      expression: null,
      key: '',
    });
    const throttle = { cause: 'throttle', key: '', limit: 1, periodMs: 5_000, burst: 0, until: AT, place: 3 } as const;
    expect(viewOfWait(throttle)).toEqual({
      cause: 'throttle',
      expression: null,
      key: '',
      limit: 1,
      period: '5s',
      burst: 0,
      until: ISO,
      place: 3,
    });
    expect(viewOfWait({ cause: 'paused', place: 1 })).toEqual({ cause: 'paused', place: 1 });
    expect(viewOfWait({ cause: 'turn', place: 12 })).toEqual({ cause: 'turn', place: 12 });
  });

  it('stands with the calls that are under way, due and to come', () => {
    const call = { target: 'step', attempt: 0, dueAt: AT, leased: false } as QueuedItem;
    const view = { step_id: 'step', attempt: 0, at: ISO, wait: null };
    expect(viewOfQueued({ ...call, leased: true }, AT)).toEqual({ ...view, status: 'running' });
    expect(viewOfQueued({ ...call, wait: slot }, AT)).toEqual({ ...view, status: 'queued', wait: slotView });
    expect(viewOfQueued(call, AT - 1)).toEqual({ ...view, status: 'scheduled' });
  });

  it('stands with the lines of a function', () => {
    const keys = [{ limit: 'step', expression: 'event.data.shop', value: 'acme' } as const];
    const counts = { running: 2, ready: 5, later: 1 };
    const lines = [
      { keys, ready: 5, running: 2, wait: slot },
      { keys: [{ limit: 'run' as const, value: '' }], ready: 0, running: 0 },
    ];
    expect(viewOfBacklog({ ...counts, nextAt: AT, lineCount: 7, lines })).toEqual({
      ...counts,
      next_at: ISO,
      line_count: 7,
      lines: [
        { keys, ready: 5, running: 2, wait: slotView },
        { keys: [{ limit: 'run', expression: null, value: '' }], ready: 0, running: 0, wait: null },
      ],
    });
    expect(viewOfBacklog({ running: 0, ready: 0, later: 0, lineCount: 0, lines: [] }).next_at).toBeNull();
  });
});

describe('a pause', () => {
  it('holds the runs under way unless it is told otherwise', () => {
    expect([undefined, {}, { running: 'hold' }].map(readPause)).toEqual(['hold', 'hold', 'hold']);
    expect(readPause({ running: 'cancel' })).toBe('cancel');
  });

  it.each([[null], ['cancel'], [['cancel']]])('is no %j', (body) =>
    expect(() => readPause(body)).toThrow('The body must be an object'),
  );

  it.each([[null], ['stop'], [true], ['HOLD']])('of %j is refused', (running) =>
    expect(() => readPause({ running })).toThrow('running must be "hold" or "cancel"'),
  );
});
