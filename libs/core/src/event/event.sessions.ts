import { Fault } from '../faults.js';
import { isObject } from '../fields.read.js';
import { utf8Bytes } from '../json.js';
import { LIMITS } from '../limits.js';

export type Sessions = Readonly<Record<string, string>>;

/**
 * The sessions of an event: its own, and in the places left those of the run that sent it, in the order of their keys' UTF-8 bytes. Contract:
 * semantics 3.6.
 *     meta.sessions                { key: id | null }   a null takes that inherited key away; null for the whole field takes all away
 *     meta.propagated_sessions     { key: id }          inherited
 * An id is a text or a finite number.
 * @returns undefined where there are none
 * @throws event_invalid
 */
export function readSessions(meta: Readonly<Record<string, unknown>>): Sessions | undefined {
  const own = readLayer(meta.sessions, 'sessions');
  const inherited = meta.sessions === null ? [] : readLayer(meta.propagated_sessions, 'propagated_sessions');
  const merged = new Map<string, string>();
  for (const [key, id] of own) if (id !== null) merged.set(key, id);
  if (merged.size > LIMITS.sessionsPerEventMax) {
    throw invalid(`meta.sessions has ${merged.size} entries, and an event may carry ${LIMITS.sessionsPerEventMax}`);
  }
  const named = new Set(own.map(([key]) => key));
  for (const [key, id] of inherited.sort(byUtf8)) {
    if (merged.size === LIMITS.sessionsPerEventMax) break;
    if (id !== null && !named.has(key)) merged.set(key, id);
  }
  return merged.size === 0 ? undefined : Object.fromEntries(merged);
}

function readLayer(layer: unknown, name: string): [key: string, id: string | null][] {
  if (layer === undefined || layer === null) return [];
  if (!isObject(layer)) throw invalid(`meta.${name} must be an object`);
  return Object.entries(layer).map(([key, id]) => {
    if (key === '' || utf8Bytes(key) > LIMITS.sessionKeyBytesMax) {
      throw invalid(`a key of meta.${name} must have 1 to ${LIMITS.sessionKeyBytesMax} bytes`);
    }
    return [key, readId(id, name)];
  });
}

function readId(id: unknown, name: string): string | null {
  if (id === null) return null;
  if (typeof id !== 'string' && !(typeof id === 'number' && Number.isFinite(id))) {
    throw invalid(`an id in meta.${name} must be a string, a number or null`);
  }
  const text = String(id);
  if (text === '' || utf8Bytes(text) > LIMITS.sessionIdBytesMax) {
    throw invalid(`an id in meta.${name} must have 1 to ${LIMITS.sessionIdBytesMax} bytes`);
  }
  return text;
}

/** As SDKs order them. UTF-16 order, which `<` gives, differs where there are surrogates. */
function byUtf8([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

function invalid(message: string): Fault {
  return new Fault('event_invalid', {}, { message });
}
