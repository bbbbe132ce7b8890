import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Milliseconds on the machine's monotonic clock, fractions included. All processes of one machine read the same one, so a time taken in the
 * app may be compared with one taken here.
 */
export function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** Looks again and again, for as long as it takes. @throws Error with `what` after `withinMs` */
export async function until<T>(
  what: string,
  look: () => Promise<T | undefined | false>,
  { withinMs = 30_000, everyMs = 20 } = {},
): Promise<T> {
  const end = now() + withinMs;
  let last: unknown;
  while (now() < end) {
    try {
      const found = await look();
      if (found !== undefined && found !== false) return found;
    } catch (error) {
      last = error;
    }
    await sleep(everyMs);
  }
  throw new Error(`never came to hold within ${withinMs} ms: ${what}`, { cause: last });
}

/** @throws Error with `what` when it takes longer */
export async function within<T>(ms: number, what: string, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`took longer than ${ms} ms: ${what}`)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
