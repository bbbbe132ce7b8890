import type { Json } from './words.js';

/**
 * Canonical JSON text (RFC 8785): keys sorted by UTF-16 code units, no white space, numbers as ECMAScript writes them.
 * Takes what JSON can carry; `undefined` and functions as members are left out, as items become null. A lone surrogate is written as
 * an escape, which is where this differs from the RFC (it has no form for one).
 */
export function canonical(value: unknown): Json {
  if (value === null || typeof value !== 'object') return JSON.stringify(value) ?? 'null';
  if (Array.isArray(value)) {
    let text = '[';
    for (let i = 0; i < value.length; i++) text += (i === 0 ? '' : ',') + canonical(value[i]);
    return text + ']';
  }
  const members = value as Record<string, unknown>;
  let text = '{';
  for (const key of Object.keys(members).sort()) {
    const member = members[key];
    if (member === undefined || typeof member === 'function' || typeof member === 'symbol') continue;
    text += (text.length === 1 ? '' : ',') + JSON.stringify(key) + ':' + canonical(member);
  }
  return text + '}';
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
