import fc from 'fast-check';
import { expect, it } from 'vitest';
import { batchesOf } from './send.batch.js';

const BOUNDS = { countMax: 4, charsMax: 20 };

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

it('loses nothing, keeps the order, keeps the bounds', () =>
  fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(fc.string({ maxLength: 30 }), fc.boolean())), async (items) => {
      async function* source() {
        for (const [text, slow] of items) {
          if (slow) await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
          yield text;
        }
      }
      const batches = await all(batchesOf(source(), (text) => text.length, BOUNDS));
      expect(batches.flat()).toEqual(items.map(([text]) => text));
      for (const batch of batches) {
        expect(batch.length).toBeGreaterThan(0);
        expect(batch.length).toBeLessThanOrEqual(BOUNDS.countMax);
        if (batch.length > 1) expect(batch.join('').length).toBeLessThanOrEqual(BOUNDS.charsMax);
      }
    }),
    { numRuns: 300 },
  ));

it('hands on what is there instead of waiting for more', async () => {
  let give: (text: string) => void = () => undefined;
  async function* source() {
    yield 'a';
    yield await new Promise<string>((resolve) => (give = resolve));
  }
  const batches = batchesOf(source(), () => 1, BOUNDS);
  expect((await batches.next()).value).toEqual(['a']);
  give('b');
  expect((await batches.next()).value).toEqual(['b']);
  expect((await batches.next()).done).toBe(true);
});

it('hands on nothing of a batch in which the source fails, and fails where it failed', async () => {
  async function* source() {
    yield 'a';
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    yield 'b';
    throw new Error('broken');
  }
  const batches = batchesOf(source(), () => 1, BOUNDS);
  expect((await batches.next()).value).toEqual(['a']);
  await new Promise((resolve) => setTimeout(resolve, 20));
  await expect(batches.next()).rejects.toThrow('broken');
});
