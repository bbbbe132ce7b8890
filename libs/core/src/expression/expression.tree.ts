import type { Arithmetic, Comparison } from './expression.operators.js';
import type { Builtin } from './expression.functions.js';
import type { Result, Value } from './expression.values.js';

/** What an expression says, once names are resolved and calls are checked. */
export type Node =
  | { readonly op: 'literal'; readonly value: Value }
  /** A variable: `event`, `async`. */
  | { readonly op: 'root'; readonly name: string }
  /** The variable of the macro at that level of nesting; the outermost is 0. */
  | { readonly op: 'local'; readonly level: number }
  /** A part that was evaluated beforehand: see expression.bind.ts. */
  | { readonly op: 'slot'; readonly index: number }
  | { readonly op: 'field'; readonly of: Node; readonly name: string }
  | { readonly op: 'index'; readonly of: Node; readonly at: Node }
  | { readonly op: 'has'; readonly of: Node; readonly name: string }
  | { readonly op: 'not' | 'negate'; readonly of: Node }
  | { readonly op: 'and' | 'or'; readonly all: readonly Node[] }
  | { readonly op: 'choose'; readonly if: Node; readonly then: Node; readonly else: Node }
  | { readonly op: 'compare'; readonly by: Comparison; readonly left: Node; readonly right: Node }
  | { readonly op: 'calculate'; readonly by: Arithmetic; readonly left: Node; readonly right: Node }
  | { readonly op: 'in'; readonly left: Node; readonly right: Node }
  | { readonly op: 'list'; readonly items: readonly Node[] }
  | { readonly op: 'map'; readonly entries: readonly (readonly [Node, Node])[] }
  /** The receiver of a method is the first argument. */
  | { readonly op: 'call'; readonly fn: Builtin; readonly args: readonly Node[] }
  | Each;

/** A macro: `over.macro(local, body)`, and `over.map(local, where, body)`. */
export interface Each {
  readonly op: 'each';
  readonly macro: Macro;
  readonly over: Node;
  readonly level: number;
  readonly where?: Node;
  readonly body: Node;
}

export type Macro = 'all' | 'exists' | 'exists_one' | 'map' | 'filter';

/** An expression that compiled. */
export interface Expression {
  readonly text: string;
  readonly root: Node;
}

/** What evaluated beforehand, by `slot` index. */
export type Slots = readonly Result[];

export function partsOf(node: Node): readonly Node[] {
  switch (node.op) {
    case 'literal':
    case 'root':
    case 'local':
    case 'slot':
      return [];
    case 'field':
    case 'has':
    case 'not':
    case 'negate':
      return [node.of];
    case 'index':
      return [node.of, node.at];
    case 'and':
    case 'or':
      return node.all;
    case 'choose':
      return [node.if, node.then, node.else];
    case 'compare':
    case 'calculate':
    case 'in':
      return [node.left, node.right];
    case 'list':
      return node.items;
    case 'map':
      return node.entries.flat();
    case 'call':
      return node.args;
    case 'each':
      return node.where ? [node.over, node.where, node.body] : [node.over, node.body];
  }
}

/** The same node over other parts. */
export function withParts(node: Node, change: (part: Node) => Node): Node {
  switch (node.op) {
    case 'literal':
    case 'root':
    case 'local':
    case 'slot':
      return node;
    case 'field':
    case 'has':
    case 'not':
    case 'negate':
      return { ...node, of: change(node.of) };
    case 'index':
      return { ...node, of: change(node.of), at: change(node.at) };
    case 'and':
    case 'or':
      return { ...node, all: node.all.map(change) };
    case 'choose':
      return { ...node, if: change(node.if), then: change(node.then), else: change(node.else) };
    case 'compare':
    case 'calculate':
    case 'in':
      return { ...node, left: change(node.left), right: change(node.right) };
    case 'list':
      return { ...node, items: node.items.map(change) };
    case 'map':
      return { ...node, entries: node.entries.map(([key, value]) => [change(key), change(value)] as const) };
    case 'call':
      return { ...node, args: node.args.map(change) };
    case 'each':
      return {
        ...node,
        over: change(node.over),
        ...(node.where && { where: change(node.where) }),
        body: change(node.body),
      };
  }
}
