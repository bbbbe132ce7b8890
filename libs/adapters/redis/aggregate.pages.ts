import type { AggregateWrite } from '#ports/aggregate-store.port.js';
import type { ScriptArgument } from './redis.script.js';

/** Writes that one script takes: what a server does in a few milliseconds. */
const WRITES_MAX = 1_000;
const CHARS_MAX = 1_048_576;

/**
 * Writes as the scripts take them, in pages of bounded size; one write is never divided. A page is a list of stretches: `+` and a space, how
 * many, and ids with their states; or `-` and a space, how many, and the ids that have ended.
 */
export function pagesOf(
  writes: Readonly<Record<string, readonly AggregateWrite[]>>,
): readonly (readonly ScriptArgument[])[] {
  const pages: ScriptArgument[][] = [];
  let room = { writes: 0, chars: 0 };
  for (const [space, list] of Object.entries(writes)) {
    const last = [...new Map(list.map(({ id, state }) => [id, state]))];
    for (const sign of ['+', '-']) {
      let stretch: { readonly page: ScriptArgument[]; readonly countAt: number } | undefined;
      for (const [id, state] of last) {
        if ((sign === '-') !== (state === null)) continue;
        if (room.writes === 0 || room.chars <= 0) {
          pages.push([]);
          room = { writes: WRITES_MAX, chars: CHARS_MAX };
        }
        const page = pages.at(-1) ?? [];
        if (stretch?.page !== page) stretch = { page, countAt: page.push(`${sign}${space}`, 0) - 1 };
        page.push(id, ...(state === null ? [] : [state]));
        page[stretch.countAt] = Number(page[stretch.countAt]) + 1;
        room.writes--;
        room.chars -= id.length + (state?.length ?? 0);
      }
    }
  }
  return pages;
}
