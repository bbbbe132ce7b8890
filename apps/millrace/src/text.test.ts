import { expect, it } from 'vitest';
import { colorsFor, countText, firstLine, lengthText } from './text.js';

it.each([
  [-5, '0 ms'],
  [0, '0 ms'],
  [999, '999 ms'],
  [1_000, '1.0 s'],
  [1_249, '1.2 s'],
  [59_999, '59.9 s'],
  [60_000, '1 min'],
  [125_000, '2 min 5 s'],
  [3_600_000, '1 h'],
  [11_520_000, '3 h 12 min'],
  [187_200_000, '2 d 4 h'],
])('%d ms read %s', (ms, text) => expect(lengthText(ms)).toBe(text));

it('counts', () => {
  expect(countText(1, 'run')).toBe('1 run');
  expect(countText(0, 'run')).toBe('0 runs');
  expect(countText(1_240, 'run')).toBe('1,240 runs');
});

it('takes the first line of what apps write, bounded and harmless', () => {
  expect(firstLine('\n  one\r\ntwo')).toBe('one');
  expect(firstLine('')).toBe('');
  expect(firstLine('abcdef', 4)).toBe('abc…');
  expect(firstLine('a\u001b]0;title\u0007b\u009b31m')).toBe('a\ufffd]0;title\ufffdb\ufffd31m');
});

it.each([
  ['a terminal', { isTTY: true }, {}, true, true],
  ['a pipe', {}, {}, true, false],
  ['--no-color', { isTTY: true }, {}, false, false],
  ['NO_COLOR', { isTTY: true }, { NO_COLOR: '1' }, true, false],
  ['a dumb terminal', { isTTY: true }, { TERM: 'dumb' }, true, false],
  ['a pipe with FORCE_COLOR', {}, { FORCE_COLOR: '1' }, true, true],
])('colours: %s', (_, stream, env, wanted, colored) => {
  expect(colorsFor(stream, env, wanted).isColorSupported).toBe(colored);
});
