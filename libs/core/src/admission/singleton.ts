import type { Effect } from '../effects.js';
import type { ScheduleRun, SkipRun } from '../run/run.commands.js';
import type { Position } from '../words.js';
import type { AdmissionOf, StageOf } from './admission.js';
import {
  baseOf,
  ignore,
  passOn,
  REMEMBERED_MS,
  sourceAt,
  type AdmissionDecision,
  type Base,
  type CommandOf,
} from './admission.decision.js';

/** One run at a time: while there is one, another is skipped, or cancels it and takes its place. Contract 12. */
export function offerToSingleton(
  state: AdmissionOf<'singleton'> | undefined,
  base: Base,
  { value, mode }: StageOf<'singleton'>,
  { at, env, functionId, offer }: CommandOf<'OfferRun'>,
  position: Position,
): AdmissionDecision {
  const { runId } = offer.run;
  const other = state?.holder === runId ? undefined : state?.holder;
  const told = { at, functionId, eventId: offer.event.internalId, key: value, runId };
  if (other !== undefined && mode === 'skip') {
    return {
      transitions: [{ type: 'SingletonSkipped', ...told, holder: other }],
      next: { ...base, kind: 'singleton', holder: other },
      effects: [{ kind: 'command', key: runId, command: skipped({ ...offer.run, source: sourceAt(position) }, other) }],
    };
  }
  const cancel: readonly Effect[] =
    other === undefined
      ? []
      : [
          {
            kind: 'command',
            key: other,
            command: { type: 'CancelRun', runId: other, env, at, by: 'singleton', cause: runId },
          },
        ];
  return {
    transitions: [{ type: 'SingletonTaken', ...told, ...(other === undefined ? {} : { from: other }) }],
    next: { ...base, kind: 'singleton', holder: runId },
    effects: [...cancel, passOn(offer, sourceAt(position), at)],
  };
}

/** The run that holds it has ended. */
export function releaseSingleton(
  state: AdmissionOf<'singleton'> | undefined,
  { at, functionId, runId }: CommandOf<'ReleaseSingleton'>,
): AdmissionDecision {
  if (state?.holder !== runId) return ignore(state, 'not_holder');
  return {
    transitions: [{ type: 'SingletonReleased', at, functionId, runId }],
    next: { ...baseOf(state), kind: 'singleton', until: at + REMEMBERED_MS },
    effects: [],
  };
}

/** It has nothing to give back. */
function skipped({ flow, ...run }: ScheduleRun, blockedBy: string): SkipRun {
  const { singleton: _singleton, ...rest } = flow ?? {};
  return {
    ...run,
    type: 'SkipRun',
    reason: 'singleton',
    blockedBy,
    ...(Object.keys(rest).length > 0 && { flow: rest }),
  };
}
