import type { EpochMs, Json } from '../words.js';

/** An error as it is stored in a memo and shown: always with name and message. */
export interface StepFault {
  readonly name: string;
  readonly message: string;
  /** The memo's error object, canonical, with `name`, `message` and `data` present. */
  readonly json: Json;
}

interface OpBase {
  /** The SDK's hash of the step. */
  readonly id: string;
  /** What people call the step. */
  readonly name: string;
  /** Parallel mode `race`: the function is entered again after this step alone. */
  readonly race?: boolean;
  /** Variant for display: `step.sendEvent`, `step.ai.wrap`, ... */
  readonly type?: string;
  /** Arguments of the step, for display. */
  readonly input?: Json;
  /** When the SDK ran it. */
  readonly startedAt?: EpochMs;
  readonly ranMs?: number;
  /** What the SDK attached to the step: a list `[{"kind","op","scope"?,"values"}]`, canonical. */
  readonly metadata?: Json;
}

/** What a function asks for or reports, read off the wire: execution.md section 5. */
export type Op =
  /** Done. `memo` is what later calls carry under the id: `{"data":...}`, or bare for Kotlin's `Step`. */
  | (OpBase & { readonly op: 'StepDone'; readonly memo: Json })
  | (OpBase & { readonly op: 'StepError'; readonly fault: StepFault })
  | (OpBase & { readonly op: 'StepFailed'; readonly fault: StepFault })
  | (OpBase & { readonly op: 'StepPlanned' })
  | (OpBase & { readonly op: 'Sleep'; readonly until: WaitUntil })
  | (OpBase & { readonly op: 'WaitForEvent'; readonly event: string; readonly if?: string; readonly until: WaitUntil })
  | (OpBase & {
      readonly op: 'WaitForSignal';
      readonly signal: string;
      readonly conflict: 'fail' | 'replace';
      readonly until: WaitUntil;
    })
  | (OpBase & {
      readonly op: 'InvokeFunction';
      readonly functionRef: string;
      readonly payload: Json;
      readonly until: WaitUntil;
    })
  /** A call that the server makes; `request` as the SDK gave it. Its keys stay with who read it: they are not on the log. */
  | (OpBase & { readonly op: 'Gateway' | 'AIGateway'; readonly request: Json })
  | (OpBase & { readonly op: 'RunComplete'; readonly data: Json })
  | (OpBase & { readonly op: 'DiscoveryRequest' })
  /** `rejected`: it breaks a rule of its own, so it is only noted; then the payload is `null`. */
  | (OpBase & {
      readonly op: 'DeferAdd';
      readonly functionRef: string;
      readonly payload: Json;
      readonly rejected?: 'invalid_opts' | 'per_defer_size';
    })
  | (OpBase & { readonly op: 'DeferAbort'; readonly target: string });

/** When a wait ends. `invalid` and `too_long` end the run: quirk 10, contract 17.3. */
export type WaitUntil = { readonly at: EpochMs } | { readonly invalid: string } | { readonly tooLong: string };

/** What a call came to. Read by the protocol, decided by the run. */
export type Outcome =
  /** 206, or 200 with the run's output as one `RunComplete` (`plain`: a bare 200, which never answers a targeted call). */
  | {
      readonly kind: 'ops';
      readonly ops: readonly Op[];
      readonly noRetry: boolean;
      readonly retryAfterMs?: number;
      readonly plain?: boolean;
    }
  /** The function threw outside steps, or the answer is no answer. */
  | {
      readonly kind: 'error';
      readonly fault: StepFault;
      /** The body as it came, for the run's output. */
      readonly output: Json;
      readonly noRetry: boolean;
      readonly retryAfterMs?: number;
      /** No SDK spoke: connection, time-out, proxy page, half a body. */
      readonly transport: boolean;
      /**
       * Three digits: the status that an SDK answered. `stale_dispatch`: the SDK stopped because another call owns the work item, so
       * nothing follows from it. Else why there is no answer: `http_unreachable`, `http_timeout`, `http_reset`, `http_invalid`,
       * `output_too_large`, `redirect_refused`, `url_refused`, `url_invalid`, `not_sdk`, `http_error`, `unauthorized`,
       * `reply_unreadable`, `step_not_found`, `step_output_too_large`, `step_input_too_large`, `signature_invalid`, `steps_overflowed`.
       */
      readonly code: string;
    };
