import { randomBytes } from 'node:crypto';
import type { Command } from 'commander';
import type { ApiClient } from './api.client.js';
import { instantOption, withClient, withClientOptions, type Context, type Declare } from './command.context.js';
import { EXIT, Failure, usage, type ExitCode } from './failure.js';
import { batchesOf } from './send.batch.js';
import { readEvents, type EventSource, type SentEvent } from './send.events.js';
import { followRuns } from './send.follow.js';

const HELP = `
With a name, what is read is the data of events of that name; without one, whole events. A list in --data or --file holds
several. From - and from files .ndjson or .jsonl, every line is one.

Examples:
  millrace send shop/order.placed -d '{"orderId":"o-1"}' --wait
  millrace send -f events.json
  psql -Atc 'select row_to_json(o) from orders o' | millrace send shop/order.imported -`;

/** A request of this size goes through anything that stands between; one event may still be larger. */
const BOUNDS = { countMax: 500, charsMax: 1024 * 1024 };
/** Events whose runs can be followed. */
const FOLLOWED_MAX = 100;
const RETRIES = 4;

interface SendOptions {
  readonly data?: string;
  readonly file?: string;
  readonly id?: string;
  readonly ts?: string;
  readonly user?: string;
  readonly wait?: boolean;
}

export const declare: Declare = (command, context, end) => {
  withClientOptions(command, 'give up after this long (30s for an answer; with --wait: never)')
    .argument('[name]', 'name of the events')
    .argument('[source]', '- reads standard input')
    .option('-d, --data <json>', 'data of the event')
    .option('-f, --file <path>', 'read from a file')
    .option('--id <id>', 'id of the event: runs of a function start once for it in 24 h')
    .option('--ts <time>', 'when it happened: a date, or milliseconds since 1970')
    .option('--user <json>', 'the user that it is of')
    .option('--wait', 'follow the runs that it starts, and end as they end')
    .option('--event-key <key>', 'event key of the server, if it has one [env MILLRACE_EVENT_KEY]')
    .addHelpText('after', HELP)
    .action(async (name: string | undefined, from: string | undefined) =>
      end(await send(command, context, name, from)),
    );
};

async function send(
  command: Command,
  context: Context,
  name: string | undefined,
  from: string | undefined,
): Promise<ExitCode> {
  const options = command.opts<SendOptions>();
  const source = sourceOf(options, name, from, context);
  const run = async (api: ApiClient) => {
    const ids = await sendAll(api, context, source, options);
    if (!options.wait) {
      if (context.console.json) context.console.result({ ids }, () => []);
      return EXIT.ok;
    }
    return followRuns(api, context, ids);
  };
  return options.wait ? withClient(command, context, run, undefined) : withClient(command, context, run);
}

/** @throws usage */
function sourceOf(
  { data, file, id, ts, user }: SendOptions,
  name: string | undefined,
  from: string | undefined,
  context: Context,
): EventSource {
  const named = name === '-' ? undefined : name;
  const piped = name === '-' ? name : from;
  if (piped !== undefined && piped !== '-')
    throw usage(`Unknown argument "${piped}": after the name there may be a -, which reads standard input.`);
  if ([data, file, piped].filter((given) => given !== undefined).length > 1)
    throw usage('Give one of --data, --file and -.');
  if (named === undefined && data === undefined && file === undefined && piped === undefined) {
    throw usage('Give the name of an event, or events to read.', 'See `millrace send --help`.');
  }
  return {
    name: named,
    data,
    file: file ?? piped,
    extra: {
      ...(id === undefined ? {} : { id }),
      ...(ts === undefined ? {} : { ts: instantOption('--ts', ts, context.now()) }),
      ...(user === undefined ? {} : { user: objectOption('--user', user) }),
    },
  };
}

function objectOption(name: string, text: string): object {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined; // Not JSON is no object either.
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw usage(`${name} must be a JSON object, not ${text}.`);
  return value;
}

/** @returns the ids, in order */
async function sendAll(
  api: ApiClient,
  context: Context,
  source: EventSource,
  { id, wait }: SendOptions,
): Promise<readonly string[]> {
  const ids: string[] = [];
  const { console } = context;
  const events = bounded(
    readEvents(source, context.stdin),
    id === undefined ? (wait ? FOLLOWED_MAX : Infinity) : 1,
    id === undefined ? '--wait' : '--id',
  );
  try {
    for await (const batch of batchesOf(events, ({ json }) => json.length, BOUNDS)) {
      const sent = await post(api, context, batch);
      for (const [index, { name }] of batch.entries()) console.line(`${sent[index]}  ${console.colors.dim(name)}`);
      ids.push(...sent);
      console.progress(`${ids.length.toLocaleString('en-US')} events sent`);
    }
  } catch (error) {
    if (error instanceof Failure && ids.length > 0) throw partly(error, ids);
    throw error;
  }
  return ids;
}

/** Refuses more events than an option can be meant for. */
async function* bounded(events: AsyncIterable<SentEvent>, countMax: number, option: string): AsyncGenerator<SentEvent> {
  let count = 0;
  for await (const event of events) {
    if (++count > countMax)
      throw usage(`${option} is for ${countMax === 1 ? 'one event' : `${countMax} events`} at most.`);
    yield event;
  }
}

async function post(api: ApiClient, { now }: Context, batch: readonly SentEvent[]): Promise<readonly string[]> {
  const body = `[${batch.map(({ json }) => json).join(',')}]`;
  // With a seed the ids are the same when the request is repeated, and so it is harmless.
  const seed = `${now()},${randomBytes(10).toString('base64')}`;
  const headers = { 'x-inngest-event-id-seed': seed };
  const path = `/e/${encodeURIComponent(api.eventKey)}`;
  try {
    const answer = (await api.ask(path, { method: 'POST', body, headers, retries: RETRIES })) as
      { readonly ids?: readonly string[] } | undefined;
    if (answer?.ids?.length !== batch.length) throw api.strange('the events');
    return answer.ids;
  } catch (error) {
    if (!(error instanceof Failure) || batch.length === 1) throw error;
    const [first, last] = [batch[0]?.where, batch.at(-1)?.where];
    const where = `None of the ${batch.length} events from ${first} to ${last} was taken.`;
    throw new Failure(
      error.exit,
      error.message,
      { ...error.details, why: [error.details.why, where].filter(Boolean).join('. ') },
      error,
    );
  }
}

function partly(error: Failure, ids: readonly string[]): Failure {
  const what = `${error.message} Before that, ${ids.length.toLocaleString('en-US')} events were taken, the last of them ${ids.at(-1)}.`;
  return new Failure(error.exit, what, error.details, error);
}
