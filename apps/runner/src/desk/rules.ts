import type { Command } from '#core/effects.js';
import { Fault } from '#core/faults.js';
import { hasBeenHere, noteOrigin, type Origins, type Source } from '#core/origin.js';
import type { Placed } from '#core/words.js';
import type { LogRecord, PlacedRecord } from '#ports/event-log.port.js';
import type { Aggregate, AnyRoom, RoomDecision } from './room.js';
import { ROOMS } from './rooms.js';

/** The space of what is known of all runs of a partition together. */
export const ORIGINS = 'origins';

export type CommandRecord = Placed<LogRecord<Command>>;

/** What a command comes to, and what is known of origins afterwards. */
export interface Ruling {
  readonly decision: RoomDecision<Aggregate>;
  readonly origins: Origins;
}

const ROOM_OF = new Map(ROOMS.flatMap((room) => room.commands.map((type) => [type as string, room])));

/** Whose a command of this type is. */
export function roomOf(type: string): AnyRoom | undefined {
  return ROOM_OF.get(type);
}

/**
 * Decides a command: what of a partition follows from its letterbox follows from this. A run that was posted before is known by its origin
 * also when nothing else is known of it any more.
 * @throws record_unreadable
 */
export function rule(
  room: AnyRoom | undefined,
  before: Aggregate | undefined,
  origins: Origins,
  record: PlacedRecord,
): Ruling {
  const { body, key, type, schema, position } = record as CommandRecord;
  if (!room || !body || roomOf(type) !== room) throw new Fault('record_unreadable', { type, schema });
  const source = sourceOf(body);
  if (source !== undefined && before === undefined && hasBeenHere(origins, source, key))
    return { decision: { transitions: [], next: before, ignored: 'run_exists' }, origins };
  const decision = room.decide(before, body, position);
  return { decision, origins: source === undefined ? origins : noteOrigin(origins, source, key) };
}

/** An aggregate that nothing is kept of but that it was there, where that matters. */
export function isOver(room: AnyRoom, state: Aggregate | undefined): boolean {
  return state === undefined || room.isOver(state);
}

function sourceOf(command: Command): Source | undefined {
  return command.type === 'ScheduleRun' || command.type === 'SkipRun' ? command.source : undefined;
}
