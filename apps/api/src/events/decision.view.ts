import type { DecisionRow } from '#ports/history.port.js';

/** A decision as REST v1 shows it; `event_id`, `key`, `run_id` and numbers of its own besides, as its type has them. */
export interface DecisionView {
  readonly function_id: string;
  /** Null where the function is not known any more. */
  readonly function_slug: string | null;
  readonly type: string;
  readonly at: string;
  /** What was decided: the event itself, or a command of a control. */
  readonly position: {
    readonly topic: DecisionRow['topic'];
    readonly partition: number;
    readonly offset: number;
    readonly index: number;
  };
  readonly [own: string]: unknown;
}

export function viewOfDecision(row: DecisionRow, functionSlug: string | undefined): DecisionView {
  const { functionId, type, at, topic, partition, offset, index } = row;
  const own = Object.entries(JSON.parse(row.body) as Record<string, unknown>).map(([name, value]) => [
    snakeCase(name),
    isInstant(name, value) ? iso(value) : value,
  ]);
  return {
    ...(Object.fromEntries(own) as Record<string, unknown>),
    function_id: functionId,
    function_slug: functionSlug ?? null,
    type,
    at: iso(at),
    position: { topic, partition, offset, index },
  };
}

function snakeCase(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** What a Date can hold. */
const INSTANT_MAX = 8.64e15;

/** Instants are told by their names, also those of types that are not known yet. */
function isInstant(name: string, value: unknown): value is number {
  return typeof value === 'number' && Math.abs(value) <= INSTANT_MAX && /(^until|At)$/.test(name);
}

function iso(at: number): string {
  return new Date(at).toISOString();
}
