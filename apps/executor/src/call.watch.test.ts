import { describe, expect, it } from 'vitest';
import type { Outcome } from '#core/run/run.ops.js';
import type { Call } from '#core/run/run.state.js';
import { ProcessMetrics } from '#platform/metrics.js';
import { TracingOff, type CallSpan } from '#ports/tracing.port.js';
import { aRun } from '#testkit/a-run.js';
import { ManualClock } from '#testkit/manual-clock.js';
import { aWorkItem } from '#testkit/work-item.js';
import { CallWatch } from './call.watch.js';

const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
const call: Call = { target: 'step', seq: 0, generation: 1, attempt: 0, dueAt: 0, gateway: false, progressed: false };
const fault = { name: 'Error', message: 'm', json: '{}' };
const failed = { kind: 'error', fault, output: 'null', noRetry: false } as const;

class Spans extends TracingOff {
  readonly told: string[] = [];
  override call(): CallSpan {
    return {
      traceparent: '00-1-2-01',
      end: (outcome, error) => void this.told.push(error === undefined ? outcome : `${outcome} ${error}`),
    };
  }
}

function world() {
  const clock = new ManualClock();
  const metrics = new ProcessMetrics(clock, quiet);
  const tracing = new Spans();
  return { clock, metrics, tracing, watch: new CallWatch({ metrics, tracing }, clock) };
}

describe('a call that is watched', () => {
  it.each<[string, string, Outcome]>([
    ['ok', 'ok', { kind: 'ops', ops: [], noRetry: false }],
    [
      'step_error',
      'step_error step_error',
      { kind: 'ops', ops: [{ op: 'StepError', id: 's', name: 's', fault }], noRetry: false },
    ],
    ['error', 'error 500', { ...failed, transport: false, code: '500' }],
    ['no_answer', 'no_answer http_timeout', { ...failed, transport: true, code: 'http_timeout' }],
  ])('that comes to %s is measured so, and carries its header', async (outcome, span, came) => {
    const { clock, metrics, tracing, watch } = world();
    const seen: unknown[] = [];
    const making = watch.around(aRun('R'), call, async (traceparent) => {
      seen.push(traceparent);
      await new Promise<void>((resolve) => clock.at(clock.now() + 300, resolve));
      return { outcome: came };
    });
    expect(await metrics.text()).toContain('\nmillrace_calls_running 1\n');
    await clock.turn(300);
    expect((await making).outcome).toBe(came);
    expect(seen).toEqual(['00-1-2-01']);
    expect(tracing.told).toEqual([span]);
    const text = await metrics.text();
    expect(text).toContain(`\nmillrace_call_seconds_sum{outcome="${outcome}"} 0.3\n`);
    expect(text).toContain('\nmillrace_calls_running 0\n');
  });

  it('that is lost on our side is measured as well', async () => {
    const { metrics, tracing, watch } = world();
    await expect(watch.around(aRun('R'), call, () => Promise.reject(new Error('bug')))).rejects.toThrow('bug');
    expect(tracing.told).toEqual(['lost internal']);
    expect(await metrics.text()).toContain('\nmillrace_call_seconds_count{outcome="lost"} 1\n');
  });

  it('tells how late it is, and what it had waited for', async () => {
    const { clock, metrics, watch } = world();
    const dueAt = clock.now();
    await clock.turn(2_000);
    watch.handedOut(aWorkItem('a', { dueAt }), { waited: { ms: 1_500, cause: 'throttle' } });
    watch.handedOut(aWorkItem('b', { dueAt: clock.now() + 5 }), undefined);
    const text = await metrics.text();
    expect(text).toContain('\nmillrace_step_latency_seconds_sum 2\n');
    expect(text).toContain('\nmillrace_step_latency_seconds_count 2\n');
    expect(text).toContain('\nmillrace_waits_total{cause="throttle"} 1\n');
    expect(text).toContain('\nmillrace_wait_seconds_sum{cause="throttle"} 1.5\n');
  });
});
