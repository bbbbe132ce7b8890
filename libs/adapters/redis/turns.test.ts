import { expect, it } from 'vitest';
import { Turns } from './turns.js';

it('lets the calls of a number go one after another, whatever becomes of them', async () => {
  const turns = new Turns();
  const said: string[] = [];
  const first = Promise.withResolvers<void>();
  const all = [
    turns.take(1, async () => {
      await first.promise;
      said.push('1a');
    }),
    turns.take(1, () => {
      said.push('1b');
      return Promise.reject(new Error('of 1b'));
    }),
    turns.take(1, () => Promise.resolve(said.push('1c'))),
  ];
  await turns.take(2, () => Promise.resolve(said.push('2')));
  expect(said).toEqual(['2']);
  first.resolve();
  const outcomes = await Promise.allSettled(all);
  expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  expect(said).toEqual(['2', '1a', '1b', '1c']);
  expect(turns).toEqual(new Turns());
});
