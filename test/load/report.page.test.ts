import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { goalsOf } from './goals.ts';
import { pageOf, writePage } from './report.page.ts';
import type { Row } from './row.ts';

const folder = mkdtempSync(join(tmpdir(), 'millrace-page-'));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const ROW: Row = {
  id: 'B4',
  title: '50 parallel steps, joined',
  did: '12 runs',
  values: { p50Ms: 200 },
  verdict: { exact: true },
  goals: goalsOf('B4', 'cluster'),
};

it('keeps the rows of the other mode, and what people wrote', () => {
  const path = join(folder, 'page.md');
  writePage(path, 'rows', 'of one process');
  writePage(path, 'cluster', 'of a cluster');
  writePage(path, 'rows', 'of one process, later');
  const page = readFileSync(path, 'utf8');
  expect(page).toContain('<!-- rows -->\n\nof one process, later\n\n<!-- /rows -->');
  expect(page).toContain('<!-- cluster -->\n\nof a cluster\n\n<!-- /cluster -->');
  expect(page).toContain('## Soak');
});

it('holds a row to the goals of its mode', () => {
  expect(goalsOf('B4', 'embedded')).toEqual([{ value: 'p50Ms', atMost: 150 }]);
  expect(pageOf([ROW], '0.1', { cluster: { runners: 2, executors: 1 } })).toContain(
    '| B4 | 50 parallel steps, joined | p50 200 ms | ≤ 250 ms |  | reached |',
  );
  expect(pageOf([{ ...ROW, goals: goalsOf('B4', 'embedded') }], '0.1', {})).toContain('| missed |');
});

it('has no number where an effect is lost or doubled', () => {
  const page = pageOf([{ ...ROW, verdict: { exact: false, defect: '1 lost' } }], '0.1', {});
  expect(page).toContain('| **no number**: 1 lost |');
  expect(page).not.toContain('200 ms');
});
