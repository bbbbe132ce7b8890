import type { Run } from '#core/run/run.state.js';
import type { Position } from '#core/words.js';

/** A run as it stands after a command. */
export interface RunView {
  readonly run: Run;
  /** The first command of its partition that it does not reflect. */
  readonly at: Position;
}

/**
 * Runs as their desks have them, for other processes: what is handed out of the queue finds its run here in the state in which it was put
 * out, or in a later one. Not a store: it may stand ahead of `transitions`, and nothing is folded from it.
 */
export abstract class RunViews {
  /**
   * Shows runs as they stand. A view that stands before the one that is shown is left out: it comes from a desk that is behind. Of a run that
   * has ended it stays a while. @throws state_unavailable when some of them may not be shown; showing them again is harmless
   */
  abstract show(views: readonly RunView[]): Promise<void>;
  /** @returns undefined when it was never shown, or long ago, or when what was shown is lost. @throws state_unavailable */
  abstract see(runId: string): Promise<Run | undefined>;
}
