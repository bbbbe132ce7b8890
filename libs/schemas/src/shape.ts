/**
 * The language in which records are described once: from a description follow its Avro and JSON schema, its page in docs/topics.md, and
 * its TypeScript type, which is held to the one that the program uses.
 */

/** What a value is. Fields of a union's variants stand side by side, so that a new variant breaks no reader. */
export type Node =
  | { readonly kind: 'text' | 'json' | 'any' | 'whole' | 'instant' | 'decimal' | 'flag' }
  /** A text out of a set that may grow: readers must bear words that they do not know. */
  | { readonly kind: 'word'; readonly words: readonly string[] }
  | { readonly kind: 'list'; readonly of: Node }
  | { readonly kind: 'record'; readonly record: RecordNode };

export interface RecordNode {
  readonly name: string;
  readonly doc: string;
  readonly fields: readonly FieldNode[];
  /** The field that tells a union's variants apart, and the words of each; without it they differ by the fields that are there. */
  readonly tag?: string;
}

export interface FieldNode {
  readonly name: string;
  readonly node: Node;
  readonly doc: string;
  readonly optional: boolean;
  /** The variants that have the field, by their tag; absent: all of them. */
  readonly of?: readonly string[];
}

/** A shape that carries values of `T`. */
export interface Shape<T> {
  readonly node: Node;
  /** Never there: it holds the type. */
  readonly carries?: T;
}

export interface Field<T, O extends boolean> {
  readonly shape: Shape<T>;
  readonly doc: string;
  readonly optional: O;
}

export type Fields = Readonly<Record<string, Field<unknown, boolean>>>;

type CarriedBy<F> = F extends Field<infer T, boolean> ? T : never;
type OptionalOf<F extends Fields> = { [K in keyof F]: F[K] extends Field<unknown, true> ? K : never }[keyof F];

/** The type of a body with these fields. */
export type Carried<F extends Fields> = Plain<
  { [K in Exclude<keyof F, OptionalOf<F>>]: CarriedBy<F[K]> } & { [K in OptionalOf<F>]?: CarriedBy<F[K]> }
>;

/** A type without `readonly`, and without the seams of intersections: two that say the same are then the same. */
export type Plain<T> = unknown extends T
  ? T
  : T extends readonly (infer I)[]
    ? Plain<I>[]
    : T extends object
      ? { -readonly [K in keyof T]: Plain<T[K]> }
      : T;

type Same<A, B> = (<X>() => X extends Plain<A> ? 1 : 2) extends <X>() => X extends Plain<B> ? 1 : 2 ? true : false;

/**
 * A rest parameter that is empty where a description says the same as the type that it is of. Where not, the compiler asks for an argument
 * that nobody can give, and shows both.
 */
export type Held<Described, Declared> =
  Same<Described, Declared> extends true
    ? []
    : [theDescriptionDiffersFromTheType: { described: Plain<Described>; declared: Plain<Declared> }];

/** Text. */
export const text: Shape<string> = { node: { kind: 'text' } };
/** The text of a JSON value in canonical form (RFC 8785), passed on as it is. */
export const json: Shape<string> = { node: { kind: 'json' } };
/** Any JSON value; where the encoding has no such thing, as its text. */
export const any: Shape<unknown> = { node: { kind: 'any' } };
/** A whole number, up to 2^53 either way. */
export const whole: Shape<number> = { node: { kind: 'whole' } };
/** Milliseconds since 1970-01-01T00:00:00Z, whole. */
export const instant: Shape<number> = { node: { kind: 'instant' } };
/** A number with fractions, as IEEE 754 has it. */
export const decimal: Shape<number> = { node: { kind: 'decimal' } };
export const flag: Shape<boolean> = { node: { kind: 'flag' } };

export function word<const W extends string>(...words: readonly W[]): Shape<W> {
  return { node: { kind: 'word', words } };
}

export function listOf<T>(of: Shape<T>): Shape<T[]> {
  return { node: { kind: 'list', of: of.node } };
}

export function field<T>(shape: Shape<T>, doc: string): Field<T, false> {
  return { shape, doc, optional: false };
}

/** A field that may be absent. Null stands for absence where the encoding has no other way. */
export function optional<T>(shape: Shape<T>, doc: string): Field<T, true> {
  return { shape, doc, optional: true };
}

/** @param name of the record; two of one name in a schema must be the same */
export function record<const F extends Fields>(name: string, doc: string, fields: F): Shape<Carried<F>> {
  return { node: { kind: 'record', record: { name, doc, fields: nodesOf(fields) } } };
}

/** One record that has the fields of one of several variants. @param tag the field whose word tells which */
export function oneOf<const V extends readonly Fields[]>(
  name: string,
  doc: string,
  tag: string | undefined,
  ...variants: V
): Shape<{ [I in keyof V]: Carried<V[I]> }[number]> {
  return { node: { kind: 'record', record: merged(name, doc, tag, variants) } };
}

export function nodesOf(fields: Fields): readonly FieldNode[] {
  return Object.entries(fields).map(([name, { shape, doc, optional }]) => ({ name, node: shape.node, doc, optional }));
}

/** What is said of a field: which variants have it, what it is, and the words that are known. */
export function sayingOf({ doc, node, of }: FieldNode): string {
  const only = of === undefined ? '' : `Of ${listed(of)}: `;
  const known = node.kind === 'word' && node.words.length > 1 ? ` Known words: ${listed(node.words)}.` : '';
  return only + doc + known;
}

function listed(words: readonly string[]): string {
  return words.map((one) => `\`${one}\``).join(', ');
}

/** Required is what all variants require. */
function merged(name: string, doc: string, tag: string | undefined, variants: readonly Fields[]): RecordNode {
  const byName = new Map<string, FieldNode[]>();
  for (const variant of variants) {
    const tags = tag === undefined ? [] : wordsOf(variant[tag]?.shape.node);
    for (const node of nodesOf(variant)) {
      const found = byName.get(node.name) ?? [];
      byName.set(node.name, [...found, { ...node, of: tags }]);
    }
  }
  const fields = [...byName].map(([fieldName, found]): FieldNode => {
    const [first] = found;
    if (!first) throw new TypeError(`${name}.${fieldName} is in no variant`);
    const { of: _of, ...shared } = first;
    const isInAll = found.length === variants.length;
    const tags = found.flatMap(({ of = [] }) => of);
    return {
      ...shared,
      node: found.map(({ node }) => node).reduce((a, b) => united(a, b, `${name}.${fieldName}`)),
      optional: !isInAll || found.some(({ optional }) => optional),
      ...(isInAll || tags.length === 0 ? {} : { of: tags }),
    };
  });
  return { name, doc, fields, ...(tag === undefined ? {} : { tag }) };
}

function wordsOf(node: Node | undefined): readonly string[] {
  return node?.kind === 'word' ? node.words : [];
}

/** The node of a field that several variants have. @throws TypeError where it is not the same in both */
function united(a: Node, b: Node, where: string): Node {
  if (a.kind === 'word' && b.kind === 'word') return { kind: 'word', words: [...new Set([...a.words, ...b.words])] };
  if (JSON.stringify(a) === JSON.stringify(b)) return a;
  throw new TypeError(`${where} is not of one shape in all variants`);
}
