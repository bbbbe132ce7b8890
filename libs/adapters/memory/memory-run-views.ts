import type { Run } from '#core/run/run.state.js';
import { RunViews, type RunView } from '#ports/run-views.port.js';

const SHOWN_MAX = 100_000;

/** Views of one process: those that were shown last. */
export class MemoryRunViews extends RunViews {
  private readonly shown = new Map<string, RunView>();

  constructor(private readonly shownMax = SHOWN_MAX) {
    super();
  }

  override show(views: readonly RunView[]): Promise<void> {
    for (const view of views) {
      const { id } = view.run;
      const before = this.shown.get(id);
      if (before && before.at.offset > view.at.offset) continue;
      this.shown.delete(id);
      this.shown.set(id, view);
    }
    for (const oldest of this.shown.keys()) {
      if (this.shown.size <= this.shownMax) break;
      this.shown.delete(oldest);
    }
    return Promise.resolve();
  }

  override see(runId: string): Promise<Run | undefined> {
    return Promise.resolve(this.shown.get(runId)?.run);
  }
}
