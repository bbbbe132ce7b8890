import { createReadStream, readFileSync } from 'node:fs';
import { StringDecoder } from 'node:string_decoder';
import { LIMITS } from '#core/limits.js';
import { Failure, usage } from './failure.js';

/** An event as it is sent. */
export interface SentEvent {
  readonly name: string;
  readonly json: string;
  /** Where it came from, for people. */
  readonly where: string;
}

export interface EventSource {
  /** All events are of this name, and what is read is their data. Without it, what is read is whole events. */
  readonly name?: string | undefined;
  /** JSON. */
  readonly data?: string | undefined;
  /** A path; `-` is standard input. */
  readonly file?: string | undefined;
  /** Members that every event gets. */
  readonly extra: Readonly<Record<string, unknown>>;
}

/** Longer lines hold no event. */
const LINE_CHARS_MAX = LIMITS.eventBytesMax + 64 * 1024;

/** Reads events from where they are, as they come. @throws usage that says where */
export async function* readEvents(source: EventSource, stdin: () => AsyncIterable<Buffer>): AsyncGenerator<SentEvent> {
  const { data, file } = source;
  if (file === undefined) yield* whole(source, data ?? '{}', '--data');
  else if (file === '-') yield* lines(source, stdin(), 'standard input');
  else if (/\.(ndjson|jsonl)$/.test(file)) yield* lines(source, createReadStream(file), file);
  else yield* whole(source, textOf(file), file);
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw unreadable(file, error);
  }
}

/** A text that is one JSON value; a list holds several events. */
function* whole(source: EventSource, text: string, where: string): Generator<SentEvent> {
  const value = parse(text, where);
  if (Array.isArray(value)) {
    for (const [index, item] of (value as unknown[]).entries()) {
      yield eventOf(source, item, `${where}, item ${index + 1}`);
    }
  } else yield eventOf(source, value, where);
}

/** NDJSON: an event a line. */
async function* lines(source: EventSource, bytes: AsyncIterable<Buffer>, from: string): AsyncGenerator<SentEvent> {
  let count = 0;
  for await (const line of linesOf(bytes, from)) {
    const where = `${from}, line ${++count}`;
    if (line.trim() === '') continue;
    yield eventOf(source, parse(line, where, 'Every line is one event; `jq -c .` puts JSON on one line.'), where);
  }
}

async function* linesOf(bytes: AsyncIterable<Buffer>, from: string): AsyncGenerator<string> {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  try {
    for await (const chunk of bytes) {
      const parts = (rest + decoder.write(chunk)).split('\n');
      rest = parts.pop() ?? '';
      yield* parts;
      if (rest.length > LINE_CHARS_MAX) throw usage(`Cannot read ${from}: a line is longer than an event may be.`);
    }
  } catch (error) {
    throw error instanceof Failure ? error : unreadable(from, error);
  }
  yield rest + decoder.end();
}

function parse(text: string, where: string, next?: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw usage(`Cannot read ${where}: it is not JSON (${(error as Error).message}).`, next);
  }
}

function unreadable(where: string, error: unknown): Error {
  return usage(`Cannot read ${where}: ${(error as Error).message}.`);
}

function eventOf({ name, extra }: EventSource, value: unknown, where: string): SentEvent {
  const object = typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined;
  if (name !== undefined) {
    if (!object) throw usage(`Cannot send ${where}: the data of an event must be a JSON object.`);
    return { name, json: JSON.stringify({ name, data: object, ...extra }), where };
  }
  const { name: own } = (object ?? {}) as { readonly name?: unknown };
  if (typeof own !== 'string') {
    const next = 'Name the event, as in `millrace send shop/order.placed`, where only its data are given.';
    throw usage(`Cannot send ${where}: an event is a JSON object with a name.`, next);
  }
  return { name: own, json: JSON.stringify({ ...object, ...extra }), where };
}
