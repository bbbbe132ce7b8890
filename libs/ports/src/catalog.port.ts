import type { AppVersion, FunctionVersion } from '#core/function/function.config.js';
import type { Env } from '#core/words.js';

/** Apps and functions as the data plane knows them now: a fold of the `config` topic, in memory. */
export abstract class Catalog {
  /** By id; archived ones too. */
  abstract function(id: string): FunctionVersion | undefined;
  /** By slug or id; live ones only. */
  abstract resolve(env: Env, ref: string): FunctionVersion | undefined;
  /** Live ones. */
  abstract functions(env: Env): readonly FunctionVersion[];
  /** Live ones of all environments. */
  abstract allFunctions(): readonly FunctionVersion[];
  abstract app(id: string): AppVersion | undefined;
  /** Live ones. */
  abstract apps(env: Env): readonly AppVersion[];
  /** Rises with each change, in all processes alike. */
  abstract revision(): number;
  /** Calls back after each change of a function, with what it was before. @returns stops it */
  abstract onChange(listener: (now: FunctionVersion, before: FunctionVersion | undefined) => void): () => void;
  /** Resolves once this revision, which another process has seen, is known here. @throws log_unavailable */
  abstract reached(revision: number): Promise<void>;
  /** Resolves once everything that stood on `config` at the time of the call is known here. */
  abstract caughtUp(): Promise<void>;
}
