import { expect, it } from 'vitest';
import { appIdOf, functionIdOf } from './function.ids.js';

it('gives an app and a function the same id each time, and no two the same', () => {
  const ids = [
    appIdOf('e1', 'shop'),
    appIdOf('e2', 'shop'),
    appIdOf('e1', 'shop2'),
    functionIdOf('a', 's'),
    functionIdOf('a', 's2'),
  ];
  expect(new Set(ids).size).toBe(ids.length);
  expect(appIdOf('e1', 'shop')).toBe(ids[0]);
  expect(functionIdOf(appIdOf('e1', 'shop'), 'shop-f')).toBe('a84df3bb-80c4-5323-b878-d2ca2772b7df');
});
