import type { Run } from '#core/run/run.state.js';

/** Runs as they are folded right now. */
export abstract class RunStates {
  /** A run that is active, or ended a short while ago; undefined for the rest (History knows it). */
  abstract get(runId: string): Promise<Run | undefined>;
}
