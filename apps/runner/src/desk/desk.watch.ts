import type { Command } from '#core/effects.js';
import { isEnded, type Run } from '#core/run/run.state.js';
import type { PlacedRecord } from '#ports/event-log.port.js';
import type { Watching } from '#ports/tracing.port.js';
import type { Aggregate, AnyRoom, RoomDecision } from './room.js';

/** Counts what is decided, and traces runs. What is only folded once more is no business of its. */
export class DeskWatch {
  constructor(private readonly watching: Watching) {}

  decided(room: AnyRoom, command: Command, before: Aggregate | undefined, decision: RoomDecision<Aggregate>): void {
    const { metrics, tracing } = this.watching;
    const result = decision.ignored === undefined ? 'accepted' : 'ignored';
    metrics.count('millrace_commands_total', { type: command.type, result });
    if (room.space !== 'run' || decision.transitions.length === 0) return;
    const run = decision.next as Run | undefined;
    if (!run || !isEnded(run) || (before && isEnded(before as Run))) return;
    metrics.count('millrace_runs_ended_total', { status: run.state });
    tracing.ended(run, run.endedAt ?? command.at);
  }
}

/** For the log: where a command stands, and whose it is. */
export function aboutCommand({ key, type, position, body }: PlacedRecord<Command>): object {
  const { runId, functionId } = (body ?? {}) as { readonly runId?: string; readonly functionId?: string };
  return {
    key,
    type,
    ...position,
    ...(runId === undefined ? {} : { runId }),
    ...(functionId === undefined ? {} : { functionId }),
  };
}
