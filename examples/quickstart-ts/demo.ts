// `npm run demo`: the shop against a running server. Sends an order, pays it, has labels printed, and prints what the server says has happened.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Problem, Rest, type Transition } from './demo.rest.ts';
import { tell, waitText } from './demo.text.ts';

const HELP = `npm run demo                                 against http://127.0.0.1:8288, where \`npm start\` serves
npm run demo -- --url http://127.0.0.1:9000  against another dev server`;

const LOOK_EVERY_MS = 100;
const PATIENCE_MS = 60_000;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { url: { type: 'string', default: 'http://127.0.0.1:8288' }, help: { type: 'boolean', short: 'h' } },
  });
  if (values.help) return console.log(HELP);
  const url = values.url.replace(/\/+$/, '');
  const rest = new Rest(url);
  await rest.check();

  const running = await findShop(rest);
  const shop = running === undefined ? await openShop(url) : undefined;
  console.log(`Server  ${url}\nShop    ${running ?? shop?.url}`);
  try {
    await goodOrder(rest);
    await badOrder(rest);
    await labels(rest);
  } finally {
    shop?.close();
  }
  if (shop) console.log('\nThe shop goes with this demo: `npm start` in examples/quickstart-ts keeps it.');
}

interface Shop {
  readonly url: string;
  close(): void;
}

/** Where the shop runs already, as after `npm start` in this folder. */
async function findShop(rest: Rest): Promise<string | undefined> {
  const known = (await rest.apps()).find(({ name }) => name === 'quickstart');
  if (!known) return undefined;
  const reply = await fetch(known.url).catch(() => undefined);
  return reply?.headers.has('x-inngest-sdk') ? known.url : undefined;
}

/** Starts the shop on any port; the SDK in it registers with the server when it is asked to. */
async function openShop(serverUrl: string): Promise<Shop> {
  const shop = spawn(process.execPath, [join(import.meta.dirname, 'app.ts')], {
    env: { ...process.env, INNGEST_DEV: serverUrl, PORT: '0' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  process.once('exit', () => shop.kill());
  let said = '';
  shop.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const url = await new Promise<string>((resolve, reject) => {
    shop.stdout.on('data', (chunk: Buffer) => resolve(/http:\S+/.exec(chunk.toString())?.[0] ?? ''));
    shop.once('exit', () => reject(new Problem(`The shop does not start:\n${said}`)));
  });
  const reply = await fetch(url, { method: 'PUT' });
  if (!reply.ok) throw new Problem(`The shop could not register with ${serverUrl}: ${await reply.text()}`);
  return { url, close: () => shop.kill() };
}

async function goodOrder(rest: Rest): Promise<void> {
  const orderId = `order-${Date.now().toString(36)}`;
  console.log(`\n${orderId}: two coffee mugs, paid as soon as the function waits for it\n`);
  const order = { orderId, item: 'coffee mug', quantity: 2 };
  const [eventId = ''] = await rest.send('quickstart/order.placed', order);
  const runId = await runOf(rest, eventId);
  let paid = false;
  const run = await follow(rest, runId, async ({ type, kind }) => {
    if (paid || type !== 'StepPlanned' || kind !== 'wait') return;
    paid = true;
    await rest.send('quickstart/order.paid', { orderId, amount: 2_500 });
    console.log('             -> sent quickstart/order.paid');
  });
  if (run.status !== 'Completed') throw new Problem(`The run ended as ${run.status}: ${JSON.stringify(run.output)}`);
}

/** What happens when a function fails. */
async function badOrder(rest: Rest): Promise<void> {
  const orderId = `order-${(Date.now() + 1).toString(36)}`;
  console.log(`\n${orderId}: one unicorn, which the shop does not have\n`);
  const [eventId = ''] = await rest.send('quickstart/order.placed', { orderId, item: 'unicorn', quantity: 1 });
  const runId = await runOf(rest, eventId);
  const run = await follow(rest, runId);
  if (run.status !== 'Failed') throw new Problem(`The run should have failed, and ended as ${run.status}`);

  console.log('\nThe failure handler of the function:\n');
  const failure = await until('the event that tells of the failure', async () => {
    const events = await rest.events('inngest/function.failed');
    return events.find(({ data }) => data['run_id'] === runId);
  });
  await follow(rest, await runOf(rest, failure.internal_id));
}

/** What flow control does: a printer prints one label at a time, another one need not wait for it. */
async function labels(rest: Rest): Promise<void> {
  console.log('\nThree labels for the red printer and one for the blue, one at a time for each:\n');
  const wanted = [1, 2, 3, 4].map((n) => ({
    parcel: `parcel ${n}`,
    printer: n === 4 ? 'blue printer' : 'red printer',
  }));
  const ids: string[] = [];
  for (const label of wanted) ids.push(...(await rest.send('quickstart/label.wanted', label)));
  const runIds = await Promise.all(ids.map((id) => runOf(rest, id)));
  const said = new Map<string, string>();
  await until('the labels', async () => {
    const runs = await Promise.all(runIds.map((runId) => rest.run(runId)));
    for (const [index, run] of runs.entries()) {
      const line = `${wanted[index]?.parcel}  ${run.ended_at === null ? waitText(run) : `printed: ${String(run.output)}`}`;
      if (said.get(run.run_id) !== line) console.log(`  ${line}`);
      said.set(run.run_id, line);
    }
    return runs.every(({ ended_at: endedAt }) => endedAt !== null) || undefined;
  });
}

async function runOf(rest: Rest, eventId: string): Promise<string> {
  const run = await until('a run of the event', async () => (await rest.runsOf(eventId))[0]);
  return run.run_id;
}

/** Prints a run's transitions as they come, until it has ended. */
async function follow(
  rest: Rest,
  runId: string,
  each: (transition: Transition) => Promise<void> = () => Promise.resolve(),
) {
  console.log(`  run ${runId}`);
  let printed = 0;
  let startedAt = NaN;
  return until(`the end of run ${runId}`, async () => {
    // The run first: what it has ended with is among the transitions that are asked for after it.
    const run = await rest.run(runId);
    const transitions = await rest.transitions(runId);
    for (const transition of transitions.slice(printed)) {
      if (Number.isNaN(startedAt)) startedAt = transition.at;
      const line = tell(transition);
      if (line !== undefined)
        console.log(`  ${((transition.at - startedAt) / 1_000).toFixed(3).padStart(7)} s  ${line}`);
      await each(transition);
    }
    printed = transitions.length;
    return run.ended_at === null ? undefined : run;
  });
}

async function until<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
  for (const end = Date.now() + PATIENCE_MS; Date.now() < end; await sleep(LOOK_EVERY_MS)) {
    const found = await look();
    if (found !== undefined) return found;
  }
  throw new Problem(`Waited ${PATIENCE_MS / 1_000} s for ${what}`);
}

try {
  await main();
} catch (error) {
  if (!(error instanceof Problem) && (error as NodeJS.ErrnoException).code?.startsWith('ERR_PARSE_ARGS') !== true)
    throw error;
  console.error(`\n${(error as Error).message}`);
  process.exitCode = 1;
}
