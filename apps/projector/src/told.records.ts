import type { RunTransition } from '#core/run/run.transitions.js';
import { DEFAULT_ENV, type Position } from '#core/words.js';
import type { LogRecord } from '#ports/event-log.port.js';

/* Records as others append them, for tests of what is made of them. */

export const AT = Date.UTC(2026, 0, 1);
export const idOf = (n: number): string => `01KE${String(n).padStart(22, '0')}`;
/** Of partition 0. */
export const START: Position = { partition: 0, offset: 0 };
export const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

export const event = (n: number): LogRecord => ({
  topic: 'events',
  key: `user-${n}`,
  type: 'Event',
  schema: 1,
  env: DEFAULT_ENV,
  at: AT,
  body: {
    internalId: idOf(n),
    env: DEFAULT_ENV,
    id: `user-${n}`,
    name: 'shop/order.placed',
    ts: AT,
    receivedAt: AT,
    payload: `{"data":{"n":${n}}}`,
    source: 'api',
  },
});

export const transition = (run: number, offset: number, body: RunTransition, index = 0): LogRecord => ({
  topic: 'transitions',
  key: idOf(run),
  type: body.type,
  schema: 1,
  env: DEFAULT_ENV,
  at: body.at,
  body: { runId: idOf(run), command: { partition: 0, offset }, index, transition: body },
});

export const scheduled = (run: number, offset: number): LogRecord =>
  transition(run, offset, {
    type: 'RunScheduled',
    at: AT,
    functionId: 'f',
    functionSlug: 'shop-charge',
    functionVersion: 1,
    appId: 'a',
    appName: 'shop',
    events: ['{}'],
    eventIds: [idOf(run)],
    eventName: 'shop/order.placed',
    startAt: AT,
    maxAttempts: 5,
    parents: [],
    cancelOn: [],
  });
export const started = (run: number, offset: number): LogRecord =>
  transition(run, offset, { type: 'RunStarted', at: AT + 1 });
export const completed = (run: number, offset: number): LogRecord =>
  transition(run, offset, { type: 'RunCompleted', at: AT + 2, output: `${run}` }, 1);
