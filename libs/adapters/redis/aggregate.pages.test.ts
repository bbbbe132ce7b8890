import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { AggregateWrite } from '#ports/aggregate-store.port.js';
import { pagesOf } from './aggregate.pages.js';

/** What a script does with the pages. */
function read(pages: ReturnType<typeof pagesOf>): Map<string, string | null> {
  const written = new Map<string, string | null>();
  for (const page of pages) {
    for (let i = 0; i < page.length;) {
      const [head, n] = [String(page[i]), Number(page[i + 1])];
      const width = head.startsWith('+') ? 2 : 1;
      for (let k = i + 2; k < i + 2 + width * n; k += width) {
        const name = `${head.slice(1)}/${page[k]}`;
        expect(written.has(name)).toBe(false);
        written.set(name, width === 2 ? String(page[k + 1]) : null);
      }
      i += 2 + width * n;
    }
  }
  return written;
}

it('has every write once, the last of each id, in pages of bounded size', () => {
  const anyWrite = fc.record({
    id: fc.nat({ max: 3_000 }).map(String),
    state: fc.option(fc.constantFrom('', 'x', 'y'.repeat(500), 'z'.repeat(900_000)), { nil: null }),
  });
  const anyWrites = fc.dictionary(
    fc.constantFrom('run', 'signal', '+', '-'),
    fc.array(anyWrite, { maxLength: 4_000, size: 'max' }),
  );
  fc.assert(
    fc.property(anyWrites, (writes) => {
      const pages = pagesOf(writes);
      const lists = Object.entries(writes) as [string, AggregateWrite[]][];
      const last = lists.flatMap(([space, list]) => list.map(({ id, state }) => [`${space}/${id}`, state] as const));
      expect(read(pages)).toEqual(new Map(last));
      for (const page of pages) {
        const chars = page.reduce<number>((sum, element) => sum + String(element).length, 0);
        expect(page.length).toBeLessThanOrEqual(2_020);
        expect(chars).toBeLessThan(1_048_576 + 900_000 + 100_000);
      }
      expect(pages.length).toBeLessThanOrEqual(1 + Math.ceil(last.length / 1_000) + last.length / 2);
    }),
    { numRuns: 30 },
  );
});

it('takes an ordinary checkpoint in one page', () => {
  const run = Array.from({ length: 500 }, (_, n) => ({ id: `${n}`, state: 'x'.repeat(2_000) }));
  expect(pagesOf({ run, signal: [{ id: 'a', state: null }] })).toHaveLength(1);
  expect(pagesOf({})).toEqual([]);
});
