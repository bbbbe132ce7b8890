import { unreachable, type Position } from '../words.js';
import { sourceName } from '../origin.js';
import type { Admission, AdmissionCommand, AdmissionOf } from './admission.js';
import { ignore, type AdmissionDecision, type Base, type CommandOf } from './admission.decision.js';
import { batchDue, offerToBatch } from './batch.js';
import { debounceDue, offerToDebounce } from './debounce.js';
import { offerOnce } from './once.js';
import { offerToRate } from './rate.js';
import { offerToSingleton, releaseSingleton } from './singleton.js';
import { spendThrottle } from './throttle.js';

/**
 * What a control does about a command. Contract 9 to 13. A repeat or a late one is ignored with a reason; `command.at` is the only clock,
 * except that a rate counts by the time at which events were received.
 * @param position of the command on `commands`: what it passes on carries it as its source
 */
export function decideAdmission(
  state: Admission | undefined,
  command: AdmissionCommand,
  position: Position,
): AdmissionDecision {
  switch (command.type) {
    case 'OfferRun':
      return takeOffer(state, command, position);
    case 'FireAdmission':
      if (state?.kind === 'debounce') return debounceDue(state, command, position);
      if (state?.kind === 'batch') return batchDue(state, command, position);
      return ignore(state, 'turn_unknown');
    case 'ReleaseSingleton':
      return releaseSingleton(only(state, 'singleton'), command);
    case 'SpendThrottle':
      return spendThrottle(only(state, 'throttle'), command);
    case 'ForgetAdmission':
      return forget(state, command);
    default:
      return unreachable(command);
  }
}

function takeOffer(
  state: Admission | undefined,
  command: CommandOf<'OfferRun'>,
  position: Position,
): AdmissionDecision {
  const { env, functionId, key, stage, source } = command;
  const name = sourceName(source);
  // Offers of one origin come in order, so an older one is posted again: after a crash, or by an owner that was one.
  if (source.offset <= (state?.taken[name] ?? -1)) return ignore(state, 'offer_taken');
  const base: Base = { env, functionId, key, taken: { ...state?.taken, [name]: source.offset } };
  switch (stage.kind) {
    case 'rate':
      return offerToRate(only(state, 'rate'), base, stage, command, position);
    case 'debounce':
      return offerToDebounce(only(state, 'debounce'), base, stage, command);
    case 'batch':
      return offerToBatch(only(state, 'batch'), base, stage, command, position);
    case 'once':
      return offerOnce(only(state, 'once'), base, stage, command, position);
    case 'singleton':
      return offerToSingleton(only(state, 'singleton'), base, stage, command, position);
    default:
      return unreachable(stage);
  }
}

function forget(state: Admission | undefined, { at, functionId }: CommandOf<'ForgetAdmission'>): AdmissionDecision {
  if (!state) return ignore(state, 'nothing_remembered');
  if (state.until === undefined || at < state.until) return ignore(state, 'still_needed');
  return { transitions: [{ type: 'AdmissionForgotten', at, functionId }], next: undefined, effects: [] };
}

/** Keys of different controls differ, so a state of another kind is a broken record. */
function only<K extends Admission['kind']>(state: Admission | undefined, kind: K): AdmissionOf<K> | undefined {
  if (state && state.kind !== kind) throw new Error(`${state.key} is a ${state.kind}, not a ${kind}`);
  return state as AdmissionOf<K> | undefined;
}
