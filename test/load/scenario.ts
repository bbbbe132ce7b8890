import type { ClusterSize } from './cluster.installation.ts';
import type { Mode } from './installation.ts';
import type { Row } from './row.ts';
import type { Stage } from './stage.ts';

/** What scenarios of one round have in common. */
export interface Round {
  /** The server that most scenarios share, one after the other. */
  readonly stage: Stage;
  /** Calls a second that the app answers by itself; from the scenario `C`, which is always first. */
  ceilingCallsPerS: number;
  readonly waiting: number;
  readonly say: (line: string) => void;
  /** How many of something large: as many as wanted, or few where it is only to be seen that all goes well. */
  readonly size: (count: number) => number;
}

/** A scenario of performance.md. Leaves the stage at rest, with no marks on it. */
export interface Scenario {
  readonly id: string;
  /** It wants a server of its own, and no other beside it. */
  readonly alone?: boolean;
  /** Where it can be measured; absent: in both. */
  readonly mode?: Mode;
  /** Of a cluster, where it differs from what is asked for. */
  readonly cluster?: Partial<ClusterSize> & { readonly env?: Readonly<Record<string, string>> };
  run(round: Round): Promise<readonly Row[]>;
}
