import type { EpochMs } from '#core/words.js';

/** What time it is, and a way to be woken. The only source of both outside `main`. */
export abstract class Clock {
  abstract now(): EpochMs;
  /** Calls `wake` once at or after `at`, never earlier. @returns takes it back; harmless when it has been called. */
  abstract at(at: EpochMs, wake: () => void): () => void;
}
