import { RE2JS, RE2JSSyntaxException } from 're2js';
import { LIMITS } from '../limits.js';
import type { EpochMs } from '../words.js';
import { int, textOf, uint } from './expression.operators.js';
import {
  durationPart,
  parseDate,
  parseDuration,
  parseTimestamp,
  secondsOf,
  timestamp,
  timestampOfMs,
  timestampOfSeconds,
  timestampPart,
  type TimestampPart,
} from './expression.time.js';
import {
  Duration,
  Failed,
  isList,
  isMap,
  keysOf,
  Meter,
  MISSING,
  numberOf,
  Timestamp,
  TOO_COSTLY,
  TypeName,
  typeOf,
  wholeOf,
  type Result,
  type Value,
} from './expression.values.js';

/** What a function may know besides its arguments. */
interface Call {
  /** What `now()` says. */
  readonly at: EpochMs;
  readonly meter: Meter;
}

/** A function or method of section 6.2. */
export interface Builtin {
  readonly name: string;
  /** How many arguments a call takes; the receiver of a method counts. */
  readonly args: readonly [min: number, max: number];
  /** The result as soon as an argument is missing. */
  readonly missing: Value;
  /** It reads the clock: its result holds for one instant only. */
  readonly timed: boolean;
  readonly call: (args: readonly Value[], call: Call) => Result;
}

type Rule = Pick<Builtin, 'args' | 'call'> & Partial<Pick<Builtin, 'missing' | 'timed'>>;

const size: Rule = {
  args: [1, 1],
  missing: 0n,
  call: ([of = MISSING], { meter }) => {
    if (typeof of === 'string') return meter.spend(of.length / 64) ? BigInt(codePoints(of)) : TOO_COSTLY;
    if (isList(of) || of instanceof Uint8Array) return BigInt(of.length);
    if (!isMap(of)) return noOverload('size', of);
    const count = keysOf(of).length;
    return meter.spend(count / 2) ? BigInt(count) : TOO_COSTLY;
  },
};

const matches: Rule = {
  args: [2, 2],
  missing: false,
  call: ([of = MISSING, pattern = MISSING], { meter }) => {
    if (typeof of !== 'string' || typeof pattern !== 'string') return noOverload('matches', of, pattern);
    // A pattern that comes out of the data is compiled at each call, which its cost pays for.
    const regex = meter.spend(500) ? compilePattern(pattern) : TOO_COSTLY;
    if (regex instanceof Failed) return regex;
    return meter.spend(20 * regex.programSize()) ? find(regex, of, meter) : TOO_COSTLY;
  },
};

/** `matches` with a pattern that is known. */
export function matchesPattern(regex: RE2JS): Builtin {
  return builtin('matches', {
    args: [1, 1],
    missing: false,
    call: ([of = MISSING], { meter }) =>
      typeof of === 'string' ? find(regex, of, meter) : noOverload('matches', of, ''),
  });
}

const PATTERN_CHARS_MAX = 1_000;

/** RE2 syntax: no backtracking, so time grows with the text only. */
export function compilePattern(pattern: string): RE2JS | Failed {
  if (pattern.length > PATTERN_CHARS_MAX) return new Failed(`a pattern has ${PATTERN_CHARS_MAX} characters at most`);
  try {
    return RE2JS.compile(pattern);
  } catch (error) {
    if (error instanceof RE2JSSyntaxException) return new Failed(error.message);
    throw error;
  }
}

function find(regex: RE2JS, text: string, meter: Meter): Result {
  return meter.spend(1 + (text.length * regex.programSize()) / 8) ? regex.test(text) : TOO_COSTLY;
}

/** A search in a text takes, at worst, the product of both lengths. */
const contains: Rule = {
  args: [2, 2],
  missing: false,
  call: ([of = MISSING, part = MISSING], { meter }) => {
    if (typeof of !== 'string' || typeof part !== 'string') return noOverload('contains', of, part);
    if (part.length > of.length) return false;
    return meter.spend(of.length / 64 + (of.length * part.length) / 1024) ? of.includes(part) : TOO_COSTLY;
  },
};

function edge(name: 'startsWith' | 'endsWith'): Rule {
  return {
    args: [2, 2],
    missing: false,
    call: ([of = MISSING, part = MISSING], { meter }) => {
      if (typeof of !== 'string' || typeof part !== 'string') return noOverload(name, of, part);
      return meter.spend(part.length / 64) ? of[name](part) : TOO_COSTLY;
    },
  };
}

