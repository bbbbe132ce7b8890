import type { Command } from '#core/effects.js';

export interface Addressed {
  /** Id of the aggregate: a run's id, `signalKey`, `cronKey`. */
  readonly key: string;
  readonly command: Command;
}

/** What became of a command. */
export interface Answer {
  /** What was accepted, without what it carries. */
  readonly transitions: readonly AnsweredTransition[];
  /** Why nothing came of it. */
  readonly ignored?: string;
}

export interface AnsweredTransition {
  readonly type: string;
  /** Where it names one: the run that it tells of. */
  readonly runId?: string;
}

/** The way to ask something of an aggregate: appends to `commands`. */
export abstract class Letterbox {
  /** Resolves once the commands are durable. @throws log_unavailable; posting again is harmless */
  abstract post(commands: readonly Addressed[]): Promise<void>;
  /** Posts one and waits for the decision. @throws log_unavailable, state_unavailable where no answer could come, overloaded when none comes in time */
  abstract ask(key: string, command: Command): Promise<Answer>;
}

/** The way back: whoever decides tells whoever asked, wherever he is. */
export interface Answers {
  /** @param ask the name under which somebody waits: `ask` of the command */
  tell(ask: string, answer: Answer): void;
}
