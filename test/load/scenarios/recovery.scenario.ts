import { setTimeout as sleep } from 'node:timers/promises';
import { now } from '../clock.ts';
import { goalsOf } from '../goals.ts';
import { both, completedOnce, noneOf, type Verdict } from '../ledger.ts';
import type { LoggedRun } from '../log.reading.ts';
import type { Peer } from '../peer.ts';
import type { Mark } from '../recorder.ts';
import { costs, type Row } from '../row.ts';
import type { Scenario } from '../scenario.ts';
import { chunked, eventsOf } from '../sender.ts';
import type { Stage } from '../stage.ts';

const RUNS = 1_000;

/** B12: kill -9 right after 1,000 events are acknowledged, and a new start of all that was killed. */
export const recovery: Scenario = {
  id: 'B12',
  alone: true,
  async run({ stage, size }) {
    const count = size(RUNS);
    await stage.sender.send(eventsOf('bench/token', stage.numbers(50)));
    await stage.app.reached('token', 'finished', 50);
    await stage.quiet();
    await stage.marks();

    const numbers = stage.numbers(count);
    const eventIds = new Set<string>();
    for (const some of chunked(numbers, 100)) {
      for (const id of await stage.sender.send(eventsOf('bench/token', some))) eventIds.add(id);
    }
    const restart = await stage.kill();
    await settled(stage.app);
    const before = await stage.marks();
    const doneBefore = new Set(finished(before).map(([, n]) => n));

    const spent = stage.metered();
    const from = now();
    restart();
    await stage.millrace.ready(2);
    await allDone(stage, new Set(numbers), doneBefore);
    const cost = spent();
    const after = await stage.marks();
    await stage.quiet();

    // Calls of the server that is gone may still be ending: only a step body that begins is sure to be a dispatch of the new one.
    const firstDispatch = Math.min(...after.filter(([, , what]) => what === 'draw').map(([, , , at]) => at));
    const allDoneAt = Math.max(...finished(after).map(([, , , at]) => at));
    const again = repeated([...before, ...after]);
    const row: Row = {
      id: 'B12',
      title: `kill -9 with ${count - doneBefore.size} of ${count.toLocaleString('en')} acknowledged runs in flight`,
      did: `from the new start; ${doneBefore.size} runs had returned before; ${again} step bodies ran a second time, their results having not reached the log`,
      values: { firstDispatchMs: firstDispatch - from, allDoneMs: allDoneAt - from },
      ...costs(cost, count - doneBefore.size),
      verdict: await verdict(stage, eventIds),
      goals: goalsOf('B12', stage.mode),
      reference: { allDoneMs: 46_000 },
    };
    return [row];
  },
};

/** The calls that the app had got when the server was killed have begun their step. */
async function settled(app: Peer): Promise<void> {
  for (let before = -1, count = 0; count !== before; await sleep(150)) {
    before = count;
    count = await app.count('token', 'draw');
  }
}

function finished(marks: readonly Mark[]): readonly Mark[] {
  return marks.filter(([, , what]) => what === 'finished');
}

/** A function whose return was not recorded returns again, so counting is not enough: each number has to come. */
async function allDone(stage: Stage, numbers: ReadonlySet<number>, done: ReadonlySet<number>): Promise<void> {
  const missing = numbers.size - done.size;
  await stage.app.reached('token', 'finished', missing, 90_000);
  await stage.quiet();
}

function repeated(marks: readonly Mark[]): number {
  const drawn = marks.filter(([, , what]) => what === 'draw').map(([, n]) => n);
  return drawn.length - new Set(drawn).size;
}

/**
 * Lost: an event without a run that completed. Doubled: an event with two runs, a step with two recorded results, a run whose outcome was made of
 * another result than the recorded one. That a step's body runs again when its result did not reach the log is as it should be.
 */
async function verdict(stage: Stage, eventIds: ReadonlySet<string>): Promise<Verdict> {
  const runs = (await stage.loggedRuns('bench-token')).filter(({ eventId }) => eventIds.has(eventId));
  const count = (wrong: (run: LoggedRun) => boolean): number => runs.filter(wrong).length;
  return both(
    completedOnce(runs, eventIds),
    noneOf([
      [count(({ results }) => results.length !== 1), 'steps without one recorded result'],
      [
        count(({ results, output }) => results[0] !== `{"data":${output}}`),
        'runs whose outcome is not of the recorded result',
      ],
    ]),
  );
}