function timePart(name: TimestampPart): Rule {
  return {
    args: [1, 2],
    call: ([of = MISSING, zone], { meter }) => {
      if (of instanceof Duration && zone === undefined && isDurationPart(name)) return durationPart(of, name);
      if (!(of instanceof Timestamp) || (zone !== undefined && typeof zone !== 'string')) {
        return noOverload(name, of, zone);
      }
      if (!meter.spend(zone === undefined ? 1 : 1_000)) return TOO_COSTLY;
      return timestampPart(of, name, zone ?? 'UTC') ?? new Failed(`unknown time zone '${zone}'`);
    },
  };
}

const DURATION_PARTS = ['getHours', 'getMinutes', 'getSeconds', 'getMilliseconds'] as const;
const DATE_PARTS = ['getFullYear', 'getMonth', 'getDate', 'getDayOfMonth', 'getDayOfWeek', 'getDayOfYear'] as const;

function isDurationPart(name: TimestampPart): name is (typeof DURATION_PARTS)[number] {
  return (DURATION_PARTS as readonly string[]).includes(name);
}

/** A function of one string. */
function ofText(name: string, call: (text: string) => Result): Rule {
  return {
    args: [1, 1],
    call: ([text = MISSING], { meter }) => {
      if (typeof text !== 'string') return noOverload(name, text);
      return meter.spend(text.length / 8) ? call(text) : TOO_COSTLY;
    },
  };
}

/** `now_plus("1h")`, `now_minus("1h")`. */
function fromNow(name: string, direction: 1n | -1n): Rule {
  return {
    args: [1, 1],
    timed: true,
    call: ([length = MISSING], { at }) => {
      const by = typeof length === 'string' ? parseDuration(length) : length;
      if (!(by instanceof Duration)) return unreadable(name, length);
      return timestamp(BigInt(Math.trunc(at)) * 1_000_000n + direction * by.ns) ?? outOfRange(name);
    },
  };
}

function one(call: (value: Value, call: Call) => Result): Rule {
  return { args: [1, 1], call: ([value = MISSING], with_) => call(value, with_) };
}

const FUNCTIONS = table({
  size,
  matches,
  dyn: one((value) => value),
  type: one((value) => new TypeName(typeOf(value))),
  int: one((value) => {
    if (value instanceof Timestamp) return secondsOf(value);
    if (typeof value === 'string')
      return /^[+-]?\d{1,19}$/.test(value) ? int(BigInt(value.replace(/^\+/, ''))) : unreadable('int', value);
    const number = numberOf(value);
    if (number === undefined) return noOverload('int', value);
    if (typeof value !== 'number') return int(wholeOf(value) ?? 0n);
    return Number.isFinite(number) ? int(BigInt(Math.trunc(number))) : outOfRange('int');
  }),
  uint: one((value) => {
    if (typeof value === 'string') return /^\d{1,20}$/.test(value) ? uint(BigInt(value)) : unreadable('uint', value);
    const number = numberOf(value);
    if (number === undefined) return noOverload('uint', value);
    if (typeof value !== 'number') return uint(wholeOf(value) ?? 0n);
    return Number.isFinite(number) ? uint(BigInt(Math.trunc(number))) : outOfRange('uint');
  }),
  double: one((value) => {
    if (typeof value !== 'string') return numberOf(value) ?? noOverload('double', value);
    const special: Readonly<Record<string, number>> = { NaN: NaN, Inf: Infinity, '+Inf': Infinity, '-Inf': -Infinity };
    if (Object.hasOwn(special, value)) return special[value] ?? NaN;
    const number = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/.test(value) ? Number(value) : NaN;
    return Number.isFinite(number) ? number : unreadable('double', value);
  }),
  string: one((value, { meter }) =>
    isList(value) || isMap(value) ? noOverload('string', value) : textOf(value, meter),
  ),
  bool: one((value) => {
    if (typeof value === 'boolean') return value;
    if (typeof value !== 'string') return noOverload('bool', value);
    if (['1', 't', 'T', 'TRUE', 'true', 'True'].includes(value)) return true;
    return ['0', 'f', 'F', 'FALSE', 'false', 'False'].includes(value) ? false : unreadable('bool', value);
  }),
  bytes: one((value, { meter }) => {
    if (value instanceof Uint8Array) return value;
    if (typeof value !== 'string') return noOverload('bytes', value);
    return meter.spend(value.length / 8) ? new TextEncoder().encode(value) : TOO_COSTLY;
  }),
  timestamp: one((value) => {
    if (value instanceof Timestamp) return value;
    if (typeof value === 'string') return parseTimestamp(value) ?? unreadable('timestamp', value);
    const seconds = wholeOf(value);
    if (seconds === undefined) return noOverload('timestamp', value);
    return timestampOfSeconds(seconds) ?? outOfRange('timestamp');
  }),
  duration: one((value) => {
    if (value instanceof Duration) return value;
    return (typeof value === 'string' ? parseDuration(value) : undefined) ?? unreadable('duration', value);
  }),
  date: one((value) => {
    if (value instanceof Timestamp) return value;
    if (typeof value === 'string') return parseDate(value) ?? unreadable('date', value);
    const ms = wholeOf(value);
    return ms === undefined ? noOverload('date', value) : (timestampOfMs(ms) ?? outOfRange('date'));
  }),
  now: { args: [0, 0], timed: true, call: (_, { at }) => timestampOfMs(BigInt(Math.trunc(at))) ?? outOfRange('now') },
  now_plus: fromNow('now_plus', 1n),
  now_minus: fromNow('now_minus', -1n),
  lowercase: ofText('lowercase', (text) => text.toLowerCase()),
  uppercase: ofText('uppercase', (text) => text.toUpperCase()),
  b64decode: ofText('b64decode', decodeBase64),
  json_parse: ofText('json_parse', parseObject),
});

