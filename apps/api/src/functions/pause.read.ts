import { Fault } from '#core/faults.js';
import { isObject } from '#core/fields.read.js';

/**
 * What is asked for with a pause. No body: the runs under way are held.
 *     { running?: "hold" | "cancel" }
 * @throws request_invalid
 */
export function readPause(body: unknown): 'hold' | 'cancel' {
  if (body === undefined) return 'hold';
  if (!isObject(body)) throw refused('The body must be an object');
  const { running = 'hold' } = body;
  if (running !== 'hold' && running !== 'cancel') throw refused('running must be "hold" or "cancel"');
  return running;
}

function refused(message: string): Fault {
  return new Fault('request_invalid', {}, { message });
}
