import type { EpochMs } from '../words.js';
import type { Admission } from './admission.js';

/** Something that should be out for a control as it stands. Equal `id` and `at`: the same thing. */
export type OwedAdmission =
  /** The end of a debounce or a batch. Another turn is another thing: it may be due at the same instant. */
  | {
      readonly kind: 'admission';
      readonly id: string;
      readonly at: EpochMs;
      readonly key: string;
      readonly turn: number;
    }
  /** What the queue has to know of a throttle. */
  | { readonly kind: 'spent'; readonly id: string; readonly at: EpochMs };

export function admissionOwed(state: Admission | undefined): readonly OwedAdmission[] {
  switch (state?.kind) {
    case 'debounce':
      return ending(state, state.window?.dueAt);
    case 'batch':
      return ending(state, state.buffer?.dueAt);
    case 'throttle':
      return [{ kind: 'spent', id: state.key, at: state.tat }];
    default:
      return [];
  }
}

function ending(
  { key, turn }: { readonly key: string; readonly turn: number },
  at: EpochMs | undefined,
): readonly OwedAdmission[] {
  return at === undefined ? [] : [{ kind: 'admission', id: `${key}@${turn}`, at, key, turn }];
}
