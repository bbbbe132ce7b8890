import { now } from '../clock.ts';
import { goalsOf } from '../goals.ts';
import { noneOf } from '../ledger.ts';
import { costs, type Row } from '../row.ts';
import type { Scenario } from '../scenario.ts';
import { chunked, Sender, type BenchEvent } from '../sender.ts';
import type { Stage } from '../stage.ts';

const SINGLE = 10_000;
const BATCHED = 100_000;
const BATCH = 100;
/** Of JSON, an event. */
const BYTES = 1_024;

interface Load {
  readonly id: string;
  readonly title: string;
  readonly events: number;
  readonly batch: number;
  /** Requests under way at one time. */
  readonly atATime: number;
}

/** B11: events that start nothing, to the last acknowledgement. */
export const ingest: Scenario = {
  id: 'B11',
  run: async ({ stage, size }) => [
    await taken(stage, {
      id: 'B11 single',
      title: 'Events of 1 KB that start nothing, one in a request',
      events: size(SINGLE),
      batch: 1,
      atATime: 64,
    }),
    await taken(stage, {
      id: 'B11 batched',
      title: `Events of 1 KB that start nothing, ${BATCH} in a request`,
      events: size(BATCHED),
      batch: BATCH,
      atATime: 8,
    }),
  ],
};

async function taken(stage: Stage, { id, title, events, batch, atATime }: Load): Promise<Row> {
  const sender = new Sender(stage.millrace.url, atATime);
  await send(sender, stage.numbers(batch * atATime), batch, atATime);
  const numbers = stage.numbers(events);
  let ids: ReadonlySet<string> = new Set();
  let ms = NaN;
  const cost = await stage.measured(async () => {
    const from = now();
    ids = await send(sender, numbers, batch, atATime);
    ms = now() - from;
  });
  await sender.close();
  return {
    id,
    title,
    did: `${events.toLocaleString('en')} events, ${atATime} requests at a time`,
    values: { eventsPerS: (events * 1_000) / ms },
    ...costs(cost, events),
    verdict: noneOf([
      [Math.abs(events - ids.size), 'events more or less than were acknowledged'],
      [Math.abs(events - cost.log.events), 'events more or less on the log'],
      [cost.log.wentWrong, 'went wrong'],
    ]),
    goals: goalsOf(id, stage.mode),
  };
}

/** @returns all internal ids */
async function send(
  sender: Sender,
  numbers: readonly number[],
  batch: number,
  atATime: number,
): Promise<ReadonlySet<string>> {
  const rest = [...chunked(numbers.map(eventOf), batch)].reverse();
  const ids = new Set<string>();
  const worker = async (): Promise<void> => {
    for (let next = rest.pop(); next; next = rest.pop()) for (const id of await sender.send(next)) ids.add(id);
  };
  await Promise.all(Array.from({ length: atATime }, worker));
  return ids;
}

function eventOf(n: number): BenchEvent {
  const event = { name: 'bench/nothing', data: { n, text: '' } };
  return { ...event, data: { n, text: 'x'.repeat(BYTES - JSON.stringify(event).length) } };
}
