import type { Command } from 'commander';
import type { FunctionView } from '#apps/api/src/functions/function.view.js';
import type { QueueView } from '#apps/api/src/functions/queue.view.js';
import { firstLine } from '../text.js';
import type { ApiClient } from './api.client.js';
import { withClient, withClientOptions, type Context, type Declare } from './command.context.js';
import { confirm } from './confirm.js';
import { EXIT, Failure, usage } from './failure.js';
import { functionPicture, functionTable, pausedLine, queuePicture, statusText } from './function.text.js';
import type { RunView } from './run.view.js';

const LIST_HELP = `
Examples:
  millrace functions list
  millrace functions list --json | jq -r '.functions[] | select(.paused) | .slug'`;

const GET_HELP = `
Example:
  millrace functions get shop-order`;

const QUEUE_HELP = `
A line holds the calls whose keys are the same: the longest come first, with what the first call of each waits for.

Examples:
  millrace functions queue shop-order
  millrace functions queue shop-order --json | jq '.queue.lines[] | {keys, ready}'`;

const PAUSE_HELP = `
Events that come meanwhile leave skipped runs. The pause outlasts syncs and restarts, until the function is resumed.

Examples:
  millrace functions pause shop-order
  millrace functions pause shop-order --cancel --yes`;

const RESUME_HELP = `
Runs that were held go on; events that came meanwhile stay skipped.

Example:
  millrace functions resume shop-order`;

const FUNCTION = ['<function>', 'slug (as `shop-order`) or id'] as const;

export const declare: Declare = (command, context, end) => {
  const list = withClientOptions(command.command('list').description('list functions, by app'));
  list.addHelpText('after', LIST_HELP).action(async () => {
    await listFunctions(list, context);
    end(EXIT.ok);
  });

  const get = withClientOptions(
    command.command('get').description('show a function: triggers, limits, whether it is paused'),
  );
  get
    .argument(...FUNCTION)
    .addHelpText('after', GET_HELP)
    .action(async (ref: string) => {
      await showFunction(get, context, ref);
      end(EXIT.ok);
    });

  const queue = withClientOptions(command.command('queue').description('show what waits of a function, and for what'))
    .argument(...FUNCTION)
    .option('--limit <count>', 'how many lines, 1 to 100', '20')
    .addHelpText('after', QUEUE_HELP);
  queue.action(async (ref: string) => {
    await showQueue(queue, context, ref);
    end(EXIT.ok);
  });

  const pause = withClientOptions(command.command('pause').description('stop a function until it is resumed'))
    .argument(...FUNCTION)
    .option('--cancel', 'cancel the runs under way; without it they are held')
    .option('--yes', 'do not ask')
    .addHelpText('after', PAUSE_HELP);
  pause.action(async (ref: string) => {
    await pauseFunction(pause, context, ref);
    end(EXIT.ok);
  });

  const resume = withClientOptions(command.command('resume').description('let a paused function go on'))
    .argument(...FUNCTION)
    .addHelpText('after', RESUME_HELP);
  resume.action(async (ref: string) => {
    await resumeFunction(resume, context, ref);
    end(EXIT.ok);
  });
};

async function listFunctions(command: Command, context: Context): Promise<void> {
  await withClient(command, context, async (api) => {
    const functions = await api.data<readonly FunctionView[]>('/v1/functions');
    context.console.result({ functions }, (colors) => (functions.length === 0 ? [] : functionTable(functions, colors)));
    if (functions.length === 0 && !context.console.json)
      context.console.note('No functions. Name an app: `millrace dev -u http://localhost:3000/api/inngest`.');
  });
}

async function showFunction(command: Command, context: Context, ref: string): Promise<void> {
  await withClient(command, context, async (api) => {
    const fn = await api.data<FunctionView>(pathOf(ref));
    context.console.result({ function: fn }, (colors) => functionPicture(fn, context.now(), colors));
  });
}

async function showQueue(command: Command, context: Context, ref: string): Promise<void> {
  const { limit } = command.opts<{ readonly limit: string }>();
  const count = Number(limit);
  if (!Number.isInteger(count) || count < 1 || count > 100)
    throw usage(`--limit must be a whole number from 1 to 100, not "${limit}".`);
  await withClient(command, context, async (api) => {
    const fn = await api.data<FunctionView>(pathOf(ref));
    const queue = await api.data<QueueView>(`${pathOf(fn.id)}/queue`, { limit });
    context.console.result({ function: fn, queue }, (colors) => queuePicture(fn, queue, context.now(), colors));
    const left = queue.line_count - queue.lines.length;
    if (left > 0 && !context.console.json)
      context.console.note(
        `There are ${left.toLocaleString('en-US')} more lines${count < 100 ? ': --limit 100' : ''}.`,
      );
  });
}

interface PauseOptions {
  readonly cancel?: boolean;
  readonly yes?: boolean;
}

async function pauseFunction(command: Command, context: Context, ref: string): Promise<void> {
  const { cancel = false, yes = false } = command.opts<PauseOptions>();
  const { console } = context;
  // Asked outside of a client's life: its deadline is for the server's answers, not for people's.
  if (cancel && !yes) await confirm(await withClient(command, context, (api) => cancelQuestion(api, ref)), context);
  await withClient(command, context, async (api) => {
    const body = JSON.stringify({ running: cancel ? 'cancel' : 'hold' });
    const fn = await api.data<FunctionView>(`${pathOf(ref)}/pause`, {}, { method: 'POST', body });
    console.result({ function: fn }, (colors) => [pausedLine(fn, colors)]);
    if (!console.json) console.note(`Let it go on with \`millrace functions resume ${firstLine(fn.slug)}\`.`);
  });
}

const COUNTED_MAX = 100;

async function cancelQuestion(api: ApiClient, ref: string): Promise<string> {
  const { slug } = await api.data<FunctionView>(pathOf(ref));
  const runs = await api
    .data<readonly RunView[]>('/v1/runs', {
      function: slug,
      status: 'scheduled,running',
      limit: String(COUNTED_MAX),
    })
    .catch((error: unknown) => {
      // Without History nobody can count them; they can be cancelled all the same.
      if (error instanceof Failure && error.details.code === 'history_unavailable') return undefined;
      throw error;
    });
  const count =
    runs === undefined
      ? 'all its runs'
      : runs.length === COUNTED_MAX
        ? `${COUNTED_MAX} runs or more`
        : runs.length === 1
          ? '1 run'
          : `${runs.length} runs`;
  return `Pause ${firstLine(slug)}, and cancel ${count} under way?`;
}

async function resumeFunction(command: Command, context: Context, ref: string): Promise<void> {
  await withClient(command, context, async (api) => {
    const fn = await api.data<FunctionView>(`${pathOf(ref)}/resume`, {}, { method: 'POST' });
    context.console.result({ function: fn }, (colors) => [
      `${statusText(fn, colors)} ${colors.bold(firstLine(fn.slug))}`,
    ]);
  });
}

function pathOf(ref: string): string {
  return `/v1/functions/${encodeURIComponent(ref)}`;
}
