import type { EpochMs } from '../words.js';
import { calculate, compare, contained, indexed, keyOf, negated, textOf } from './expression.operators.js';
import type { Each, Expression, Node, Slots } from './expression.tree.js';
import {
  Failed,
  isList,
  isMap,
  isTruthy,
  element,
  keysOf,
  lookup,
  Meter,
  MISSING,
  TOO_COSTLY,
  typeOf,
  wholeOf,
  type Result,
  type Value,
} from './expression.values.js';

/** The variables by name, as JSON was parsed. */
export type Vars = Readonly<Record<string, unknown>>;

/** Some tens of milliseconds at worst. What people write takes some tens of steps, and a few for each item of a list. */
export const STEPS_MAX = 250_000;

/**
 * An expression's value by the lenient rules of section 6.4.
 * @param at the instant that `now()` says
 */
export function evaluate(
  expression: Expression,
  vars: Vars,
  at: EpochMs,
): { readonly value: Value; readonly error?: undefined } | { readonly error: string; readonly value?: undefined } {
  const result = resultOf(expression.root, vars, at);
  return result instanceof Failed ? { error: result.reason } : { value: result };
}

export type Verdict =
  { readonly value: boolean; readonly error?: undefined } | { readonly error: string; readonly value?: undefined };

/** For conditions: a real boolean, or a path that is missing, which is false. */
export function evaluateBoolean(expression: Expression, vars: Vars, at: EpochMs): Verdict {
  return verdictOf(resultOf(expression.root, vars, at));
}

export function verdictOf(result: Result): Verdict {
  if (result instanceof Failed) return { error: result.reason };
  if (result === MISSING) return { value: false };
  return typeof result === 'boolean' ? { value: result } : { error: `the result is no boolean but ${typeOf(result)}` };
}

export type Key =
  | {
      /** Values are the same key when their texts are: strings as they are, all else as JSON. */
      readonly text: string;
      /** Set where the contract lets a key switch a control off: it is false, or the field is missing (its text is `false` too). */
      readonly off?: 'false' | 'missing';
      readonly error?: undefined;
    }
  | { readonly error: string; readonly text?: undefined; readonly off?: undefined };

/** For keys of rate limits, debounces, concurrency and the like: section 6.1. */
export function evaluateKey(expression: Expression, vars: Vars, at: EpochMs): Key {
  const meter = new Meter(STEPS_MAX);
  const result = resultOf(expression.root, vars, at, [], meter);
  if (result instanceof Failed) return { error: result.reason };
  if (result === MISSING) return { text: 'false', off: 'missing' };
  if (result === false) return { text: 'false', off: 'false' };
  const text = textOf(result, meter);
  return text instanceof Failed ? { error: text.reason } : { text };
}

const PRIORITY_SECONDS_MAX = 43_200;

export interface Priority {
  /** From -43,200 to 43,200. */
  readonly seconds: number;
  /** Why it is not what the expression says. */
  readonly reason?: string;
}

/** `priority.run`: whole seconds, an integral double included (section 27, 7); anything else counts as 0. */
export function evaluatePriority(expression: Expression, vars: Vars, at: EpochMs): Priority {
  const result = resultOf(expression.root, vars, at);
  if (result instanceof Failed) return { seconds: 0, reason: result.reason };
  const whole = wholeOf(result);
  if (whole === undefined) return { seconds: 0, reason: `the result is no integer but ${typeOf(result)}` };
  const most = BigInt(PRIORITY_SECONDS_MAX);
  if (whole > most) return { seconds: PRIORITY_SECONDS_MAX, reason: `${PRIORITY_SECONDS_MAX} is the most` };
  if (whole < -most) return { seconds: -PRIORITY_SECONDS_MAX, reason: `${-PRIORITY_SECONDS_MAX} is the least` };
  return { seconds: Number(whole) };
}

export function resultOf(
  node: Node,
  vars: Vars,
  at: EpochMs,
  slots: Slots = [],
  meter: Meter = new Meter(STEPS_MAX),
): Result {
  return run(node, { vars, at, slots, meter, locals: [] });
}

interface Frame {
  readonly vars: Vars;
  readonly at: EpochMs;
  readonly slots: Slots;
  readonly meter: Meter;
  /** Variables of the macros around, by level. */
  readonly locals: Value[];
}

