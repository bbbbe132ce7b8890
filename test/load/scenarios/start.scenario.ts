import { setTimeout as sleep } from 'node:timers/promises';
import { now } from '../clock.ts';
import { timesOf, verdictOf } from '../ledger.ts';
import { goalsOf } from '../goals.ts';
import { costs, spreadMs } from '../row.ts';
import type { Scenario } from '../scenario.ts';
import type { Stage } from '../stage.ts';

const IN_A_ROW = 40;
const WARM_UP = 20;
const OPEN_LOOP_MS = 10_000;
const EVERY_MS = 100;

const reference = { p50Ms: 219 };

/** B1: from just before an event is sent to the first line of the function that it starts. */
export const start: Scenario = {
  id: 'B1',
  async run({ stage }) {
    await inARow(stage, stage.numbers(WARM_UP));
    await stage.marks();

    const row = stage.numbers(IN_A_ROW);
    let sent = new Map<number, number>();
    const cost = await stage.measured(async () => void (sent = await inARow(stage, row)));
    const marks = await stage.marks();

    const paced = stage.numbers(OPEN_LOOP_MS / EVERY_MS);
    let pacedSent = new Map<number, number>();
    const pacedCost = await stage.measured(async () => void (pacedSent = await openLoop(stage, paced)));
    const pacedMarks = await stage.marks();

    return [
      {
        id: 'B1 row',
        title: 'Event to function start, one at a time',
        did: `${IN_A_ROW} in a row`,
        values: spreadMs(waits(sent, timesOf(marks, 'noop', 'finished'))),
        ...costs(cost, IN_A_ROW),
        verdict: verdictOf(marks, [{ fn: 'noop', numbers: row, whats: ['finished'] }], cost.log),
        goals: goalsOf('B1 row', stage.mode),
        reference,
      },
      {
        id: 'B1 open',
        title: 'Event to function start, 10 a second',
        did: `${paced.length} at 10/s, open loop`,
        values: spreadMs(waits(pacedSent, timesOf(pacedMarks, 'noop', 'finished'))),
        ...costs(pacedCost, paced.length),
        verdict: verdictOf(pacedMarks, [{ fn: 'noop', numbers: paced, whats: ['finished'] }], pacedCost.log),
        goals: goalsOf('B1 open', stage.mode),
        reference,
      },
    ];
  },
};

/** @returns when each was sent */
async function inARow(stage: Stage, numbers: readonly number[]): Promise<Map<number, number>> {
  const sent = new Map<number, number>();
  for (const [i, n] of numbers.entries()) {
    sent.set(n, now());
    await stage.sender.send({ name: 'bench/noop', data: { n } });
    await stage.app.reached('noop', 'finished', i + 1);
  }
  return sent;
}

/** An event is sent when its time has come, whether the one before it has been answered or not. */
async function openLoop(stage: Stage, numbers: readonly number[]): Promise<Map<number, number>> {
  const sent = new Map<number, number>();
  const from = now();
  const requests: Promise<unknown>[] = [];
  for (const [i, n] of numbers.entries()) {
    await sleep(Math.max(0, from + i * EVERY_MS - now()));
    sent.set(n, now());
    requests.push(stage.sender.send({ name: 'bench/noop', data: { n } }));
  }
  await Promise.all(requests);
  await stage.app.reached('noop', 'finished', numbers.length);
  return sent;
}

export function waits(from: ReadonlyMap<number, number>, to: ReadonlyMap<number, number>): readonly number[] {
  return [...from].map(([n, at]) => (to.get(n) ?? Infinity) - at);
}
