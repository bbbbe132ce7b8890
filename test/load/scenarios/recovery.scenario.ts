import { setTimeout as sleep } from 'node:timers/promises';
import { now } from '../clock.ts';
import type { Verdict } from '../ledger.ts';
import type { Peer } from '../peer.ts';
import type { Mark } from '../recorder.ts';
import type { Row } from '../row.ts';
import type { Scenario } from '../scenario.ts';
import { chunked, eventsOf } from '../sender.ts';
import type { Stage } from '../stage.ts';

const RUNS = 1_000;
const PAGE = 100;

/** B12: kill -9 right after 1,000 events are acknowledged, and a new start on the same folder. */
export const recovery: Scenario = {
  id: 'B12',
  alone: true,
  async run({ stage }) {
    await stage.sender.send(eventsOf('bench/token', stage.numbers(50)));
    await stage.app.reached('token', 'finished', 50);
    await stage.quiet();
    await stage.marks();

    const numbers = stage.numbers(RUNS);
    for (const some of chunked(numbers, 100)) await stage.sender.send(eventsOf('bench/token', some));
    const restart = await stage.kill();
    await settled(stage.app);
    const before = await stage.marks();
    const doneBefore = new Set(finished(before).map(([, n]) => n));

    const from = now();
    restart();
    await stage.server.ready(2);
    await allDone(stage, new Set(numbers), doneBefore);
    const after = await stage.marks();
    await stage.quiet();

    // Calls of the server that is gone may still be ending: only a step body that begins is sure to be a dispatch of the new one.
    const firstDispatch = Math.min(...after.filter(([, , what]) => what === 'draw').map(([, , , at]) => at));
    const allDoneAt = Math.max(...finished(after).map(([, , , at]) => at));
    const again = repeated([...before, ...after]);
    const row: Row = {
      id: 'B12',
      title: `kill -9 with ${RUNS - doneBefore.size} of ${RUNS.toLocaleString('en')} acknowledged runs in flight`,
      did: `from the new start of the process; ${doneBefore.size} runs had returned before; ${again} step bodies ran a second time, to the recorded result`,
      values: { firstDispatchMs: firstDispatch - from, allDoneMs: allDoneAt - from },
      verdict: await verdict(stage, numbers, [...before, ...after]),
      goals: [
        { value: 'firstDispatchMs', atMost: 1_000 },
        { value: 'allDoneMs', atMost: 6_000 },
      ],
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

interface RunView {
  readonly run_id: string;
  readonly status: string;
  readonly event_id: string;
}

/** Lost: an event without a run that is completed. Doubled: with two, or a run that went on with two results of one step. */
async function verdict(stage: Stage, numbers: readonly number[], marks: readonly Mark[]): Promise<Verdict> {
  const runs: RunView[] = [];
  for (let cursor = ''; ;) {
    const page = await stage.sender.get<readonly RunView[]>(`/v1/runs?limit=${PAGE}&function=bench-token${cursor}`);
    runs.push(...page);
    const last = page.at(-1);
    if (!last || page.length < PAGE) break;
    cursor = `&cursor=${last.run_id}`;
  }
  const expected = numbers.length + 50;
  const events = new Set(runs.map(({ event_id }) => event_id));
  const open = runs.filter(({ status }) => status !== 'Completed');
  const results = new Map<number, Set<string>>();
  for (const [, n, what] of marks) {
    if (what.startsWith('drawn:')) results.set(n, (results.get(n) ?? new Set()).add(what));
  }
  const split = [...results.values()].filter(({ size }) => size > 1).length;
  const unfinished = numbers.filter((n) => !results.has(n)).length;
  const defects = [
    events.size < expected && `${expected - events.size} events without a run`,
    runs.length > events.size && `${runs.length - events.size} events with two runs`,
    open.length > 0 && `${open.length} runs not completed`,
    unfinished > 0 && `${unfinished} functions that never returned`,
    split > 0 && `${split} steps with two results`,
  ].filter((defect) => defect !== false);
  return defects.length === 0 ? { exact: true } : { exact: false, defect: defects.join('; ') };
}
