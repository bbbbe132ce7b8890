import type { ApiClient } from './api.client.js';
import type { Context } from './command.context.js';
import { EXIT, Failure, type ExitCode } from './failure.js';
import { endText } from './run.text.js';
import { isEnded, type RunView } from './run.view.js';

/** An event that started no run by then starts none. */
const NO_RUN_MS = 5_000;
const PAUSE_MIN_MS = 50;
const PAUSE_MAX_MS = 1_000;

/**
 * Waits for the runs of events to end.
 * @returns ok when all were completed, failed when one was not, not found when there was none
 * @throws a Failure when the time is up
 */
export async function followRuns(api: ApiClient, { console, now }: Context, ids: readonly string[]): Promise<ExitCode> {
  const ended = new Map<string, RunView>();
  const since = now();
  let pauseMs = PAUSE_MIN_MS;
  let open = ids;
  for (;;) {
    const still: string[] = [];
    let active = 0;
    for (const id of open) {
      const runs = await runsOf(api, id);
      const fresh = runs.filter((run) => isEnded(run) && !ended.has(run.run_id));
      for (const run of fresh) {
        ended.set(run.run_id, run);
        console.line(endText(run, console.colors));
      }
      const running = runs.filter((run) => !isEnded(run)).length;
      active += running;
      // What is new may have company that is about to appear.
      if (running > 0 || fresh.length > 0 || (runs.length === 0 && now() - since < NO_RUN_MS)) still.push(id);
    }
    open = still;
    if (open.length === 0) break;
    console.progress(`${active} running, ${ended.size} ended`);
    await api.pause(pauseMs);
    pauseMs = Math.min(PAUSE_MAX_MS, pauseMs * 1.5);
  }
  const runs = [...ended.values()];
  if (runs.length === 0) throw noRun(ids);
  if (console.json) console.result({ ids, runs }, () => []);
  return runs.every(({ status }) => status === 'Completed' || status === 'Skipped') ? EXIT.ok : EXIT.failed;
}

/** An event that was taken a moment ago may not be known to history yet. */
async function runsOf(api: ApiClient, id: string): Promise<readonly RunView[]> {
  try {
    return await api.data<readonly RunView[]>(`/v1/events/${encodeURIComponent(id)}/runs`);
  } catch (error) {
    if (error instanceof Failure && error.exit === EXIT.notFound) return [];
    throw error;
  }
}

function noRun(ids: readonly string[]): Failure {
  const what =
    ids.length === 1 ? `No run started for event ${ids[0]}.` : `No run started for any of the ${ids.length} events.`;
  const why = 'No function of a synced app is triggered by it, or its id was used before.';
  return new Failure(EXIT.notFound, what, {
    why,
    next: 'See which apps are synced: `millrace doctor`.',
    code: 'no_run',
  });
}
