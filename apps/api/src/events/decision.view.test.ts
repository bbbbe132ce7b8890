import { expect, it } from 'vitest';
import type { AdmissionTransition } from '#core/admission/admission.js';
import { DEFAULT_ENV } from '#core/words.js';
import { viewOfDecision } from './decision.view.js';

const AT = Date.UTC(2026, 0, 1);

const view = (transition: AdmissionTransition, slug?: string) => {
  const { type, at, functionId } = transition;
  const where = { topic: 'commands', partition: 0, offset: 9, index: 1 } as const;
  const body = JSON.stringify(transition);
  const row = { env: DEFAULT_ENV, eventId: 'e1', functionId, key: 'rate:f:=k', type, at, runId: '', body };
  return viewOfDecision({ ...row, ...where }, slug);
};
const told = { at: AT, functionId: 'f', eventId: 'e1', key: 'k' };

it('shows a decision with its cause and its numbers', () => {
  expect(
    view({ type: 'RateLimited', ...told, limit: 2, periodMs: 60_000, nextAt: AT + 60_000 }, 'shop-charge'),
  ).toEqual({
    function_id: 'f',
    function_slug: 'shop-charge',
    type: 'RateLimited',
    at: '2026-01-01T00:00:00.000Z',
    event_id: 'e1',
    key: 'k',
    limit: 2,
    period_ms: 60_000,
    next_at: '2026-01-01T00:01:00.000Z',
    position: { topic: 'commands', partition: 0, offset: 9, index: 1 },
  });
});

it('shows one of a function that is gone, which names a run and an end', () => {
  expect(view({ type: 'EventIdTaken', ...told, runId: 'r1', until: AT + 1 })).toMatchObject({
    function_slug: null,
    run_id: 'r1',
    until: '2026-01-01T00:00:00.001Z',
  });
});

it('leaves a number as it is that is no instant, whatever it is called', () => {
  const odd = { type: 'RateCharged', ...told, nextAt: 1e300, until: null, format: 3, at_most: 4, threat: 5 };
  expect(view(odd as unknown as AdmissionTransition)).toMatchObject({
    next_at: 1e300,
    until: null,
    format: 3,
    at_most: 4,
    threat: 5,
  });
});
