/** What a job is given: plain data that JSON can carry. */
export type JobPayload =
  string | number | boolean | null | readonly JobPayload[] | { readonly [key: string]: JobPayload };

export type JobHandler = (payload: JobPayload) => Promise<void>;

/** How often a job is tried before it is given up, */
export const JOB_ATTEMPTS = 5;
/** and how long after the first failure it is tried again; twice as long after each further one. */
export const JOB_BACKOFF_MS = 1_000;

/**
 * The platform's own background jobs: syncs, retention, exports. Steps of functions are none of them. A job is done at least once, by one of
 * the processes that handle its name: when that one crashes, by another. So handlers do no harm when they come twice.
 *
 * A job whose handler rejects is tried again later, `JOB_ATTEMPTS` times in all; each failure is logged, and after the last the job is dropped.
 */
export abstract class PlatformJobs {
  /** This process does the jobs of a name from now on, one at a time. Once for a name. */
  abstract handle(name: string, handler: JobHandler): void;
  /**
   * Has a job done every so often, with `null` for a payload: once per interval, however many processes say so. Where it was not on schedule
   * before it is due at once. A run that lasts longer than the interval puts the next one off. Another interval takes the place of the one before.
   * @throws state_unavailable: try again
   */
  abstract schedule(name: string, everyMs: number): Promise<void>;
  /** Has a job done once, soon. @throws state_unavailable when it cannot be told whether it will be */
  abstract run(name: string, payload: JobPayload): Promise<void>;
  /** Takes no more jobs; resolves when those under way here are done. */
  abstract close(): Promise<void>;
}
