import { LIMITS } from '../limits.js';
import { invokeRefused } from '../run/run.memos.js';
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

const REFUSED = invokeRefused('an event with this id has started it before');

/** The first run takes the event id for a day; it alone passes, however often. Contract 7.1. */
export function offerOnce(
  state: AdmissionOf<'once'> | undefined,
  base: Base,
  { value }: StageOf<'once'>,
  { at, env, functionId, offer }: CommandOf<'OfferRun'>,
  position: Position,
): AdmissionDecision {
  const eventId = offer.event.internalId;
  const holder = state && at < state.freeAt ? state : undefined;
  const { runId, freeAt } = holder ?? { runId: offer.run.runId, freeAt: at + LIMITS.idempotencyMs };
  const told = { at, functionId, eventId, key: value, runId };
  const next = { ...base, kind: 'once', runId, freeAt, until: Math.max(freeAt, at + REMEMBERED_MS) } as const;
  if (runId !== offer.run.runId) {
    return {
      transitions: [{ type: 'EventIdRefused', ...told }],
      next,
      effects: tellInvokers(offer.run.parents, { env, at, eventId, fault: REFUSED }),
    };
  }
  return {
    transitions: [{ type: 'EventIdTaken', ...told, until: freeAt }],
    next,
    effects: [passOn(offer, sourceAt(position), at)],
  };
}
