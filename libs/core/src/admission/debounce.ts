import type { InvokeParent } from '../event/event.js';
import { invokeRefused } from '../run/run.memos.js';
import type { EpochMs, Position } from '../words.js';
import type { AdmissionOf, AdmissionTransition, DebounceWindow, OfferedEvent, StageOf } from './admission.js';
import {
  baseOf,
  ignore,
  passOn,
  REMEMBERED_MS,
  sourceAt,
  tellInvokers,
  type AdmissionDecision,
  type Base,
  type CommandOf,
} from './admission.decision.js';

const SUPERSEDED = invokeRefused('a later event took its place');
const GONE = invokeRefused('the function is gone');

/** The newest event by `ts` waits, and each one that takes its place moves the time. Contract 10. */
export function offerToDebounce(
  state: AdmissionOf<'debounce'> | undefined,
  base: Base,
  stage: StageOf<'debounce'>,
  { at, env, functionId, offer }: CommandOf<'OfferRun'>,
): AdmissionDecision {
  const { event, run } = offer;
  const { turn = 0, window: kept } = state ?? {};
  const told = { at, functionId, eventId: event.internalId, key: stage.value };
  const superseded = (kept?.superseded ?? -1) + 1;

  if (kept && event.ts < kept.event.ts) {
    return {
      transitions: [{ type: 'DebounceOutdated', ...told, kept: kept.event.internalId }],
      next: { ...base, kind: 'debounce', turn, window: { ...kept, superseded } },
      effects: tellInvokers(run.parents, { env, at, eventId: event.internalId, fault: SUPERSEDED }),
    };
  }
  const openedAt = kept?.openedAt ?? at;
  const dueAt = dueOf(stage, openedAt, at);
  const window: DebounceWindow = {
    event,
    payload: run.events[0] ?? '{}',
    value: stage.value,
    openedAt,
    dueAt,
    superseded,
  };
  const transition: AdmissionTransition = kept
    ? { type: 'DebounceMoved', ...told, dueAt, superseded: kept.event.internalId }
    : { type: 'DebounceOpened', ...told, dueAt };
  return {
    transitions: [transition],
    next: { ...base, kind: 'debounce', turn: turn + 1, window },
    effects: kept
      ? tellInvokers(invokersOf(kept.event), { env, at, eventId: kept.event.internalId, fault: SUPERSEDED })
      : [],
  };
}

/** The time of a debounce is over: its event goes on. */
export function debounceDue(
  state: AdmissionOf<'debounce'>,
  { at, env, functionId, turn, offer }: CommandOf<'FireAdmission'>,
  position: Position,
): AdmissionDecision {
  const { window } = state;
  if (!window || state.turn !== turn) return ignore(state, 'turn_unknown');
  if (at < window.dueAt) return ignore(state, 'timer_early');
  const eventId = window.event.internalId;
  const told = { at, functionId, eventId, key: window.value };
  const next = { ...baseOf(state), kind: 'debounce', turn, until: at + REMEMBERED_MS } as const;
  if (!offer) {
    return {
      transitions: [{ type: 'DebounceDropped', ...told, reason: 'function_gone' }],
      next,
      effects: tellInvokers(invokersOf(window.event), { env, at, eventId, fault: GONE }),
    };
  }
  const { superseded } = window;
  return {
    transitions: [{ type: 'DebounceFired', ...told, runId: offer.run.runId, superseded }],
    next,
    effects: [passOn(offer, sourceAt(position), at)],
  };
}

function dueOf({ periodMs, timeoutMs }: StageOf<'debounce'>, openedAt: EpochMs, at: EpochMs): EpochMs {
  return Math.min(at + periodMs, openedAt + (timeoutMs ?? Number.POSITIVE_INFINITY));
}

function invokersOf({ internal }: OfferedEvent): readonly InvokeParent[] {
  return internal?.kind === 'invoke' && internal.parent ? [internal.parent] : [];
}
