import { duration, formatDuration, formatTimestamp, timestamp } from './expression.time.js';
import {
  Duration,
  Failed,
  isList,
  isMap,
  keysOf,
  lookup,
  Meter,
  MISSING,
  numberOf,
  Timestamp,
  TOO_COSTLY,
  TypeName,
  typeOf,
  Uint,
  type JsonObject,
  type List,
  type Literal,
  type Result,
  type Value,
} from './expression.values.js';

export type Comparison = '==' | '!=' | '<' | '<=' | '>' | '>=';
export type Arithmetic = '+' | '-' | '*' | '/' | '%';

/**
 * Section 6.4: what is missing or null is below everything else; null equals both, but two missing ones are not equal.
 * Across types nothing is equal and nothing has an order, save that all numbers are one type.
 */
export function compare(by: Comparison, left: Value, right: Value, meter: Meter): Result {
  if (by === '==' || by === '!=') {
    const same = equal(left, right, meter);
    return same instanceof Failed ? same : same === (by === '==');
  }
  if (isNothing(left) || isNothing(right)) {
    if (isNothing(left) && isNothing(right)) return by.endsWith('=') && equal(left, right, meter);
    return isNothing(left) === by.startsWith('<');
  }
  const order = orderOf(left, right, meter);
  if (order instanceof Failed) return order;
  switch (by) {
    case '<':
      return order < 0;
    case '<=':
      return order <= 0;
    case '>':
      return order > 0;
    case '>=':
      return order >= 0;
  }
}

function isNothing(value: Value): boolean {
  return value === MISSING || value === null;
}

function equal(left: Value, right: Value, meter: Meter): boolean | Failed {
  if (left === MISSING) return right === null;
  if (right === MISSING) return left === null;
  if (typeof left === 'string' || typeof right === 'string') {
    if (typeof left !== 'string' || typeof right !== 'string' || left.length !== right.length) return false;
    return meter.spend(left.length / 256) ? left === right : TOO_COSTLY;
  }
  if (left === null || right === null || typeof left === 'boolean' || typeof right === 'boolean') return left === right;
  if (typeof left === 'bigint' && typeof right === 'bigint') return left === right;
  const number = numberOf(left);
  if (number !== undefined) return number === numberOf(right);
  if (isList(left)) return isList(right) && sameItems(left, right, meter);
  if (left instanceof Timestamp) return right instanceof Timestamp && left.ns === right.ns;
  if (left instanceof Duration) return right instanceof Duration && left.ns === right.ns;
  if (left instanceof TypeName) return right instanceof TypeName && left.name === right.name;
  if (left instanceof Uint8Array) return right instanceof Uint8Array && sameItems([...left], [...right], meter);
  return isMap(left) && isMap(right) && sameMembers(left, right, meter);
}

function sameItems(left: readonly Value[], right: readonly Value[], meter: Meter): boolean | Failed {
  if (left.length !== right.length) return false;
  for (let i = 0; i < left.length; i++) {
    if (!meter.spend(1)) return TOO_COSTLY;
    const same = equal(left[i] as Value, right[i] as Value, meter);
    if (same !== true) return same;
  }
  return true;
}

function sameMembers(left: Literal | JsonObject, right: Literal | JsonObject, meter: Meter): boolean | Failed {
  const keys = keysOf(left);
  const others = keysOf(right).length;
  if (!meter.spend((keys.length + others) / 2)) return TOO_COSTLY;
  if (keys.length !== others) return false;
  for (const key of keys) {
    if (!meter.spend(1)) return TOO_COSTLY;
    const other = lookup(right, key);
    const same = other !== MISSING && equal(lookup(left, key), other, meter);
    if (same !== true) return same;
  }
  return true;
}

/** @returns negative, zero or positive; NaN, which is none of them, where a number is NaN */
function orderOf(left: Value, right: Value, meter: Meter): number | Failed {
  if (typeof left === 'bigint' && typeof right === 'bigint') return sign(left - right);
  const a = numberOf(left);
  const b = numberOf(right);
  if (a !== undefined && b !== undefined) return a < b ? -1 : a > b ? 1 : a === b ? 0 : NaN;
  if (typeof left === 'string' && typeof right === 'string') {
    return meter.spend(Math.min(left.length, right.length) / 64) ? textOrder(left, right) : TOO_COSTLY;
  }
  if (typeof left === 'boolean' && typeof right === 'boolean') return Number(left) - Number(right);
  if (left instanceof Timestamp && right instanceof Timestamp) return sign(left.ns - right.ns);
  if (left instanceof Duration && right instanceof Duration) return sign(left.ns - right.ns);
  return new Failed(`no order between ${typeOf(left)} and ${typeOf(right)}`);
}

