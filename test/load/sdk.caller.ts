import { createHash } from 'node:crypto';
import { Pool } from 'undici';
import { now } from './clock.ts';

const RUN = '01M826RHBPP47SA1YZNBK2261F';
const HEADERS = {
  'content-type': 'application/json',
  'user-agent': 'Inngest',
  'x-inngest-server-kind': 'dev',
  'x-inngest-req-version': '2',
  'x-inngest-step-id': 'step',
};

/** Calls an app as a server does, without being one. */
export class SdkCaller {
  private readonly pool: Pool;
  private readonly path: string;

  constructor(appUrl: string, connections: number) {
    const url = new URL(appUrl);
    this.pool = new Pool(url.origin, { connections, pipelining: 1 });
    this.path = url.pathname;
  }

  /** Enters a function whose first `done` steps (`step-0`, ...) have their results. @returns how long the answer took, ms */
  async call(fn: string, n: number, done = 0): Promise<number> {
    const from = now();
    const { statusCode, body } = await this.pool.request({
      method: 'POST',
      path: `${this.path}?fnId=bench-${fn}&stepId=step`,
      headers: HEADERS,
      body: bodyOf(fn, n, done),
    });
    const text = await body.text();
    if (statusCode !== 200 && statusCode !== 206) throw new Error(`the app answered ${statusCode}: ${text}`);
    return now() - from;
  }

  async close(): Promise<void> {
    await this.pool.destroy();
  }
}

function bodyOf(fn: string, n: number, done: number): string {
  const event = { data: { n }, id: RUN, name: `bench/${fn}`, ts: 1795370533986, user: {} };
  const ids = Array.from({ length: done }, (_, i) => createHash('sha1').update(`step-${i}`).digest('hex'));
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
    stack: { current: done, stack: ids },
    step_id: 'step',
    use_api: false,
  };
  const steps = Object.fromEntries(ids.map((id) => [id, { data: null }]));
  return JSON.stringify({ ctx, defers: {}, event, events: [event], steps, use_api: false, version: 2 });
}
