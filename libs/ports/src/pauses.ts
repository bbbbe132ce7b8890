import { Fault } from '#core/faults.js';
import type { Arrived } from '#core/match/pause.plan.js';
import type { Candidate, Pause } from './pause-index.port.js';

/** Whether a pause minds the event at all, before its expression is asked. */
export function isOpenTo(pause: Pause, { receivedAt, internalId }: Candidate): boolean {
  return pause.since <= receivedAt && receivedAt < pause.until && !pause.notEvents.includes(internalId);
}

/** The event, parsed when it is first asked for. @throws record_unreadable there, when it is no JSON */
export class ParsedOnce implements Arrived {
  private parsed: { readonly value: unknown } | undefined;

  constructor(private readonly candidate: Candidate) {}

  get at(): number {
    return this.candidate.receivedAt;
  }

  get value(): unknown {
    this.parsed ??= { value: parse(this.candidate.payload, { event: this.candidate.internalId }) };
    return this.parsed.value;
  }
}

/** The pauses of a run come together and have one trigger. */
export class Triggers {
  private last: { readonly text: string; readonly value: unknown } | undefined;

  /** @throws record_unreadable when it is no JSON */
  of({ id, trigger }: Pause): unknown {
    if (this.last?.text !== trigger) this.last = { text: trigger, value: parse(trigger, { pause: id }) };
    return this.last.value;
  }
}

function parse(text: string, data: Readonly<Record<string, unknown>>): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Fault('record_unreadable', data, { cause });
  }
}
