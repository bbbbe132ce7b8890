import { Module, type Provider } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { DEFAULT_ENV } from '#core/words.js';
import { FaultFilter } from '#platform/http.js';
import { Access } from '#ports/access.port.js';
import { Catalog } from '#ports/catalog.port.js';
import { Clock } from '#ports/clock.port.js';
import { HistoryGate } from '#ports/history-gate.port.js';
import { History, NO_ROWS, type DecisionRow } from '#ports/history.port.js';
import { ManualClock } from '#testkit/manual-clock.js';
import { MemoryHistory } from '#testkit/memory-history.js';
import { RunsService } from '../runs/runs.service.js';
import { EventsController } from './events.controller.js';

const AT = Date.UTC(2026, 0, 1);
const history = new MemoryHistory();
const functions: Record<string, object> = { f: { config: { slug: 'shop-charge' } } };
const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

const provided: Provider[] = [
  { provide: History, useValue: history },
  { provide: HistoryGate, useValue: { caughtUp: () => Promise.resolve() } },
  { provide: RunsService, useValue: {} },
  { provide: Catalog, useValue: { function: (id: string) => functions[id] } },
  { provide: Access, useValue: { kind: 'dev', eventKeys: [], signingKeys: [], env: DEFAULT_ENV } },
  { provide: Clock, useValue: new ManualClock(AT) },
];

@Module({ controllers: [EventsController], providers: provided })
class Served {}

let app: NestFastifyApplication;

beforeAll(async () => {
  app = await NestFactory.create<NestFastifyApplication>(Served, new FastifyAdapter(), { logger: false });
  app.useGlobalFilters(new FaultFilter(quiet));
  await app.init();
});
afterAll(() => app.close());

const get = async (url: string) => {
  const reply = await app.inject({ method: 'GET', url });
  return { status: reply.statusCode, body: reply.json<{ data: unknown; code?: string }>() };
};

const decision = (functionId: string, at: number): DecisionRow => ({
  env: DEFAULT_ENV,
  eventId: 'e1',
  functionId,
  key: `rate:${functionId}`,
  topic: 'commands',
  partition: 0,
  offset: at,
  index: 0,
  type: 'RateLimited',
  at,
  runId: '',
  body: JSON.stringify({ type: 'RateLimited', at, functionId, eventId: 'e1', key: 'k', limit: 1, nextAt: at + 1 }),
});

it('GET /v1/events/:internalId/decisions tells what was decided about an event, oldest first', async () => {
  const event = { internalId: 'e1', env: DEFAULT_ENV, id: 'id', name: 'shop/order.placed', ts: AT, receivedAt: AT };
  const row = { ...event, source: 'api', payload: '{}', position: { partition: 0, offset: 0 } };
  await history.append(
    {
      ...NO_ROWS,
      events: [row, { ...row, internalId: 'e2' }],
      decisions: [decision('gone', AT + 2), decision('f', AT + 1)],
    },
    {},
  );

  expect(await get('/v1/events/e1/decisions')).toEqual({
    status: 200,
    body: {
      data: [
        {
          function_id: 'f',
          function_slug: 'shop-charge',
          type: 'RateLimited',
          at: '2026-01-01T00:00:00.001Z',
          event_id: 'e1',
          key: 'k',
          limit: 1,
          next_at: '2026-01-01T00:00:00.002Z',
          position: { topic: 'commands', partition: 0, offset: AT + 1, index: 0 },
        },
        expect.objectContaining({ function_id: 'gone', function_slug: null }),
      ],
      metadata: { fetched_at: '2026-01-01T00:00:00.000Z', cached_until: null },
    },
  });
  expect(await get('/v1/events/e2/decisions')).toMatchObject({ status: 200, body: { data: [] } });
  expect(await get('/v1/events/e3/decisions')).toMatchObject({ status: 404, body: { code: 'event_unknown' } });
});