function sign(difference: bigint): number {
  return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}

/** Order of code points. JavaScript orders code units, which puts U+E000 to U+FFFF behind what takes two of them. */
function textOrder(left: string, right: string): number {
  const length = Math.min(left.length, right.length);
  for (let i = 0; i < length; i++) {
    const a = left.charCodeAt(i);
    const b = right.charCodeAt(i);
    if (a === b) continue;
    const aPaired = a >= 0xd800 && a <= 0xdfff;
    const bPaired = b >= 0xd800 && b <= 0xdfff;
    return aPaired === bPaired ? a - b : aPaired ? 1 : -1;
  }
  return left.length - right.length;
}

/** `left in right`: an item of a list, a key of a map. What is missing is in nothing, and in what is missing there is nothing. */
export function contained(left: Value, right: Value, meter: Meter): Result {
  if (left === MISSING || isNothing(right)) return false;
  if (isMap(right)) {
    const key = keyOf(left);
    return key !== undefined && lookup(right, key) !== MISSING;
  }
  if (!isList(right)) return new Failed(`'in' needs a list or a map, not ${typeOf(right)}`);
  for (const item of right) {
    if (!meter.spend(1)) return TOO_COSTLY;
    const same = equal(left, item, meter);
    if (same !== false) return same;
  }
  return false;
}

/** How a value serves as key of a map: numbers of all types are one. */
export function keyOf(value: Value): string | number | boolean | undefined {
  return typeof value === 'string' || typeof value === 'boolean' ? value : numberOf(value);
}

/** `of[at]`: a list by its place, a map by its key; anything else has nothing in it. */
export function indexed(of: Value, at: Value): Result {
  if (at === MISSING) return MISSING;
  if (isList(of)) {
    const place = numberOf(at);
    if (place === undefined || !Number.isInteger(place)) return new Failed(`a list has no index of type ${typeOf(at)}`);
    return place >= 0 && place < of.length ? (of[place] as Value) : new Failed(`index out of bounds: ${place}`);
  }
  if (!isMap(of)) return MISSING;
  const key = keyOf(at);
  return key === undefined ? new Failed(`a map has no key of type ${typeOf(at)}`) : lookup(of, key);
}

export function negated(value: Value): Result {
  if (typeof value === 'number') return -value;
  if (typeof value === 'bigint') return int(-value);
  if (value instanceof Duration) return duration(-value.ns) ?? overflow;
  return new Failed(`'-' does not apply to ${typeOf(value)}`);
}

export function calculate(by: Arithmetic, left: Value, right: Value, meter: Meter): Result {
  if (by === '+') return sum(left, right, meter);
  const numbers = calculateNumbers(by, left, right);
  if (numbers !== undefined) return numbers;
  if (by === '-' && left instanceof Timestamp) {
    if (right instanceof Timestamp) return duration(left.ns - right.ns) ?? overflow;
    if (right instanceof Duration) return timestamp(left.ns - right.ns) ?? overflow;
  }
  if (by === '-' && left instanceof Duration && right instanceof Duration) {
    return duration(left.ns - right.ns) ?? overflow;
  }
  return new Failed(`'${by}' does not apply to ${typeOf(left)} and ${typeOf(right)}`);
}

/** What is missing adds nothing; with a string on either side it is a concatenation. */
function sum(left: Value, right: Value, meter: Meter): Result {
  if (left === MISSING) return right;
  if (right === MISSING) return left;
  if (typeof left === 'string' || typeof right === 'string') {
    const a = textOf(left, meter);
    const b = textOf(right, meter);
    if (a instanceof Failed) return a;
    if (b instanceof Failed) return b;
    return meter.spend((a.length + b.length) / 16) ? a + b : TOO_COSTLY;
  }
  const numbers = calculateNumbers('+', left, right);
  if (numbers !== undefined) return numbers;
  if (isList(left) && isList(right)) {
    return meter.spend(left.length + right.length) ? [...left, ...right] : TOO_COSTLY;
  }
  if (left instanceof Uint8Array && right instanceof Uint8Array) {
    return meter.spend(left.length + right.length) ? joined(left, right) : TOO_COSTLY;
  }
  if (left instanceof Duration) {
    if (right instanceof Duration) return duration(left.ns + right.ns) ?? overflow;
    if (right instanceof Timestamp) return timestamp(left.ns + right.ns) ?? overflow;
  }
  if (left instanceof Timestamp && right instanceof Duration) return timestamp(left.ns + right.ns) ?? overflow;
  return new Failed(`'+' does not apply to ${typeOf(left)} and ${typeOf(right)}`);
}

