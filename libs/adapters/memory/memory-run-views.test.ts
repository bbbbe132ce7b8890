import { expect, it } from 'vitest';
import { aRun } from '#testkit/a-run.js';
import { runViewsContract } from '#testkit/contracts/run-views.contract.js';
import { MemoryRunViews } from './memory-run-views.js';

runViewsContract('MemoryRunViews', () => {
  const views = new MemoryRunViews();
  return Promise.resolve({ views, elsewhere: views, dispose: () => Promise.resolve() });
});

it('MemoryRunViews lets go of those that were shown longest ago', async () => {
  const views = new MemoryRunViews(2);
  const show = (id: string, offset: number) => views.show([{ run: aRun(id), at: { partition: 0, offset } }]);
  await show('a', 1);
  await show('b', 2);
  await show('a', 3);
  await show('c', 4);
  expect(await Promise.all(['a', 'b', 'c'].map((id) => views.see(id)))).toEqual([aRun('a'), undefined, aRun('c')]);
});