const METHODS = table({
  size,
  matches,
  contains,
  startsWith: edge('startsWith'),
  endsWith: edge('endsWith'),
  ...Object.fromEntries([...DATE_PARTS, ...DURATION_PARTS].map((name) => [name, timePart(name)])),
});

export function functionNamed(name: string): Builtin | undefined {
  return FUNCTIONS.get(name);
}

export function methodNamed(name: string): Builtin | undefined {
  return METHODS.get(name);
}

function table(rules: Readonly<Record<string, Rule>>): ReadonlyMap<string, Builtin> {
  return new Map(Object.entries(rules).map(([name, rule]) => [name, builtin(name, rule)]));
}

function builtin(name: string, rule: Rule): Builtin {
  return { name, missing: MISSING, timed: false, ...rule };
}

function codePoints(text: string): number {
  let count = 0;
  for (let i = 0; i < text.length; i++, count++) if ((text.codePointAt(i) ?? 0) > 0xffff) i++;
  return count;
}

function decodeBase64(text: string): Result {
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text)) return new Failed('b64decode: this is not base64');
  try {
    const bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
    return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
  } catch (error) {
    if (error instanceof DOMException) return new Failed('b64decode: this is not base64');
    throw error;
  }
}

function parseObject(text: string): Result {
  if (nestsDeeperThan(LIMITS.jsonDepthMax, text)) return new Failed('json_parse: this nests too deeply');
  try {
    const value = JSON.parse(text) as Value;
    return isMap(value) ? value : new Failed('json_parse: this is not an object');
  } catch (error) {
    if (error instanceof SyntaxError) return new Failed('json_parse: this is not JSON');
    throw error;
  }
}

/** Looked for in the text, for the values are walked by recursion later. Brackets inside strings count for a moment only. */
function nestsDeeperThan(max: number, text: string): boolean {
  let depth = 0;
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (quoted) {
      if (char === '\\') i++;
      else if (char === '"') quoted = false;
    } else if (char === '"') quoted = true;
    else if (char === '{' || char === '[') {
      if (++depth > max) return true;
    } else if (char === '}' || char === ']') depth--;
  }
  return false;
}

function noOverload(name: string, ...args: readonly (Value | undefined)[]): Failed {
  const types = args.filter((arg) => arg !== undefined).map(typeOf);
  return new Failed(`'${name}' does not apply to ${types.join(', ')}`);
}

function unreadable(name: string, value: Value): Failed {
  return typeof value === 'string' ? new Failed(`${name}: cannot read this text`) : noOverload(name, value);
}

function outOfRange(name: string): Failed {
  return new Failed(`${name}: out of range`);
}
