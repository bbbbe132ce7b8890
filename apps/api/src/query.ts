import { Fault } from '#core/faults.js';
import type { EpochMs } from '#core/words.js';

/** @throws request_invalid */
export function limitOf(text: string | undefined, usual: number, most: number): number {
  if (text === undefined) return usual;
  const limit = Number(text);
  if (!Number.isInteger(limit) || limit < 1 || limit > most) {
    throw new Fault('request_invalid', {}, { message: `limit must be a whole number from 1 to ${most}` });
  }
  return limit;
}

/** RFC 3339, or milliseconds since 1970. @throws request_invalid */
export function instantOf(name: string, text: string | undefined): EpochMs | undefined {
  if (text === undefined) return undefined;
  const at = /^\d+$/.test(text) ? Number(text) : Date.parse(text);
  if (Number.isNaN(at)) throw new Fault('request_invalid', { name }, { message: `${name} must be an RFC 3339 time` });
  return at;
}

/** Where a list goes on: the id of the last one seen. @throws request_invalid */
export function cursorOf(text: string | undefined): { readonly cursor?: string } {
  if (text === undefined || text === '') return {};
  if (!/^[0-9A-HJKMNP-TV-Z]{26}$/.test(text)) {
    throw new Fault('request_invalid', {}, { message: 'cursor must be the id of the last entry seen' });
  }
  return { cursor: text };
}
