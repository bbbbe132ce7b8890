import { Fault } from './faults.js';
import type { Json } from './words.js';

/**
 * Canonical JSON text (RFC 8785): keys sorted by UTF-16 code units, no white space, numbers as ECMAScript writes them.
 * Takes what JSON can carry; `undefined` and functions as members are left out, as items become null. A lone surrogate is written as
 * an escape, which is where this differs from the RFC (it has no form for one).
 * @param depthMax how deep objects and arrays may nest; for values that came from outside
 * @throws body_too_deep
 */
export function canonical(value: unknown, depthMax = Infinity): Json {
  switch (typeof value) {
    case 'string':
      return quoted(value);
    case 'number':
      return Number.isFinite(value) ? String(value) : 'null';
    case 'object':
      if (value === null) return 'null';
      if (depthMax <= 0) throw new Fault('body_too_deep');
      return Array.isArray(value) ? arrayText(value, depthMax - 1) : objectText(value, depthMax - 1);
    default:
      return JSON.stringify(value) ?? 'null';
  }
}

function arrayText(items: readonly unknown[], depthMax: number): Json {
  let text = '[';
  for (let i = 0; i < items.length; i++) text += (i === 0 ? '' : ',') + canonical(items[i], depthMax);
  return text + ']';
}

function objectText(members: object, depthMax: number): Json {
  let text = '{';
  for (const key of sortedKeys(members)) {
    const member: unknown = (members as Record<string, unknown>)[key];
    if (member === undefined || typeof member === 'function' || typeof member === 'symbol') continue;
    text += (text.length === 1 ? '' : ',') + quoted(key) + ':' + canonical(member, depthMax);
  }
  return text + '}';
}

/** Most objects come sorted: they have been here before. */
function sortedKeys(members: object): readonly string[] {
  const keys = Object.keys(members);
  for (let i = 1; i < keys.length; i++) if ((keys[i] as string) < (keys[i - 1] as string)) return keys.sort();
  return keys;
}

/** What JSON escapes, and surrogates, which may be lone. */
const MAY_NEED_ESCAPE = /[\u0000-\u001f"\\\ud800-\udfff]/;

/** As JSON.stringify, at half its price for the short plain texts that most are. */
function quoted(text: string): string {
  return text.length < 1024 && !MAY_NEED_ESCAPE.test(text) ? `"${text}"` : JSON.stringify(text);
}

/** How many bytes a text takes as UTF-8. */
export function utf8Bytes(text: string): number {
  let bytes = text.length;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit > 0x7f) bytes += unit > 0x7ff && (unit < 0xd800 || unit > 0xdfff) ? 2 : 1;
  }
  return bytes;
}

/** Whether a text takes more than so many bytes as UTF-8; looks into it only where its length does not tell. */
export function isOver(text: string, bytesMax: number): boolean {
  return text.length > bytesMax || (text.length * 3 > bytesMax && utf8Bytes(text) > bytesMax);
}
