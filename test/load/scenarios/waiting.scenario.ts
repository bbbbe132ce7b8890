import { now } from '../clock.ts';
import { goalsOf } from '../goals.ts';
import { both, recorded, timesOf, verdictOf } from '../ledger.ts';
import type { Peer } from '../peer.ts';
import { costs, spreadMs, type Row } from '../row.ts';
import type { Scenario } from '../scenario.ts';
import { chunked, eventsOf } from '../sender.ts';
import type { Stage } from '../stage.ts';
import { median } from '../statistics.ts';
import { waits } from './start.scenario.ts';

const WAITING = 300;
const ONE_BY_ONE = 100;
const FILL = 1_000;
/** Runs that have not come to their wait yet, at most, while the many are brought there. */
const IN_FLIGHT = 4_000;

/** B6: runs that wait, each for an event of its own. */
export const waiting: Scenario = {
  id: 'B6',
  async run({ stage }) {
    const numbers = stage.numbers(WAITING);
    for (const some of chunked(numbers, 100)) await stage.sender.send(eventsOf('bench/wait', some));
    await stage.quiet();

    const single = numbers.slice(0, ONE_BY_ONE);
    let sent = new Map<number, number>();
    const cost = await stage.measured(async () => void (sent = await oneByOne(stage, stage.app, SDK, single)));
    const burst = numbers.slice(ONE_BY_ONE);
    let from = NaN;
    const burstCost = await stage.measured(async () => {
      from = now();
      await stage.sender.send(eventsOf('bench/match', burst));
      await stage.app.reached('wait', 'finished', numbers.length);
    });
    const marks = await stage.marks();
    const ends = timesOf(marks, 'wait', 'finished');
    const executed = verdictOf(marks, [{ fn: 'wait', numbers, whats: ['finished'] }]);
    const verdict = both(executed, both(recorded(cost.log, single.length), recorded(burstCost.log, burst.length)));
    const last = Math.max(...burst.map((n) => ends.get(n) ?? Infinity));
    return [
      {
        id: 'B6 one',
        title: `Event to the ${WAITING} runs that wait: the match of one`,
        did: `${single.length} matches, one at a time`,
        values: spreadMs(waits(sent, ends)),
        ...costs(cost, single.length),
        verdict,
        goals: goalsOf('B6 one', stage.mode),
        reference: { p50Ms: 252 },
      },
      {
        id: 'B6 burst',
        title: 'The matches of a burst',
        did: `${burst.length} matching events in one request`,
        values: { matchesPerS: (burst.length * 1_000) / (last - from) },
        ...costs(burstCost, burst.length),
        verdict,
        goals: [],
        reference: { matchesPerS: 88 },
      },
    ];
  },
};

/** B6 with many: whether a match costs more the more runs wait. Against the endpoint without an SDK, so that the server is what differs. */
export const manyWaiting: Scenario = {
  id: 'B6M',
  alone: true,
  async run(round) {
    const { stage, waiting: many } = round;
    await matched(stage, 30);
    const few = await matched(stage, ONE_BY_ONE);
    const from = now();
    await fill(stage, stage.numbers(many), (line) => round.say(line));
    const entered = await stage.raw.count('raw-wait', 'entered');
    await stage.quiet();
    const filledMs = now() - from;
    await stage.marks();
    const stuffed = await matched(stage, ONE_BY_ONE);
    const ratio = median(stuffed.times) / median(few.times);
    const row: Row = {
      id: 'B6 many',
      title: `The match of one among ${many.toLocaleString('en')} runs that wait`,
      did: `${ONE_BY_ONE} matches, one at a time; against the same with nobody else waiting (p50 ${median(few.times).toFixed(2)} ms); endpoint without an SDK; all were waiting after ${(filledMs / 1_000).toFixed(0)} s`,
      values: { ...spreadMs(stuffed.times), ratio },
      ...costs(stuffed.cost, ONE_BY_ONE),
      verdict: both(
        both(few.verdict, stuffed.verdict),
        entered === many ? { exact: true } : { exact: false, defect: `${entered} of ${many} runs came to their wait` },
      ),
      goals: goalsOf('B6 many', stage.mode),
    };
    return [row];
  },
};

/** Brings so many runs to their wait. */
async function fill(stage: Stage, numbers: readonly number[], say: (line: string) => void): Promise<void> {
  let sent = 0;
  for (const some of chunked(numbers, FILL)) {
    await stage.sender.send(eventsOf('raw/wait', some));
    sent += some.length;
    await stage.raw.reached('raw-wait', 'entered', sent - IN_FLIGHT);
    if (sent % 20_000 === 0) say(`  ${sent.toLocaleString('en')} sent to wait`);
  }
  await stage.raw.reached('raw-wait', 'entered', sent);
}

/** Brings some runs to their wait and resolves one after the other. */
async function matched(stage: Stage, count: number) {
  const numbers = stage.numbers(count);
  await stage.sender.send(eventsOf('raw/wait', numbers));
  await stage.raw.reached('raw-wait', 'entered', count);
  await stage.quiet();
  let sent = new Map<number, number>();
  const cost = await stage.measured(async () => void (sent = await oneByOne(stage, stage.raw, RAW, numbers)));
  const marks = await stage.marks();
  const verdict = verdictOf(marks, [{ fn: RAW.fn, numbers, whats: ['entered', 'finished'] }], cost.log);
  return { times: waits(sent, timesOf(marks, RAW.fn, 'finished')), cost, verdict };
}

interface Waiter {
  readonly fn: string;
  /** What it waits for. */
  readonly event: string;
}

const SDK: Waiter = { fn: 'wait', event: 'bench/match' };
const RAW: Waiter = { fn: 'raw-wait', event: 'raw/match' };

/** @returns when each event was sent */
async function oneByOne(
  stage: Stage,
  app: Peer,
  { fn, event }: Waiter,
  numbers: readonly number[],
): Promise<Map<number, number>> {
  const sent = new Map<number, number>();
  for (const [i, n] of numbers.entries()) {
    sent.set(n, now());
    await stage.sender.send({ name: event, data: { n } });
    await app.reached(fn, 'finished', i + 1);
  }
  return sent;
}
