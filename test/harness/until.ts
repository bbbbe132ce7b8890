import { setTimeout as pause } from 'node:timers/promises';

/** Where the services are that servers of tests are to be clusters on. */
export const SERVICES = 'MILLRACE_TEST_SERVICES';

export interface Patience {
  /** What is waited for, for the error: asked when time is up. */
  readonly what: string | (() => string);
  readonly withinMs?: number;
  readonly everyMs?: number;
}

/** Longest wait for a fact. A bound, not an expectation of speed: a cluster is many processes on one machine. */
export const PATIENCE_MS = process.env[SERVICES] === undefined ? 30_000 : 120_000;

/** Asks again and again until the answer is there. @throws when time is up, with what was seen last */
export async function until<T>(ask: () => Promise<T | undefined> | T | undefined, patience: Patience): Promise<T> {
  const { what, withinMs = PATIENCE_MS, everyMs = 20 } = patience;
  const end = Date.now() + withinMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (Date.now() > end)
      throw new Error(`waited ${withinMs} ms in vain for ${typeof what === 'string' ? what : what()}`);
    await pause(everyMs);
  }
}
