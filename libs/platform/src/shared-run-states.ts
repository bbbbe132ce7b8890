import type { Run } from '#core/run/run.state.js';
import type { AggregateStore } from '#ports/aggregate-store.port.js';
import type { EventLog } from '#ports/event-log.port.js';
import { RunStates } from '#ports/run-states.port.js';
import type { RunViews } from '#ports/run-views.port.js';

/** Runs as their desks show them; one that has not moved for long as it stands in the store. */
export class SharedRunStates extends RunStates {
  constructor(
    private readonly views: RunViews,
    private readonly aggregates: AggregateStore,
    private readonly log: EventLog,
  ) {
    super();
  }

  /** @throws state_unavailable */
  override async get(runId: string): Promise<Run | undefined> {
    const shown = await this.views.see(runId);
    if (shown) return shown;
    const partition = this.log.partitionOf('commands', runId);
    const stored = await this.aggregates.load({ space: 'run', partition }, runId);
    return stored?.state ? (JSON.parse(stored.state) as Run) : undefined;
  }
}
