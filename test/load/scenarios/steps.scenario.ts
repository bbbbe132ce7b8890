import { now } from '../clock.ts';
import { stepsOf, timesOf, verdictOf } from '../ledger.ts';
import { goalsOf } from '../goals.ts';
import { PARALLEL } from '../load.shapes.ts';
import { costs, spreadMs, type Row } from '../row.ts';
import type { Scenario } from '../scenario.ts';
import type { Stage } from '../stage.ts';
import { waits } from './start.scenario.ts';

type Checkpointing = 'off' | 'on';

/** B2: the time of a step that follows another, in runs of 10 steps, one run at a time. */
export const tenSteps: Scenario = {
  id: 'B2',
  run: async ({ stage }) => [await few(stage, 'off'), await few(stage, 'on')],
};

async function few(stage: Stage, mode: Checkpointing): Promise<Row> {
  const fn = `steps10-${mode}`;
  await oneByOne(stage, fn, stage.numbers(8));
  await stage.marks();
  const numbers = stage.numbers(30);
  const cost = await stage.measured(async () => void (await oneByOne(stage, fn, numbers)));
  const marks = await stage.marks();
  const perRun = waits(timesOf(marks, fn, 'step-0'), timesOf(marks, fn, 'step-9'));
  return {
    id: `B2 ${mode}`,
    title: `A step after another, checkpointing ${mode}`,
    did: `${numbers.length} runs of 10 steps, one at a time; the mean of a run's 9 steps after the first`,
    values: spreadMs(perRun.map((ms) => ms / 9)),
    ...costs(cost, numbers.length * 10),
    verdict: verdictOf(marks, [{ fn, numbers, whats: [...stepsOf(10), 'finished'] }], cost.log),
    goals: goalsOf(`B2 ${mode}`, stage.mode),
    reference: { p50Ms: mode === 'off' ? 22.6 : 4.3 },
  };
}

/** B3: a run of 100 steps, from its event to its end. */
export const hundredSteps: Scenario = {
  id: 'B3',
  run: async ({ stage }) => [await many(stage, 'off'), await many(stage, 'on')],
};

async function many(stage: Stage, mode: Checkpointing): Promise<Row> {
  const fn = `steps100-${mode}`;
  await oneByOne(stage, fn, stage.numbers(1));
  await stage.marks();
  const numbers = stage.numbers(6);
  let sent = new Map<number, number>();
  const cost = await stage.measured(async () => void (sent = await oneByOne(stage, fn, numbers)));
  const marks = await stage.marks();
  return {
    id: `B3 ${mode}`,
    title: `100 steps in a row, checkpointing ${mode}`,
    did: `${numbers.length} runs, one at a time; from event to end`,
    values: spreadMs(waits(sent, timesOf(marks, fn, 'finished'))),
    ...costs(cost, numbers.length * 100),
    verdict: verdictOf(marks, [{ fn, numbers, whats: [...stepsOf(100), 'finished'] }], cost.log),
    goals: goalsOf(`B3 ${mode}`, stage.mode),
  };
}

/** B4: 50 parallel steps, joined. */
export const parallelSteps: Scenario = {
  id: 'B4',
  async run({ stage }) {
    const fn = 'parallel';
    await oneByOne(stage, fn, stage.numbers(3));
    await stage.marks();
    const numbers = stage.numbers(12);
    let sent = new Map<number, number>();
    const cost = await stage.measured(async () => void (sent = await oneByOne(stage, fn, numbers)));
    const marks = await stage.marks();
    return [
      {
        id: 'B4',
        title: `${PARALLEL} parallel steps, joined`,
        did: `${numbers.length} runs, one at a time; from event to end`,
        values: spreadMs(waits(sent, timesOf(marks, fn, 'finished'))),
        ...costs(cost, numbers.length),
        verdict: verdictOf(marks, [{ fn, numbers, whats: [...stepsOf(PARALLEL), 'finished'] }], cost.log),
        goals: goalsOf('B4', stage.mode),
        reference: { p50Ms: 845 },
      },
    ];
  },
};

/** @returns when each event was sent */
async function oneByOne(stage: Stage, fn: string, numbers: readonly number[]): Promise<Map<number, number>> {
  const sent = new Map<number, number>();
  for (const [i, n] of numbers.entries()) {
    sent.set(n, now());
    await stage.sender.send({ name: `bench/${fn}`, data: { n } });
    await stage.app.reached(fn, 'finished', i + 1);
  }
  return sent;
}
