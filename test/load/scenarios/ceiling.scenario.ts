import { Pool } from 'undici';
import { now } from '../clock.ts';
import { EXACT } from '../ledger.ts';
import { costs, type Row } from '../row.ts';
import type { Scenario } from '../scenario.ts';
import { spread } from '../statistics.ts';

const CALLS = 1_500;
const WARM_UP = 300;
const AT_A_TIME = 16;

/** The app alone, called by a local load generator with what a server sends: what no server can be faster than. */
export const ceiling: Scenario = {
  id: 'C',
  async run(round) {
    const { stage } = round;
    const url = new URL(stage.app.url);
    const pool = new Pool(url.origin, { connections: AT_A_TIME, pipelining: 1 });
    const call = async (n: number): Promise<number> => {
      const from = now();
      const { statusCode, body } = await pool.request({
        method: 'POST',
        path: `${url.pathname}?fnId=bench-noop&stepId=step`,
        headers: HEADERS,
        body: bodyOf(n),
      });
      const text = await body.text();
      if (statusCode !== 200 && statusCode !== 206) throw new Error(`the app answered ${statusCode}: ${text}`);
      return now() - from;
    };
    await together(stage.numbers(WARM_UP), AT_A_TIME, call);
    const one = await together(stage.numbers(200), 1, call);
    await stage.marks();

    const cost = await stage.measured(async () => void (await together(stage.numbers(CALLS), AT_A_TIME, call)));
    await stage.marks();
    await pool.destroy();
    round.ceilingCallsPerS = (CALLS * 1_000) / cost.workMs;
    const rows: Row[] = [
      {
        id: 'C one',
        title: "The SDK's own: one call at a time",
        did: '200 calls of a no-op function, no server',
        values: spreadMs(one),
        verdict: EXACT,
        goals: [],
      },
      {
        id: 'C many',
        title: `The SDK's own ceiling: ${AT_A_TIME} calls at a time`,
        did: `${CALLS} calls of a no-op function, no server`,
        values: { callsPerS: round.ceilingCallsPerS },
        ...costs(cost, CALLS),
        verdict: EXACT,
        goals: [],
      },
    ];
    return rows;
  },
};

export function spreadMs(times: readonly number[]): Pick<Row['values'], 'p50Ms' | 'p95Ms' | 'p99Ms'> {
  const { p50, p95, p99 } = spread(times);
  return { p50Ms: p50, p95Ms: p95, p99Ms: p99 };
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

const HEADERS = {
  'content-type': 'application/json',
  'user-agent': 'Inngest',
  'x-inngest-server-kind': 'dev',
  'x-inngest-req-version': '2',
  'x-inngest-step-id': 'step',
};

const RUN = '01M826RHBPP47SA1YZNBK2261F';

function bodyOf(n: number): string {
  const event = { data: { n }, id: RUN, name: 'bench/noop', ts: 1795370533986, user: {} };
  const ctx = {
    attempt: 0,
    disable_immediate_execution: false,
    env: '',
    fn_id: '4c06f5a6-3a0b-549f-8d25-7237f71e8e14',
    generation_id: 1,
    job_id: `${RUN}.0.1`,
    max_attempts: 5,
    qi_id: `${RUN}.0`,
    request_id: RUN,
    run_id: RUN,
    stack: { current: 0, stack: [] },
    step_id: 'step',
    use_api: false,
  };
  return JSON.stringify({ ctx, defers: {}, event, events: [event], steps: {}, use_api: false, version: 2 });
}
