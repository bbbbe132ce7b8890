import { ParseError, type ASTNode } from '@marcbachmann/cel-js';
import { Environment, UnsignedInt } from '@marcbachmann/cel-js/evaluator';
import { compilePattern, functionNamed, matchesPattern, methodNamed, type Builtin } from './expression.functions.js';
import { int, uint } from './expression.operators.js';
import type { Each, Macro, Node } from './expression.tree.js';
import { Failed, TYPE_NAMES, TypeName, type Value } from './expression.values.js';

/** Bounds on what is written; that on what it costs to evaluate stands in expression.evaluate.ts. */
const CHARS_MAX = 65_536;
const NODES_MAX = 10_000;
const DEPTH_MAX = 250;

/** What may be used: `restricted` is the policy of section 6.1 for `cancelOn`. */
type Policy = 'any' | 'restricted';

export interface Rules {
  /** The variables there are. */
  readonly roots: readonly string[];
  readonly policy: Policy;
}

/** Why an expression does not compile, and where: an offset into its text. */
export class Rejected extends Error {
  constructor(
    readonly reason: string,
    readonly offset: number,
  ) {
    super(reason);
  }
}

/**
 * Reads an expression: its syntax by cel-js, whose tree becomes ours with all names resolved and all calls checked.
 * @throws Rejected
 */
export function parse(text: string, rules: Rules): Node {
  if (text.length > CHARS_MAX) throw new Rejected(`an expression has ${CHARS_MAX} characters at most`, 0);
  const syntax = parseSyntax(text);
  checkDepth(syntax);
  return new Reader(text, rules).read(syntax, []);
}

const grammar = new Environment({
  limits: { maxAstNodes: NODES_MAX, maxDepth: DEPTH_MAX, maxListElements: NODES_MAX, maxMapEntries: NODES_MAX },
});

function parseSyntax(text: string): ASTNode {
  try {
    return grammar.parse(text).ast;
  } catch (error) {
    // Its parser does not bound a row of unary operators. Far fewer of them than exhaust the stack are too deep for us anyway.
    if (error instanceof RangeError) throw new Rejected('Syntax error: the expression nests too deeply', 0);
    if (!(error instanceof ParseError)) throw error;
    throw new Rejected(`Syntax error: ${error.summary}`, error.range?.start ?? 0);
  }
}

/** Everything that walks the tree does so by recursion. A row of `&&` or of `||` is one level: it becomes one node. */
function checkDepth(syntax: ASTNode): void {
  const open: { readonly node: ASTNode; readonly depth: number }[] = [{ node: syntax, depth: 1 }];
  for (let next = open.pop(); next; next = open.pop()) {
    const { node, depth } = next;
    if (depth > DEPTH_MAX) throw new Rejected('the expression nests too deeply', node.pos);
    for (const part of syntaxParts(node)) {
      const inRow = (node.op === '&&' || node.op === '||') && part.op === node.op;
      open.push({ node: part, depth: inRow ? depth : depth + 1 });
    }
  }
}

function syntaxParts(node: ASTNode): readonly ASTNode[] {
  switch (node.op) {
    case 'value':
    case 'id':
      return [];
    case '.':
    case '.?':
      return [node.args[0]];
    case '!_':
    case '-_':
      return [node.args];
    case 'call':
      return node.args[1];
    case 'rcall':
      return [node.args[1], ...node.args[2]];
    case 'map':
      return node.args.flat();
    default:
      return node.args;
  }
}

const TYPES = new Map<string, TypeName>(TYPE_NAMES.map((name) => [name, new TypeName(name)]));
const MACROS: ReadonlyMap<string, readonly number[]> = new Map([
  ['all', [2]],
  ['exists', [2]],
  ['exists_one', [2]],
  ['map', [2, 3]],
  ['filter', [2]],
]);
const RESTRICTED_FUNCTIONS = ['int', 'uint', 'double'];

