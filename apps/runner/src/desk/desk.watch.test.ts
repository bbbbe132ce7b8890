import { describe, expect, it } from 'vitest';
import type { Command } from '#core/effects.js';
import type { Run } from '#core/run/run.state.js';
import type { EpochMs } from '#core/words.js';
import { ProcessMetrics } from '#platform/metrics.js';
import { TracingOff } from '#ports/tracing.port.js';
import { ManualClock } from '#testkit/manual-clock.js';
import {
  calls,
  cancelled,
  complete,
  drops,
  given,
  replies,
  scheduled,
  skipped,
  started,
  type Beat,
} from '#testkit/run.story.js';
import { aboutCommand, DeskWatch } from './desk.watch.js';
import type { Aggregate } from './room.js';
import { roomOf } from './rules.js';

const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
const position = { partition: 3, offset: 7 };

class Spans extends TracingOff {
  readonly runs: string[] = [];
  override ended(...[run, endedAt]: [Run?, EpochMs?]): void {
    this.runs.push(`${run?.id} ${run?.state} ${endedAt === run?.endedAt}`);
  }
}

/** What is counted and traced of a run's commands, in order. */
async function watched(...beats: readonly Beat[]) {
  const metrics = new ProcessMetrics(new ManualClock(), quiet);
  const tracing = new Spans();
  const watch = new DeskWatch({ metrics, tracing });
  const { commands } = given(...beats);
  let state: Aggregate | undefined;
  for (const command of commands) {
    const room = roomOf(command.type);
    if (!room) throw new Error(`no room for ${command.type}`);
    const decision = room.decide(state, command, position);
    watch.decided(room, command, state, decision);
    state = decision.next;
  }
  const text = await metrics.text();
  const counted = (name: string) => text.split('\n').filter((line) => line.startsWith(`${name}{`));
  return {
    runs: tracing.runs,
    ended: counted('millrace_runs_ended_total'),
    commands: counted('millrace_commands_total'),
  };
}

describe('what a desk decides', () => {
  it('is counted, and the end of a run once', async () => {
    const { runs, ended, commands } = await watched(
      scheduled(),
      started(),
      replies([complete()]),
      cancelled,
      cancelled,
    );
    expect(runs).toEqual(['01STORYRUN completed true']);
    expect(ended).toEqual(['millrace_runs_ended_total{status="completed"} 1']);
    expect(commands).toEqual([
      'millrace_commands_total{type="ScheduleRun",result="accepted"} 1',
      'millrace_commands_total{type="StartRun",result="accepted"} 1',
      'millrace_commands_total{type="ReportCall",result="accepted"} 1',
      'millrace_commands_total{type="CancelRun",result="ignored"} 2',
    ]);
  });

  it('counts no end of a run whose last call is answered behind it', async () => {
    const { runs, commands } = await watched(
      scheduled(),
      calls(),
      cancelled,
      drops({ target: 'step', seq: 0, generation: 1 }),
    );
    expect(commands.at(-1)).toBe('millrace_commands_total{type="DropCall",result="accepted"} 1');
    expect(runs).toEqual(['01STORYRUN cancelled true']);
  });

  it('may be that a run is cancelled, or never runs', async () => {
    expect((await watched(scheduled(), cancelled)).ended).toEqual(['millrace_runs_ended_total{status="cancelled"} 1']);
    const never = await watched(skipped());
    expect(never.ended).toEqual(['millrace_runs_ended_total{status="skipped"} 1']);
    expect(never.runs).toEqual(['01STORYRUN skipped true']);
  });

  it('is told of in the log with whose it is and where it stands', () => {
    const command: Command = { type: 'CancelRun', runId: 'R', env: 'env', at: 1, by: 'api' };
    const record = {
      topic: 'commands',
      key: 'R',
      type: 'CancelRun',
      schema: 1,
      env: 'env',
      at: 1,
      body: command,
    } as const;
    expect(aboutCommand({ ...record, position })).toEqual({ key: 'R', type: 'CancelRun', ...position, runId: 'R' });
    expect(aboutCommand({ ...record, position, body: undefined })).toEqual({
      key: 'R',
      type: 'CancelRun',
      ...position,
    });
  });
});