function joined(left: Uint8Array, right: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(left.length + right.length);
  bytes.set(left);
  bytes.set(right, left.length);
  return bytes;
}

/** Whole numbers count as such among themselves; with a double, as every number of JSON is, the result is a double. */
function calculateNumbers(by: Arithmetic, left: Value, right: Value): Result | undefined {
  const a = numberOf(left);
  const b = numberOf(right);
  if (a === undefined || b === undefined) return undefined;
  if (typeof left === 'number' || typeof right === 'number')
    return calculateDoubles(by, a, b, typeof right !== 'number');
  const x = left instanceof Uint ? left.n : (left as bigint);
  const y = right instanceof Uint ? right.n : (right as bigint);
  if ((by === '/' || by === '%') && y === 0n) return divisionByZero;
  const result = calculateWholes(by, x, y);
  return left instanceof Uint && right instanceof Uint ? uint(result) : int(result);
}

function calculateDoubles(by: Arithmetic, a: number, b: number, byWhole: boolean): Result {
  switch (by) {
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      return a * b;
    case '/':
      return b === 0 && byWhole ? divisionByZero : a / b;
    case '%':
      return b === 0 ? divisionByZero : a % b;
  }
}

function calculateWholes(by: Arithmetic, x: bigint, y: bigint): bigint {
  switch (by) {
    case '+':
      return x + y;
    case '-':
      return x - y;
    case '*':
      return x * y;
    case '/':
      return x / y;
    case '%':
      return x % y;
  }
}

const overflow = new Failed('the result is out of range');
const divisionByZero = new Failed('division by zero');

export function int(n: bigint): bigint | Failed {
  return BigInt.asIntN(64, n) === n ? n : overflow;
}

export function uint(n: bigint): Uint | Failed {
  return BigInt.asUintN(64, n) === n ? new Uint(n) : overflow;
}

/**
 * A value as text, in keys and concatenations: strings as they are, numbers as JSON writes them, times in RFC 3339, lists and
 * maps as JSON, what is missing as nothing.
 */
export function textOf(value: Value, meter: Meter): string | Failed {
  if (typeof value === 'string') return value;
  if (!isList(value) && !isMap(value)) return scalarText(value);
  const parts: string[] = [];
  return write(value, parts, meter) ? parts.join('') : TOO_COSTLY;
}

function scalarText(value: Exclude<Value, List | Literal | JsonObject>): string {
  if (value === MISSING) return '';
  if (value instanceof Uint) return value.n.toString();
  if (value instanceof Timestamp) return formatTimestamp(value);
  if (value instanceof Duration) return formatDuration(value);
  if (value instanceof TypeName) return value.name;
  if (value instanceof Uint8Array) return new TextDecoder().decode(value);
  return String(value);
}

/** Writes JSON with sorted keys. @returns false when it takes too long: a value may hold the same long text many times */
function write(value: Value, parts: string[], meter: Meter): boolean {
  if (isList(value)) {
    parts.push('[');
    for (let i = 0; i < value.length; i++) {
      if (i > 0) parts.push(',');
      if (!write(value[i] as Value, parts, meter)) return false;
    }
    parts.push(']');
    return meter.spend(1);
  }
  if (isMap(value)) {
    const keys = keysOf(value);
    if (!meter.spend(2 * keys.length)) return false;
    parts.push('{');
    [...keys]
      .map((key) => [String(key), key] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .every(([name, key], i) => {
        parts.push(i > 0 ? ',' : '', JSON.stringify(name), ':');
        return write(lookup(value, key), parts, meter);
      });
    parts.push('}');
    return meter.spend(1);
  }
  const plain = value === null || typeof value === 'boolean' || numberOf(value) !== undefined;
  const text = typeof value === 'string' ? value : scalarText(value);
  parts.push(plain ? text : JSON.stringify(text));
  return meter.spend(1 + text.length / 16);
}
