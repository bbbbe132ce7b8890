import { validTraceparent } from '#core/trace.js';
import type { Call, Run } from '#core/run/run.state.js';
import type { EpochMs } from '#core/words.js';
import type { Metrics } from './metrics.port.js';

/** Events on their way in. */
export interface ReceiveSpan {
  /** W3C trace context for the events; none where nobody traces. */
  readonly trace?: string;
  /** @param error code of the fault, where they were not taken */
  end(events: number, error?: string): void;
}

/** A call under way. */
export interface CallSpan {
  /** For the header of the call; none where nobody traces. */
  readonly traceparent?: string;
  /** @param error code of what went wrong */
  end(outcome: string, error?: string): void;
}

/**
 * Spans from an event to the calls of its runs, each below the one before:
 *     event receive -> run -> call -> (what the app makes of the header)
 * Processes agree on the ids by what runs carry; they do not talk of it.
 */
export abstract class Tracing {
  /** @param header `traceparent` of the sender */
  abstract receive(header: string | undefined): ReceiveSpan;
  abstract call(run: Run, call: Call): CallSpan;
  /** @param run as it stands at its end */
  abstract ended(run: Run, endedAt: EpochMs): void;
  /** Hands over what it has, with some patience. */
  abstract close(): Promise<void>;
}

/** What rooms tell of what they do. */
export interface Watching {
  readonly metrics: Metrics;
  readonly tracing: Tracing;
}

/** Makes no spans: the sender's context goes on to the apps as it came. */
export class TracingOff extends Tracing {
  override receive(header: string | undefined): ReceiveSpan {
    return { ...validTraceparent(header), end: () => undefined };
  }

  override call({ trace }: Run): CallSpan {
    return { ...(trace === undefined ? {} : { traceparent: trace }), end: () => undefined };
  }

  override ended(): void {}

  override async close(): Promise<void> {}
}
