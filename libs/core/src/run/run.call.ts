import type { Json } from '../words.js';
import { ENTRY, pendingCount, type Call, type Run } from './run.state.js';

/** What an app is told with a call: execution.md section 1. */
export interface CallView {
  readonly runId: string;
  readonly functionId: string;
  readonly functionSlug: string;
  readonly target: string;
  readonly attempt: number;
  readonly maxAttempts: number;
  readonly generation: number;
  readonly qiId: string;
  readonly requestVersion: number;
  /** The SDK must plan steps instead of running them. */
  readonly disableImmediateExecution: boolean;
  readonly events: readonly Json[];
  /** Memos by step id. */
  readonly steps: readonly { readonly id: string; readonly memo: Json }[];
  readonly stack: readonly string[];
  readonly defers: readonly { readonly id: string; readonly abortable: boolean }[];
}

export function callView(run: Run, call: Call): CallView {
  const open = pendingCount(run);
  return {
    runId: run.id,
    functionId: run.functionId,
    functionSlug: run.functionSlug,
    target: call.target,
    attempt: call.attempt,
    maxAttempts: run.maxAttempts,
    generation: call.generation,
    qiId: qiId(run.id, call.seq),
    requestVersion: run.requestVersion,
    disableImmediateExecution: call.target !== ENTRY || open > 0 || (run.requestVersion === 1 && run.wasParallel),
    events: run.events,
    steps: run.stack.map((id) => ({ id, memo: run.steps[id]?.memo ?? 'null' })),
    stack: run.stack,
    defers: Object.values(run.defers).map(({ id, state }) => ({ id, abortable: state === 'live' })),
  };
}

/** The id of a work item as SDKs echo it in checkpoints. */
export function qiId(runId: string, seq: number): string {
  return `${runId}.${seq}`;
}

/** @returns the item's number, or undefined when it is not one of this run's */
export function seqOfQiId(runId: string, text: string): number | undefined {
  const [run, seq, ...rest] = text.split('.');
  return run === runId && rest.length === 0 && seq !== undefined && /^\d{1,9}$/.test(seq) ? Number(seq) : undefined;
}
