import { resultOf, STEPS_MAX, verdictOf, type Verdict } from './expression.evaluate.js';
import { partsOf, withParts, type Expression, type Node, type Slots } from './expression.tree.js';
import { Failed, isTruthy, lookup, Meter, MISSING, numberOf, TOO_COSTLY, type Value } from './expression.values.js';
import type { EpochMs } from '../words.js';

/**
 * An expression over `event` and `async` once `event` is known: what depends on `event` alone is evaluated, `async` is left
 * (section 6.1, waits). Of the event only those values are kept.
 */
export interface Bound {
  readonly plan: Plan;
  readonly slots: Slots;
}

/**
 * An equality without which the expression is not true: that the path under `async` leads to this value. Null: to null or
 * to nothing, which two the whole expression has to tell apart.
 */
export interface Demand {
  readonly path: readonly string[];
  readonly value: string | number | boolean | null;
  /** The expression says nothing else: where the demand is met, it is true. Never so for null. */
  readonly whole: boolean;
}

/** @returns undefined when that takes too long; the expression may all the same be quick once `async` is known */
export function bind(expression: Expression, event: unknown): Bound | undefined {
  const plan = planOf(expression);
  const meter = new Meter(STEPS_MAX);
  // No slot reads the clock.
  const slots = plan.slots.map((node) => resultOf(node, { event }, 0, [], meter));
  return slots.includes(TOO_COSTLY) ? undefined : { plan, slots };
}

/** Whether it needs the event at all. */
export function usesEvent(expression: Expression): boolean {
  return planOf(expression).usesEvent;
}

/** The same as the whole expression over the event that was bound and this one. */
export function evaluateBound(bound: Bound, async: unknown, at: EpochMs): Verdict {
  return verdictOf(resultOf(bound.plan.rest, { async }, at, bound.slots));
}

/** Whether the triggering event alone decides that nothing that arrives makes it true: section 21. */
export function foldsFalse(expression: Expression, event: unknown): boolean {
  const bound = bind(expression, event);
  return bound !== undefined && neverTrue(bound);
}

/** `foldsFalse` of what is bound already. */
export function neverTrue({ plan, slots }: Bound): boolean {
  const value = constantOf(plan.rest, slots);
  return value === undefined ? neverTruthy(plan.rest, slots) : value !== true;
}

function neverTruthy(node: Node, slots: Slots): boolean {
  const value = constantOf(node, slots);
  if (value !== undefined) return value instanceof Failed || !isTruthy(value);
  switch (node.op) {
    case 'and':
      return node.all.some((part) => neverTruthy(part, slots));
    case 'or':
      return node.all.every((part) => neverTruthy(part, slots));
    case 'choose': {
      const condition = constantOf(node.if, slots);
      if (condition instanceof Failed) return true;
      if (condition !== undefined) return neverTruthy(isTruthy(condition) ? node.then : node.else, slots);
      return neverTruthy(node.then, slots) && neverTruthy(node.else, slots);
    }
    case 'compare':
    case 'in':
      return [node.left, node.right].some((part) => constantOf(part, slots) instanceof Failed);
    default:
      return false;
  }
}

/** The equalities that the expression cannot be true without. */
export function demandsOf({ plan, slots }: Bound): readonly Demand[] {
  return plan.equalities.flatMap(({ path, to }) => {
    const value = demanded(constantOf(to, slots));
    return value === undefined ? [] : [{ path, value, whole: plan.equality && value !== null }];
  });
}

/** Null equals what is null or missing; what is missing equals what is null. Values that JSON has no one text for are left. */
function demanded(value: Value | Failed | undefined): Demand['value'] | undefined {
  if (value === MISSING || value === null) return null;
  if (typeof value === 'string' || typeof value === 'boolean') return value;
  if (value === undefined || value instanceof Failed) return undefined;
  const number = numberOf(value);
  // NaN equals nothing.
  return number === undefined || Number.isNaN(number) ? undefined : number;
}

