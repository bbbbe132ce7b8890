import type { LogRecord, Topic } from '#ports/event-log.port.js';

/** Turns a body of one version into one of the next. */
export type Upcaster = (body: unknown) => unknown;

/** By topic, type and the version that it takes: `transitions/RunFailed/1` gives version 2. None so far: all types are at their first. */
const UPCASTERS: ReadonlyMap<string, Upcaster> = new Map();

/** The record as today's version writes it: a log keeps what older ones wrote. */
export function upcast<R extends LogRecord>(record: R, upcasters = UPCASTERS): R {
  let now = record;
  for (;;) {
    const up = upcasters.size === 0 ? undefined : upcasters.get(upcasterName(now.topic, now.type, now.schema));
    if (!up || now.body === undefined) return now;
    now = { ...now, schema: now.schema + 1, body: up(now.body) };
  }
}

export function hasUpcaster(topic: Topic, type: string, version: number): boolean {
  return UPCASTERS.has(upcasterName(topic, type, version));
}

function upcasterName(topic: Topic, type: string, version: number): string {
  return `${topic}/${type}/${version}`;
}
