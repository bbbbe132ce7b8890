/** What an expression is evaluated over and to: JSON as it was parsed, and the types that only CEL has. */
export type Value =
  | typeof MISSING
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint
  | Timestamp
  | Duration
  | TypeName
  | Uint8Array
  | List
  | Literal
  | JsonObject;

/** What a path leads to that is not there. It is no JSON value: section 6.4 gives it rules of its own. */
export const MISSING: unique symbol = Symbol('missing');

export type List = readonly Value[];
export interface JsonObject {
  readonly [key: string]: Value;
}
/** A map written in the expression: its keys may be numbers and booleans too. */
export type Literal = ReadonlyMap<string | number | boolean, Value>;

export class Uint {
  constructor(readonly n: bigint) {}
}

/** Nanoseconds since 1970-01-01T00:00:00Z. */
export class Timestamp {
  constructor(readonly ns: bigint) {}
}

export class Duration {
  constructor(readonly ns: bigint) {}
}

/** What `type(x)` gives, and what the names `int`, `string`, ... stand for. */
export class TypeName {
  constructor(readonly name: string) {}
}

/** An evaluation that went wrong. It is a value, for `||` and `&&` may find the answer on their other side. */
export class Failed {
  constructor(readonly reason: string) {}
}

export type Result = Value | Failed;

/** How much work an evaluation may still do: about one unit a node, an element, or a few dozen characters. */
export class Meter {
  constructor(private left: number) {}

  /** @returns false once the budget is used up, and ever after */
  spend(units: number): boolean {
    this.left -= units;
    return this.left >= 0;
  }
}

export const TOO_COSTLY = new Failed('the evaluation takes too many steps');

export function isMap(value: Value): value is Literal | JsonObject {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof Uint) &&
    !(value instanceof Timestamp) &&
    !(value instanceof Duration) &&
    !(value instanceof TypeName) &&
    !(value instanceof Uint8Array)
  );
}

export function isList(value: Value): value is List {
  return Array.isArray(value);
}

export type TypeOf = (typeof TYPE_NAMES)[number];

export const TYPE_NAMES = [
  'bool',
  'bytes',
  'double',
  'google.protobuf.Duration',
  'google.protobuf.Timestamp',
  'int',
  'list',
  'map',
  'null_type',
  'string',
  'type',
  'uint',
] as const;

export function typeOf(value: Value): TypeOf | 'missing' {
  switch (typeof value) {
    case 'symbol':
      return 'missing';
    case 'boolean':
      return 'bool';
    case 'number':
      return 'double';
    case 'bigint':
      return 'int';
    case 'string':
      return 'string';
    default:
      if (value === null) return 'null_type';
      if (isList(value)) return 'list';
      if (value instanceof Uint) return 'uint';
      if (value instanceof Timestamp) return 'google.protobuf.Timestamp';
      if (value instanceof Duration) return 'google.protobuf.Duration';
      if (value instanceof TypeName) return 'type';
      if (value instanceof Uint8Array) return 'bytes';
      return 'map';
  }
}

/** What a map holds under a key, or MISSING; own members only, so no name reaches a prototype. */
export function lookup(of: Value, key: string | number | boolean): Value {
  if (!isMap(of)) return MISSING;
  if (of instanceof Map) return (of as Literal).get(key) ?? absent(of as Literal, key);
  const members = of as JsonObject;
  return typeof key === 'string' && Object.hasOwn(members, key) ? (members[key] as Value) : MISSING;
}

function absent(of: Literal, key: string | number | boolean): Value {
  return of.has(key) ? null : MISSING;
}

export function keysOf(map: Literal | JsonObject): readonly (string | number | boolean)[] {
  return map instanceof Map ? [...(map as Literal).keys()] : Object.keys(map);
}

/** Whether `&&`, `||`, `?:` and macros take it for true: as JavaScript does, and what is missing is not. */
export function isTruthy(value: Value): boolean {
  if (typeof value === 'symbol') return false;
  return value instanceof Uint ? value.n !== 0n : Boolean(value);
}

/** The number that an int, a uint or a double is. */
export function numberOf(value: Value): number | undefined {
  if (typeof value === 'number') return value;
  if (typeof value === 'bigint') return Number(value);
  return value instanceof Uint ? Number(value.n) : undefined;
}

/** The whole number that an int, a uint or, since JSON knows doubles only, an integral double is. */
export function wholeOf(value: Value): bigint | undefined {
  if (typeof value === 'bigint') return value;
  if (typeof value === 'number') return Number.isInteger(value) ? BigInt(value) : undefined;
  return value instanceof Uint ? value.n : undefined;
}

/** A value inside a list or a map: JSON has no place for what is missing, so it is null there. */
export function element(value: Value): Value {
  return value === MISSING ? null : value;
}
