import { setTimeout as sleep } from 'node:timers/promises';
import { now, until } from '../clock.ts';
import { goalsOf } from '../goals.ts';
import { both, completedOnce, noneOf, timesOf } from '../ledger.ts';
import type { MillraceProcess } from '../millrace.process.ts';
import { costs, type Row } from '../row.ts';
import type { Scenario } from '../scenario.ts';
import { eventsOf, OpenLoop } from '../sender.ts';

const LOAD_PER_S = 50;
const BEFORE_MS = 3_000;
/** The load goes on so long behind the kill, or until the first event behind it has started its run. */
const AFTER_MS = 12_000;
const WARM_UP = 100;

/** kill -9 of one of two runners under an open load: how long the runs of its partitions wait for the other one. */
export const killedRunner: Scenario = {
  id: 'R2',
  alone: true,
  mode: 'cluster',
  cluster: { runners: 2 },
  async run({ stage, size }) {
    await stage.sender.send(eventsOf('raw/noop', stage.numbers(WARM_UP)));
    await stage.raw.reached('raw-noop', 'finished', WARM_UP);
    await stage.quiet();
    await stage.marks();
    const before = await stage.log();

    const spent = stage.metered();
    const load = new OpenLoop(stage.sender, LOAD_PER_S, () => ({
      name: 'raw/noop',
      data: { n: stage.numbers(1)[0] ?? NaN },
    }));
    await sleep(BEFORE_MS);
    const killed = stage.millrace.process('runner 2');
    const itsPartitions = await partitionsOf(killed);
    const killedAt = now();
    await killed.kill();
    await sleep(size(AFTER_MS));
    await load.stop();
    const completed = async () => (await stage.log()).runsCompleted - before.runsCompleted;
    await until('all runs complete', async () => (await completed()) >= load.sentAt.size, { withinMs: 120_000 });
    const cost = spent();
    await stage.quiet();

    const started = timesOf(await stage.marks(), 'raw-noop', 'finished');
    const eventIds = new Set(load.numbers.keys());
    const runs = (await stage.loggedRuns('raw-raw-noop')).filter(({ eventId }) => eventIds.has(eventId));
    const waits = runs.map(({ eventId, partition }) => {
      const n = load.numbers.get(eventId) ?? NaN;
      const sentAt = load.sentAt.get(n) ?? NaN;
      return { partition, sentAt, ms: (started.get(n) ?? Infinity) - sentAt };
    });
    const behind = waits.filter(({ sentAt }) => sentAt > killedAt);
    const ofIts = behind.filter(({ partition }) => itsPartitions.has(partition)).map(({ ms }) => ms);
    const ofOthers = behind.filter(({ partition }) => !itsPartitions.has(partition)).map(({ ms }) => ms);
    const row: Row = {
      id: 'R runner',
      title: `kill -9 of one of two runners at ${LOAD_PER_S} events a second`,
      did: `from an event behind the kill to the start of its run: the longest of the ${ofIts.length} whose runs fall on its ${itsPartitions.size} partitions; of the ${ofOthers.length} others, some of which it would have matched, ${Math.max(...ofOthers).toFixed(0)} ms`,
      values: { gapMs: Math.max(...ofIts) },
      ...costs(cost, runs.length),
      verdict: both(
        completedOnce(runs, eventIds),
        noneOf([
          [ofIts.length === 0 ? 1 : 0, 'load that misses its partitions'],
          [(await stage.log()).wentWrong - before.wentWrong, 'went wrong'],
        ]),
      ),
      goals: goalsOf('R runner', stage.mode),
    };
    return [row];
  },
};

async function partitionsOf(runner: MillraceProcess): Promise<ReadonlySet<number>> {
  const lags = await runner.metrics('millrace_partition_lag_records');
  const ours = [...lags.keys()].filter((labels) => labels.includes('role="runner"'));
  return new Set(ours.map((labels) => Number(/partition="(\d+)"/.exec(labels)?.[1])));
}
