import type { Command } from 'commander';
import type { RunTransition } from '#core/run/run.transitions.js';
import { firstLine } from '../text.js';
import { instantOption, withClient, withClientOptions, type Context, type Declare } from './command.context.js';
import { EXIT, usage } from './failure.js';
import { pictureOf, statusText, tableOf } from './run.text.js';
import { isEnded, type RunView } from './run.view.js';

const LIST_HELP = `
Examples:
  millrace runs list --status failed,cancelled --from 1h
  millrace runs list --function shop-order --json | jq -r '.runs[].run_id'`;

const GET_HELP = `
What it waits for: its calls with what holds each back, and the events, signals and times of its steps.
Each step on a line: its kind, when it was under way on the run's line of time, after how long, for how long.`;

export const declare: Declare = (command, context, end) => {
  const list = withClientOptions(command.command('list').description('list runs, newest first'))
    .option('--status <status>', 'scheduled, running, completed, failed, cancelled or skipped; several by commas')
    .option('--function <slug>', 'of this function (as `shop-order`); several by commas')
    .option('--app <name>', 'of this app')
    .option('--event <name>', 'started by events of this name')
    .option('--from <time>', 'queued at this time or later: a date, or 1h for an hour ago')
    .option('--until <time>', 'queued before this time')
    .option('--limit <count>', 'how many, 1 to 100', '20')
    .option('--cursor <run id>', 'those after this one of the list')
    .addHelpText('after', LIST_HELP);
  list.action(async () => {
    await listRuns(list, context);
    end(EXIT.ok);
  });

  const get = withClientOptions(
    command.command('get <run-id>').description('show a run: what it waits for, and its steps'),
  );
  get.addHelpText('after', GET_HELP).action(async (runId: string) => {
    await showRun(get, context, runId);
    end(EXIT.ok);
  });

  const cancel = withClientOptions(command.command('cancel <run-id...>').description('cancel runs'));
  cancel.action(async (runIds: readonly string[]) => {
    await cancelRuns(cancel, context, runIds);
    end(EXIT.ok);
  });
};

interface ListOptions {
  readonly status?: string;
  readonly function?: string;
  readonly app?: string;
  readonly event?: string;
  readonly from?: string;
  readonly until?: string;
  readonly limit: string;
  readonly cursor?: string;
}

async function listRuns(command: Command, context: Context): Promise<void> {
  const { status, function: fn, app, event, from, until, limit, cursor } = command.opts<ListOptions>();
  const instant = (name: string, text: string | undefined) =>
    text === undefined ? undefined : new Date(instantOption(name, text, context.now())).toISOString();
  const count = Number(limit);
  if (!Number.isInteger(count) || count < 1 || count > 100)
    throw usage(`--limit must be a whole number from 1 to 100, not "${limit}".`);
  const query = {
    status,
    function: fn,
    app,
    event,
    from: instant('--from', from),
    until: instant('--until', until),
    limit,
    cursor,
  };
  await withClient(command, context, async (api) => {
    const runs = await api.data<readonly RunView[]>('/v1/runs', query);
    const next = runs.length < count ? null : (runs.at(-1)?.run_id ?? null);
    context.console.result({ runs, cursor: next }, (colors) =>
      runs.length === 0 ? [] : tableOf(runs, context.now(), colors),
    );
    if (context.console.json) return;
    if (runs.length === 0) context.console.note('No runs that are like this.');
    else if (next !== null) context.console.note(`There may be more: --cursor ${next}`);
  });
}

async function showRun(command: Command, context: Context, runId: string): Promise<void> {
  await withClient(command, context, async (api) => {
    const path = pathOf(runId);
    const run = await api.data<RunView>(path);
    const transitions = await api.data<readonly RunTransition[]>(`${path}/transitions`);
    context.console.result({ run, transitions }, (colors) => pictureOf(run, transitions, context.now(), colors));
    const isPaused = run.queue?.some(({ wait }) => wait?.cause === 'paused') ?? false;
    if (isPaused && !context.console.json)
      context.console.note(
        `Let its function go on with \`millrace functions resume ${firstLine(run.function_slug)}\`.`,
      );
  });
}

async function cancelRuns(command: Command, context: Context, runIds: readonly string[]): Promise<void> {
  await withClient(command, context, async (api) => {
    const runs: { run_id: string; status: RunView['status']; had_ended: boolean }[] = [];
    for (const runId of runIds) {
      const path = pathOf(runId);
      const before = await api.data<RunView>(path);
      // Asking twice is harmless, and so is asking of a run that has ended.
      await api.ask(path, { method: 'DELETE', retries: 2 });
      const { status } = await api.data<RunView>(path);
      const had_ended = isEnded(before);
      runs.push({ run_id: runId, status, had_ended });
      context.console.line(
        `${statusText(status, context.console.colors)} ${runId}${had_ended ? ' (it had ended before)' : ''}`,
      );
    }
    if (context.console.json) context.console.result({ runs }, () => []);
  });
}

function pathOf(runId: string): string {
  return `/v1/runs/${encodeURIComponent(runId)}`;
}
