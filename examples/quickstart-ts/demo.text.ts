import type { Run, Transition } from './demo.rest.ts';

const CHARS_MAX = 90;

/** A line on what has happened; undefined for what only the server needs to know. */
export function tell(t: Transition): string | undefined {
  switch (t.type) {
    case 'RunScheduled':
      return 'run scheduled';
    case 'RunStarted':
      return 'function called';
    case 'StepPlanned':
      return planned(t);
    case 'StepCompleted':
      return completed(t);
    case 'StepErrored':
      return `step "${t.name}" failed and will be tried again: ${t.fault?.message}`;
    case 'StepFailed':
      return `step "${t.name}" failed: ${t.fault?.message}`;
    case 'CallErrored':
      return `the function failed and will be tried again: ${t.fault?.message}`;
    case 'RunCompleted':
      return `run completed: ${short(t.output)}`;
    case 'RunFailed':
      return `run failed: ${t.fault?.message}`;
    case 'RunCancelled':
      return `run cancelled, by ${t.by}`;
    default:
      return undefined;
  }
}

/** What a run waits for before its function is called. */
export function waitText({ queue = [] }: Run): string {
  const [call] = queue;
  if (call?.status === 'running') return 'is under way';
  if (!call?.wait || call.wait.cause === 'turn') return 'may go';
  const { key, limit, place } = call.wait;
  return `waits for one of ${limit} under "${key}", ${place}${ORDINALS[place] ?? 'th'} in line`;
}

const ORDINALS: Readonly<Record<number, string>> = { 1: 'st', 2: 'nd', 3: 'rd' };

function planned({ name, kind, until, event }: Transition): string {
  if (kind === 'sleep') return `sleep "${name}" until ${clock(until)}`;
  if (kind === 'wait') return `wait "${name}" for ${event}, until ${clock(until)}`;
  return `step "${name}" found`;
}

function completed({ name, kind, memo, timedOut }: Transition): string {
  if (kind === 'sleep') return `sleep "${name}" is over`;
  if (kind === 'wait') return timedOut ? `wait "${name}": nothing came in time` : `wait "${name}": it came`;
  return `step "${name}" done: ${short(dataOf(memo))}`;
}

/** A step's result is stored as `{"data":...}`. */
function dataOf(memo: string | undefined): string | undefined {
  if (memo === undefined) return undefined;
  const { data } = JSON.parse(memo) as { readonly data?: unknown };
  return JSON.stringify(data);
}

function clock(at: number | undefined): string {
  return at === undefined ? 'for ever' : new Date(at).toLocaleTimeString('en-GB');
}

function short(json: string | undefined): string {
  if (json === undefined || json === 'null') return 'no output';
  return json.length > CHARS_MAX ? `${json.slice(0, CHARS_MAX)}...` : json;
}
