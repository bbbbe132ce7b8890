/** How a command ends. 130 is what shells make of an interrupt. */
export const EXIT = { ok: 0, failed: 1, usage: 2, notFound: 3, auth: 4, timeout: 5, interrupted: 130 } as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

export interface FailureDetails {
  readonly why?: string | undefined;
  /** What to do about it. */
  readonly next?: string | undefined;
  /** For machines. */
  readonly code?: string | undefined;
}

/** Ends a command: says what went wrong, why, and what to do. */
export class Failure extends Error {
  constructor(
    readonly exit: ExitCode,
    what: string,
    readonly details: FailureDetails = {},
    cause?: unknown,
  ) {
    super(what, cause === undefined ? undefined : { cause });
    this.name = 'Failure';
  }
}

export function usage(what: string, next?: string): Failure {
  return new Failure(EXIT.usage, what, { next, code: 'usage' });
}
