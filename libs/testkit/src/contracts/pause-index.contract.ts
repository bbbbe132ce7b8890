import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { compile, MATCH_ROOTS } from '#core/expression/expression.compile.js';
import { evaluateBoolean } from '#core/expression/expression.evaluate.js';
import { canonical } from '#core/json.js';
import { DEFAULT_ENV } from '#core/words.js';
import type { Candidate, Pause, PauseIndex } from '#ports/pause-index.port.js';
import { anyEvent, anyMatchExpression } from '../any-match.js';

export interface PauseIndexUnderTest {
  readonly index: PauseIndex;
  /** Restores every partition, with what has been added. */
  restore(): Promise<void>;
  dispose(): Promise<void>;
}

const SINCE = Date.UTC(2026, 0, 1);
const UNTIL = SINCE + 3_600_000;

export function aPause(id: string, over: Partial<Pause> & { readonly data?: unknown } = {}): Pause {
  const { data = {}, ...rest } = over;
  return {
    id,
    env: DEFAULT_ENV,
    kind: 'wait',
    runId: `run-${id}`,
    stepId: id,
    event: 'shop/paid',
    trigger: canonical({ data, id: 'e0', name: 'shop/order.placed', ts: SINCE, user: {} }),
    since: SINCE,
    until: UNTIL,
    notEvents: ['01KE-TRIGGER'],
    ...rest,
  };
}

export function aCandidate(data: unknown, over: Partial<Candidate> = {}): Candidate {
  const name = over.name ?? 'shop/paid';
  return {
    env: DEFAULT_ENV,
    name,
    internalId: '01KE-CANDIDATE',
    receivedAt: SINCE + 1,
    payload: canonical({ data, id: 'e1', name, ts: SINCE, user: {} }),
    ...over,
  };
}

/** What one event resolves. */
export async function matched(index: PauseIndex, candidate: Candidate): Promise<readonly Pause[]> {
  const [resolved = []] = await index.match([candidate]);
  return resolved;
}

