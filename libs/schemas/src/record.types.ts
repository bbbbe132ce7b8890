import type { Topic } from '#ports/event-log.port.js';
import { COMMANDS } from './commands.schemas.js';
import { EVENTS } from './events.schemas.js';
import { CONFIG, DEAD_LETTERS, SNAPSHOTS } from './other.schemas.js';
import type { RecordType } from './record.type.js';
import { TRANSITIONS } from './transitions.schemas.js';

/** Everything that stands on a topic of ours. */
export const RECORD_TYPES: readonly RecordType[] = [
  ...EVENTS,
  ...Object.values(COMMANDS),
  ...Object.values(TRANSITIONS),
  ...SNAPSHOTS,
  ...CONFIG,
  ...DEAD_LETTERS,
];

const byName = new Map(RECORD_TYPES.map((type) => [nameOf(type.topic, type.type), type]));

/** @returns the one version that is written and read; undefined where there is no such type */
export function recordTypeNamed(topic: Topic, type: string): RecordType | undefined {
  return byName.get(nameOf(topic, type));
}

function nameOf(topic: Topic, type: string): string {
  return `${topic}/${type}`;
}
