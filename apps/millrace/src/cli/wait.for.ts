import { setTimeout as pause } from 'node:timers/promises';
import { EXIT, Failure } from './failure.js';

/** Looks until it holds. @throws Failure when it takes longer */
export async function waitFor(waitMs: number, holds: () => Promise<boolean>): Promise<void> {
  for (const end = performance.now() + waitMs; !(await holds());) {
    if (performance.now() > end) {
      throw new Failure(EXIT.timeout, 'It is not there again yet.', {
        why: 'No server has made it again in this time; one that starts does.',
        next: 'See `millrace verify`.',
        code: 'timeout',
      });
    }
    await pause(100);
  }
}
