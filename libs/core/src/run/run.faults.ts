import { canonical } from '../json.js';
import { LIMITS } from '../limits.js';
import type { StepFault } from './run.ops.js';

/** An error as memos carry it. `data` is always there: Go reads no memo without it. */
export function fault(name: string, message: string, more: { readonly stack?: string } = {}): StepFault {
  return { name, message, json: canonical({ data: null, message, name, ...more }) };
}

/** Output of a run that the server failed: contract section 16. */
export function faultOutput({ name, message, json }: StepFault): string {
  const { stack } = JSON.parse(json) as { stack?: unknown };
  return canonical({
    error: { error: `${name}: ${message}`, message, name, ...(typeof stack === 'string' ? { stack } : {}) },
  });
}

export const invokeTimedOut: StepFault = {
  name: 'InngestInvokeTimeoutError',
  message: 'Timed out waiting for invoked function to complete',
  json: canonical({
    data: null,
    error: 'InngestInvokeTimeoutError: Timed out waiting for invoked function to complete',
    message: 'Timed out waiting for invoked function to complete',
    name: 'InngestInvokeTimeoutError',
  }),
};

/** What a failed call is: the fault, the run's output should it be the last attempt, and whose fault it is. */
export interface CallFailure {
  readonly fault: StepFault;
  readonly output: string;
  readonly transport: boolean;
  readonly code: string;
}

export function stepNotFound(stepId: string): CallFailure {
  const found = fault(
    'StepNotFound',
    `The app did not run step ${stepId}: it is not in its code any more, or not reached.`,
  );
  return { fault: found, output: faultOutput(found), transport: false, code: 'step_not_found' };
}

export function nothingReported(): CallFailure {
  const found = fault('NoOperation', 'The app answered without a result and without a step to do.');
  return { fault: found, output: faultOutput(found), transport: false, code: 'no_operation' };
}

export const stepsOverflowed = fault(
  'InngestErrFunctionOverflowed',
  `The function run exceeded the step limit of ${LIMITS.stepsPerRunMax} steps.`,
);

export const stateOverflowed = fault(
  'InngestErrStateOverflowed',
  `The function run exceeded the state size limit of ${LIMITS.runStateBytesMax} bytes.`,
);

export function waitTooLong(value: string): StepFault {
  return fault('InngestErrTimeoutTooLong', `The duration or date "${value}" lies more than 366 days ahead.`);
}

export function waitInvalid(value: string): StepFault {
  return fault('InvalidDuration', `"${value}" is neither a duration nor a date.`);
}

export function expressionInvalid(compilerText: string): StepFault {
  return fault('InvalidExpression', 'Wait for Event If expression failed to compile', { stack: compilerText });
}