type Binary = Extract<ASTNode, { op: '==' | '!=' | '<' | '<=' | '>' | '>=' | '+' | '-' | '*' | '/' | '%' | 'in' }>;

class Reader {
  constructor(
    private readonly text: string,
    private readonly rules: Rules,
  ) {}

  /** @param locals names of the macros around, the outermost first */
  read(node: ASTNode, locals: readonly string[]): Node {
    const read = (part: ASTNode) => this.read(part, locals);
    switch (node.op) {
      case 'value':
        return { op: 'literal', value: this.literal(node.args, node, 1n) };
      case 'id':
        return this.name(node.args, node, locals);
      case '.':
        return this.typeName(node) ?? { op: 'field', of: read(node.args[0]), name: node.args[1] };
      case '[]':
        return { op: 'index', of: read(node.args[0]), at: read(node.args[1]) };
      case '!_':
        return { op: 'not', of: read(node.args) };
      case '-_':
        return this.negation(node.args, node, locals);
      case '&&':
        return { op: 'and', all: rowOf('&&', node).map(read) };
      case '||':
        return { op: 'or', all: rowOf('||', node).map(read) };
      case '?:':
        return { op: 'choose', if: read(node.args[0]), then: read(node.args[1]), else: read(node.args[2]) };
      case 'list':
        return { op: 'list', items: node.args.map(read) };
      case 'map':
        return { op: 'map', entries: node.args.map(([key, value]) => [read(key), read(value)] as const) };
      case 'call':
        return this.call(node.args[0], node.args[1], node, locals);
      case 'rcall':
        return this.method(node.args[0], node.args[1], node.args[2], node, locals);
      case '.?':
      case '[?]':
        throw new Rejected('Syntax error: optional selection is not supported', node.pos);
      default:
        return this.binary(node, locals);
    }
  }

  private binary(node: Binary, locals: readonly string[]): Node {
    const [left, right] = [this.read(node.args[0], locals), this.read(node.args[1], locals)];
    switch (node.op) {
      case 'in':
        return { op: 'in', left, right };
      case '+':
      case '-':
      case '*':
      case '/':
      case '%':
        this.restrict(`'${node.op}'`, node);
        return { op: 'calculate', by: node.op, left, right };
      default:
        return { op: 'compare', by: node.op, left, right };
    }
  }

  private name(name: string, node: ASTNode, locals: readonly string[]): Node {
    const level = locals.lastIndexOf(name);
    if (level >= 0) return { op: 'local', level };
    if (this.rules.roots.includes(name)) return { op: 'root', name };
    const type = TYPES.get(name);
    if (type) return { op: 'literal', value: type };
    throw new Rejected(`undeclared reference to '${name}'`, node.start);
  }

  /** `google.protobuf.Timestamp` is a name, not a path. */
  private typeName(node: ASTNode): Node | undefined {
    const type = TYPES.get(this.text.slice(node.start, node.end));
    return type && { op: 'literal', value: type };
  }

  private literal(value: unknown, node: ASTNode, sign: 1n | -1n): Value {
    const number =
      typeof value === 'bigint' ? int(sign * value) : value instanceof UnsignedInt ? uint(value.value) : value;
    if (number instanceof Failed) throw new Rejected('this number is out of range', node.start);
    // cel-js takes the code units of a bytes literal for its bytes, where CEL means UTF-8.
    if (number instanceof Uint8Array && /[^\0-\x7f]/.test(this.text.slice(node.start, node.end))) {
      throw new Rejected('a bytes literal is written in ASCII', node.start);
    }
    return number as Value;
  }

  /** A number with its sign is one literal: the least int has no positive twin. */
  private negation(of: ASTNode, node: ASTNode, locals: readonly string[]): Node {
    if (of.op === 'value' && typeof of.args === 'bigint')
      return { op: 'literal', value: this.literal(of.args, node, -1n) };
    if (of.op === 'value' && typeof of.args === 'number') return { op: 'literal', value: -of.args };
    this.restrict(`'-'`, node);
    return { op: 'negate', of: this.read(of, locals) };
  }