function run(node: Node, frame: Frame): Result {
  if (!frame.meter.spend(1)) return TOO_COSTLY;
  switch (node.op) {
    case 'literal':
      return node.value;
    case 'root':
      return variable(frame.vars, node.name);
    case 'local':
      return frame.locals[node.level] as Value;
    case 'slot':
      return frame.slots[node.index] as Result;
    case 'field': {
      const of = run(node.of, frame);
      return of instanceof Failed ? of : lookup(of, node.name);
    }
    case 'has': {
      const of = run(node.of, frame);
      return of instanceof Failed ? of : lookup(of, node.name) !== MISSING;
    }
    case 'index':
      return runBoth(node.of, node.at, frame, indexed);
    case 'not': {
      const of = run(node.of, frame);
      // What is missing is false, so its opposite is true: section 27, 5.
      if (of === MISSING) return true;
      return of instanceof Failed || typeof of !== 'boolean' ? failed(of, '!') : !of;
    }
    case 'negate': {
      const of = run(node.of, frame);
      return of instanceof Failed ? of : negated(of);
    }
    case 'and':
      return firstThatDecides(node.all, false, frame);
    case 'or':
      return firstThatDecides(node.all, true, frame);
    case 'choose': {
      const condition = run(node.if, frame);
      return condition instanceof Failed ? condition : run(isTruthy(condition) ? node.then : node.else, frame);
    }
    case 'compare':
      return runBoth(node.left, node.right, frame, (left, right) => compare(node.by, left, right, frame.meter));
    case 'calculate':
      return runBoth(node.left, node.right, frame, (left, right) => calculate(node.by, left, right, frame.meter));
    case 'in':
      return runBoth(node.left, node.right, frame, (left, right) => contained(left, right, frame.meter));
    case 'list':
      return runAll(node.items, frame, (items) => items.map(element));
    case 'map':
      return runMap(node.entries, frame);
    case 'call':
      return runAll(node.args, frame, (args) => (args.includes(MISSING) ? node.fn.missing : node.fn.call(args, frame)));
    case 'each':
      return runEach(node, frame);
  }
}

function variable(vars: Vars, name: string): Value {
  const value = Object.hasOwn(vars, name) ? vars[name] : undefined;
  return value === undefined ? MISSING : (value as Value);
}

function failed(of: Result, operator: string): Failed {
  return of instanceof Failed ? of : new Failed(`'${operator}' does not apply to ${typeOf(of)}`);
}

function runBoth(left: Node, right: Node, frame: Frame, then: (left: Value, right: Value) => Result): Result {
  const a = run(left, frame);
  if (a instanceof Failed) return a;
  const b = run(right, frame);
  return b instanceof Failed ? b : then(a, b);
}

function runAll(nodes: readonly Node[], frame: Frame, then: (values: readonly Value[]) => Result): Result {
  const values: Value[] = [];
  for (const node of nodes) {
    const value = run(node, frame);
    if (value instanceof Failed) return value;
    values.push(value);
  }
  return then(values);
}

function runMap(entries: readonly (readonly [Node, Node])[], frame: Frame): Result {
  const map = new Map<string | number | boolean, Value>();
  for (const [keyNode, valueNode] of entries) {
    const entry = runAll([keyNode, valueNode], frame, (pair) => pair);
    if (entry instanceof Failed) return entry;
    const [name, value] = entry as readonly [Value, Value];
    const key = keyOf(name);
    if (key === undefined) return new Failed(`a map has no key of type ${typeOf(name)}`);
    if (map.has(key)) return new Failed('a map has each key once');
    map.set(key, element(value));
  }
  return map;
}

/** The first truthy operand of a `||`, the first falsy of a `&&`, else the last. One that decides outweighs one that failed. */
function firstThatDecides(operands: readonly Node[], truth: boolean, frame: Frame): Result {
  let last: Result = !truth;
  let failure: Failed | undefined;
  for (const operand of operands) {
    last = run(operand, frame);
    if (last instanceof Failed) failure ??= last;
    else if (isTruthy(last) === truth) return last;
  }
  return failure ?? last;
}

/** A macro goes over the items of a list or the keys of a map. Where there is neither, for the path is missing, nothing is true. */
function runEach(each: Each, frame: Frame): Result {
  const over = run(each.over, frame);
  if (over instanceof Failed) return over;
  const list = each.macro === 'map' || each.macro === 'filter';
  if (over === MISSING) return list ? MISSING : false;
  if (!isList(over) && !isMap(over)) return new Failed(`'${each.macro}' does not apply to ${typeOf(over)}`);
  const items = isList(over) ? over : keysOf(over);
  return list ? collect(each, items, frame) : quantify(each, items, frame);
}

function collect(each: Each, items: readonly Value[], frame: Frame): Result {
  const found: Value[] = [];
  const condition = each.macro === 'filter' ? each.body : each.where;
  for (const item of items) {
    frame.locals[each.level] = item;
    const wanted = condition ? run(condition, frame) : true;
    if (wanted instanceof Failed) return wanted;
    if (!isTruthy(wanted)) continue;
    const value = each.macro === 'filter' ? item : run(each.body, frame);
    if (value instanceof Failed) return value;
    found.push(element(value));
  }
  return found;
}

/** As with `&&` and `||`, an item that decides outweighs one that failed; only a count needs them all. */
function quantify(each: Each, items: readonly Value[], frame: Frame): Result {
  let count = 0;
  let failure: Failed | undefined;
  for (const item of items) {
    frame.locals[each.level] = item;
    const holds = run(each.body, frame);
    if (holds === TOO_COSTLY) return TOO_COSTLY;
    if (holds instanceof Failed) failure ??= holds;
    else if (isTruthy(holds)) {
      if (each.macro === 'exists') return true;
      count++;
    } else if (each.macro === 'all') return false;
  }
  if (failure) return failure;
  return each.macro === 'all' || (each.macro === 'exists_one' && count === 1);
}
