import type { Row } from './row.ts';
import type { Stage } from './stage.ts';

/** What scenarios of one round have in common. */
export interface Round {
  /** The server that most scenarios share, one after the other. */
  readonly stage: Stage;
  /** Calls a second that the app answers by itself; from the scenario `C`, which is always first. */
  ceilingCallsPerS: number;
  readonly waiting: number;
  say(line: string): void;
}

/** A scenario of performance.md. Leaves the stage at rest, with no marks on it. */
export interface Scenario {
  readonly id: string;
  /** It wants a server of its own, and no other beside it. */
  readonly alone?: boolean;
  run(round: Round): Promise<readonly Row[]>;
}