  private call(name: string, args: readonly ASTNode[], node: ASTNode, locals: readonly string[]): Node {
    if (name === 'has') return this.has(args, node, locals);
    const fn = functionNamed(name);
    if (!fn) {
      const hint = methodNamed(name) || MACROS.has(name) ? `: it is a method, x.${name}(...)` : '';
      throw new Rejected(`undeclared reference to '${name}'${hint}`, node.start);
    }
    if (!RESTRICTED_FUNCTIONS.includes(name)) this.restrict(`'${name}'`, node);
    return this.checked(fn, args, node, locals);
  }

  private method(name: string, of: ASTNode, args: readonly ASTNode[], node: ASTNode, locals: readonly string[]): Node {
    if (MACROS.has(name)) return this.macro(name as Macro, of, args, node, locals);
    const fn = methodNamed(name);
    if (!fn) {
      const hint = functionNamed(name) || name === 'has' ? `: it is a function, ${name}(x)` : '';
      throw new Rejected(`undeclared reference to '${name}'${hint}`, node.start);
    }
    this.restrict(`'${name}'`, node);
    return this.checked(fn, [of, ...args], node, locals);
  }

  private checked(fn: Builtin, args: readonly ASTNode[], node: ASTNode, locals: readonly string[]): Node {
    const [min, max] = fn.args;
    if (args.length < min || args.length > max) {
      throw new Rejected(`'${fn.name}' does not take ${args.length} arguments`, node.start);
    }
    const [of, pattern] = args;
    if (fn.name === 'matches' && of && pattern?.op === 'value' && typeof pattern.args === 'string') {
      const regex = compilePattern(pattern.args);
      if (regex instanceof Failed) throw new Rejected(`invalid pattern: ${regex.reason}`, pattern.start);
      return { op: 'call', fn: matchesPattern(regex), args: [this.read(of, locals)] };
    }
    return { op: 'call', fn, args: args.map((arg) => this.read(arg, locals)) };
  }

  private has(args: readonly ASTNode[], node: ASTNode, locals: readonly string[]): Node {
    this.restrict(`'has'`, node);
    const [path] = args;
    if (args.length !== 1 || path?.op !== '.') throw new Rejected(`'has' takes one field, has(x.y)`, node.start);
    return { op: 'has', of: this.read(path.args[0], locals), name: path.args[1] };
  }

  private macro(macro: Macro, of: ASTNode, args: readonly ASTNode[], node: ASTNode, locals: readonly string[]): Node {
    this.restrict(`'${macro}'`, node);
    const [local, ...rest] = args;
    if (!MACROS.get(macro)?.includes(args.length) || local?.op !== 'id') {
      throw new Rejected(`'${macro}' takes a variable and an expression, x.${macro}(i, ...)`, node.start);
    }
    const inside = [...locals, local.args];
    const [body, where] = rest.reverse().map((part) => this.read(part, inside)) as [Node, Node?];
    const each: Each = { op: 'each', macro, over: this.read(of, locals), level: locals.length, body };
    return where ? { ...each, where } : each;
  }

  private restrict(what: string, node: ASTNode): void {
    if (this.rules.policy === 'any') return;
    throw new Rejected(
      `${what} is not allowed here: only comparisons, logic, indexing, 'in', '?:' and the conversions int, uint and double are`,
      node.start,
    );
  }
}

/** `a && b && c` as its operands, however they are bracketed: the first that decides is the same. */
function rowOf(op: '&&' | '||', row: ASTNode): readonly ASTNode[] {
  const operands: ASTNode[] = [];
  const open: ASTNode[] = [row];
  for (let node = open.pop(); node; node = open.pop()) {
    if (node.op === op) open.push(node.args[1], node.args[0]);
    else operands.push(node);
  }
  return operands;
}
