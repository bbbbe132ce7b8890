import { goalsOf } from '../goals.ts';
import { both, verdictOf } from '../ledger.ts';
import { costs, type Row } from '../row.ts';
import type { Scenario } from '../scenario.ts';
import { chunked, eventsOf } from '../sender.ts';

const ENDED = 10_000;
const WAITING = 1_000;
const BURST = 500;

/**
 * B13: everything that is folded from the log is thrown away (`state.db`; of a cluster, all that is in Redis), and a new start makes it anew, to where
 * all partitions are served. What the same start takes with nothing lost is taken off.
 */
export const rebuild: Scenario = {
  id: 'B13',
  alone: true,
  // All commands are folded: no snapshot saves any of them.
  cluster: { env: { MILLRACE_SNAPSHOT_INTERVAL: '3600' } },
  async run({ stage, size, say }) {
    const waiting = stage.numbers(size(WAITING));
    for (const some of chunked(waiting, BURST)) await stage.sender.send(eventsOf('raw/wait', some));
    await stage.raw.reached('raw-wait', 'entered', waiting.length);
    const ended = size(ENDED);
    for (let done = 0; done < ended; done += BURST) {
      await stage.sender.send(eventsOf('raw/steps', stage.numbers(Math.min(BURST, ended - done))));
      await stage.raw.reached('raw-steps', 'finished', Math.min(ended, done + BURST));
      if ((done / BURST) % 4 === 0) say(`  ${Math.min(ended, done + BURST).toLocaleString('en')} runs done`);
    }
    await stage.quiet();
    await stage.marks();
    const before = await stage.log();

    const plain = await stage.restarted();
    const rebuilt = await stage.restarted(() => stage.millrace.empty());

    await stage.sender.send(eventsOf('raw/match', waiting));
    await stage.raw.reached('raw-wait', 'finished', waiting.length);
    await stage.quiet();
    const marks = await stage.marks();
    const after = await stage.log();
    const completed = after.runsCompleted - before.runsCompleted;
    const row: Row = {
      id: 'B13',
      title: 'State rebuilt from the log',
      did: `${before.commands.toLocaleString('en')} commands, of ${ended.toLocaleString('en')} runs of 10 steps that have ended and ${waiting.length.toLocaleString('en')} that wait; ${rebuilt.ms.toFixed(0)} ms from the start to where all is served, less the ${plain.ms.toFixed(0)} ms that it takes with nothing lost; then all that wait are matched`,
      values: { recordsPerS: (before.commands * 1_000) / (rebuilt.ms - plain.ms) },
      ...costs(rebuilt.cost, before.commands),
      verdict: both(
        verdictOf(marks, [{ fn: 'raw-wait', numbers: waiting, whats: ['finished'] }]),
        completed === waiting.length && after.wentWrong === 0
          ? { exact: true }
          : { exact: false, defect: `${completed} of ${waiting.length} runs completed, ${after.wentWrong} went wrong` },
      ),
      goals: goalsOf('B13', stage.mode),
    };
    return [row];
  },
};
