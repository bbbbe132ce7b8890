import { now } from '../clock.ts';
import { stepsOf, verdictOf } from '../ledger.ts';
import { goalsOf, goalsOfCeiling } from '../goals.ts';
import { FAN_OUT, RAW_STEPS } from '../load.shapes.ts';
import type { Peer } from '../peer.ts';
import { costs, type Goal, type Row, type Value } from '../row.ts';
import type { Scenario } from '../scenario.ts';
import { chunked, eventsOf } from '../sender.ts';
import type { Stage } from '../stage.ts';

const BURST = 100;

interface Load {
  readonly id: string;
  readonly title: string;
  readonly event: string;
  readonly fns: readonly string[];
  readonly steps: number;
  readonly events: number;
  readonly app: Peer;
  /** Rate of what: runs, or steps of all runs. */
  readonly rate: Extract<Value, 'runsPerS' | 'stepsPerS'>;
  readonly goals: readonly Goal[];
  readonly reference?: number;
}

/** B5: each event starts 20 functions. */
export const fanOut: Scenario = {
  id: 'B5',
  run: async ({ stage, ceilingCallsPerS, size }) => [
    await pushed(stage, {
      id: 'B5',
      title: `One event to ${FAN_OUT} functions`,
      event: 'bench/fan',
      fns: Array.from({ length: FAN_OUT }, (_, i) => `fan-${i}`),
      steps: 0,
      events: size(100),
      app: stage.app,
      rate: 'runsPerS',
      goals: goalsOfCeiling(stage.mode, ceilingCallsPerS),
      reference: 47,
    }),
  ],
};

/** B7: what an app with the SDK gets done, in bursts of 100 events. */
export const bursts: Scenario = {
  id: 'B7',
  async run({ stage, ceilingCallsPerS, size }) {
    const shared = { app: stage.app, events: size(300), steps: 10, rate: 'stepsPerS' } as const;
    return [
      await pushed(stage, {
        id: 'B7 no-op',
        title: 'No-op runs',
        event: 'bench/noop',
        fns: ['noop'],
        steps: 0,
        events: size(2_000),
        app: stage.app,
        rate: 'runsPerS',
        goals: goalsOfCeiling(stage.mode, ceilingCallsPerS),
        reference: 47,
      }),
      await pushed(stage, {
        ...shared,
        id: 'B7 off',
        title: 'Runs of 10 steps, checkpointing off',
        event: 'bench/steps10-off',
        fns: ['steps10-off'],
        goals: goalsOf('B7 off', stage.mode),
        reference: 75,
      }),
      await pushed(stage, {
        ...shared,
        id: 'B7 on',
        title: 'Runs of 10 steps, checkpointing on',
        event: 'bench/steps10-on',
        fns: ['steps10-on'],
        goals: goalsOf('B7 on', stage.mode),
        reference: 113,
      }),
    ];
  },
};

/** B8: the same against an endpoint that answers at once: the server's own ceiling. */
export const bareEndpoint: Scenario = {
  id: 'B8',
  run: async ({ stage, size }) => [
    await pushed(stage, {
      id: 'B8 no-op',
      title: 'No-op runs, endpoint without an SDK',
      event: 'raw/noop',
      fns: ['raw-noop'],
      steps: 0,
      events: size(4_000),
      app: stage.raw,
      rate: 'runsPerS',
      goals: goalsOf('B8 no-op', stage.mode),
    }),
    await pushed(stage, {
      id: 'B8 steps',
      title: 'Runs of 10 steps, endpoint without an SDK',
      event: 'raw/steps',
      fns: ['raw-steps'],
      steps: RAW_STEPS,
      events: size(500),
      app: stage.raw,
      rate: 'stepsPerS',
      goals: [],
    }),
  ],
};

/** Sends all events in bursts, the next one as soon as the one before it is acknowledged, and waits for the last effect. */
async function pushed(stage: Stage, load: Load): Promise<Row> {
  const { id, title, event, fns, steps, app, rate, goals, reference } = load;
  const push = async (numbers: readonly number[]): Promise<number> => {
    const from = now();
    for (const burst of chunked(numbers, BURST)) await stage.sender.send(eventsOf(event, burst));
    await Promise.all(fns.map((fn) => app.reached(fn, 'finished', numbers.length)));
    return now() - from;
  };
  await push(stage.numbers(Math.min(BURST, Math.ceil(load.events / 10))));
  await stage.quiet();
  await stage.marks();

  const numbers = stage.numbers(load.events);
  let ms = NaN;
  const cost = await stage.measured(async () => void (ms = await push(numbers)));
  const marks = await stage.marks();
  const runs = load.events * fns.length;
  const operations = rate === 'runsPerS' ? runs : runs * steps;
  const whats = [...stepsOf(steps), 'finished'];
  return {
    id,
    title,
    did: `${load.events} events in bursts of ${BURST}`,
    values: { [rate]: (operations * 1_000) / ms, logBytesPerRun: cost.log.bytes / runs },
    ...costs(cost, operations),
    verdict: verdictOf(
      marks,
      fns.map((fn) => ({ fn, numbers, whats })),
      cost.log,
    ),
    goals,
    ...(reference === undefined ? {} : { reference: { [rate]: reference } }),
  };
}