/** What a PauseIndex promises, whatever it is made of. `open` gives an empty one, all of whose partitions are restored. */
export function pauseIndexContract(name: string, open: () => Promise<PauseIndexUnderTest>): void {
  describe(`${name} as a PauseIndex`, () => {
    let under: PauseIndexUnderTest;
    let index: PauseIndex;

    beforeEach(async () => {
      under = await open();
      index = under.index;
    });
    afterEach(() => under.dispose());

    const found = async (candidate: Candidate) => (await matched(index, candidate)).map(({ id }) => id).sort();

    it('finds by exact name, in the environment', async () => {
      await index.add([
        aPause('a'),
        aPause('b', { event: 'shop/Paid' }),
        aPause('c', { event: 'shop/paid.late' }),
        aPause('d', { env: 'other' }),
        aPause('e', { event: 'inngest/function.finished' }),
      ]);
      expect(await found(aCandidate({}))).toEqual(['a']);
      expect(await found(aCandidate({}, { env: 'other' }))).toEqual(['d']);
      expect(await found(aCandidate({}, { name: 'inngest/function.finished' }))).toEqual(['e']);
      expect(await found(aCandidate({}, { name: 'shop/refunded' }))).toEqual([]);
    });

    it('takes many events at once, and says of each what it resolves', async () => {
      await index.add([
        aPause('any'),
        aPause('x', { expression: 'async.data.id == event.data.id', data: { id: 'x' } }),
        aPause('y', { expression: 'async.data.id == event.data.id', data: { id: 'y' } }),
        aPause('late', { event: 'shop/paid.late', expression: 'async.data.n > 5' }),
      ]);
      const ids = ['x', 'y', 'z', 'x'];
      const candidates = [
        ...ids.map((id) => aCandidate({ id })),
        aCandidate({ n: 6 }, { name: 'shop/paid.late' }),
        aCandidate({ n: 5 }, { name: 'shop/paid.late' }),
        ...Array.from({ length: 300 }, (_, n) => aCandidate({ id: n % 2 ? 'y' : '' })),
      ];
      const resolved = (await index.match(candidates)).map((pauses) => pauses.map(({ id }) => id).sort());
      expect(resolved.slice(0, 6)).toEqual([['any', 'x'], ['any', 'y'], ['any'], ['any', 'x'], ['late'], []]);
      expect(resolved.slice(6)).toEqual(Array.from({ length: 300 }, (_, n) => (n % 2 ? ['any', 'y'] : ['any'])));
      expect(await index.match([])).toEqual([]);
    });

    it('takes a wildcard for a name like any other', async () => {
      await index.add([aPause('a', { event: 'shop/*' })]);
      expect(await found(aCandidate({}))).toEqual([]);
      expect(await found(aCandidate({}, { name: 'shop/*' }))).toEqual(['a']);
    });

    it('gives back the whole pause', async () => {
      const pauses = [
        aPause('a', { expression: 'async.data.id == event.data.id', data: { id: 'x' } }),
        aPause('b', { kind: 'cancel' }),
      ];
      await index.add(pauses);
      const resolved = await matched(index, aCandidate({ id: 'x' }));
      expect([...resolved].sort((a, b) => (a.id < b.id ? -1 : 1))).toEqual(pauses);
    });

    it('asks when the event was received: from since on, before until', async () => {
      await index.add([aPause('a'), aPause('b', { expression: 'async.data.n == 1' })]);
      const at = (receivedAt: number) => found(aCandidate({ n: 1 }, { receivedAt }));
      expect(await at(SINCE - 1)).toEqual([]);
      expect(await at(SINCE)).toEqual(['a', 'b']);
      expect(await at(UNTIL - 1)).toEqual(['a', 'b']);
      expect(await at(UNTIL)).toEqual([]);
    });

    it("leaves out the run's own events", async () => {
      await index.add([aPause('a', { notEvents: ['01KE-X', '01KE-Y'] }), aPause('b', { notEvents: [] })]);
      expect(await found(aCandidate({}, { internalId: '01KE-Y' }))).toEqual(['b']);
      expect(await found(aCandidate({}, { internalId: '01KE-Z' }))).toEqual(['a', 'b']);
    });

    it('finds every pause that one event resolves, in any number of runs and several in one', async () => {
      const pauses = Array.from({ length: 50 }, (_, i) =>
        aPause(`p${String(i).padStart(2, '0')}`, {
          runId: `run-${i % 10}`,
          ...(i % 3 > 0 && {
            expression: i % 3 === 1 ? 'async.data.id == event.data.id' : 'async.data.n > event.data.n',
          }),
          data: { id: 'x', n: i },
        }),
      );
      await index.add(pauses);
      expect(await found(aCandidate({ id: 'x', n: 100 }))).toEqual(pauses.map(({ id }) => id));
    });

    it('finds again until the pause is removed', async () => {
      await index.add([
        aPause('a', { expression: 'async.data.n == 1' }),
        aPause('b'),
        aPause('c', { expression: '1 ==' }),
      ]);
      expect(await found(aCandidate({ n: 1 }))).toEqual(['a', 'b']);
      expect(await found(aCandidate({ n: 1 }))).toEqual(['a', 'b']);
      await index.remove(['a', 'c', 'unknown']);
      await index.remove(['a']);
      expect(await found(aCandidate({ n: 1 }))).toEqual(['b']);
      expect(await index.size()).toBe(1);
    });

    it('has each id once: what comes later replaces', async () => {
      await index.add([
        aPause('a', { expression: 'async.data.n == 1' }),
        aPause('b'),
        aPause('c', { expression: 'nonsense(' }),
      ]);
      await index.add([
        aPause('a', { expression: 'async.data.n == 2' }),
        aPause('b', { event: 'shop/refunded' }),
        aPause('c'),
        aPause('c', { expression: 'async.data.n > 1' }),
      ]);
      expect(await index.size()).toBe(3);
      expect(await found(aCandidate({ n: 1 }))).toEqual([]);
      expect(await found(aCandidate({ n: 2 }))).toEqual(['a', 'c']);
      expect(await found(aCandidate({}, { name: 'shop/refunded' }))).toEqual(['b']);
    });

    it('tells apart values that are alike, also long ones', async () => {
      const long = 'x'.repeat(500);
      const values = [
        '',
        ' ',
        '5',
        5,
        '5.0',
        5.5,
        1e300,
        'true',
        true,
        'null',
        'a\nb',
        'a\\nb',
        '"',
        long,
        `${long}y`,
        '\u0000',
        'é',
      ];
      await index.add(
        values.map((value, i) =>
          aPause(`p${i}`, { expression: 'async.data.id == event.data.id', data: { id: value } }),
        ),
      );
      for (const [i, value] of values.entries()) expect(await found(aCandidate({ id: value }))).toEqual([`p${i}`]);
    });

    it('finds by any of very many fields', async () => {
      const count = 100;
      await index.add(
        Array.from({ length: count }, (_, i) => aPause(`p${i}`, { expression: `async.data.f${i} == ${i}` })),
      );
      for (const i of [0, 31, 32, 33, 63, 64, 99]) expect(await found(aCandidate({ [`f${i}`]: i }))).toEqual([`p${i}`]);
      await index.remove(Array.from({ length: 50 }, (_, i) => `p${i}`));
      await index.add([aPause('late', { expression: 'async.data.late == 1' })]);
      expect(await found(aCandidate({ f0: 0, f49: 49, f50: 50, f99: 99, late: 1 }))).toEqual(['late', 'p50', 'p99']);
    });

    it('says whether a partition has been restored, and forgets everything when it is told', async () => {
      expect(await index.intact(0)).toBe(true);
      await index.add([aPause('a'), aPause('b', { expression: 'async.data.n == 1' })]);
      await index.clear();
      expect(await index.size()).toBe(0);
      expect(await index.intact(0)).toBe(false);
      await index.add([aPause('c')]);
      await under.restore();
      expect(await index.intact(0)).toBe(true);
      expect(await found(aCandidate({ n: 1 }))).toEqual(['c']);
      expect(await index.size()).toBe(1);
    });

    it('is not disturbed by expressions that fail, never hold, or do not compile', async () => {
      const bad = [
        'async.data.n.contains("x")',
        'async.data.list[7] == 1',
        'async.data.n / 0 == 1',
        'event.data.s < 5',
        'async.data.n',
        'event.data.missing && async.data.n == 1',
        'foo.bar == 1',
        'async.data.n === 1',
        '',
        'async.data.n == event.data.s + (1 / 0)',
      ];
      await index.add(
        Array.from({ length: 200 }, (_, i) =>
          aPause(`bad${i}`, { expression: bad[i % bad.length] ?? '', data: { s: 'x' } }),
        ),
      );
      await index.add([aPause('good', { expression: 'async.data.n == event.data.n', data: { n: 1 } })]);
      await index.add([aPause('also', { expression: 'async.data.n > 0' })]);
      expect(await found(aCandidate({ n: 1, list: [] }))).toEqual(['also', 'good']);
      expect(await index.size()).toBe(202);
    });

    it.each<[string, unknown, readonly unknown[], readonly unknown[]]>([
      ['async.data.id == event.data.id', { id: 'x' }, ['x'], ['y', '', 0, null, undefined, ['x']]],
      ['event.data.id == async.data.id', { id: 5 }, [5], ['5', 5.5, true, null, undefined]],
      ['async.data.id == 5', {}, [5], ['5', 6]],
      ['async.data.id == 0', {}, [0, -0], ['0', false, '', null, undefined]],
      ['async.data.id == event.data.id', { id: false }, [false], [0, '', 'false', null, undefined]],
      ['async.data.id == event.data.id', { id: null }, [null, undefined], ['null', 0, '', false]],
      ['async.data.id == event.data.id', {}, [null], [undefined, 'null', 0, '', false]],
      ['async.data.id == null && async.data.other == null', {}, [null, undefined], ['null', false]],
      ['async.data.id == event.data.id', { id: [1, { a: 2 }] }, [[1, { a: 2 }]], [[1], null, undefined]],
      ['async.data.id != event.data.id', { id: 'x' }, ['y', null, undefined], ['x']],
      ['async.data.id == "x" || async.data.id == "y"', {}, ['x', 'y'], ['z']],
      ['async.data.id in event.data.ids', { ids: ['x', 5] }, ['x', 5], ['y', undefined]],
      ['!async.data.id', {}, [undefined, false], [true, null, 'x']],
      ['now() > date(event.ts) && async.data.id == "x"', {}, ['x'], ['y']],
    ])('%s of %j', async (expression, data, yes, no) => {
      await index.add([aPause('a', { expression, data })]);
      for (const id of yes) expect(await found(aCandidate({ id }))).toEqual(['a']);
      for (const id of no) expect(await found(aCandidate({ id }))).toEqual([]);
    });

    it('takes any field name, and none for a part of JavaScript', async () => {
      await index.add([
        aPause('a', { expression: 'async.data.__proto__.constructor == event.data.id', data: { id: 'x' } }),
        aPause('b', { expression: 'async.data["a\\n.b"] == event.data.id', data: { id: 'x' } }),
        aPause('c', { expression: 'async.constructor.name == "Object"' }),
        aPause('d', { expression: 'async.data.a.b == "x"' }),
      ]);
      const payload = '{"data":{"__proto__":{"constructor":"x"},"a\\n.b":"x"}}';
      expect(await found(aCandidate({}, { payload }))).toEqual(['a', 'b']);
      expect(await found(aCandidate({ 'a.b': 'x' }))).toEqual([]);
      expect(await found(aCandidate({ a: { b: 'x' } }))).toEqual(['d']);
    });

    it('finds what looking at every pause finds, whatever comes and goes', async () => {
      const anyPause = fc.record({
        id: fc.nat({ max: 12 }).map((n) => `p${n}`),
        event: fc.constantFrom('a', 'b'),
        expression: fc.option(anyMatchExpression, { nil: undefined }),
        trigger: anyEvent,
        since: fc.constantFrom(SINCE, SINCE + 10),
        until: fc.constantFrom(SINCE + 10, UNTIL),
        notEvents: fc.constantFrom([], ['01KE-1']),
      });
      const anyStep = fc.oneof(
        { weight: 3, arbitrary: fc.record({ add: fc.array(anyPause, { maxLength: 4 }) }) },
        { weight: 1, arbitrary: fc.record({ remove: fc.array(fc.nat({ max: 12 }), { maxLength: 3 }) }) },
        {
          weight: 4,
          arbitrary: fc.record({
            match: fc.record({
              event: fc.constantFrom('a', 'b'),
              value: anyEvent,
              receivedAt: fc.constantFrom(SINCE, SINCE + 10),
              internalId: fc.constantFrom('01KE-1', '01KE-2'),
            }),
          }),
        },
      );
      await fc.assert(
        fc.asyncProperty(fc.array(anyStep, { maxLength: 12 }), async (steps) => {
          const fresh = await open();
          const kept = new Map<string, Pause>();
          try {
            for (const step of steps) {
              if ('add' in step) {
                const pauses = step.add.map(({ id, expression, trigger, ...rest }) =>
                  aPause(id, { ...rest, ...(expression !== undefined && { expression }), trigger: canonical(trigger) }),
                );
                await fresh.index.add(pauses);
                for (const pause of pauses) kept.set(pause.id, pause);
              } else if ('remove' in step) {
                const ids = step.remove.map((n) => `p${n}`);
                await fresh.index.remove(ids);
                for (const id of ids) kept.delete(id);
              } else {
                const { event, value, receivedAt, internalId } = step.match;
                const candidate = aCandidate({}, { name: event, payload: canonical(value), receivedAt, internalId });
                const expected = [...kept.values()].filter((pause) => resolves(pause, candidate)).map(({ id }) => id);
                const resolved = (await matched(fresh.index, candidate)).map(({ id }) => id);
                expect([...resolved].sort()).toEqual(expected.sort());
              }
              expect(await fresh.index.size()).toBe(kept.size);
            }
          } finally {
            await fresh.dispose();
          }
        }),
        { numRuns: 500 },
      );
    });
  });
}

/** The rule itself: sections 17.4 and 21. */
function resolves(pause: Pause, candidate: Candidate): boolean {
  if (pause.env !== candidate.env || pause.event !== candidate.name) return false;
  if (candidate.receivedAt < pause.since || candidate.receivedAt >= pause.until) return false;
  if (pause.notEvents.includes(candidate.internalId)) return false;
  if (pause.expression === undefined) return true;
  const { expression } = compile(pause.expression, { roots: MATCH_ROOTS, policy: 'any' });
  if (!expression) return false;
  const vars = { event: JSON.parse(pause.trigger) as unknown, async: JSON.parse(candidate.payload) as unknown };
  return evaluateBoolean(expression, vars, candidate.receivedAt).value === true;
}
