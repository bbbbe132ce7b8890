import type { AdmissionTransition } from '#core/admission/admission.js';
import type { Command } from '#core/effects.js';
import type { CronTransition } from '#core/cron/cron.aggregate.js';
import type { RunTransition } from '#core/run/run.transitions.js';
import type { SignalTransition } from '#core/signal/signal.js';

export interface Addressed {
  /** Id of the aggregate: a run's id, `signalKey`, `cronKey`. */
  readonly key: string;
  readonly command: Command;
}

/** What became of a command. */
export interface Answer {
  readonly transitions: readonly (RunTransition | SignalTransition | CronTransition | AdmissionTransition)[];
  /** Why nothing came of it. */
  readonly ignored?: string;
}

/** The way to ask something of an aggregate: appends to `commands`. */
export abstract class Letterbox {
  /** Resolves once the commands are durable. @throws log_unavailable; posting again is harmless */
  abstract post(commands: readonly Addressed[]): Promise<void>;
  /** Posts one and waits for the decision. @throws log_unavailable, overloaded when no owner answers in time */
  abstract ask(key: string, command: Command): Promise<Answer>;
}
