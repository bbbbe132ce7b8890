import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { now } from '../clock.ts';
import { EXACT } from '../ledger.ts';
import { Peer } from '../peer.ts';
import { costs, spreadMs, type Row } from '../row.ts';
import type { Round, Scenario } from '../scenario.ts';
import { SdkCaller } from '../sdk.caller.ts';
import { median } from '../statistics.ts';

const AT_A_TIME = 16;
const CALLS = 1_500;
const RUNS = 100;
const STEPS = 10;

/** The app alone, called by a local load generator with what a server sends: what no server can be faster than. */
export const ceiling: Scenario = {
  id: 'C',
  run: async (round) => [...(await calls(round)), ...(await steps(round))],
};

async function calls(round: Round): Promise<readonly Row[]> {
  const { stage } = round;
  const caller = new SdkCaller(stage.app.url, AT_A_TIME);
  const noop = (n: number) => caller.call('noop', n);
  await together(stage.numbers(300), AT_A_TIME, noop);
  const one = await together(stage.numbers(200), 1, noop);
  await stage.marks();

  const cost = await stage.measured(async () => void (await together(stage.numbers(CALLS), AT_A_TIME, noop)));
  await stage.marks();
  await caller.close();
  round.ceilingCallsPerS = (CALLS * 1_000) / cost.workMs;
  return [
    {
      id: 'C call',
      title: "The SDK's own time of a call, without a server",
      did: `${one.length} calls of a no-op function, one at a time`,
      values: spreadMs(one),
      verdict: EXACT,
      goals: [],
    },
    {
      id: 'C calls',
      title: "The SDK's own ceiling of calls, without a server",
      did: `${CALLS} calls of a no-op function, ${AT_A_TIME} at a time`,
      values: { callsPerS: round.ceilingCallsPerS },
      ...costs(cost, CALLS),
      verdict: EXACT,
      goals: [],
    },
  ];
}

/** Runs of 10 steps: entered again for each step, and in one call with every checkpoint answered at once. */
async function steps({ stage }: Round): Promise<readonly Row[]> {
  const stub = createServer((request, response) => {
    request.resume();
    request.once('end', () => response.writeHead(200, { 'x-inngest-server-kind': 'dev' }).end());
  });
  await new Promise<void>((resolve) => stub.listen(0, '127.0.0.1', resolve));
  const { port } = stub.address() as AddressInfo;
  const app = await Peer.start('app.main.ts', { INNGEST_DEV: `http://127.0.0.1:${port}`, PORT: '0' });
  const caller = new SdkCaller(app.url, AT_A_TIME);
  const runs = {
    off: async (n: number): Promise<number> => {
      const from = now();
      for (let done = 0; done <= STEPS; done++) await caller.call('steps10-off', n, done);
      return now() - from;
    },
    on: (n: number) => caller.call('steps10-on', n),
  };
  const rows: Row[] = [];
  for (const mode of ['off', 'on'] as const) {
    await together(stage.numbers(RUNS / 2), AT_A_TIME, runs[mode]);
    const alone = await together(stage.numbers(20), 1, runs[mode]);
    const from = now();
    await together(stage.numbers(RUNS), AT_A_TIME, runs[mode]);
    const ms = now() - from;
    rows.push({
      id: `C steps ${mode}`,
      title: `The SDK's own ceiling of steps, checkpointing ${mode}, without a server`,
      did: `${RUNS} runs of ${STEPS} steps, ${AT_A_TIME} at a time; one run at a time takes ${(median(alone) / STEPS).toFixed(2)} ms a step`,
      values: { stepsPerS: (RUNS * STEPS * 1_000) / ms },
      verdict: EXACT,
      goals: [],
    });
  }
  await caller.close();
  await app.stop();
  stub.closeAllConnections();
  stub.close();
  return rows;
}

/** Does all, so many at a time. */
async function together<T>(all: readonly T[], atATime: number, work: (item: T) => Promise<number>): Promise<number[]> {
  const times: number[] = [];
  const rest = [...all];
  const worker = async (): Promise<void> => {
    for (let next = rest.shift(); next !== undefined; next = rest.shift()) times.push(await work(next));
  };
  await Promise.all(Array.from({ length: atATime }, worker));
  return times;
}
