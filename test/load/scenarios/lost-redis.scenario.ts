import { setTimeout as sleep } from 'node:timers/promises';
import { now, until } from '../clock.ts';
import { goalsOf } from '../goals.ts';
import { both, completedOnce, noneOf } from '../ledger.ts';
import type { Mark } from '../recorder.ts';
import { costs, type Row } from '../row.ts';
import type { Scenario } from '../scenario.ts';
import { chunked, eventsOf, OpenLoop, type BenchEvent } from '../sender.ts';

const LIVE = 10_000;
/** Limits of one that queued runs share. */
const KEYS = 20;
/** Of each kind, whose turn comes when Redis is empty. */
const PROBES = 100;
const NAP_MS = 2_000;
const LOAD_PER_S = 20;
const LOADED_BEFORE_MS = 1_000;
/** What has not moved by then sleeps on. */
const SLEEP_MS = 60_000;
const BURST = 500;

const FUNCTIONS = ['wait', 'sleep', 'keyed', 'noop'] as const;

/**
 * Redis is emptied under load, with runs that wait, sleep and queue. Everything moves again when of each kind all have moved that have been due since: new
 * events have started their runs, waits have been matched, sleepers have woken, and the queue hands out again.
 */
export const lostRedis: Scenario = {
  id: 'R1',
  alone: true,
  mode: 'cluster',
  async run({ stage, size, say }) {
    const eventIds = new Set<string>();
    const startRuns = async (events: readonly BenchEvent[]): Promise<void> => {
      for (const some of chunked(events, BURST)) for (const id of await stage.sender.send(some)) eventIds.add(id);
    };
    const match = async (numbers: readonly number[]): Promise<void> => {
      for (const some of chunked(numbers, BURST)) await stage.sender.send(eventsOf('raw/match', some));
    };
    const before = await stage.log();

    const live = size(LIVE);
    const probes = Math.min(PROBES, live / 10);
    const waiting = stage.numbers(Math.ceil(live / 3));
    await startRuns(eventsOf('raw/wait', waiting));
    await stage.raw.reached('raw-wait', 'entered', waiting.length, 120_000);
    const sleeping = stage.numbers(Math.ceil(live / 3));
    await startRuns(sleepers(sleeping, SLEEP_MS));
    await stage.raw.reached('raw-sleep', 'entered', sleeping.length, 120_000);
    const queued = stage.numbers(live - waiting.length - sleeping.length);
    await startRuns(queued.map((n) => ({ name: 'raw/keyed', data: { n, key: `key-${n % KEYS}` } })));
    say('  all are live');
    const load = new OpenLoop(stage.sender, LOAD_PER_S, () => ({
      name: 'raw/noop',
      data: { n: stage.numbers(1)[0] ?? NaN },
    }));
    await sleep(LOADED_BEFORE_MS);
    const napping = stage.numbers(probes);
    await startRuns(sleepers(napping, NAP_MS));
    await stage.raw.reached('raw-sleep', 'entered', sleeping.length + probes);

    const spent = stage.metered();
    const emptiedAt = now();
    await stage.millrace.empty();
    const [matched, others] = [waiting.slice(0, probes), waiting.slice(probes)];
    await match(matched);
    const started = stage.numbers(probes);
    await startRuns(eventsOf('raw/noop', started));
    await stage.raw.reached('raw-wait', 'finished', probes, 120_000);
    await stage.raw.reached('raw-sleep', 'finished', probes, 120_000);
    await load.stop();
    const cost = spent();
    say('  all moves again');

    // Then all is brought to its end, to see that there is just one of it.
    await match(others);
    for (const id of load.numbers.keys()) eventIds.add(id);
    const completed = async () => (await stage.log()).runsCompleted - before.runsCompleted;
    await until('all runs complete', async () => (await completed()) >= eventIds.size, {
      withinMs: 300_000,
      everyMs: 500,
    });
    await stage.quiet();

    const marks = await stage.marks();
    const since = (fn: string, what: string, numbers: ReadonlySet<number>) =>
      firstTimes(marks, fn, what, emptiedAt, numbers);
    const sentSince = [...load.sentAt].filter(([, at]) => at > emptiedAt).map(([n]) => n);
    const firstDispatch = Math.min(...since('raw-noop', 'finished', new Set([...started, ...sentSince])));
    const due = [...load.sentAt].filter(([, at]) => at <= firstDispatch).map(([n]) => n);
    const allMove = Math.max(
      ...since('raw-noop', 'finished', new Set([...started, ...due])),
      ...since('raw-wait', 'finished', new Set(matched)),
      ...since('raw-sleep', 'finished', new Set(napping)),
      // Calls that were under way go on by themselves; the next ones are by the queue.
      ...since('raw-keyed', 'entered', new Set(queued))
        .toSorted((a, b) => a - b)
        .slice(0, KEYS),
    );
    const hadEnded = marks.filter(([, , what, at]) => what === 'cold finished' && at < emptiedAt).length;
    const runs = (await Promise.all(FUNCTIONS.map((fn) => stage.loggedRuns(`raw-raw-${fn}`)))).flat();
    const row: Row = {
      id: 'R redis',
      title: `Redis emptied with ${(live - hadEnded).toLocaleString('en')} live runs and ${LOAD_PER_S} new ones a second`,
      did: `${waiting.length} wait, ${sleeping.length} sleep, ${queued.length - hadEnded} queue under ${KEYS} limits of one; from then to the first run of a later event, and until ${probes} waits are matched, ${probes} sleepers of ${NAP_MS / 1_000} s are awake, ${probes} new events and all under way have started their runs, and the queue goes on; then all runs end, each once`,
      values: { firstDispatchMs: firstDispatch - emptiedAt, allMovesMs: allMove - emptiedAt },
      ...costs(cost, live),
      verdict: both(
        completedOnce(runs, eventIds),
        noneOf([[runs.filter(({ eventId }) => !eventIds.has(eventId)).length, 'runs of no event that was sent']]),
      ),
      goals: goalsOf('R redis', stage.mode),
    };
    return [row];
  },
};

function sleepers(numbers: readonly number[], ms: number): readonly BenchEvent[] {
  const until = new Date(Date.now() + ms).toISOString();
  return numbers.map((n) => ({ name: 'raw/sleep', data: { n, until } }));
}

/** When something of each event was first executed behind an instant. */
function firstTimes(
  marks: readonly Mark[],
  fn: string,
  what: string,
  behind: number,
  numbers: ReadonlySet<number>,
): readonly number[] {
  const first = new Map<number, number>();
  for (const [markedFn, n, markedWhat, at] of marks) {
    if (markedFn !== fn || markedWhat !== what || at < behind || !numbers.has(n)) continue;
    first.set(n, Math.min(at, first.get(n) ?? Infinity));
  }
  return [...first.values()];
}
