import { gcra, rateLimitRate } from '../flow/gcra.js';
import { fault } from '../run/run.faults.js';
import type { Position } from '../words.js';
import type { AdmissionOf, StageOf } from './admission.js';
import {
  passOn,
  REMEMBERED_MS,
  sourceAt,
  tellInvokers,
  type AdmissionDecision,
  type Base,
  type CommandOf,
} from './admission.decision.js';

/** Contract 9: the caller's step fails with these words. */
const RATE_LIMITED = fault('Error', 'invoked function is rate limited');

/**
 * An event is charged and goes on, or it is over the limit and has no run. Contract 9. It counts when it was received: one that came in
 * time is not dropped because the runner was late. So the bucket stays for some time after its `tat`: for events that are late themselves.
 */
export function offerToRate(
  state: AdmissionOf<'rate'> | undefined,
  base: Base,
  { value, limit, periodMs, idempotency }: StageOf<'rate'>,
  { at, env, functionId, offer }: CommandOf<'OfferRun'>,
  position: Position,
): AdmissionDecision {
  const { internalId: eventId, receivedAt } = offer.event;
  const { allowed, tat, nextAt } = gcra(state?.tat, receivedAt, rateLimitRate({ limit, periodMs }));
  const told = {
    type: allowed ? 'RateCharged' : 'RateLimited',
    at,
    functionId,
    eventId,
    key: value,
    limit,
    periodMs,
    nextAt,
    ...(idempotency === undefined ? {} : { idempotency }),
  } as const;
  return {
    transitions: [told],
    next: { ...base, kind: 'rate', tat, until: Math.max(Math.ceil(tat), at) + REMEMBERED_MS },
    effects: allowed
      ? [passOn(offer, sourceAt(position), at)]
      : tellInvokers(offer.run.parents, { env, at, eventId, fault: RATE_LIMITED }),
  };
}
