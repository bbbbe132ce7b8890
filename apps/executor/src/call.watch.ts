import type { Outcome } from '#core/run/run.ops.js';
import type { Call, Run } from '#core/run/run.state.js';
import type { Clock } from '#ports/clock.port.js';
import type { Watching } from '#ports/tracing.port.js';
import type { Grant, WorkItem } from '#ports/work-queue.port.js';

/** Measures and traces calls. */
export class CallWatch {
  private underWay = 0;

  constructor(
    private readonly watching: Watching,
    private readonly clock: Clock,
  ) {
    watching.metrics.gauge('millrace_calls_running', () => [{ labels: {}, value: this.underWay }]);
  }

  /** An item is there, and its call is about to be made. */
  handedOut({ dueAt }: WorkItem, grant: Grant | undefined): void {
    const { metrics } = this.watching;
    metrics.observe('millrace_step_latency_seconds', {}, Math.max(0, this.clock.now() - dueAt) / 1_000);
    if (!grant?.waited) return;
    const { cause, ms } = grant.waited;
    metrics.count('millrace_waits_total', { cause });
    metrics.observe('millrace_wait_seconds', { cause }, ms / 1_000);
  }

  /** @param make makes the call, with this header */
  async around<M extends { readonly outcome: Outcome }>(
    run: Run,
    call: Call,
    make: (traceparent: string | undefined) => Promise<M>,
  ): Promise<M> {
    const { metrics, tracing } = this.watching;
    const span = tracing.call(run, call);
    const from = this.clock.now();
    this.underWay++;
    let ended: { readonly outcome: string; readonly code?: string } = { outcome: 'lost', code: 'internal' };
    try {
      const made = await make(span.traceparent);
      ended = endOf(made.outcome);
      return made;
    } finally {
      this.underWay--;
      span.end(ended.outcome, ended.code);
      metrics.observe('millrace_call_seconds', { outcome: ended.outcome }, (this.clock.now() - from) / 1_000);
    }
  }
}

/** @returns one of few words, and the code of what went wrong */
function endOf(outcome: Outcome): { readonly outcome: string; readonly code?: string } {
  if (outcome.kind === 'error') return { outcome: outcome.transport ? 'no_answer' : 'error', code: outcome.code };
  const failed = outcome.ops.some(({ op }) => op === 'StepError' || op === 'StepFailed');
  return failed ? { outcome: 'step_error', code: 'step_error' } : { outcome: 'ok' };
}