/** What `async` has at a path, if it can meet a demand: undefined for lists and maps. */
export function offered(async: unknown, path: readonly string[]): Demand['value'] | undefined {
  const value = path.reduce<Value>(lookup, async as Value);
  return value === null || value === MISSING ? null : typeof value === 'object' ? undefined : demanded(value);
}

function constantOf(node: Node, slots: Slots): Value | Failed | undefined {
  if (node.op === 'literal') return node.value;
  return node.op === 'slot' ? slots[node.index] : undefined;
}

/** An expression taken apart: slots for the largest parts that `event` alone decides, and the rest. */
interface Plan {
  readonly usesEvent: boolean;
  readonly slots: readonly Node[];
  readonly rest: Node;
  /** `async.path == to` that the whole stands or falls with. */
  readonly equalities: readonly { readonly path: readonly string[]; readonly to: Node }[];
  /** The whole is one such equality. */
  readonly equality: boolean;
}

const plans = new WeakMap<Expression, Plan>();

function planOf(expression: Expression): Plan {
  const known = plans.get(expression);
  if (known) return known;
  const plan = planAnew(expression.root);
  plans.set(expression, plan);
  return plan;
}

function planAnew(root: Node): Plan {
  const traits = new Map<Node, Traits>();
  const { event: usesEvent } = traitsOf(root, traits);
  const slots: Node[] = [];
  const take = (node: Node): Node => {
    if (node.op === 'literal') return node;
    const { open, local } = traits.get(node) ?? { open: true, local: 0 };
    return open || local < CLOSED ? withParts(node, take) : { op: 'slot', index: slots.push(node) - 1 };
  };
  const rest = take(root);
  const conditions = rest.op === 'and' ? rest.all : [rest];
  const equalities = conditions.flatMap(equalityOf);
  return { usesEvent, slots, rest, equalities, equality: rest.op === 'compare' && equalities.length === 1 };
}

interface Traits {
  readonly event: boolean;
  /** It depends on more than the event: on `async` or on the clock. */
  readonly open: boolean;
  /** The outermost macro variable that it takes from around it. */
  readonly local: number;
}

const CLOSED = Infinity;

function traitsOf(node: Node, known: Map<Node, Traits>): Traits {
  const parts = partsOf(node).map((part) => traitsOf(part, known));
  const locals = parts.map(({ local }) => local);
  const own =
    node.op === 'local'
      ? node.level
      : node.op === 'each' && Math.min(...locals) >= node.level
        ? CLOSED
        : Math.min(...locals);
  const traits = {
    event: (node.op === 'root' && node.name === 'event') || parts.some(({ event }) => event),
    open:
      (node.op === 'root' && node.name !== 'event') ||
      (node.op === 'call' && node.fn.timed) ||
      parts.some(({ open }) => open),
    local: own,
  };
  known.set(node, traits);
  return traits;
}

function equalityOf(node: Node): Plan['equalities'] {
  if (node.op !== 'compare' || node.by !== '==') return [];
  const left = pathOf(node.left);
  const right = pathOf(node.right);
  if (left && isConstant(node.right)) return [{ path: left, to: node.right }];
  return right && isConstant(node.left) ? [{ path: right, to: node.left }] : [];
}

function isConstant(node: Node): boolean {
  return node.op === 'literal' || node.op === 'slot';
}

/** `async.data.x`, `async.data["x"]` as the names that follow `async`. */
function pathOf(node: Node): readonly string[] | undefined {
  const names: string[] = [];
  for (let at = node; ; at = at.of) {
    if (at.op === 'root') return at.name === 'async' ? names.reverse() : undefined;
    if (at.op === 'field') names.push(at.name);
    else if (at.op === 'index' && at.at.op === 'literal' && typeof at.at.value === 'string') names.push(at.at.value);
    else return undefined;
  }
}
