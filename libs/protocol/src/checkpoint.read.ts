import { Fault } from '#core/faults.js';
import type { Op } from '#core/run/run.ops.js';
import type { EpochMs } from '#core/words.js';
import { OpUnreadable, readOps } from './call.ops.js';
import { fieldsOf, isObject, textOf } from './json.read.js';

/** Steps that a call in progress has finished. */
export interface Checkpoint {
  readonly runId: string;
  readonly fnId?: string;
  /** The work item, as the call carried it. */
  readonly qiId: string;
  /** Which try of the item and which request; TypeScript repeats both, Go neither. */
  readonly generationId?: number;
  readonly requestId?: string;
  readonly ops: readonly Op[];
}

/** What may be told while a call goes on. What waits, fails or has the server work must end the call with a 206: contract 26.1. */
const TAKEN = new Set<unknown>([
  'StepRun',
  'Step',
  'StepPlanned',
  'RunComplete',
  'SyncRunComplete',
  'DeferAdd',
  'DeferAbort',
  'None',
]);

/**
 * The body of POST /v1/checkpoint/:runId/async. execution.md section 8.
 *     {"run_id","fn_id","qi_id","request_id"?,"generation_id"?,"request_started_at"?,"steps":[op],"ts"?}
 * @throws request_invalid, body_too_deep; checkpoint_refused for an operation of another kind; checkpoint_too_large for a step's output
 */
export function readCheckpoint(body: unknown, runId: string, now: EpochMs): Checkpoint {
  const { run_id: run, fn_id: fn, qi_id: qi, request_id: request, generation_id: generation, steps } = fieldsOf(body);
  const qiId = textOf(qi);
  if (run !== runId) throw new Fault('request_invalid', { runId }, { message: 'run_id is not the run of the path' });
  if (qiId === undefined) throw new Fault('request_invalid', { runId }, { message: 'qi_id is missing' });
  if (!Array.isArray(steps)) throw new Fault('request_invalid', { runId }, { message: 'steps is not a list' });
  if (!steps.every((step) => isObject(step) && TAKEN.has(step.op))) throw new Fault('checkpoint_refused', { runId });
  const fnId = textOf(fn);
  const requestId = textOf(request);
  const generationId = Number(generation ?? NaN);
  return {
    runId,
    ...(fnId === undefined ? {} : { fnId }),
    qiId,
    ...(Number.isSafeInteger(generationId) ? { generationId } : {}),
    ...(requestId === undefined ? {} : { requestId }),
    ops: opsOf(steps, runId, now),
  };
}

function opsOf(steps: readonly unknown[], runId: string, now: EpochMs): readonly Op[] {
  try {
    return readOps(steps, now);
  } catch (error) {
    if (!(error instanceof OpUnreadable)) throw error;
    const { stepId } = error;
    if (error.code === 'reply_unreadable')
      throw new Fault('request_invalid', { runId }, { message: error.message, cause: error });
    const what = error.code === 'step_output_too_large' ? 'output' : 'input';
    throw new Fault(
      'checkpoint_too_large',
      { runId, stepId },
      { message: `step ${stepId} ${what} too large: ${error.message}`, cause: error },
    );
  }
}
