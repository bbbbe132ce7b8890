/** What a server and its engine process say to each other, over the channel of `fork`. Results are JSONEachRow, as bytes. */
export interface EngineSettings {
  /** The engine's data folder. */
  readonly path: string;
  /** The package to load. */
  readonly module: string;
  /** Arguments of the engine's connection, as `clickhouse local` takes them. */
  readonly args: readonly string[];
  /** How long another process may still hold the folder: a killed server's engine goes within moments. */
  readonly lockWaitMs: number;
}

export type EngineRequest =
  | { readonly kind: 'open'; readonly settings: EngineSettings }
  | {
      readonly kind: 'run';
      readonly id: number;
      readonly sql: string;
      readonly params: Readonly<Record<string, unknown>>;
    }
  | { readonly kind: 'insert'; readonly id: number; readonly table: string; readonly rows: Uint8Array }
  /** Finish what is under way, close the folder and end. */
  | { readonly kind: 'end' };

/** `missing`: the package or its build for this machine is not there. `unopened`: it is, and the folder could not be opened. */
export type StartProblem = 'missing' | 'unopened';

export type EngineReply =
  | { readonly kind: 'ready' }
  | { readonly kind: 'failed'; readonly problem: StartProblem; readonly message: string }
  | { readonly kind: 'done'; readonly id: number; readonly rows: Uint8Array }
  /** `code` is the engine's number of the error, where it gave one. */
  | { readonly kind: 'refused'; readonly id: number; readonly code: number | undefined; readonly message: string };
