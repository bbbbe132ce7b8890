import { expect, it } from 'vitest';
import { hasMoreThanOne, literal } from './statement.text.js';

it.each([
  'SELECT 1',
  'SELECT 1;',
  'SELECT 1; -- done; really\n /* ; */ ;',
  `SELECT ';', "a;b", \`c;d\`, 'it''s; \\'; '`,
  'SELECT 1 /* ; */ + 1',
  'INSERT INTO t FORMAT JSONEachRow\n{"a":"x; SELECT 1"}',
  "INSERT INTO t VALUES ('a; b'); ",
])('sees one statement in %s', (sql) => {
  expect(hasMoreThanOne(sql)).toBe(false);
});

it.each(['SELECT 1; SELECT 2', "SELECT ';'; DROP TABLE t", 'SELECT 1;/* and */SELECT 2', "SELECT 1; 'text'"])(
  'sees more than one in %s',
  (sql) => {
    expect(hasMoreThanOne(sql)).toBe(true);
  },
);

it('quotes a text', () => {
  expect(literal("it's a \\")).toBe("'it\\'s a \\\\'");
});
