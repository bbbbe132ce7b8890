import fc from 'fast-check';

/** Payloads and expressions that meet often enough to be worth the name: few names, few values, all the odd ones among them. */
const NAMES = ['a', 'b', 'list'] as const;

const anyScalar = fc.constantFrom<unknown>(null, 0, 1, 5, -0, 0.5, 1e20, '', 'a', '5', 'true', true, false);

const anyValue = fc.oneof(
  { weight: 6, arbitrary: anyScalar },
  { weight: 1, arbitrary: fc.array(anyScalar, { maxLength: 3 }) },
  { weight: 1, arbitrary: fc.dictionary(fc.constantFrom('a', 'b', '__proto__'), anyScalar, { maxKeys: 2 }) },
);

/** An event as functions see it, parsed. */
export const anyEvent: fc.Arbitrary<Readonly<Record<string, unknown>>> = fc
  .record({
    a: fc.option(anyValue, { nil: undefined }),
    b: fc.option(anyValue, { nil: undefined }),
    list: fc.option(fc.array(anyScalar, { maxLength: 3 }), { nil: undefined }),
  })
  .map(
    (data) =>
      JSON.parse(JSON.stringify({ data, id: 'e1', name: 'app/thing', ts: 1_767_225_600_000, user: {} })) as object,
  )
  .map((event) => ({ ...event }));

const anyLiteral = fc.constantFrom(
  'null',
  '0',
  '1',
  '5',
  '-1',
  '5.0',
  '0.5',
  '9007199254740993',
  '""',
  '"a"',
  '"5"',
  'true',
  'false',
  '[]',
  '[1, "a"]',
  '{"a": 5}',
);

function anyPath(root: string): fc.Arbitrary<string> {
  const step = fc.constantFrom(...NAMES.map((name) => `.${name}`), '["a"]', '["__proto__"]', '.constructor');
  return fc.array(step, { minLength: 1, maxLength: 2 }).map((steps) => `${root}.data${steps.join('')}`);
}

const anyEventPart = fc.oneof(
  { weight: 4, arbitrary: anyPath('event') },
  { weight: 3, arbitrary: anyLiteral },
  { weight: 1, arbitrary: anyPath('event').map((path) => `string(${path})`) },
  { weight: 1, arbitrary: fc.tuple(anyPath('event'), anyLiteral).map(([path, literal]) => `(${path} + ${literal})`) },
  { weight: 1, arbitrary: anyPath('event').map((path) => `double(${path})`) },
  { weight: 1, arbitrary: fc.constant('date(now())') },
);

const anyPart = fc.oneof(anyEventPart, anyPath('async'));

const anyEquality = fc
  .tuple(anyPath('async'), anyEventPart, fc.boolean())
  .map(([path, part, swapped]) => (swapped ? `${part} == ${path}` : `${path} == ${part}`));

const anyCondition = fc.letrec<{ condition: string; leaf: string }>((tie) => ({
  leaf: fc.oneof(
    { weight: 6, arbitrary: anyEquality },
    {
      weight: 3,
      arbitrary: fc
        .tuple(anyPart, fc.constantFrom('==', '!=', '<', '<=', '>', '>=', 'in'), anyPart)
        .map(([left, by, right]) => `${left} ${by} ${right}`),
    },
    { weight: 1, arbitrary: anyPart },
    {
      weight: 1,
      arbitrary: fc
        .constantFrom('event', 'async')
        .chain(anyPath)
        .map((path) => `!${path}`),
    },
    {
      weight: 1,
      arbitrary: fc.constantFrom('event.data.a', 'async.data.a', 'async.data.a.b').map((path) => `has(${path})`),
    },
    { weight: 1, arbitrary: fc.constantFrom('event', 'async').map((root) => `${root}.data.a.startsWith("a")`) },
    {
      weight: 1,
      arbitrary: fc
        .tuple(fc.constantFrom('event', 'async'), fc.constantFrom('all', 'exists', 'exists_one'), anyPart)
        .map(([root, macro, part]) => `${root}.data.list.${macro}(i, i == ${part})`),
    },
    { weight: 1, arbitrary: anyPart.map((part) => `[1, 5, "a"].filter(i, i == ${part})[0] == async.data.a`) },
  ),
  condition: fc.oneof(
    { maxDepth: 3 },
    { weight: 3, arbitrary: tie('leaf') },
    { weight: 3, arbitrary: fc.tuple(tie('condition'), tie('condition')).map(([a, b]) => `(${a} && ${b})`) },
    { weight: 1, arbitrary: fc.tuple(tie('condition'), tie('condition')).map(([a, b]) => `(${a} || ${b})`) },
    { weight: 1, arbitrary: tie('condition').map((a) => `!(${a})`) },
    {
      weight: 1,
      arbitrary: fc
        .tuple(tie('condition'), tie('condition'), tie('condition'))
        .map(([a, b, c]) => `(${a} ? ${b} : ${c})`),
    },
  ),
})).condition;

/** CEL over `event` and `async` that compiles; it may well fail when it is evaluated. */
export const anyMatchExpression: fc.Arbitrary<string> = anyCondition;
