import { expect, it } from 'vitest';
import type { SnapshotBody, SnapshotMark } from '#apps/runner/src/recovery/snapshots.js';
import { snapshotFields, snapshotMarkFields } from './other.schemas.js';
import { held } from './parts.js';
import { record } from './shape.js';

/** On the log a mark without events has no such field. */
type WrittenMark = Omit<SnapshotMark, 'events'> & { readonly events?: NonNullable<SnapshotMark['events']> };

it('snapshots are described as the runner writes them: the compiler says when not', () => {
  expect(held<SnapshotBody>()(record('Snapshot', '', snapshotFields))).toBeDefined();
  expect(held<WrittenMark>()(record('SnapshotMark', '', snapshotMarkFields))).toBeDefined();
});
